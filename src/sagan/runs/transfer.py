"""Start a run from the weights of another one, also with other classes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import refresh_spectral
from sagan.words import how_many

ALIKE = "both runs need the same size, widths, attention, head and features"


class TransferReport:
    """What was kept: ``classes`` by name, ``fresh`` classes that start anew."""

    def __init__(self, old_names: Sequence[str], new_names: Sequence[str]) -> None:
        self.classes = [name for name in new_names if name in old_names]
        self.fresh = [name for name in new_names if name not in old_names]

    def __str__(self) -> str:
        kept = f"{how_many(len(self.classes), 'class')} kept by name" + (
            f" ({_short(self.classes)})" if self.classes else ""
        )
        fresh = f"{how_many(len(self.fresh), 'class')} {'starts' if len(self.fresh) == 1 else 'start'} fresh" + (
            f" ({_short(self.fresh)})" if self.fresh else ""
        )
        return f"all weights kept; {kept}; {fresh}"


def transfer_weights(
    target: Generator | Discriminator,
    source: dict[str, Tensor],
    old_names: Sequence[str],
    new_names: Sequence[str],
) -> TransferReport:
    """Copy ``source`` into ``target``: everything but the rows of class tables, which are matched by class name.

    Spectral vectors of class tables have one entry a class, so with other classes all spectral vectors are refreshed
    afterwards; with the same ones in the same order everything is copied as it is.

    Args:
        target: The new network, changed in place; left alone if the networks differ.
        source: State of the old network.
        old_names: Class names of the old network, in its order.
        new_names: Class names of the new one.

    Raises:
        ValueError: If the networks differ in more than their classes; the first difference is named.
    """
    state = {key: value.clone() for key, value in target.state_dict().items()}
    tables = class_tables(target)
    same_classes = list(old_names) == list(new_names)
    network = f"the other run's {'generator' if isinstance(target, Generator) else 'discriminator'}"
    for key, value in state.items():
        if key not in source:
            raise ValueError(f"{network} has no {key}; {ALIKE}")
        old = source[key]
        if key in tables:
            if old.shape[1:] != value.shape[1:]:
                raise ValueError(_shapes(key, old, value))
            for row, name in enumerate(new_names):
                if name in old_names:
                    value[row] = old[list(old_names).index(name)]
        elif not same_classes and key in {f"{table.removesuffix('.original')}.0.u" for table in tables}:
            continue  # one entry a class: refreshed below
        elif old.shape != value.shape:
            raise ValueError(_shapes(key, old, value))
        else:
            value.copy_(old)
    extra = sorted(set(source) - set(state))
    if extra:
        raise ValueError(f"{network} also has {extra[0]}; {ALIKE}")
    target.load_state_dict(state)
    if not same_classes:
        refresh_spectral(target)
    return TransferReport(old_names, new_names)


def transfer_from_folded(
    target: Generator, source: dict[str, Tensor], old_names: Sequence[str], new_names: Sequence[str]
) -> TransferReport:
    """Copy the weights of a weights file, which carry their spectral normalisation folded in, into a generator.

    A folded weight has a largest singular value of 1, so it serves as the raw weight too; the vectors are found anew.

    Raises:
        ValueError: As :func:`transfer_weights`.
    """
    state = target.state_dict()
    raw = {key.replace(".parametrizations.weight.original", ".weight"): key for key in state}
    vectors = {key: state[key] for key in state if key.endswith((".parametrizations.weight.0.u", ".0.v"))}
    report = transfer_weights(
        target, vectors | {raw.get(key, key): value for key, value in source.items()}, old_names, new_names
    )
    refresh_spectral(target)
    return report


def class_tables(network: nn.Module) -> set[str]:
    """Name the entries of the state that have one row a class."""
    names = set()
    for prefix, module in network.named_modules():
        if isinstance(module, ConditionalBatchNorm2d) and module.num_classes > 0:
            names |= {f"{prefix}.gain", f"{prefix}.bias"} if module.conditioning == "tables" else set()
            names |= _weights_of(network, f"{prefix}.gain_map") | _weights_of(network, f"{prefix}.bias_map")
    if isinstance(network, Discriminator):
        for name, module in network.named_modules():
            if isinstance(module, nn.Embedding) or name == "classifier":
                names |= _weights_of(network, name)
    return names


def _weights_of(network: nn.Module, layer: str) -> set[str]:
    """Name the entry of the state that is the raw weight of a layer, if there is such a layer."""
    return {f"{layer}.weight", f"{layer}.parametrizations.weight.original"} & set(network.state_dict())


def _shapes(key: str, old: torch.Tensor, new: torch.Tensor) -> str:
    return f"{key} is {tuple(old.shape)} in the other run and {tuple(new.shape)} here; {ALIKE}"


def _short(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
