"""What a source is: its names, where its blocks are, and the options that its networks have here."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sagan.exchange.config import ImportConfig
from sagan.exchange.foreign import Foreign, State
from sagan.exchange.layers import Entry, Names, Places, Table, weight_of
from sagan.recipes.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Options of a source's networks that the names of tensors do not tell."""

    generator: dict[str, Any] = field(default_factory=dict)
    """Fields of the generator's configuration."""
    discriminator: dict[str, Any] = field(default_factory=dict)
    """Fields of the discriminator's."""
    bgr: bool = False
    """Whether colour channels are in the order blue, green, red."""
    offset_gains: bool = True
    """Whether class tables hold gains - 1."""
    told: tuple[str, ...] = ()
    """What was settled by something else than the file's tensors, for the user to check."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An implementation whose weights can be brought in."""

    title: str
    """What it calls itself."""
    files: str
    """Which of its files to give, for people."""
    generator_mark: re.Pattern[str]
    """Names of tensors that only its generators have."""
    discriminator_mark: re.Pattern[str]
    """Names of tensors that only its discriminators have."""
    names: Callable[[State], Names]
    generator_places: Callable[[State], Places]
    discriminator_places: Callable[[State], Places]
    class_norm: Callable[[Table, str, str, "Conditional"], Iterator[Entry]]
    """Names gains and biases of a block's batch normalisation, given its name in the source and here."""
    last_norm: Callable[[Table], Iterator[Entry]]
    """Names the last batch normalisation of the generator."""
    last_layer: Callable[[State], str]
    """Gives the last convolution of the generator."""
    conditional: Callable[[State, Traits], "Conditional"]
    """Tells how the class enters the generator."""
    traits: Callable[[Foreign, State, ImportConfig], Traits]
    halved_at_the_end: tuple[int, ...] = ()
    """Sizes in pixels at which the discriminator's last block halves the size, too."""
    recipe: Callable[[], RunConfig]
    """The source's own recipe, which training can go on with."""


@dataclass(frozen=True, kw_only=True)
class Conditional:
    """How the class enters a generator."""

    num_classes: int
    """0 is unconditional."""
    maps: bool = False
    """Linear maps of the class in place of tables."""
    spectral: bool = False
    """Whether those maps are spectrally normalised."""
    offset: bool = True
    """Whether tables hold gains - 1."""


def numbered(state: State, pattern: str, names: Names) -> Places:
    """Find blocks and attention blocks that stand in one list.

    Args:
        state: The source's tensors.
        pattern: The name of an element, with ``{}`` for its number.
        names: What the layers of both are called.
    """
    blocks: list[str] = []
    attention: dict[int, str] = {}
    number = 0
    while any(key.startswith(f"{pattern.format(number)}.") for key in state):
        name = pattern.format(number)
        if any(key.startswith(tuple(f"{name}.{part}" for part in (names.gate, *names.attention))) for key in state):
            attention[len(blocks) - 1] = name
        else:
            blocks.append(name)
        number += 1
    return Places(tuple(blocks), attention)


def rows(state: State, layer: str) -> int:
    """Give how many rows the weight of a layer has."""
    return len(weight_of(state, layer))


def columns(tensor: Tensor) -> int:
    """Give how many columns a weight has."""
    return tensor.shape[1]
