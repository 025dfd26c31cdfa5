"""Residual blocks of the generator and the discriminator, and the block that replaces attention in the ablation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.choices import AttentionForm, Conditioning, SpectralGradient, SpectralSide
from sagan.models.config import BiasStart, ClassStart, DiscriminatorConfig, GeneratorConfig, Init, Upsampling
from sagan.ops.attention import SelfAttention2d
from sagan.ops.convolve import conv3x3, product_pays
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.resample import (
    conv1x1_downsample,
    conv_downsample,
    downsample_average,
    resample_form,
    upsample_bilinear,
    upsample_conv,
    upsample_conv1x1,
)
from sagan.ops.spectral import spectral_norm

L = TypeVar("L", nn.Conv2d, nn.Linear, nn.Embedding)

# Weights of an attention block in multiples of C^2, which the ablation block has to match (paper v2, section 5.1).
ATTENTION_WEIGHTS: dict[AttentionForm, float] = {"slides": 1.25, "official": 1.25, "paper_v2": 0.5, "full": 2.25}


@dataclass(frozen=True, kw_only=True)
class LayerStyle:
    """How all layers of a network start, and whether their weights are spectrally normalised."""

    spectral: bool = True
    """Spectral normalisation."""
    sn_eps: float = 1e-12
    """Lower bound of the norms in its power iteration."""
    sn_eps_linear: float | None = None
    """The same in linear and embedding layers; None is ``sn_eps``."""
    sn_gradient: SpectralGradient = "stop"
    """Whether gradients flow through its vectors."""
    sn_side: SpectralSide = "left"
    """Which of its vectors an iteration goes out from."""
    bias_start: BiasStart = "zeros"
    """Which biases start where PyTorch starts them instead of at 0."""
    init: Init = "xavier"
    """`xavier`: Glorot uniform, gain 1 (official code). `chainer`: the same with gain sqrt(2) for the two 3x3
    convolutions of a block (Miyato and Koyama's code). `orthogonal`: orthogonal matrices (Brock et al. 2019)."""


def style_of(config: GeneratorConfig | DiscriminatorConfig) -> LayerStyle:
    """Give the style of a network's layers."""
    return LayerStyle(
        spectral=config.spectral_norm,
        sn_eps=config.sn_eps,
        sn_eps_linear=config.sn_eps_linear,
        sn_gradient=config.sn_gradient,
        bias_start=config.bias_start,
        init=config.init,
    )


def initialised(layer: L, style: LayerStyle, *, in_block: bool = False) -> L:
    """Initialise a layer and its biases, then normalise it if asked.

    Args:
        layer: Changed in place and given back.
        style: How.
        in_block: Whether it is one of the 3x3 convolutions of a residual block.
    """
    if style.init == "orthogonal":
        nn.init.orthogonal_(layer.weight)
    else:
        nn.init.xavier_uniform_(layer.weight, math.sqrt(2.0) if in_block and style.init == "chainer" else 1.0)
    is_conv = isinstance(layer, nn.Conv2d)
    as_pytorch = style.bias_start == "all" or (style.bias_start == "linear" and not is_conv)
    if not isinstance(layer, nn.Embedding) and layer.bias is not None and not as_pytorch:
        nn.init.zeros_(layer.bias)
    eps = style.sn_eps if is_conv or style.sn_eps_linear is None else style.sn_eps_linear
    return spectral_norm(layer, eps, style.sn_gradient, style.sn_side) if style.spectral else layer


def class_norm(
    channels: int,
    num_classes: int,
    style: LayerStyle,
    *,
    eps: float,
    momentum: float,
    biased: bool,
    conditioning: Conditioning,
    start: ClassStart = "identity",
) -> ConditionalBatchNorm2d:
    """Make a conditional batch normalisation whose linear maps, if it has such, are layers like all others.

    Tables that ``start`` as ``weights`` hold 1 + w and w, where w starts as the weights of such maps do.
    """
    norm = ConditionalBatchNorm2d(channels, num_classes, eps, momentum, conditioning=conditioning, biased=biased)
    if norm.conditioning == "linear":
        initialised(norm.gain_map, style)
        initialised(norm.bias_map, style)
    elif start == "weights" and num_classes > 0:
        with torch.no_grad():
            for table in (norm.gain, norm.bias):
                table.add_(initialised(nn.Embedding(num_classes, channels), replace(style, spectral=False)).weight)
    return norm


def hearing(
    norm: Callable[[int], ConditionalBatchNorm2d], noise_dim: int, style: LayerStyle
) -> Callable[[int], ConditionalBatchNorm2d]:
    """Let the normalisations that ``norm`` makes also hear so many numbers of the noise, if any."""

    def make(channels: int) -> ConditionalBatchNorm2d:
        layer = norm(channels)
        if noise_dim:
            layer.hear(noise_dim)
            initialised(layer.gain_noise, style)
            initialised(layer.bias_noise, style)
        return layer

    return make


class GeneratorBlock(nn.Module):
    """Up-sampling residual block: the output is twice as high and wide.

    Main path: cBN, ReLU, x2, conv3x3, cBN, ReLU, conv3x3. Shortcut: x2, conv1x1, always learnt. A ``single`` block ends
    its main path after the first convolution.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        norm: Makes a conditional batch normalisation for a number of channels.
        style: How layers start and are normalised.
        upsampling: How the size is doubled.
        single: One 3x3 convolution and not two.
        fold: Compute convolutions in the form that is expected to be the fastest, not one operation after the other.

    Shape: x (B, C_in, H, W), y int64 (B,) or None, the block's noise (B, n) or None -> (B, C_out, 2H, 2W).

    Source: official code of Zhang et al. 2018, equal to Miyato and Koyama 2018.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Callable[[int], ConditionalBatchNorm2d],
        style: LayerStyle,
        upsampling: Upsampling = "nearest",
        single: bool = False,
        fold: bool = True,
    ) -> None:
        super().__init__()
        self.fold = fold
        self.upsampling = upsampling
        self.single = single
        self.norm1 = norm(in_channels)
        self.conv1 = initialised(nn.Conv2d(in_channels, out_channels, 3, padding=1), style, in_block=True)
        if not single:
            self.norm2 = norm(out_channels)
            self.conv2 = initialised(nn.Conv2d(out_channels, out_channels, 3, padding=1), style, in_block=True)
        self.shortcut = initialised(nn.Conv2d(in_channels, out_channels, 1), style)

    def forward(self, x: Tensor, y: Tensor | None, noise: Tensor | None = None) -> Tensor:
        """Map x (B, C_in, H, W) to (B, C_out, 2H, 2W)."""
        h: Tensor = F.relu_(self.norm1(x, y, noise))
        h = self._up_and_convolve(h)
        if not self.single:
            h = F.relu_(self.norm2(h, y, noise))
            h = _conv3x3(self.conv2, h, self.fold)
        # A 1x1 convolution and up-sampling commute: convolving first is the same function at a quarter of the work.
        if self.upsampling == "bilinear":
            return upsample_bilinear(self.shortcut(x)) + h
        shortcut: Tensor = upsample_conv1x1(x, self.shortcut.weight, self.shortcut.bias)
        return shortcut + h

    def _up_and_convolve(self, h: Tensor) -> Tensor:
        if self.upsampling == "bilinear":
            return _conv3x3(self.conv1, upsample_bilinear(h), self.fold)
        positions = h.shape[0] * h.shape[2] * h.shape[3]
        form = resample_form(positions, h.shape[1], device=h.device) if self.fold else "plain"
        return upsample_conv(h, self.conv1.weight, self.conv1.bias, form)


class DiscriminatorBlock(nn.Module):
    """Residual block of the discriminator, down-sampling or not; no batch statistics, so samples stay independent.

    Main path: ReLU, conv3x3, ReLU, conv3x3, average pooling. Shortcut: average pooling and conv1x1 of the
    UN-activated input; the identity where neither channels nor size change. The ``first`` block sees an image: it has
    no ReLU in front ("optimised block").

    Without ``hidden_channels`` a block has one 3x3 convolution: ReLU, conv3x3, average pooling. As the ``first`` one it
    is conv3x3, ReLU, average pooling, so that the block is no linear function of the image.

    ``shortcut_relu`` lets the shortcut see the activated input instead, in all blocks but the first: what an in-place
    ReLU in front does, as in StudioGAN.

    Shape: x (B, C_in, H, W) -> (B, C_out, H/2, W/2) if ``down``, else (B, C_out, H, W).

    Source: official code of Zhang et al. 2018 (``wide``); Miyato and Koyama 2018 (``hidden_channels`` = C_in,
    ``thin``).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int | None,
        *,
        down: bool,
        first: bool = False,
        shortcut_relu: bool = False,
        style: LayerStyle,
        fold: bool = True,
    ) -> None:
        super().__init__()
        self.fold = fold
        self.down = down
        self.first = first
        self.shortcut_relu = shortcut_relu
        self.single = hidden_channels is None
        hidden = hidden_channels or out_channels
        self.conv1 = initialised(nn.Conv2d(in_channels, hidden, 3, padding=1), style, in_block=True)
        if not self.single:
            self.conv2 = initialised(nn.Conv2d(hidden, out_channels, 3, padding=1), style, in_block=True)
        learnt = down or in_channels != out_channels
        self.shortcut = initialised(nn.Conv2d(in_channels, out_channels, 1), style) if learnt else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C_in, H, W) to the block's output."""
        h = x if self.first else F.relu(x)  # never in place: the shortcut needs x as it is
        if self.shortcut_relu:
            x = h
        if not self.single:
            h = F.relu_(_conv3x3(self.conv1, h, self.fold))
            h = self._last_convolution(self.conv2, h)
        elif self.first:
            h = F.relu_(_conv3x3(self.conv1, h, self.fold))
            h = downsample_average(h) if self.down else h
        else:
            h = self._last_convolution(self.conv1, h)
        if self.shortcut is None:
            return h + x
        if self.down:
            # Average pooling and a 1x1 convolution commute: pooling first is the same function at a quarter of the
            # work.
            return h + conv1x1_downsample(x, self.shortcut.weight, self.shortcut.bias)
        shortcut: Tensor = self.shortcut(x)
        return h + shortcut

    def _last_convolution(self, layer: nn.Conv2d, h: Tensor) -> Tensor:
        if not self.down:
            return _conv3x3(layer, h, self.fold)
        positions = h.shape[0] * h.shape[2] * h.shape[3] // 4
        form = resample_form(positions, h.shape[1], device=h.device) if self.fold else "plain"
        return conv_downsample(h, layer.weight, layer.bias, form)


def _conv3x3(layer: nn.Conv2d, x: Tensor, fold: bool) -> Tensor:
    """Apply a 3x3 convolution, in the form that is expected to be the fastest if ``fold``."""
    positions = x.shape[0] * x.shape[2] * x.shape[3]
    as_product = fold and product_pays(positions, x.shape[1], device=x.device)
    return conv3x3(x, layer.weight, layer.bias, as_product=as_product)


class ResidualAblation(nn.Module):
    """The residual block that stands in attention's place in the ablation (Table 1, right half).

    y = x + gamma * F(x), F = ReLU, conv3x3 C -> m, ReLU, conv3x3 m -> C, gamma a scalar that starts at 0.

    By default F has no biases and m = round(k * C / 18), so that its weights match the k * C^2 of the attention
    ``form`` (an inference: the paper says only "the same number of parameters"). With ``ratio`` = 8, m = C / 8 and the
    convolutions have biases, as in the authors' earlier code.

    Shape: x (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        form: AttentionForm = "slides",
        ratio: int | None = None,
        *,
        style: LayerStyle | None = None,
    ) -> None:
        super().__init__()
        style = style or LayerStyle()
        middle = max(1, round(ATTENTION_WEIGHTS[form] * channels / 18)) if ratio is None else channels // ratio
        bias = ratio is not None
        self.conv1 = initialised(nn.Conv2d(channels, middle, 3, padding=1, bias=bias), style)
        self.conv2 = initialised(nn.Conv2d(middle, channels, 3, padding=1, bias=bias), style)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, H, W) to x + gamma * F(x)."""
        h: Tensor = self.conv1(F.relu(x))
        h = self.conv2(F.relu_(h))
        return x + self.gamma * h


def attention_modules(channels: dict[str, int], form: AttentionForm, style: LayerStyle) -> nn.ModuleDict:
    """Make an attention block of so many channels for each place."""
    init = nn.init.orthogonal_ if style.init == "orthogonal" else nn.init.xavier_uniform_
    more: dict[str, Any] = {"sn_eps": style.sn_eps, "sn_gradient": style.sn_gradient, "init": init}
    return nn.ModuleDict(
        {place: SelfAttention2d(width, form, style.spectral, **more) for place, width in channels.items()}
    )


def residual_modules(
    available: dict[int, int],
    positions: Sequence[int],
    form: AttentionForm,
    ratio: int | None,
    style: LayerStyle,
) -> nn.ModuleDict:
    """Make the ablation block of each position, keyed by the shorter side of its feature map."""
    return nn.ModuleDict({str(k): ResidualAblation(available[k], form, ratio, style=style) for k in positions})
