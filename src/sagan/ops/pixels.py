"""Pixels to network range and back: where images are scaled and quantised, real and generated alike."""

import torch
from torch import Tensor


def uint8_to_images(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scale stored pixels to the networks' range: ``pixels / 127.5 - 1``, no dequantisation noise.

    Shape: pixels uint8 of any shape -> same shape, floating point in [-1, 1]; 0 -> -1 exactly and 255 -> 1 exactly.

    Raises:
        TypeError: If ``pixels`` is not uint8.

    Source: the official code of Zhang et al. 2018, ``x * 2 / 255 - 1``.
    """
    if pixels.dtype != torch.uint8:
        raise TypeError(f"stored pixels are uint8, found {pixels.dtype}")
    return pixels.to(dtype).div_(127.5).sub_(1.0)


def images_to_uint8(images: Tensor) -> Tensor:
    """Quantise images from [-1, 1] to 0..255, rounding half up and clipping what lies outside.

    Shape: floating point of any shape -> same shape, uint8; [-1, 0, 0.999, 1] -> [0, 128, 255, 255].

    Raises:
        TypeError: If ``images`` is not floating point.
    """
    if not images.is_floating_point():
        raise TypeError(f"images are floating point in [-1, 1], found {images.dtype}")
    return images.float().add(1.0).mul_(127.5).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
