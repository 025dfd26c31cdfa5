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

    Shape: real_logits (B,), fake_logits (B',), or (B, J) of J judges -> scalar;
    r = ``real_mean`` and f = ``fake_mean`` are constants here.

    Source: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data", section 3.2.
    """
    to_fake = (real_logits - controls["fake_mean"]).square().mean()
    to_real = (fake_logits - controls["real_mean"]).square().mean()
    return to_fake + to_real


def consistency_penalty(plain: Tensor, augmented: Tensor) -> Tensor:
    """Let logits stay the same when pictures are augmented: mean (D(T(x)) - D(x))^2.

    Shape: logits (B,), or (B, J) of several judges, of pictures as they are and of the same ones augmented -> scalar.

    Source: Zhao et al. 2020, "Improved Consistency Regularization for GANs", section 3.1 (balanced: for real and for
    generated pictures).
    """
    return (augmented - plain).square().mean()


def gradient_penalties(
    config: TrainConfig, logits: Tensor, images: tuple[Tensor, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute g/2 times the mean squared norm of the gradient of D's logit, for real and for generated pictures.

    Pictures do not see each other in D, so the gradient of the sum of all logits has that of each one's own; of several
    judges a picture's logit is their mean. Where
    penalties are due every k-th step, they count k times.

    Args:
        config: The recipe; ``r1`` and ``r2`` are g.
        logits: D's logits on them, real ones first.
        images: Real and generated ones (B, 3, H, W), as they were before augmentation; they require gradients where
            their weight is not 0.

    Returns:
        The term of D's loss, which can be differentiated again, and the squared norms, k times as large, by name.

    Source: Mescheder et al. 2018, equations 9 and 10; Huang et al. 2024, section 2; Karras et al. 2020 for k ("lazy").
    """
    asked = [(name, side) for name, side in zip(("r1", "r2"), images, strict=True) if getattr(config, name)]
    of_pictures = logits.flatten(1).mean(1) if logits.ndim > 1 else logits
    gradients = torch.autograd.grad(of_pictures.sum(), [side for _, side in asked], create_graph=True)
    norms = {
        name: config.penalty_every * gradient.square().sum((1, 2, 3)).mean()
        for (name, _), gradient in zip(asked, gradients, strict=True)
    }
    term = torch.stack([getattr(config, name) / 2.0 * norm for name, norm in norms.items()]).sum()
    return term, norms


def signs(real_logits: Tensor) -> Tensor:
    """Give the mean sign of D's logits on real pictures, r_t of Karras et al. 2020: 1 where it is sure of them all.

    Of several judges (B, J) a picture's logit is their mean.
    """
    return (real_logits.mean(1) if real_logits.ndim > 1 else real_logits).sign().mean()


@torch.no_grad()
def move_controls(controls: Controls, config: TrainConfig, step: int, metrics: Mapping[str, Tensor]) -> None:
    """Let what is remembered follow a step.

    The averages of logits decay by ``lecam_decay``; before ``lecam_start`` they are the latest ones. The probability of
    augmentation grows where the mean sign of real logits is above its target, and falls where it is below, so fast that
    it needs ``adaptive_images`` real pictures from 0 to 1 (Karras et al. 2020, section 3.1; there it moves every fourth
    step, here in each).

    Args:
        controls: Changed in place.
        config: The recipe.
        step: Steps done before this one.
        metrics: Scalars of this step, averaged over the processes: real_logits and fake_logits, and real_signs.
    """
    if "real_mean" in controls:
        decay = config.lecam_decay if config.steps_before + step >= config.lecam_start else 0.0
        controls["real_mean"].lerp_(metrics["real_logits"].float(), 1.0 - decay)
        controls["fake_mean"].lerp_(metrics["fake_logits"].float(), 1.0 - decay)
    if "augment_p" in controls and config.adaptive_augment is not None:
        towards = (metrics["real_signs"].float() - config.adaptive_augment).sign()
        move = config.d_steps * config.batch_size / config.adaptive_images
        controls["augment_p"].add_(towards * move).clamp_(0.0, 1.0)
