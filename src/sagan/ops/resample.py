"""Up- and downsampling by 2, alone and joined with a convolution: the same functions for less work.

G doubles its feature maps by nearest-neighbour upsampling and D halves them by 2x2 averaging. Both commute with a 1x1
convolution, which then runs on the small map at a quarter of the work. With a 3x3 convolution both fold into one 4x4
convolution of stride 2, which does 16 products for each small position instead of 36. The folded function is the same
in exact arithmetic, at the borders too; :func:`folding_pays` tells where it is faster.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

# Forward and backward of the published layers at 32, 64 and 128 px, plain over folded time. With AVX-512 (one core of
# an AMD EPYC): transposed 0.3 to 1.0 below one position for each input channel, 0.9 to 1.4 at one, 1.5 to 2.1 from two
# on; strided 0.9 to 1.1 up to a half, 1.2 to 1.6 at one, 1.6 to 2.3 from two on. With AVX2: gains from four on, and
# PyTorch's transposed convolution fell behind with more than 256 input channels.
_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeat every position twice in both directions.

    Shape: x (B, C, H, W) -> (B, C, 2H, 2W).
    """
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def downsample_average(x: Tensor) -> Tensor:
    """Average blocks of 2x2 positions; the last row or column of an odd size is left out.

    Shape: x (B, C, H, W) -> (B, C, H // 2, W // 2).
    """
    return F.avg_pool2d(x, 2)


def upsample_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, folded: bool = False) -> Tensor:
    """Upsample nearest x2, then convolve 3x3 with padding 1.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3), bias (C_out,) -> (B, C_out, 2H, 2W).

    Args:
        x: Input.
        weight: Weights of the 3x3 convolution, the normalised ones if they are.
        bias: Biases of the convolution, or None.
        folded: Compute both as one transposed 4x4 convolution.
    """
    if not folded:
        return F.conv2d(upsample_nearest(x), weight, bias, padding=1)
    # A transposed convolution scatters, so the kernel is turned round: with w0 w1 w2 in one dimension the output at 2i
    # is w0 x[i-1] + (w1+w2) x[i], at 2i+1 it is (w0+w1) x[i] + w2 x[i+1], and the kernel is w2, w1+w2, w0+w1, w0.
    kernel = sum_of_shifts(weight.flip(2, 3)).transpose(0, 1)  # (C_in, C_out, 4, 4)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def conv_downsample(x: Tensor, weight: Tensor, bias: Tensor | None = None, folded: bool = False) -> Tensor:
    """Convolve 3x3 with padding 1, then average 2x2.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3), bias (C_out,) -> (B, C_out, H // 2, W // 2).

    Args:
        x: Input.
        weight: Weights of the 3x3 convolution, the normalised ones if they are.
        bias: Biases of the convolution, or None.
        folded: Compute both as one 4x4 convolution of stride 2.
    """
    if not folded:
        return downsample_average(F.conv2d(x, weight, bias, padding=1))
    return F.conv2d(x, sum_of_shifts(weight) / 4.0, bias, stride=2, padding=1)


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


def folding_pays(low_positions: int, in_channels: int, *, transposed: bool, device: torch.device) -> bool:
    """Tell whether the folded form of a convolution is expected to be faster than the plain one.

    Making the 4x4 kernel costs time in proportion to the weights and is worth it where each weight meets many
    positions. ``benchmarks/folding.py`` measures it; its table is in ``results/speed/README.md``. Known for processors
    only: False elsewhere.

    Args:
        low_positions: B * H * W at the lower of the two resolutions.
        in_channels: C_in of the convolution.
        transposed: True for :func:`upsample_conv`, False for :func:`conv_downsample`.
        device: Where the convolution runs.
    """
    if device.type != "cpu":
        return False
    if _AVX512:
        return low_positions >= in_channels * (2 if transposed else 1)
    return low_positions >= 4 * in_channels and (not transposed or in_channels <= 256)
