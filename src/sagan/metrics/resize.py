"""Bilinear resizing as TensorFlow 1 does it, which is part of what FID is."""

import torch
from torch import Tensor

TF1_BILINEAR = "bilinear as in TensorFlow 1"


def resize_bilinear_tf1(images: Tensor, height: int, width: int) -> Tensor:
    """Resize without half-pixel centres, without antialiasing and without aligned corners.

    Output pixel i lies at i * (input size / output size) of the input; what lies beyond the last pixel repeats it. The
    order of the roundings is the original's as well: across, then down, each as a + (b - a) t in float32.

    Shape: images (N, C, H, W) of any real type -> float32 (N, C, height, width), in the range of the input.

    Raises:
        ValueError: If the images are not (N, C, H, W) with at least one pixel, or the new size is below 1.

    Source: TensorFlow 1's ``tf.image.resize_bilinear(align_corners=False)``; Parmar et al. 2022 show what other ways
    of resizing do to FID.
    """
    if images.ndim != 4 or min(images.shape[2:]) < 1:
        raise ValueError(f"images must be (N, C, H, W) with at least one pixel, found {tuple(images.shape)}")
    if height < 1 or width < 1:
        raise ValueError(f"the new height and width must be at least 1, found {height}x{width}")
    across = _between(images.float(), 3, width)
    return _between(across, 2, height)


def _between(images: Tensor, dimension: int, size: int) -> Tensor:
    """Interpolate along one dimension."""
    old = images.shape[dimension]
    position = torch.arange(size, dtype=torch.float32) * torch.tensor(old / size, dtype=torch.float32)
    low = position.long()
    high = (low + 1).clamp(max=old - 1)
    weight = (position - low).to(images.device).view(-1, *[1] * (images.ndim - 1 - dimension))
    before = images.index_select(dimension, low.to(images.device))
    # In place: pictures of 299 pixels are large, and this much memory traffic shows beside the network's.
    result = images.index_select(dimension, high.to(images.device))
    return result.sub_(before).mul_(weight).add_(before)
