"""What holds a discriminator back that knows its pictures too well: terms of its loss, and what they remember.

What is remembered (``controls`` of the training state) is kept in checkpoints and moves once in a step, from numbers
that are averaged over all processes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from sagan.training.config import TrainConfig

Controls = dict[str, Tensor]
"""Scalars by name: ``real_mean`` and ``fake_mean`` with LeCam, ``augment_p`` with adaptive augmentation."""


def new_controls(config: TrainConfig, device: torch.device) -> Controls:
    """Give what is remembered before the first step: zeros of what the configuration uses."""
    names = [
        *(("real_mean", "fake_mean") if config.lecam else ()),
        *(("augment_p",) if config.adaptive_augment else ()),
    ]
    return {name: torch.zeros((), device=device) for name in names}


def lecam_penalty(real_logits: Tensor, fake_logits: Tensor, controls: Mapping[str, Tensor]) -> Tensor:
    """Pull each side's logits towards the average that the other side had: mean (real - f)^2 + mean (fake - r)^2.

    Shape: real_logits (B,), fake_logits (B',) -> scalar; r = ``real_mean`` and f = ``fake_mean`` are constants here.

    Source: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data", section 3.2.
    """
    to_fake = (real_logits - controls["fake_mean"]).square().mean()
    to_real = (fake_logits - controls["real_mean"]).square().mean()
    return to_fake + to_real


def consistency_penalty(plain: Tensor, augmented: Tensor) -> Tensor:
    """Let logits stay the same when pictures are augmented: mean (D(T(x)) - D(x))^2.

    Shape: logits (B,) of pictures as they are and of the same ones augmented -> scalar.

    Source: Zhao et al. 2020, "Improved Consistency Regularization for GANs", section 3.1 (balanced: for real and for
    generated pictures).
    """
    return (augmented - plain).square().mean()


def signs(real_logits: Tensor) -> Tensor:
    """Give the mean sign of D's logits on real pictures, r_t of Karras et al. 2020: 1 where it is sure of them all."""
    return real_logits.sign().mean()


@torch.no_grad()
def move_controls(controls: Controls, config: TrainConfig, step: int, metrics: Mapping[str, Tensor]) -> None:
    """Let what is remembered follow a step.

    The averages of logits decay by ``lecam_decay``; before ``lecam_start`` they are the latest ones. The probability of
    augmentation grows where the mean sign of real logits is above its target, and falls where it is below, so fast that
    it needs ``adaptive_images`` real pictures from 0 to 1 (Karras et al. 2020, section 3.1).

    Args:
        controls: Changed in place.
        config: The recipe.
        step: Steps done before this one.
        metrics: Scalars of this step, averaged over the processes: real_logits and fake_logits, and real_signs.
    """
    if "real_mean" in controls:
        decay = config.lecam_decay if step >= config.lecam_start else 0.0
        controls["real_mean"].lerp_(metrics["real_logits"].float(), 1.0 - decay)
        controls["fake_mean"].lerp_(metrics["fake_logits"].float(), 1.0 - decay)
    if "augment_p" in controls and config.adaptive_augment is not None:
        towards = (metrics["real_signs"].float() - config.adaptive_augment).sign()
        move = config.d_steps * config.batch_size / config.adaptive_images
        controls["augment_p"].add_(towards * move).clamp_(0.0, 1.0)
