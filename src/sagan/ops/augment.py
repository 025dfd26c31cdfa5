"""Differentiable augmentation: what D sees, real and generated, is changed at random, and G learns through the change.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (DiffAugment), section 3.2. The random
numbers come from outside, so the functions here are pure and a run can be repeated exactly.
"""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from sagan.choices import AugmentOp


def num_draws(policy: Sequence[AugmentOp]) -> int:
    """Count the random numbers that :func:`augment` uses for each image: 3 for color, 2 for each other operation.

    Raises:
        ValueError: If an operation is unknown.
    """
    return sum(_draws_of(op) for op in policy)


def augment(images: Tensor, policy: Sequence[AugmentOp], draws: Tensor) -> Tensor:
    """Apply the operations of a policy in their order, each image by its own random numbers.

    - ``"color"`` (3 draws): brightness, adds a number from [-0.5, 0.5); saturation, scales the distance from the
      pixel's mean over channels by a factor from [0, 2); contrast, scales the distance from the image's mean by a
      factor from [0.5, 1.5).
    - ``"translation"`` (2 draws, down and right): moves by whole pixels, up to 1/8 of height and width either way; what
      comes in from outside is 0.
    - ``"cutout"`` (2 draws, row and column of the centre): sets a rectangle of half the height and half the width to 0;
      its centre lies anywhere in the image, so it may stick out.

    All are differentiable with respect to the images. An empty policy returns the images themselves.

    Shape: images (B, C, H, W), floating point, draws (B, num_draws(policy)) -> (B, C, H, W), dtype of ``images``.

    Args:
        images: Images in [-1, 1]. The result may lie outside: nothing is clipped, which would stop gradients.
        policy: Operations in order; the columns of ``draws`` belong to them in the same order.
        draws: Independent uniform numbers in [0, 1), on the device of ``images``.

    Raises:
        ValueError: If an operation is unknown or ``draws`` has another shape.
    """
    expected = (len(images), num_draws(policy))
    if tuple(draws.shape) != expected:
        raise ValueError(f"draws has the shape (batch, num_draws(policy)) = {expected}, found {tuple(draws.shape)}")
    start = 0
    for op in policy:
        own = draws[:, start : start + _draws_of(op)]
        start += _draws_of(op)
        if op == "color":
            images = _color(images, own)
        elif op == "translation":
            images = _translate(images, own)
        else:
            images = _cut_out(images, own)
    return images


def _draws_of(op: AugmentOp) -> int:
    if op not in get_args(AugmentOp):
        raise ValueError(f"unknown augmentation {op!r}; choose from {', '.join(get_args(AugmentOp))}")
    return 3 if op == "color" else 2


def _color(images: Tensor, draws: Tensor) -> Tensor:
    brightness, saturation, contrast = draws.to(images.dtype)[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1) each
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2.0 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translate(images: Tensor, draws: Tensor) -> Tensor:
    channels, height, width = images.shape[1:]
    reach_y, reach_x = (height + 4) // 8, (width + 4) // 8  # an eighth, rounded
    down = _integers(draws[:, 0], 2 * reach_y + 1) - reach_y  # (B,)
    right = _integers(draws[:, 1], 2 * reach_x + 1) - reach_x
    # In a frame of zeros wide enough for any move, each image reads the window that lies opposite to its move.
    framed = F.pad(images, (reach_x, reach_x, reach_y, reach_y))
    rows = torch.arange(height, device=images.device) + (reach_y - down)[:, None]  # (B, H)
    columns = torch.arange(width, device=images.device) + (reach_x - right)[:, None]  # (B, W)
    moved = framed.gather(2, rows[:, None, :, None].expand(-1, channels, -1, framed.shape[3]))
    return moved.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def _cut_out(images: Tensor, draws: Tensor) -> Tensor:
    height, width = images.shape[2:]
    rows = _inside(draws[:, 0], height)
    columns = _inside(draws[:, 1], width)
    hole = rows[:, None, :, None] & columns[:, None, None, :]  # (B, 1, H, W)
    return images.masked_fill(hole, 0.0)


def _inside(draws: Tensor, length: int) -> Tensor:
    """Tell which of ``length`` pixels lie in a random stretch of half the length: (B,) -> bool (B, length)."""
    size = (length + 1) // 2
    # A stretch of even size is centred on an edge between pixels, of which there is one more than of pixels.
    first = _integers(draws, length + 1 - size % 2)[:, None] - size // 2
    pixels = torch.arange(length, device=draws.device)
    return (pixels >= first) & (pixels < first + size)


def _integers(draws: Tensor, count: int) -> Tensor:
    """Turn uniform numbers in [0, 1) into integers 0 .. count - 1 of equal probability."""
    # A double just below 1 that was rounded to single precision is 1: it counts as the last integer.
    return (draws * count).long().clamp(0, count - 1)
