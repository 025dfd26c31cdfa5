"""Mimicry: the names of its tensors."""

from collections.abc import Iterator

from keys import TORCH_HOOK, Key, Names, gate, halves, layer, plain_affine, statistics

from sagan.models.config import DiscriminatorConfig, GeneratorConfig

OWN = Names(weight="weight", u="sn_u", v=None)


def keys(G: GeneratorConfig, D: DiscriminatorConfig) -> Iterator[Key]:
    """Name every tensor of both networks; layers have their place in the network as a number, from 1 on."""
    names = TORCH_HOOK if G.spectral_norm else None
    yield from layer("G", "l1", "linear", names)
    for i in range(len(G.positions)):
        theirs, ours = f"block{i + 2}", f"blocks.{i}"
        for name, of_ours in (("c1", "conv1"), ("c2", "conv2"), ("c_sc", "shortcut")):
            yield from layer("G", f"{theirs}.{name}", f"{ours}.{of_ours}", names)
        for n in ("1", "2"):
            norm, of_ours = f"{theirs}.b{n}", f"{ours}.norm{n}"
            yield halves(f"{norm}.embed.weight", (f"{of_ours}.gain", f"{of_ours}.bias"))
            yield from statistics((f"{norm}.bn.running_mean", f"{norm}.bn.running_var"), of_ours)
    last = len(G.positions) + 2
    yield from plain_affine((f"b{last}.weight", f"b{last}.bias"), "norm")
    yield from statistics((f"b{last}.running_mean", f"b{last}.running_var"), "norm")
    yield from layer("G", f"c{last}", "conv", names)
    for position in G.attention_positions:
        yield from attention("G", f"attention.{position}")
    yield from of_discriminator(D, last=TORCH_HOOK if G.spectral_norm or D.size_px > 32 else OWN)


def of_discriminator(config: DiscriminatorConfig, *, last: Names) -> Iterator[Key]:
    """Name D's; the ``last`` layers of cGAN-PD at 32 px have mimicry's own spectral normalisation."""
    for i, down in enumerate(config.downs):
        inputs, outputs = (3, *config.widths)[i : i + 2]
        layers = [("c1", "conv1"), ("c2", "conv2")]
        if down or inputs != outputs:
            layers.append(("c_sc", "shortcut"))
        for name, of_ours in layers:
            yield from layer("D", f"block{i + 1}.{name}", f"blocks.{i}.{of_ours}", TORCH_HOOK)
    yield from layer("D", f"l{len(config.downs) + 1}", "linear", last)
    yield from layer("D", "l_y", "embedding", last, bias=False)
    for position in config.attention_positions:
        yield from attention("D", f"attention.{position}")


def attention(network: str, ours: str) -> Iterator[Key]:
    for name, of_ours in (("theta", "query"), ("phi", "key"), ("g", "value"), ("o", "output")):
        yield from layer(network, f"attn_block.{name}", f"{ours}.{of_ours}", TORCH_HOOK, bias=False)
    yield gate(network, "attn_block.gamma", f"{ours}.gamma")
