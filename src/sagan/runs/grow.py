"""Networks that grow: a run at a small size, then one at twice the size that goes on with its weights, and so on.

Each stage is a run of its own, in a folder of its own, with all that a run has: its log, samples and values are of
pictures of its size. The inner blocks have the widths that they have in the whole network (``inside``), so that a stage
takes over all weights, the moving average and what the optimisers remember of the one before; its largest block fades
in (``fades``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from sagan.generators.snapshot import Snapshot
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.recipes.build import build_networks, with_classes
from sagan.recipes.config import RunConfig
from sagan.training.state import TrainState

Network = Generator | Discriminator
SMALL_HEADS = ("norm_small", "conv_small", "from_rgb_small", "fade")
"""Layers and buffers that networks have for fading in."""


def networks_at(config: RunConfig, size_px: int, *, fades: bool) -> RunConfig:
    """Give a configuration with the inner part of its networks that draws at a size, or all of them at their own.

    Args:
        config: The whole networks.
        size_px: Shorter side in pixels.
        fades: Whether the largest block fades in, beside the head of the network of half the size.
    """
    inside = None if size_px == config.generator.size_px else config.generator.size_px
    grown: dict[str, Any] = {"size_px": size_px, "inside": inside, "fades": fades}
    return replace(
        config,
        generator=replace(config.generator, **grown),
        discriminator=replace(config.discriminator, **grown),
    )


def source_of(key: str, network: Network) -> str | None:
    """Say which entry of the smaller network an entry of one that fades in goes on from; None if it is new."""
    layer, _, rest = key.partition(".")
    if isinstance(network, Discriminator):
        if layer == "from_rgb_small":
            return f"from_rgb.{rest}"
        if layer == "blocks":
            number, _, inner = rest.partition(".")
            return None if number == "0" else f"blocks.{int(number) - 1}.{inner}"
        return None if layer in ("from_rgb", "fade") else key
    if layer in ("norm_small", "conv_small"):
        return f"{layer.removesuffix('_small')}.{rest}"
    new = layer in ("norm", "conv", "fade") or key.startswith(f"blocks.{len(network.blocks) - 1}.")
    return None if new else key


def without_small_heads(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what a network that has grown keeps of the head of the smaller one, which counts for nothing then."""
    return {key: value for key, value in weights.items() if key.partition(".")[0] not in SMALL_HEADS}


def grow_from(state: TrainState, snapshot: Snapshot, class_names: tuple[str, ...]) -> str:
    """Put what a smaller network has learnt into a fresh state whose networks fade in, and say so.

    Weights, the moving average, the moments of the optimisers, and what LeCam and adaptive augmentation remember go on;
    what the smaller one does not have is as it was. At the start images are those of the smaller one, enlarged, if its
    own largest block has faded in; otherwise it is said that they are not.

    Raises:
        ValueError: If it is no inner part of these networks, or has other classes.
    """
    config, contents = with_classes(snapshot.config, len(snapshot.class_names)), snapshot.contents
    theirs, ours = config.generator, state.G.config
    if (2 * theirs.size_px, theirs.whole_px) != (ours.size_px, ours.whole_px):
        raise ValueError(
            f"networks of {ours.size_px} px that fade in go on from an inner part of {ours.size_px // 2} px of those "
            f"of {ours.whole_px} px, found {theirs.size_px} px of {theirs.whole_px} px; sagan train --grow makes both"
        )
    if snapshot.class_names != class_names:
        raise ValueError("networks grow with the classes that they have; these pictures have others")
    small = build_networks(config)
    for network, name, optimizer in zip(
        (state.G, state.D), ("G", "D"), (state.optimizer_g, state.optimizer_d), strict=True
    ):
        taken = _take_over(network, contents[name])  # type: ignore[arg-type]
        names = [name for name, _ in small[0 if network is state.G else 1].named_parameters()]
        saved = contents[f"optimizer_{name.lower()}"]
        _take_over_moments(network, optimizer, taken, names, saved)  # type: ignore[arg-type]
    if state.ema is not None:
        average = contents["ema"] or contents["G"]
        state.ema.load_state_dict(state.G.state_dict())
        _take_over(state.ema, average)  # type: ignore[arg-type]
    remembered: dict[str, Tensor] = contents.get("controls", {})  # type: ignore[assignment]
    for name in state.controls.keys() & remembered.keys():
        state.controls[name].copy_(remembered[name])
    said = f"grows from {theirs.size_px} px to {ours.size_px} px: all weights, averages and moments kept"
    faded = float(contents["G"].get("fade", 1.0))  # type: ignore[attr-defined]
    if faded < 1.0:
        said += (
            f". Its largest block has faded in to {faded:.0%} only, and what is mixed with it is not taken over: "
            "pictures jump; grow from a run that has done its train.fade_steps"
        )
    return said


def _take_over(network: Network, source: dict[str, Tensor]) -> dict[str, str]:
    """Copy what there is of a smaller network; gives the entries that were copied and those that they came from."""
    entries = network.state_dict()
    taken = {key: found for key in entries if (found := source_of(key, network)) is not None and found in source}
    for key, found in taken.items():
        if entries[key].shape != source[found].shape:
            raise ValueError(
                f"{key} is {tuple(source[found].shape)} in the smaller network and {tuple(entries[key].shape)} here; "
                "both need the same widths, attention and head"
            )
        entries[key].copy_(source[found])
    return taken


def _take_over_moments(
    network: Network, optimizer: Adam, taken: dict[str, str], names: Sequence[str], saved: dict[str, Any]
) -> None:
    """Let an optimiser remember what that of the smaller network did of the parameters that were taken over."""
    moments = {name: saved["state"].get(i) for i, name in enumerate(names)}
    for name, parameter in network.named_parameters():
        remembered = moments.get(taken.get(name, ""))
        if remembered is not None:
            optimizer.state[parameter] = {
                key: value.to(parameter.device).clone(memory_format=_format_of(parameter, value))
                for key, value in remembered.items()
            }


def _format_of(parameter: Tensor, value: Tensor) -> Any:
    channels_last = value.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.preserve_format
