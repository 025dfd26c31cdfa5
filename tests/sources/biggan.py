"""BigGAN-PyTorch: the names of its tensors, and the options that make its networks and its training here."""

from collections.abc import Iterator

from keys import Key, Names, class_tables, gate, layer, plain_affine, statistics

from sagan.models.config import DiscriminatorConfig, GeneratorConfig

SPECTRAL = Names(weight="weight", u="u0", v=None)


def keys(G: GeneratorConfig, D: DiscriminatorConfig) -> Iterator[Key]:
    """Name every tensor of both networks."""
    yield from layer("G", "linear", "linear", SPECTRAL)
    for i, position in enumerate(G.positions):
        block, ours = f"blocks.{i}.0", f"blocks.{i}"
        for theirs, name in (("conv1", "conv1"), ("conv2", "conv2"), ("conv_sc", "shortcut")):
            yield from layer("G", f"{block}.{theirs}", f"{ours}.{name}", SPECTRAL)
        for n in ("1", "2"):
            norm = f"{block}.bn{n}"
            yield from class_tables((f"{norm}.gain.weight", f"{norm}.bias.weight"), f"{ours}.norm{n}")
            yield from statistics((f"{norm}.stored_mean", f"{norm}.stored_var"), f"{ours}.norm{n}")
        if position in G.attention_positions:
            yield from attention("G", f"blocks.{i}.1", f"attention.{position}")
    yield from plain_affine(("output_layer.0.gain", "output_layer.0.bias"), "norm")
    yield from statistics(("output_layer.0.stored_mean", "output_layer.0.stored_var"), "norm")
    yield from layer("G", "output_layer.2", "conv", SPECTRAL)
    yield from of_discriminator(D)


def of_discriminator(config: DiscriminatorConfig) -> Iterator[Key]:
    height, seen = config.size_px, 0
    for i, down in enumerate(config.downs):
        channels = (3, *config.widths)[i : i + 2]
        layers = [("conv1", "conv1"), ("conv2", "conv2")]
        if down or channels[0] != channels[1]:
            layers.append(("conv_sc", "shortcut"))
        for theirs, name in layers:
            yield from layer("D", f"blocks.{i}.0.{theirs}", f"blocks.{i}.{name}", SPECTRAL)
        height = height // 2 if down else height
        if height in config.attention_positions and (down or config.attention_repeat):
            seen = 1 if down else seen + 1
            yield from attention("D", f"blocks.{i}.1", f"attention.{repeated(height, seen)}")
    yield from layer("D", "linear", "linear", SPECTRAL)
    yield from layer("D", "embed", "embedding", SPECTRAL, bias=False)


def repeated(height: int, times: int) -> str:
    return str(height) if times == 1 else f"{height}-{times}"


def attention(network: str, theirs: str, ours: str) -> Iterator[Key]:
    for name, of_ours in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o", "output")):
        yield from layer(network, f"{theirs}.{name}", f"{ours}.{of_ours}", SPECTRAL, bias=False)
    yield gate(network, f"{theirs}.gamma", f"{ours}.gamma")
