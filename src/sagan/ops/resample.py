"""Up- and downsampling by 2, alone and joined with a convolution: the same functions for less work.

G doubles its feature maps by nearest-neighbour upsampling and D halves them by 2x2 averaging. Both commute with a 1x1
convolution, which then runs on the small map at a quarter of the work. For a 3x3 convolution there are four forms of
the same function, equal in exact arithmetic and at the borders too:

- ``plain``: one after the other, 36 products for each position of the small map, input and output channel.
- ``kernel``: one 4x4 convolution of stride 2 (transposed in G) whose kernel is made from the 3x3 weights: 16 products.
- ``box``: nearest upsampling is a scattering of the positions followed by a 2x2 box filter, and 2x2 averaging is a box
  filter followed by leaving out. A filter commutes with the convolution, so this is a 3x3 convolution of stride 2
  (transposed in G) with the weights as they are, 9 products, and one pass over the large map.
- ``product``: the nine products as one matrix product, shifted and added, for small maps with many channels.

:func:`resample_form` tells which is the fastest.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sagan.ops.convolve import conv3x3_product

Form = Literal["plain", "kernel", "box", "product"]

# With so few input channels a pass over the large map costs more than the products that it saves.
KERNEL_CHANNELS = 16

# From so many low-resolution positions on `kernel` was measured on a GPU, and was the fastest form of every layer.
CUDA_KERNEL_POSITIONS = 4096


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeat every position twice in both directions.

    Shape: x (B, C, H, W) -> (B, C, 2H, 2W).
    """
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def upsample_bilinear(x: Tensor) -> Tensor:
    """Double the size by bilinear interpolation between the centres of positions, without aligned corners.

    Shape: x (B, C, H, W) -> (B, C, 2H, 2W).
    """
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def downsample_average(x: Tensor) -> Tensor:
    """Average blocks of 2x2 positions; the last row or column of an odd size is left out.

    Shape: x (B, C, H, W) -> (B, C, H // 2, W // 2).
    """
    return F.avg_pool2d(x, 2)


def upsample_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, form: Form = "plain") -> Tensor:
    """Upsample nearest x2, then convolve 3x3 with padding 1.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3), bias (C_out,) -> (B, C_out, 2H, 2W).

    Args:
        x: Input.
        weight: Weights of the 3x3 convolution, the normalised ones if they are.
        bias: Biases of the convolution, or None.
        form: How to compute it.
    """
    if form == "plain":
        return F.conv2d(upsample_nearest(x), weight, bias, padding=1)
    # A transposed convolution scatters, so the kernel is turned round.
    if form == "kernel":
        # With w0 w1 w2 in one dimension the output at 2i is w0 x[i-1] + (w1+w2) x[i], at 2i+1 it is
        # (w0+w1) x[i] + w2 x[i+1], and the kernel is w2, w1+w2, w0+w1, w0.
        kernel = sum_of_shifts(weight.flip(2, 3)).transpose(0, 1)  # (C_in, C_out, 4, 4)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)
    if form == "box":
        # The filter has to add up four positions and averages them, so the weights are four times as large.
        kernel = 4.0 * weight.flip(2, 3).transpose(0, 1)
        scattered = F.conv_transpose2d(x, kernel, bias, stride=2)  # (B, C_out, 2H+1, 2W+1)
        return F.avg_pool2d(scattered, 2, stride=1)
    y = _upsample_conv_product(x, weight)
    return y if bias is None else y + bias[:, None, None].to(y.dtype)


def conv_downsample(x: Tensor, weight: Tensor, bias: Tensor | None = None, form: Form = "plain") -> Tensor:
    """Convolve 3x3 with padding 1, then average 2x2.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3), bias (C_out,) -> (B, C_out, H // 2, W // 2).

    Args:
        x: Input.
        weight: Weights of the 3x3 convolution, the normalised ones if they are.
        bias: Biases of the convolution, or None.
        form: How to compute it.
    """
    if form == "plain":
        return downsample_average(F.conv2d(x, weight, bias, padding=1))
    if form == "kernel":
        return F.conv2d(x, sum_of_shifts(weight) / 4.0, bias, stride=2, padding=1)
    filtered = F.avg_pool2d(x, 2, stride=1, padding=1)  # (B, C_in, H+1, W+1)
    if form == "box":
        return F.conv2d(filtered, weight, bias, stride=2)
    return conv3x3_product(filtered, weight, bias, stride=2)


def _upsample_conv_product(x: Tensor, weight: Tensor) -> Tensor:
    """Upsample and convolve, all nine products of a position and the weights being rows of one matrix product.

    In one dimension the output at 2i is w0 x[i-1] + w1 x[i] + w2 x[i], at 2i+1 it is w0 x[i] + w1 x[i] + w2 x[i+1].

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3) -> (B, C_out, 2H, 2W), laid out channels-last.
    """
    batch, _, height, width = x.shape
    products = F.linear(x.permute(0, 2, 3, 1), weight.permute(2, 3, 0, 1).flatten(0, 2))
    rows = _interleave(products.view(batch, height, width, 3, 3, -1), 1)  # (B, 2H, W, 3, C_out)
    return _interleave(rows, 2).permute(0, 3, 1, 2)


def _interleave(products: Tensor, dim: int) -> Tensor:
    """Add up the products with w0, w1, w2, which lie along dimension 3, to twice as many positions along ``dim``."""
    before, here, after = products.unbind(3)
    none = torch.zeros_like(here.narrow(dim, 0, 1))
    last = here.shape[dim] - 1
    even = torch.cat([none, before.narrow(dim, 0, last)], dim) + here + after
    odd = before + here + torch.cat([after.narrow(dim, 1, last), none], dim)
    return torch.stack([even, odd], dim + 1).flatten(dim, dim + 1)


def upsample_conv1x1(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Upsample nearest x2 and convolve 1x1, in the order that does a quarter of the work: convolution first.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 1, 1), bias (C_out,) -> (B, C_out, 2H, 2W).
    """
    return upsample_nearest(F.conv2d(x, weight, bias))


def conv1x1_downsample(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve 1x1 and average 2x2, in the order that does a quarter of the work: averages first.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 1, 1), bias (C_out,) -> (B, C_out, H // 2, W // 2).
    """
    return F.conv2d(downsample_average(x), weight, bias)


def sum_of_shifts(weight: Tensor) -> Tensor:
    """Sum a kernel over its four places in a frame one larger: the kernel convolved with a 2x2 block of ones.

    In one dimension w0, w1, w2 becomes w0, w0 + w1, w1 + w2, w2.

    Shape: weight (C_out, C_in, 3, 3) -> (C_out, C_in, 4, 4).
    """
    rows = F.pad(weight, (0, 0, 0, 1)) + F.pad(weight, (0, 0, 1, 0))
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))


def resample_form(low_positions: int, in_channels: int, *, device: torch.device) -> Form:
    """Tell which form of :func:`upsample_conv` and :func:`conv_downsample` is expected to be the fastest.

    ``benchmarks/folding.py`` measures it; a table for one H200 in bf16 is in ``results/gpu/README.md``. Elsewhere, and
    for smaller maps on a GPU, it is ``plain``.

    Args:
        low_positions: B * H * W at the lower of the two resolutions.
        in_channels: C_in of the convolution.
        device: Where the convolution runs.
    """
    if device.type == "cuda":
        return "kernel" if low_positions >= CUDA_KERNEL_POSITIONS else "plain"
    if device.type != "cpu":
        return "plain"
    if in_channels <= KERNEL_CHANNELS:
        return "kernel"
    return "product" if low_positions <= 2 * in_channels else "box"
