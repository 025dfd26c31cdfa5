"""PyTorch-StudioGAN: the names of its tensors."""

from collections.abc import Iterator

from keys import TORCH_HOOK, Key, gate, layer, plain_affine, statistics, transposed_layer

from sagan.models.config import DiscriminatorConfig, GeneratorConfig


def keys(G: GeneratorConfig, D: DiscriminatorConfig) -> Iterator[Key]:
    """Name every tensor of both networks."""
    yield from layer("G", "linear0", "linear", TORCH_HOOK)
    place = 0
    for i, position in enumerate(G.positions):
        theirs, ours = f"blocks.{place}.0", f"blocks.{i}"
        for name, of_ours in (("conv2d1", "conv1"), ("conv2d2", "conv2"), ("conv2d0", "shortcut")):
            yield from layer("G", f"{theirs}.{name}", f"{ours}.{of_ours}", TORCH_HOOK)
        for n in ("1", "2"):
            norm, of_ours = f"{theirs}.bn{n}", f"{ours}.norm{n}"
            yield from transposed_layer(f"{norm}.gain", f"{of_ours}.gain_map")
            yield from transposed_layer(f"{norm}.bias", f"{of_ours}.bias_map")
            yield from statistics((f"{norm}.bn.running_mean", f"{norm}.bn.running_var"), of_ours)
        place += 1
        if position in G.attention_positions:
            yield from attention("G", f"blocks.{place}.0", f"attention.{position}")
            place += 1
    yield from plain_affine(("bn4.weight", "bn4.bias"), "norm")
    yield from statistics(("bn4.running_mean", "bn4.running_var"), "norm")
    yield from layer("G", "conv2d5", "conv", TORCH_HOOK)
    yield from of_discriminator(D)


def of_discriminator(config: DiscriminatorConfig) -> Iterator[Key]:
    place, done = 0, set()
    for i, (down, height) in enumerate(zip(config.downs, config.heights, strict=True)):
        inputs, outputs = (3, *config.widths)[i : i + 2]
        layers = [("conv2d1", "conv1"), ("conv2d2", "conv2")]
        if down or inputs != outputs:
            layers.append(("conv2d0", "shortcut"))
        for name, of_ours in layers:
            yield from layer("D", f"blocks.{place}.0.{name}", f"blocks.{i}.{of_ours}", TORCH_HOOK)
        place += 1
        if height in config.attention_positions and height not in done:
            yield from attention("D", f"blocks.{place}.0", f"attention.{height}")
            place += 1
        done.add(height)
    yield from layer("D", "linear1", "linear", TORCH_HOOK)
    yield from layer("D", "embedding", "embedding", TORCH_HOOK, bias=False)


def attention(network: str, theirs: str, ours: str) -> Iterator[Key]:
    names = (("theta", "query"), ("phi", "key"), ("g", "value"), ("attn", "output"))
    for name, of_ours in names:
        yield from layer(network, f"{theirs}.conv1x1_{name}", f"{ours}.{of_ours}", TORCH_HOOK, bias=False)
    yield gate(network, f"{theirs}.sigma", f"{ours}.gamma", (1,))
