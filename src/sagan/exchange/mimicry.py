"""Mimicry (kwotsin): its SAGAN, its cGAN-PD, which is SNGAN-projection, and its SNGAN without classes."""

import re
from collections.abc import Iterator
from dataclasses import replace

from sagan.exchange.config import ImportConfig
from sagan.exchange.foreign import Foreign, State
from sagan.exchange.layers import Entry, Names, Places, Table, halves, has
from sagan.exchange.source import Conditional, Source, Traits, rows
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import slides

ATTENTION = "attn_block"
AFTER = {3: 1, 5: 2}, {4: 1, 6: 1}
"""After which block attention stands, by the number of blocks: in generators, in discriminators."""


def names(state: State) -> Names:
    """Give the names; the last linear layer of a discriminator is numbered after its blocks."""
    return Names(
        first="l1",
        convolutions=("c1", "c2", "c_sc"),
        norms=("b1", "b2"),
        statistics=(("bn.running_mean", "bn.running_var"), ("running_mean", "running_var")),
        attention=("theta", "phi", "g", "o"),
        gate="gamma",
        linear=f"l{len(_blocks(state)) + 1}",
        embedding="l_y",
    )


def _blocks(state: State) -> list[str]:
    numbers = {int(found[1]) for key in state if (found := re.match(r"block(\d+)\.", key))}
    return [f"block{number}" for number in sorted(numbers)]


def _places(state: State, after: dict[int, int]) -> Places:
    blocks = _blocks(state)
    attention = {}
    if any(key.startswith(f"{ATTENTION}.") for key in state) and len(blocks) in after:
        attention = {after[len(blocks)]: ATTENTION}
    return Places(tuple(blocks), attention)


def generator_places(state: State) -> Places:
    """Find blocks by their numbers; attention stands at 32 px, in networks of 32 px at 16."""
    return _places(state, AFTER[0])


def discriminator_places(state: State) -> Places:
    """Find blocks by their numbers; attention stands at 32 px, in networks of 32 px at 8."""
    return _places(state, AFTER[1])


def class_norm(table: Table, theirs: str, ours: str, conditional: Conditional) -> Iterator[Entry]:
    """Name a table of gains and biases side by side; without classes gain and bias (C,)."""
    if conditional.num_classes > 0:
        yield Entry(theirs=f"{theirs}.embed.weight", ours=(f"{ours}.gain", f"{ours}.bias"), taken=halves)
    else:
        yield from table.plain((f"{theirs}.weight", f"{theirs}.bias"), ours)


def last_norm(table: Table) -> Iterator[Entry]:
    """Name the last batch normalisation, which is numbered after the blocks."""
    last = f"b{len(_blocks(table.state)) + 2}"
    yield from table.plain((f"{last}.weight", f"{last}.bias"), "norm")
    yield from table.statistics(names(table.state), last, "norm")


def conditional(state: State, traits: Traits) -> Conditional:
    """Read the number of classes from the first of the tables."""
    table = "block2.b1.embed"
    return Conditional(num_classes=rows(state, table) if has(state, table) else 0)


def traits(foreign: Foreign, state: State, config: ImportConfig) -> Traits:
    """Tell what its networks have: bilinear upsampling, ReLU in place."""
    inplace = config.inplace_relu is None or config.inplace_relu
    return Traits(
        generator={"bn_eps": config.bn_eps or 1e-5},
        discriminator={"shortcut_relu": inplace},
        bgr=config.colours == "bgr",
    )


def recipe() -> RunConfig:
    """Give what its networks start with and its own rates (docs/recipes.md)."""
    base = slides()
    both = {"init": "chainer", "bias_start": "all", "attention_form": "official"}
    return replace(
        base,
        generator=replace(base.generator, upsampling="bilinear", sampling_norm="running", **both),  # type: ignore[arg-type]
        discriminator=replace(base.discriminator, width="thin", **both),  # type: ignore[arg-type]
        train=replace(base.train, lr_g=2e-4, lr_d=2e-4, d_vectors="separate", batch_size=64),
    )


MIMICRY = Source(
    title="mimicry",
    files="netG_..._steps.pth, and netD_..._steps.pth with --discriminator",
    generator_mark=re.compile(r"block\d+\.b1\."),
    discriminator_mark=re.compile(r"block1\."),
    names=names,
    generator_places=generator_places,
    discriminator_places=discriminator_places,
    class_norm=class_norm,
    last_norm=last_norm,
    last_layer=lambda state: f"c{len(_blocks(state)) + 2}",
    conditional=conditional,
    traits=traits,
    halved_at_the_end=(64,),
    recipe=recipe,
)
