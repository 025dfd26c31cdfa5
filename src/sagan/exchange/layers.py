"""Which tensor of a source is which of ours, layer by layer: what the tables of all sources are made of."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sagan.exchange.foreign import ForeignError, State

Parts = tuple[Tensor, ...]


def as_it_is(tensor: Tensor) -> Parts:
    """Take a tensor as it is."""
    return (tensor,)


def as_row(tensor: Tensor) -> Parts:
    """Take a vector (C,) for a table of one row (1, C)."""
    return (tensor[None],)


def transposed(tensor: Tensor) -> Parts:
    """Take a linear map of the one-hot class (C, classes) for a table with a row a class."""
    return (tensor.t(),)


def halves(tensor: Tensor) -> Parts:
    """Take gains and biases that stand side by side (classes, 2 C)."""
    return tuple(tensor.chunk(2, 1))


def one_more(tensor: Tensor) -> Parts:
    """Take gains that are stored without their 1."""
    return (1.0 + tensor,)


def as_number(tensor: Tensor) -> Parts:
    """Take a gate, which may be a vector of one."""
    return (tensor.reshape(()),)


def flat(tensor: Tensor) -> Parts:
    """Take a spectral vector, which may be a matrix of one row."""
    return (tensor.flatten(),)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A tensor of a source and where it goes."""

    theirs: str
    ours: tuple[str, ...]
    taken: Callable[[Tensor], Parts] = as_it_is
    """Brings the source's values into our tensors."""


class Spectral(NamedTuple):
    """How a source names what belongs to a layer with spectral normalisation."""

    weight: str
    u: str
    v: str | None
    """None where u alone is kept, which then iterates once in evaluation mode, too, without being kept."""


HOOK = Spectral("weight_orig", "weight_u", "weight_v")
SPECTRAL = (HOOK, Spectral("weight", "u0", None), Spectral("weight", "sn_u", None))


class Places(NamedTuple):
    """Where a source keeps the blocks of a network."""

    blocks: tuple[str, ...]
    """The name of each residual block."""
    attention: dict[int, str]
    """{index of the block that it follows: name of an attention block}."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """How a source names the layers of its two networks."""

    first: str
    """The linear layer of the generator."""
    convolutions: tuple[str, str, str]
    """Of a block: the two 3x3 convolutions and the shortcut."""
    norms: tuple[str, str]
    """Of a generator's block: the two batch normalisations."""
    statistics: tuple[tuple[str, str], ...]
    """Mean and variance of a batch normalisation, in the forms that there are."""
    attention: tuple[str, str, str, str]
    """Of an attention block: query, key, value, output."""
    gate: str
    """Of an attention block: gamma."""
    linear: str
    """The last linear layer of the discriminator."""
    embedding: str
    """Its table of classes."""
    classifier: str = ""
    """Its auxiliary classifier, where the source has such."""


OF_ATTENTION = ("query", "key", "value", "output")
OF_BLOCK = ("conv1", "conv2", "shortcut")
IGNORED = (".num_batches_tracked", ".sv0", ".sn_sigma", ".accumulation_counter")
"""Tensors that nothing is computed from."""


def has(state: State, layer: str) -> bool:
    """Tell whether a source has a layer."""
    return any(f"{layer}.{name}" in state for name in ("weight_orig", "weight"))


def weight_of(state: State, layer: str) -> Tensor:
    """Give the raw weight of a layer.

    Raises:
        ForeignError: If there is none.
    """
    for name in ("weight_orig", "weight"):
        if f"{layer}.{name}" in state:
            return state[f"{layer}.{name}"]
    raise ForeignError(f"the weight of {layer} is missing")


def spectral_of(state: State, layer: str) -> Spectral | None:
    """Give how a layer keeps its spectral normalisation; None without."""
    return next((names for names in SPECTRAL if f"{layer}.{names.u}" in state), None)


class Table:
    """Makes the entries of a network.

    Args:
        state: The source's tensors.
        spectral: How the network's layers keep their spectral normalisation; None without. A layer may have one of
            another kind.
    """

    def __init__(self, state: State, spectral: Spectral | None) -> None:
        self.state, self.spectral = state, spectral
        self.without_v: list[str] = []
        """Our spectral normalisations whose v the source does not keep."""

    def layer(self, theirs: str, ours: str, *, bias: bool = True) -> Iterator[Entry]:
        """Name weight, vectors and bias of a convolution, linear or embedding layer."""
        yield from self.weight(theirs, ours)
        if bias:
            yield Entry(theirs=f"{theirs}.bias", ours=(f"{ours}.bias",))

    def weight(self, theirs: str, ours: str, taken: Callable[[Tensor], Parts] = as_it_is) -> Iterator[Entry]:
        """Name weight and vectors of a layer; where the weight is transposed, u and v change places."""
        if self.spectral is None:
            yield Entry(theirs=f"{theirs}.weight", ours=(f"{ours}.weight",), taken=taken)
            return
        names = spectral_of(self.state, theirs) or self.spectral
        norm = f"{ours}.parametrizations.weight"
        u, v = ("v", "u") if taken is transposed else ("u", "v")
        yield Entry(theirs=f"{theirs}.{names.weight}", ours=(f"{norm}.original",), taken=taken)
        yield Entry(theirs=f"{theirs}.{names.u}", ours=(f"{norm}.0.{u}",), taken=flat)
        if names.v is None:
            self.without_v.append(f"{norm}.0")
        else:
            yield Entry(theirs=f"{theirs}.{names.v}", ours=(f"{norm}.0.{v}",))

    def block(self, names: Names, theirs: str, ours: str, *, shortcut: bool = True) -> Iterator[Entry]:
        """Name the convolutions of a residual block, whose ``shortcut`` may be the identity."""
        for name, of_ours in zip(names.convolutions, OF_BLOCK, strict=True):
            if of_ours != "shortcut" or shortcut:
                yield from self.layer(f"{theirs}.{name}", f"{ours}.{of_ours}")

    def attention(self, names: Names, theirs: str, ours: str) -> Iterator[Entry]:
        """Name the layers of an attention block."""
        for name, of_ours in zip(names.attention, OF_ATTENTION, strict=True):
            yield from self.layer(f"{theirs}.{name}", f"{ours}.{of_ours}", bias=False)
        yield Entry(theirs=f"{theirs}.{names.gate}", ours=(f"{ours}.gamma",), taken=as_number)

    def statistics(self, names: Names, theirs: str, ours: str) -> Iterator[Entry]:
        """Name the mean and the variance that a batch normalisation keeps."""
        forms = names.statistics
        mean, variance = next((form for form in forms if f"{theirs}.{form[0]}" in self.state), forms[0])
        count = self._batches(f"{theirs}.{mean.rpartition('.')[0]}".rstrip("."))

        def averaged(tensor: Tensor) -> Parts:
            return (tensor / count,)

        yield Entry(theirs=f"{theirs}.{mean}", ours=(f"{ours}.running_mean",), taken=averaged)
        yield Entry(theirs=f"{theirs}.{variance}", ours=(f"{ours}.running_var",), taken=averaged)

    def _batches(self, owner: str) -> float:
        """Give over how many batches statistics were added up; 1 where they are averages already."""
        counter = self.state.get(f"{owner}.accumulation_counter")
        return 1.0 if counter is None or float(counter) < 1.0 else float(counter)

    def plain(self, theirs: tuple[str, str], ours: str) -> Iterator[Entry]:
        """Name gain and bias (C,) of a batch normalisation without classes."""
        for name, of_ours in zip(theirs, ("gain", "bias"), strict=True):
            yield Entry(theirs=name, ours=(f"{ours}.{of_ours}",), taken=as_row)


def mean_of(state: State, names: Iterable[str]) -> float:
    """Give the mean of several tensors together."""
    return float(torch.cat([state[name].double().flatten() for name in names]).mean())
