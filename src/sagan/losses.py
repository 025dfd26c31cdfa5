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
    - ``relativistic`` (Jolicoeur-Martineau 2019; Huang et al. 2024, equation 2): mean(softplus(-(real - fake))), the
      i-th real picture paired with the i-th generated one; ln 2 when all logits are 0.

    Shape: real_logits (B,) or, of several judges, (B, J), fake_logits (B',) or (B', J) -> scalar, the mean over judges
    too; B' = B for pairs.

    Raises:
        ValueError: If the loss has another name, logits have another shape, or pairs are incomplete.
    """
    _check(real_logits, fake_logits)
    if loss == "hinge":
        return F.relu(1.0 - real_logits).mean() + F.relu(1.0 + fake_logits).mean()
    if loss == "non-saturating":
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    if loss == "relativistic":
        return F.softplus(-_paired(real_logits, fake_logits)).mean()
    raise _unknown(loss)


def generator_loss(loss: Loss, fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """Compute the generator's loss.

    - ``hinge`` (Zhang et al. 2018, equation 4): -mean(fake).
    - ``non-saturating`` (Goodfellow et al. 2014): mean(softplus(-fake)).
    - ``relativistic`` (as above): mean(softplus(real - fake)), so it needs real logits.

    Shape: fake_logits (B,) or (B, J), real_logits alike or None -> scalar.

    Raises:
        ValueError: If the loss has another name, the logits have another shape, or pairs are incomplete.
    """
    _check(fake_logits, *([] if real_logits is None else [real_logits]))
    if loss == "hinge":
        return -fake_logits.mean()
    if loss == "non-saturating":
        return F.softplus(-fake_logits).mean()
    if loss == "relativistic":
        if real_logits is None:
            raise ValueError("the relativistic loss compares generated pictures with real ones: pass real_logits")
        return F.softplus(_paired(real_logits, fake_logits)).mean()
    raise _unknown(loss)


def classification_loss(class_logits: Tensor, y: Tensor) -> Tensor:
    """Compute the auxiliary classifier's cross-entropy, the batch mean in nats (Odena et al. 2017, equation 3).

    Shape: class_logits (B, num_classes), y int64 (B,) -> scalar.
    """
    return F.cross_entropy(class_logits, y)


def _paired(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Give D(real) - D(generated) of each pair."""
    if len(real_logits) != len(fake_logits):
        raise ValueError(
            f"pairs need as many real logits as generated ones, found {len(real_logits)}, {len(fake_logits)}"
        )
    return real_logits - fake_logits


def _unknown(loss: str) -> ValueError:
    return ValueError(f"loss must be hinge, non-saturating or relativistic, found {loss!r}")


def _check(*logits: Tensor) -> None:
    for tensor in logits:
        several = tensor.ndim == 2 and tensor.shape[1] > 1
        if not (tensor.ndim == 1 or several) or tensor.shape[1:] != logits[0].shape[1:]:
            raise ValueError(f"logits must be (B,), or (B, J) of J > 1 judges, found {tuple(tensor.shape)}")
