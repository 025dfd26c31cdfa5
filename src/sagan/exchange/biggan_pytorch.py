"""BigGAN-PyTorch (ajbrock) with the options of its SAGAN script: no shared embedding, no parts of z for each block."""

import re
from collections.abc import Iterator
from dataclasses import replace

from sagan.exchange.config import ImportConfig
from sagan.exchange.foreign import Foreign, ForeignError, State
from sagan.exchange.layers import Entry, Names, Places, Table, as_it_is, one_more
from sagan.exchange.source import Conditional, Source, Traits, rows
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import best_known

NAMES = Names(
    first="linear",
    convolutions=("conv1", "conv2", "conv_sc"),
    norms=("bn1", "bn2"),
    statistics=(
        ("stored_mean", "stored_var"),
        ("bn.stored_mean", "bn.stored_var"),
        ("bn.running_mean", "bn.running_var"),
    ),
    attention=("theta", "phi", "g", "o"),
    gate="gamma",
    linear="linear",
    embedding="embed",
)


def places(state: State) -> Places:
    """Find blocks, each of which stands in a list with the attention that follows it."""
    if "shared.weight" in state:
        raise ForeignError(
            "shared.weight is there: this is a BigGAN with a shared embedding of the class, which no network of this "
            "project has; only the networks of the SAGAN script can be brought in"
        )
    number = len({key.split(".")[1] for key in state if re.match(r"blocks\.\d+\.0\.", key)})
    attention = {i: f"blocks.{i}.1" for i in range(number) if any(key.startswith(f"blocks.{i}.1.") for key in state)}
    return Places(tuple(f"blocks.{i}.0" for i in range(number)), attention)


def class_norm(table: Table, theirs: str, ours: str, conditional: Conditional) -> Iterator[Entry]:
    """Name tables with a row a class, whose gains lack their 1."""
    for name, taken in (("gain", one_more), ("bias", as_it_is)):
        yield Entry(theirs=f"{theirs}.{name}.weight", ours=(f"{ours}.{name}",), taken=taken)


def last_norm(table: Table) -> Iterator[Entry]:
    """Name the last batch normalisation."""
    yield from table.plain(("output_layer.0.gain", "output_layer.0.bias"), "norm")
    yield from table.statistics(NAMES, "output_layer.0", "norm")


def traits(foreign: Foreign, state: State, config: ImportConfig) -> Traits:
    """Tell what the SAGAN script asks for."""
    bn_eps = config.bn_eps or 1e-5
    return Traits(
        generator={"bn_eps": bn_eps},
        discriminator={"shortcut_relu": bool(config.inplace_relu)},
        bgr=config.colours == "bgr",
    )


def recipe() -> RunConfig:
    """Give the recipe of the SAGAN script (docs/recipes.md)."""
    base = best_known()
    both = {"bias_start": "all", "sn_eps": 1e-8, "sn_eps_linear": None, "width_plan": "biggan"}
    return replace(
        base,
        generator=replace(base.generator, **both),  # type: ignore[arg-type]
        discriminator=replace(base.discriminator, **both),  # type: ignore[arg-type]
        train=replace(base.train, d_vectors="joint", ema_running="average", ema_start=1999),
    )


BIGGAN_PYTORCH = Source(
    title="BigGAN-PyTorch",
    files="G_ema.pth (or G.pth) of a weights folder, and D.pth with --discriminator",
    generator_mark=re.compile(r"output_layer\."),
    discriminator_mark=re.compile(r"embed\."),
    names=lambda state: NAMES,
    generator_places=places,
    discriminator_places=places,
    class_norm=class_norm,
    last_norm=last_norm,
    last_layer=lambda state: "output_layer.2",
    conditional=lambda state, traits: Conditional(num_classes=rows(state, "blocks.0.0.bn1.gain")),
    traits=traits,
    recipe=recipe,
)
