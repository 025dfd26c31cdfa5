"""Adversarial losses: pure functions of logits.

Each discriminator loss is the sum, not the mean, of its real and its generated term.
"""

from torch import Tensor
from torch.nn import functional as F

from sagan.choices import Loss


def discriminator_loss(loss: Loss, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Compute the discriminator's loss.

    - ``hinge`` (Zhang et al. 2018, equation 4): mean(relu(1 - real)) + mean(relu(1 + fake)); 2 when all logits are 0.
    - ``non-saturating`` (Goodfellow et al. 2014): mean(softplus(-real)) + mean(softplus(fake)).

    Shape: real_logits (B,), fake_logits (B',) -> scalar.

    Raises:
        ValueError: If the loss has another name, or logits are not one-dimensional.
    """
    _check(real_logits, fake_logits)
    if loss == "hinge":
        return F.relu(1.0 - real_logits).mean() + F.relu(1.0 + fake_logits).mean()
    if loss == "non-saturating":
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    raise ValueError(f"loss must be hinge or non-saturating, found {loss!r}")


def generator_loss(loss: Loss, fake_logits: Tensor) -> Tensor:
    """Compute the generator's loss.

    - ``hinge`` (Zhang et al. 2018, equation 4): -mean(fake).
    - ``non-saturating`` (Goodfellow et al. 2014): mean(softplus(-fake)).

    Shape: fake_logits (B,) -> scalar.

    Raises:
        ValueError: If the loss has another name, or the logits are not one-dimensional.
    """
    _check(fake_logits)
    if loss == "hinge":
        return -fake_logits.mean()
    if loss == "non-saturating":
        return F.softplus(-fake_logits).mean()
    raise ValueError(f"loss must be hinge or non-saturating, found {loss!r}")


def classification_loss(class_logits: Tensor, y: Tensor) -> Tensor:
    """Compute the auxiliary classifier's cross-entropy, the batch mean in nats (Odena et al. 2017, equation 3).

    Shape: class_logits (B, num_classes), y int64 (B,) -> scalar.
    """
    return F.cross_entropy(class_logits, y)


def _check(*logits: Tensor) -> None:
    for tensor in logits:
        if tensor.ndim != 1:
            raise ValueError(f"logits must be (B,), found {tuple(tensor.shape)}")
