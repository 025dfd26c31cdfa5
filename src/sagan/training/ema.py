"""Exponential moving average of a generator."""

import torch
from torch import Tensor, nn

from sagan.choices import AverageRunning
from sagan.training.config import TrainConfig


def decay_at(config: TrainConfig, step: int) -> float:
    """Say how much of the moving average stays in the update after so many steps.

    Args:
        config: The recipe; ``ema_start`` and ``ema_rampup`` hold ``ema_decay`` back, counted from the first of its
            stages (``steps_before``).
        step: Steps done before this one, from 0.

    Returns:
        0 (a copy) before ``ema_start``; then ``ema_decay``, but at most 0.5 ** (1 / (ema_rampup * step)), whose
        half-life is that share of the steps so far. In [0, 1).

    Source: Karras et al. 2020 ("Training GANs with limited data"), the released code (``ema_rampup``).
    """
    step += config.steps_before
    if step < config.ema_start:
        return 0.0
    if config.ema_rampup == 0.0:
        return config.ema_decay
    half_life = config.ema_rampup * step
    return min(config.ema_decay, 0.5 ** (1.0 / half_life)) if half_life > 0.0 else 0.0


@torch.no_grad()
def update_ema(
    average: nn.Module, source: nn.Module, decay: float | Tensor, *, running: AverageRunning = "copy"
) -> None:
    """Move ``average`` towards ``source``: parameters by p <- decay * p + (1 - decay) * source, buffers by copying.

    Spectral vectors are buffers: averages of them are not singular vectors, so they are copied, and whoever samples
    from the average refreshes them on the averaged weights first (``sampling_copy`` does).

    Args:
        average: The moving average, changed in place.
        source: The network in training, of the same structure.
        decay: 0 copies; 0.9999 averages over about 10,000 updates. A tensor (), on the device, may change between
            replays of a CUDA graph.
        running: Whether running averages of batch normalisation are copied like all buffers, or averaged like weights.

    Source: Yazici et al. 2019; Brock et al. 2019.
    """
    kept_parameters: list[Tensor] = list(average.parameters())
    if isinstance(decay, Tensor):
        ways = torch._foreach_sub(list(source.parameters()), kept_parameters)
        torch._foreach_mul_(ways, 1.0 - decay)
        torch._foreach_add_(kept_parameters, ways)
    else:
        torch._foreach_lerp_(kept_parameters, list(source.parameters()), 1.0 - decay)
    copies, originals = list[Tensor](), list[Tensor]()
    for (name, kept), buffer in zip(average.named_buffers(), source.buffers(), strict=True):
        if running == "average" and name.rpartition(".")[2] in ("running_mean", "running_var"):
            kept.lerp_(buffer, 1.0 - decay)
        else:
            copies.append(kept)
            originals.append(buffer)
    if copies:  # together: on a GPU each would be a launch
        torch._foreach_copy_(copies, originals)
