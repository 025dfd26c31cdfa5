"""MMGeneration (open-mmlab): its SAGAN and its SNGAN with projection."""

import re
from collections.abc import Iterator
from functools import partial

from sagan.exchange.config import ImportConfig
from sagan.exchange.foreign import Foreign, State
from sagan.exchange.layers import Entry, Names, Places, Table, as_it_is, has, mean_of, one_more, spectral_of
from sagan.exchange.source import Conditional, Source, Traits, numbered, rows
from sagan.recipes.presets import best_known

NAMES = Names(
    first="noise2feat",
    convolutions=("conv_1.conv", "conv_2.conv", "shortcut.conv"),
    norms=("norm_1", "norm_2"),
    statistics=(("norm.running_mean", "norm.running_var"), ("running_mean", "running_var")),
    attention=("theta.conv", "phi.conv", "g.conv", "o.conv"),
    gate="gamma",
    linear="decision",
    embedding="proj_y",
)
GAINS, BIASES = "weight_embedding", "bias_embedding"


def discriminator_places(state: State) -> Places:
    """Find the first block, which stands apart, and the list of the others."""
    found = numbered(state, "conv_blocks.{}", NAMES)
    attention = {place + 1: name for place, name in found.attention.items()}
    return Places(("from_rgb", *found.blocks), attention)


def class_norm(table: Table, theirs: str, ours: str, conditional: Conditional) -> Iterator[Entry]:
    """Name tables with a row a class, or such that are spectrally normalised; without classes gain and bias (C,)."""
    if conditional.num_classes == 0:
        yield from table.plain((f"{theirs}.norm.weight", f"{theirs}.norm.bias"), ours)
    elif conditional.maps:
        yield from table.weight(f"{theirs}.{GAINS}", f"{ours}.gain_map")
        yield from table.weight(f"{theirs}.{BIASES}", f"{ours}.bias_map")
    else:
        gains = one_more if conditional.offset else as_it_is
        yield Entry(theirs=f"{theirs}.{GAINS}.weight", ours=(f"{ours}.gain",), taken=gains)
        yield Entry(theirs=f"{theirs}.{BIASES}.weight", ours=(f"{ours}.bias",))


def last_norm(table: Table) -> Iterator[Entry]:
    """Name the last batch normalisation."""
    yield from table.plain(("to_rgb.bn.weight", "to_rgb.bn.bias"), "norm")
    yield from table.statistics(NAMES, "to_rgb.bn", "norm")


def conditional(state: State, traits: Traits) -> Conditional:
    """Read the number of classes from the first of the tables."""
    gain = f"conv_blocks.0.norm_1.{GAINS}"
    if not has(state, gain):
        return Conditional(num_classes=0)
    spectral = spectral_of(state, gain) is not None
    return Conditional(num_classes=rows(state, gain), maps=spectral, spectral=spectral, offset=traits.offset_gains)


def traits(foreign: Foreign, state: State, config: ImportConfig) -> Traits:
    """Tell options by the configuration that its checkpoints carry, else by the name of the file."""
    said = foreign.said
    told = []
    inplace = config.inplace_relu
    if inplace is None:
        inplace = bool(re.search(r"inplace=True|[^o]wRe(?:L)?U[Ii]nplace|convert-studio", said))
        told.append(f"ReLU {'in place' if inplace else 'not in place'} (by the file's name or configuration)")
    written = re.search(r"norm_eps=([\d.e-]+)", said)
    schedule = "bigGAN" in said
    bn_eps = config.bn_eps or (float(written[1]) if written else 1e-5 if schedule else 1e-4)
    if config.bn_eps is None:
        told.append(f"batch norm eps {bn_eps:g} (by the file's {'configuration' if written else 'name'}; --bn-eps)")
    bgr = config.colours == "bgr" or (config.colours == "auto" and not re.search(r"[-_]rgb", foreign.path.name))
    if config.colours == "auto":
        order = "blue, green, red, as MMGeneration trains" if bgr else "red, green, blue, by the file's name"
        told.append(f"colours {order} (--colours)")
    offset = config.class_gains == "offset"
    tables = [key for key in state if key.endswith(f".{GAINS}.weight")]
    if config.class_gains == "auto" and tables:
        mean = mean_of(state, tables)
        offset = mean < 0.5
        told.append(f"class tables hold {'gains - 1' if offset else 'gains'} (mean {mean:.2f}; --class-gains)")
    return Traits(
        generator={"bn_eps": bn_eps},
        discriminator={"shortcut_relu": inplace},
        bgr=bgr,
        offset_gains=offset,
        told=tuple(told),
    )


MMGENERATION = Source(
    title="MMGeneration",
    files="the .pth of a run or of the model zoo: generator, moving average and discriminator are in one file",
    generator_mark=re.compile(r"(noise2feat|to_rgb)\."),
    discriminator_mark=re.compile(r"(decision|from_rgb)\."),
    names=lambda state: NAMES,
    generator_places=partial(numbered, pattern="conv_blocks.{}", names=NAMES),
    discriminator_places=discriminator_places,
    class_norm=class_norm,
    last_norm=last_norm,
    last_layer=lambda state: "to_rgb.conv",
    conditional=conditional,
    traits=traits,
    halved_at_the_end=(64,),
    recipe=best_known,
)
