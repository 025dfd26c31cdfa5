"""Foreign tensors put into our networks; what does not fit is named to the layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sagan.exchange.foreign import ForeignError, State
from sagan.exchange.layers import IGNORED, Entry
from sagan.exchange.networks import Layout
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.spectral import SpectralNorm

SHOWN = 6


def filled(layout: Layout, state: State, what: str, *, bgr: bool = False) -> nn.Module:
    """Make a network of a layout from a source's tensors, in their precision and in evaluation mode.

    Spectral vectors are the source's. Where it keeps u alone, they stand after one iteration from it: what such a
    source computes with in evaluation mode, without keeping it.

    Args:
        layout: The network.
        state: The source's tensors.
        what: The network and its source, for the message.
        bgr: Whether the source's colour channels are in the order blue, green, red.

    Raises:
        ForeignError: If tensors are missing, unexpected or of other shapes; each is named.
    """
    made = Generator if hasattr(layout.config, "z_dim") else Discriminator
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = made(layout.config)
    target = network.to(_precision(state)).state_dict()
    values = _values(layout.entries, state, target, what)
    values |= {f"{norm}.v": target[f"{norm}.v"] for norm in layout.without_v}
    if bgr:
        _swap_colours(values, made)
    network.load_state_dict(values)
    for name in layout.without_v:
        norm = network.get_submodule(name)
        assert isinstance(norm, SpectralNorm)
        norm.iterate(network.get_parameter(f"{name.removesuffix('.0')}.original"))
    return network.eval().requires_grad_(False)


def _precision(state: State) -> torch.dtype:
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in state.values()) else torch.float32


def _values(entries: Sequence[Entry], state: State, target: State, what: str) -> dict[str, Tensor]:
    """Bring a source's tensors into our shapes by our names."""
    values: dict[str, Tensor] = {}
    missing, shapes = [], []
    for entry in entries:
        if entry.theirs not in state:
            missing.append(entry.theirs)
            continue
        parts = _parts(entry, state[entry.theirs])
        expected = [tuple(target[name].shape) for name in entry.ours]
        if [tuple(part.shape) for part in parts] != expected:
            found = " x ".join(map(str, state[entry.theirs].shape)) or "one number"
            shapes.append(f"{entry.theirs} ({found})")
        values |= dict(zip(entry.ours, parts, strict=False))
    known = {entry.theirs for entry in entries}
    unexpected = [key for key in state if key not in known and not key.endswith(IGNORED)]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape than the others ask for": shapes}
    if any(problems.values()):
        said = "; ".join(f"{kind}: {_some(names)}" for kind, names in problems.items() if names)
        raise ForeignError(f"{what} does not fit: {said}")
    return values


def _parts(entry: Entry, tensor: Tensor) -> tuple[Tensor, ...]:
    try:
        return entry.taken(tensor)
    except (RuntimeError, IndexError):  # a tensor of other dimensions
        return ()


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _swap_colours(values: dict[str, Tensor], network: type[nn.Module]) -> None:
    """Turn the order of colour channels round: of the last convolution's outputs, of the first block's inputs."""
    layers = ["conv"] if network is Generator else ["blocks.0.conv1", "blocks.0.shortcut"]
    outputs = network is Generator
    for layer in layers:
        for name in (f"{layer}.weight", f"{layer}.parametrizations.weight.original"):
            if name in values:
                values[name] = values[name].flip(0 if outputs else 1)
        for name in (f"{layer}.bias", f"{layer}.parametrizations.weight.0.u"):
            if outputs and name in values:
                values[name] = values[name].flip(0)
        v = f"{layer}.parametrizations.weight.0.v"
        if not outputs and v in values:
            values[v] = values[v].view(3, -1).flip(0).flatten()
