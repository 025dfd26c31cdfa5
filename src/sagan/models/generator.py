"""The generator: noise and a class to an image."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.models.blocks import (
    GeneratorBlock,
    Init,
    LayerStyle,
    attention_modules,
    check_positions,
    class_norm,
    default_attention,
    initialised,
    residual_modules,
)
from sagan.ops.attention import AttentionForm
from sagan.ops.norm import ConditionalBatchNorm2d, Conditioning
from sagan.ops.spectral import SpectralGradient, prepare_spectral

SamplingNorm = Literal["standing", "running"]

# Channels in multiples of base_width: the 4x4 start, then the output of each block.
WIDTHS: dict[int, tuple[int, ...]] = {
    256: (16, 16, 16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    64: (16, 8, 4, 2, 1),
    32: (4, 4, 4, 4),
    16: (4, 4, 4),
}


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """What a generator is made of."""

    size_px: int = 128
    """Height and width of the images, in pixels: 16, 32, 64, 128 or 256."""
    num_classes: int = 1000
    """Number of classes; 0 is unconditional. Training sets it from the data."""
    z_dim: int = 128
    """Width of the noise vector z."""
    base_width: int = 64
    """Channels of the narrowest published layer (`ch`); 64 gives the published widths at every size."""
    attention: tuple[int, ...] | None = None
    """Feature-map heights with self-attention, e.g. `8 16`; unset is size/4 (size/2 up to 32 px), empty is none."""
    attention_form: AttentionForm = "slides"
    """Which published form the attention block has."""
    residual: tuple[int, ...] = ()
    """Feature-map heights with the residual block of the ablation in attention's place."""
    residual_ratio: int | None = None
    """Bottleneck ratio of the ablation block; unset matches the attention block's number of weights."""
    spectral_norm: bool = True
    """Spectral normalisation on every convolution, linear and attention layer (never on class tables)."""
    sn_eps: float = 1e-12
    """Lower bound of the norms in the power iteration."""
    sn_gradient: SpectralGradient = "stop"
    """Whether the gradient takes the singular vectors for constants (`stop`, the paper) or goes through the iteration
    that made them (`full`, official code): at first up to 40 % apart, at convergence the same."""
    init: Init = "xavier"
    """How weights start: `xavier` (official code), `chainer` (the same with gain sqrt(2) in the 3x3 convolutions of
    blocks; SNGAN-projection) or `orthogonal` (StudioGAN)."""
    class_conditioning: Conditioning = "tables"
    """Gain and bias of batch normalisation: plain numbers for each class (`tables`, official code), or `linear` maps of
    the class, spectrally normalised where the generator is (StudioGAN)."""
    bn_eps: float = 1e-5
    """Added to the variance in batch normalisation."""
    bn_momentum: float = 0.1
    """How fast running statistics move (0 to 1); they matter where `sampling_norm` is `running`."""
    bn_momentum_last: float | None = None
    """The same of the last batch normalisation, after all blocks; unset is `bn_momentum` (official code: 0.001 and
    0.0001)."""
    bn_biased: bool = False
    """Whether running variances average the biased variances of batches (official code) or the unbiased (PyTorch)."""
    sampling_norm: SamplingNorm = "standing"
    """What batch normalisation uses for sampling: `standing` statistics, computed anew, or the `running` averages
    (latest official code), which need many updates to be usable."""
    fold: bool = True
    """Compute the blocks' 3x3 convolutions in the form that is fastest on the device, equal up to rounding."""

    def __post_init__(self) -> None:
        if self.size_px not in WIDTHS:
            raise ValueError(f"size_px must be one of {sorted(WIDTHS)}, found {self.size_px}")
        for field, least in (("num_classes", 0), ("z_dim", 1), ("base_width", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"{field} must be at least {least}, found {getattr(self, field)}")
        if self.attention_form not in get_args(AttentionForm):
            known = ", ".join(get_args(AttentionForm))
            raise ValueError(f"attention_form must be one of {known}, found {self.attention_form!r}")
        for field, kind in (
            ("sn_gradient", SpectralGradient),
            ("init", Init),
            ("class_conditioning", Conditioning),
            ("sampling_norm", SamplingNorm),
        ):
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
        for field in ("bn_momentum", "bn_momentum_last"):
            momentum = getattr(self, field)
            if momentum is not None and not 0.0 < momentum <= 1.0:
                raise ValueError(f"{field} must be in (0, 1], found {momentum}")
        check_positions("generator", self.positions, self.attention_positions, self.residual, self.residual_ratio)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the 4x4 start and of each block's output."""
        return tuple(multiple * self.base_width for multiple in WIDTHS[self.size_px])

    @property
    def positions(self) -> dict[int, int]:
        """Where attention can be: {height of a block's output: its channels}."""
        return {8 * 2**i: width for i, width in enumerate(self.widths[1:])}

    @property
    def attention_positions(self) -> tuple[int, ...]:
        """Where attention is: the field, or its default."""
        return default_attention(self.size_px) if self.attention is None else self.attention


class Generator(nn.Module):
    """SAGAN's generator: a linear layer to 4x4, up-sampling residual blocks, attention between them, tanh.

    The class enters only through the conditional batch normalisations, the noise only at the bottom.

    Shape: z (B, z_dim), y int64 (B,) or None if unconditional -> images (B, 3, size_px, size_px) in [-1, 1].

    Raises:
        ValueError: If z or y have the wrong shape, or y is missing.

    Source: Zhang et al. 2018, section 3; widths of the official code, equal to Miyato and Koyama 2018.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        style = LayerStyle(
            spectral=config.spectral_norm, sn_eps=config.sn_eps, sn_gradient=config.sn_gradient, init=config.init
        )
        norm = partial(
            class_norm,
            num_classes=config.num_classes,
            style=style,
            eps=config.bn_eps,
            momentum=config.bn_momentum,
            biased=config.bn_biased,
            conditioning=config.class_conditioning,
        )
        self.linear = initialised(nn.Linear(config.z_dim, widths[0] * 4 * 4), style)
        self.blocks = nn.ModuleList(
            GeneratorBlock(in_channels, out_channels, norm=norm, style=style, fold=config.fold)
            for in_channels, out_channels in pairwise(widths)
        )
        last = config.bn_momentum if config.bn_momentum_last is None else config.bn_momentum_last
        self.norm = ConditionalBatchNorm2d(widths[-1], 0, config.bn_eps, last, biased=config.bn_biased)
        self.conv = initialised(nn.Conv2d(widths[-1], 3, 3, padding=1), style)
        self.attention = attention_modules(config.positions, config.attention_positions, config.attention_form, style)
        self.residual = residual_modules(
            config.positions, config.residual, config.attention_form, config.residual_ratio, style
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map noise z (B, z_dim) and classes y (B,) to images (B, 3, H, W) in [-1, 1]."""
        if z.ndim != 2 or z.shape[1] != self.config.z_dim:
            raise ValueError(f"z must be (B, {self.config.z_dim}), found {tuple(z.shape)}")
        y = check_labels(y, len(z), self.config.num_classes)
        prepare_spectral(self)

        # z enters once, at the bottom.
        h = self.linear(z).view(len(z), -1, 4, 4)  # (B, C_0, 4, 4)

        # Each block doubles the size; attention works on the output of the block at its position.
        for block in self.blocks:
            h = block(h, y)
            position = str(h.shape[-1])
            if position in self.attention:
                h = self.attention[position](h)
            if position in self.residual:
                h = self.residual[position](h)

        h = self.conv(F.relu_(self.norm(h)))  # (B, 3, size_px, size_px)
        return torch.tanh(h)


def check_labels(y: Tensor | None, batch: int, num_classes: int) -> Tensor | None:
    """Give the labels that a network with ``num_classes`` uses: y itself, or None if it is unconditional.

    Raises:
        ValueError: If y is missing, not int64, or not of shape (B,): (B, 1) would silently broadcast to B x B logits.
    """
    if num_classes == 0:
        return None
    if y is None:
        raise ValueError(f"the network is conditional on {num_classes} classes; pass labels y int64 (B,)")
    if y.shape != (batch,) or y.dtype != torch.int64:
        raise ValueError(f"labels must be int64 of shape ({batch},), found {y.dtype} of shape {tuple(y.shape)}")
    return y
