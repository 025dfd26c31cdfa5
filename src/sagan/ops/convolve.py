"""3x3 convolution of small feature maps as one matrix product: the same function, other kernels.

A convolution kernel of a processor spends much of its time on bringing the weights into its own order. Where a map has
few positions and many channels, those weights are most of what it reads, and a plain matrix product is faster.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, as_product: bool = False) -> Tensor:
    """Convolve 3x3 with padding 1.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3), bias (C_out,) -> (B, C_out, H, W).

    Args:
        x: Input.
        weight: Weights, the normalised ones if they are.
        bias: Biases, or None.
        as_product: Compute it as one matrix product.
    """
    if not as_product:
        return F.conv2d(x, weight, bias, padding=1)
    return conv3x3_product(F.pad(x, (1, 1, 1, 1)), weight, bias)


def conv3x3_product(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    """Convolve 3x3 without padding, as one product of the matrix of all 3x3 patches with that of the weights.

    Shape: x (B, C_in, H, W), weight (C_out, C_in, 3, 3), bias (C_out,) -> (B, C_out, H', W') with
    H' = (H - 3) // stride + 1, laid out channels-last.
    """
    batch, _, height, width = x.shape
    high, wide = (height - 3) // stride + 1, (width - 3) // stride + 1
    x = x.permute(0, 2, 3, 1)
    shifted = [
        x[:, i : i + stride * (high - 1) + 1 : stride, j : j + stride * (wide - 1) + 1 : stride]
        for i in range(3)
        for j in range(3)
    ]
    patches = torch.cat(shifted, 3).flatten(0, 2)  # (B H' W', 9 C_in)
    y = F.linear(patches, weight.permute(0, 2, 3, 1).flatten(1), bias)
    return y.view(batch, high, wide, -1).permute(0, 3, 1, 2)


def product_pays(positions: int, in_channels: int, *, device: torch.device) -> bool:
    """Tell whether :func:`conv3x3` is expected to be faster as a matrix product.

    ``benchmarks/folding.py`` measures it. Known for processors only: False elsewhere.

    Args:
        positions: B * H * W of the output.
        in_channels: C_in of the convolution.
        device: Where the convolution runs.
    """
    return device.type == "cpu" and 2 * positions <= in_channels
