"""PyTorch-StudioGAN (POSTECH-CVLab): its residual networks, which SAGAN, SNGAN and ACGAN are made of."""

import re
from collections.abc import Iterator
from functools import partial

from sagan.exchange.config import ImportConfig
from sagan.exchange.foreign import Foreign, State
from sagan.exchange.layers import Entry, Names, Table, has, spectral_of, transposed, weight_of
from sagan.exchange.source import Conditional, Source, Traits, columns, numbered
from sagan.recipes.presets import studio_like

NAMES = Names(
    first="linear0",
    convolutions=("conv2d1", "conv2d2", "conv2d0"),
    norms=("bn1", "bn2"),
    statistics=(("bn.running_mean", "bn.running_var"), ("running_mean", "running_var")),
    attention=("conv1x1_theta", "conv1x1_phi", "conv1x1_g", "conv1x1_attn"),
    gate="sigma",
    linear="linear1",
    embedding="embedding",
    classifier="linear2",
)


def class_norm(table: Table, theirs: str, ours: str, conditional: Conditional) -> Iterator[Entry]:
    """Name linear maps of the one-hot class (C, classes); without classes gain and bias (C,)."""
    if conditional.maps:
        for name in ("gain", "bias"):
            yield from table.weight(f"{theirs}.{name}", f"{ours}.{name}_map", transposed)
    else:
        yield from table.plain((f"{theirs}.weight", f"{theirs}.bias"), ours)


def last_norm(table: Table) -> Iterator[Entry]:
    """Name the last batch normalisation."""
    yield from table.plain(("bn4.weight", "bn4.bias"), "norm")
    yield from table.statistics(NAMES, "bn4", "norm")


def conditional(state: State, traits: Traits) -> Conditional:
    """Read the number of classes from the first of the maps."""
    gain = "blocks.0.0.bn1.gain"
    if not has(state, gain):
        return Conditional(num_classes=0)
    classes = columns(weight_of(state, gain))
    return Conditional(num_classes=classes, maps=True, spectral=spectral_of(state, gain) is not None)


def traits(foreign: Foreign, state: State, config: ImportConfig) -> Traits:
    """Tell what its configurations ask for: ReLU in place, eps 1e-4."""
    inplace = config.inplace_relu is None or config.inplace_relu
    return Traits(
        generator={"bn_eps": config.bn_eps or 1e-4},
        discriminator={"shortcut_relu": inplace},
        bgr=config.colours == "bgr",
    )


places = partial(numbered, pattern="blocks.{}.0", names=NAMES)

STUDIOGAN = Source(
    title="StudioGAN",
    files="model=G_ema-... (or model=G-...) of a checkpoint folder, and model=D-... with --discriminator",
    generator_mark=re.compile(r"(linear0|bn4|conv2d5)\."),
    discriminator_mark=re.compile(r"linear1\."),
    names=lambda state: NAMES,
    generator_places=places,
    discriminator_places=places,
    class_norm=class_norm,
    last_norm=last_norm,
    last_layer=lambda state: "conv2d5",
    conditional=conditional,
    traits=traits,
    recipe=studio_like,
)
