"""MMGeneration: the names of its tensors."""

from collections.abc import Iterator

from keys import TORCH_HOOK, Key, class_tables, gate, layer, plain_affine, statistics

from sagan.models.config import DiscriminatorConfig, GeneratorConfig


def keys(G: GeneratorConfig, D: DiscriminatorConfig) -> Iterator[Key]:
    """Name every tensor of both networks."""
    yield from layer("G", "noise2feat", "linear", TORCH_HOOK)
    place = 0
    for i, position in enumerate(G.positions):
        theirs = f"conv_blocks.{place}"
        yield from convolutions("G", theirs, f"blocks.{i}", shortcut=True)
        for n in ("1", "2"):
            norm, ours = f"{theirs}.norm_{n}", f"blocks.{i}.norm{n}"
            yield from class_tables((f"{norm}.weight_embedding.weight", f"{norm}.bias_embedding.weight"), ours)
            yield from statistics((f"{norm}.norm.running_mean", f"{norm}.norm.running_var"), ours)
        place += 1
        if position in G.attention_positions:
            yield from attention("G", f"conv_blocks.{place}", f"attention.{position}")
            place += 1
    yield from plain_affine(("to_rgb.bn.weight", "to_rgb.bn.bias"), "norm")
    yield from statistics(("to_rgb.bn.running_mean", "to_rgb.bn.running_var"), "norm")
    yield from layer("G", "to_rgb.conv", "conv", TORCH_HOOK)
    yield from of_discriminator(D)


def of_discriminator(config: DiscriminatorConfig) -> Iterator[Key]:
    place, height, done = -1, config.size_px, set()
    for i, down in enumerate(config.downs):
        inputs, outputs = (3, *config.widths)[i : i + 2]
        theirs = "from_rgb" if i == 0 else f"conv_blocks.{place}"
        yield from convolutions("D", theirs, f"blocks.{i}", shortcut=down or inputs != outputs)
        place += 1
        height = height // 2 if down else height
        if height in config.attention_positions and height not in done:
            yield from attention("D", f"conv_blocks.{place}", f"attention.{height}")
            place += 1
        done.add(height)
    yield from layer("D", "decision", "linear", TORCH_HOOK)
    yield from layer("D", "proj_y", "embedding", TORCH_HOOK, bias=False)


def convolutions(network: str, theirs: str, ours: str, *, shortcut: bool) -> Iterator[Key]:
    yield from layer(network, f"{theirs}.conv_1.conv", f"{ours}.conv1", TORCH_HOOK)
    yield from layer(network, f"{theirs}.conv_2.conv", f"{ours}.conv2", TORCH_HOOK)
    if shortcut:
        yield from layer(network, f"{theirs}.shortcut.conv", f"{ours}.shortcut", TORCH_HOOK)


def attention(network: str, theirs: str, ours: str) -> Iterator[Key]:
    for name, of_ours in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o", "output")):
        yield from layer(network, f"{theirs}.{name}.conv", f"{ours}.{of_ours}", TORCH_HOOK, bias=False)
    yield gate(network, f"{theirs}.gamma", f"{ours}.gamma")
