"""Tables that say which of our tensors is which tensor of a source."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from formula import Kind, settled, start
from torch import Tensor

Network = Literal["G", "D"]


@dataclass(frozen=True, kw_only=True)
class Key:
    """One tensor of a source and where it is here."""

    network: Network
    theirs: str
    ours: tuple[str, ...]
    kind: Kind
    joined: Callable[..., Tensor] = lambda tensor: tensor
    """Brings tensors of ours into the source's shape."""
    taken: Callable[[Tensor], tuple[Tensor, ...]] = lambda tensor: (tensor,)
    """Brings the source's values into our tensors."""
    added: float = 0.0
    """What ours has more than the source's."""
    beside: str = ""
    """The source's weight that a spectral vector belongs to."""
    iterations: int = 3
    """How many iterations bring a spectral vector nearer to that weight's, so that logits stay small."""
    in_evaluation: bool = False
    """Whether the source iterates a vector in evaluation mode as well, without keeping it."""

    @property
    def name(self) -> str:
        """The network and the source's name."""
        return f"{self.network}/{self.theirs}"


@dataclass(frozen=True, kw_only=True)
class Names:
    """How a source names what belongs to a layer with spectral normalisation."""

    weight: str
    u: str
    v: str | None
    """None where only u is kept, as a matrix of one row, and iterates in evaluation mode, too."""


TORCH_HOOK = Names(weight="weight_orig", u="weight_u", v="weight_v")


def start_values(
    run: str, keys: Iterable[Key], shapes: Mapping[str, tuple[int, ...]], level: float
) -> dict[str, Tensor]:
    """Give what each tensor of a source starts from in a run, by its name.

    The bias of D's last linear layer starts at ``level``, which brings logits to where the hinge loss bends.
    """
    keys = list(keys)
    values = {key.name: start(f"{run}/{key.name}", shapes[key.name], key.kind) for key in keys}
    for key in keys:
        if key.ours == ("linear.bias",) and key.network == "D":
            values[key.name].fill_(level)
    lefts = {f"{key.network}/{key.beside}": key for key in keys if key.kind == "vector" and not is_right(key)}
    rights = {f"{key.network}/{key.beside}": key for key in keys if key.kind == "vector" and is_right(key)}
    for weight, key in lefts.items():
        u, v = settled(values[weight], values[key.name].flatten(), key.iterations)
        values[key.name] = u.reshape(shapes[key.name])
        if weight in rights:
            values[rights[weight].name] = v
    return values


def is_right(key: Key) -> bool:
    return key.theirs.endswith(f".{TORCH_HOOK.v}")


def layer(network: Network, theirs: str, ours: str, names: Names | None, *, bias: bool = True) -> Iterator[Key]:
    """Name the tensors of a convolution, linear or embedding layer; ``names`` is None without normalisation."""
    if names is None:
        yield Key(network=network, theirs=f"{theirs}.weight", ours=(f"{ours}.weight",), kind="weight")
    else:
        ours_sn = f"{ours}.parametrizations.weight"
        weight = f"{theirs}.{names.weight}"
        yield Key(network=network, theirs=weight, ours=(f"{ours_sn}.original",), kind="weight")
        if names.v is None:
            yield Key(
                network=network,
                theirs=f"{theirs}.{names.u}",
                ours=(f"{ours_sn}.0.u",),
                kind="vector",
                joined=lambda tensor: tensor[None],
                taken=lambda tensor: (tensor[0],),
                beside=weight,
                in_evaluation=True,
            )
        else:
            for name, of_ours in ((names.u, "u"), (names.v, "v")):
                yield Key(
                    network=network,
                    theirs=f"{theirs}.{name}",
                    ours=(f"{ours_sn}.0.{of_ours}",),
                    kind="vector",
                    beside=weight,
                )
    if bias:
        yield Key(network=network, theirs=f"{theirs}.bias", ours=(f"{ours}.bias",), kind="bias")


def transposed_layer(theirs: str, ours: str) -> Iterator[Key]:
    """Name a linear map of the one-hot class (C, classes), which has a row a class here: u and v change places.

    They start converged: then the side that an iteration goes out from is felt in the second update alone.
    """
    ours_sn = f"{ours}.parametrizations.weight"
    weight = f"{theirs}.{TORCH_HOOK.weight}"
    yield Key(
        network="G",
        theirs=weight,
        ours=(f"{ours_sn}.original",),
        kind="weight",
        joined=lambda tensor: tensor.t(),
        taken=lambda tensor: (tensor.t(),),
    )
    for name, of_ours in ((TORCH_HOOK.u, "v"), (TORCH_HOOK.v, "u")):
        yield Key(
            network="G",
            theirs=f"{theirs}.{name}",
            ours=(f"{ours_sn}.0.{of_ours}",),
            kind="vector",
            beside=weight,
            iterations=3000,
        )


def statistics(theirs: tuple[str, str], ours: str) -> Iterator[Key]:
    """Name the running mean and variance of a batch normalisation."""
    yield Key(network="G", theirs=theirs[0], ours=(f"{ours}.running_mean",), kind="mean")
    yield Key(network="G", theirs=theirs[1], ours=(f"{ours}.running_var",), kind="variance")


def plain_affine(theirs: tuple[str, str], ours: str) -> Iterator[Key]:
    """Name gain and bias (C,) of the last batch normalisation, which are tables of one row here."""
    kinds: tuple[Kind, Kind] = ("gain", "bias")
    for name, kind in zip(theirs, kinds, strict=True):
        yield Key(
            network="G",
            theirs=name,
            ours=(f"{ours}.{kind}",),
            kind=kind,
            joined=lambda tensor: tensor[0],
            taken=lambda tensor: (tensor[None],),
        )


def class_tables(theirs: tuple[str, str], ours: str) -> Iterator[Key]:
    """Name class tables whose gains are 1 + the source's numbers."""
    yield Key(
        network="G",
        theirs=theirs[0],
        ours=(f"{ours}.gain",),
        kind="offset",
        taken=lambda tensor: (1.0 + tensor,),
        added=1.0,
    )
    yield Key(network="G", theirs=theirs[1], ours=(f"{ours}.bias",), kind="offset")


def gate(network: Network, theirs: str, ours: str, shape: tuple[int, ...] = ()) -> Key:
    """Name an attention block's gate, which a source may hold as a vector of one."""
    return Key(
        network=network,
        theirs=theirs,
        ours=(ours,),
        kind="gate",
        joined=lambda tensor: tensor.reshape(shape),
        taken=lambda tensor: (tensor.reshape(()),),
    )


def halves(theirs: str, ours: tuple[str, str]) -> Key:
    """Name a table of gains and biases side by side (classes, 2 C)."""
    return Key(
        network="G",
        theirs=theirs,
        ours=ours,
        kind="offset",
        joined=lambda *tensors: torch.cat(tensors, 1),
        taken=lambda tensor: tuple(tensor.chunk(2, 1)),
    )
