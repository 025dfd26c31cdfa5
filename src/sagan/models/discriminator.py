"""The discriminator: an image and a class to a logit."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from sagan.models.blocks import (
    DiscriminatorBlock,
    Init,
    LayerStyle,
    attention_modules,
    check_positions,
    default_attention,
    initialised,
    residual_modules,
)
from sagan.models.generator import check_labels
from sagan.ops.attention import AttentionForm
from sagan.ops.spectral import SpectralGradient, prepare_spectral

Head = Literal["projection", "auxiliary", "none"]
Width = Literal["wide", "thin"]

# Channels of each block's output in multiples of base_width, and how many blocks, from the first, halve the size.
WIDTHS: dict[int, tuple[int, ...]] = {
    256: (1, 2, 4, 8, 16, 16, 16),
    128: (1, 2, 4, 8, 16, 16),
    64: (1, 2, 4, 8, 16),
    32: (2, 2, 2, 2),
    16: (2, 2, 2),
}
DOWN_BLOCKS: dict[int, int] = {256: 6, 128: 5, 64: 4, 32: 2, 16: 1}


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """What a discriminator is made of."""

    size_px: int = 128
    """Height and width of the images, in pixels: 16, 32, 64, 128 or 256."""
    num_classes: int = 1000
    """Number of classes; 0 is unconditional and needs no head. Training sets it from the data."""
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
    """Spectral normalisation on every layer, the class embedding included."""
    sn_eps: float = 1e-12
    """Lower bound of the norms in the power iteration."""
    sn_gradient: SpectralGradient = "stop"
    """Whether the gradient takes the singular vectors for constants (`stop`, the paper) or goes through the iteration
    that made them (`full`, official code): at first up to 40 % apart, at convergence the same."""
    init: Init = "xavier"
    """How weights start: `xavier` (official code), `chainer` (the same with gain sqrt(2) in the 3x3 convolutions of
    blocks; SNGAN-projection) or `orthogonal` (StudioGAN)."""
    width: Width = "wide"
    """Hidden channels of a block: its output's (`wide`, SAGAN) or its input's (`thin`, SNGAN-projection)."""
    head: Head = "projection"
    """How the class enters: `projection`, `auxiliary` classifier (AC-GAN), or `none`."""
    last_block_down: bool = False
    """Whether the last block halves the size too (the 64 px network of SNGAN-projection)."""
    linear_bias: bool = True
    """Whether the last linear layer has a bias (the 32 px network of SNGAN-projection has none)."""
    shortcut_relu: bool = False
    """Whether shortcuts see the activated input of their block, as an in-place ReLU has it (StudioGAN)."""
    fold: bool = True
    """Compute the blocks' 3x3 convolutions in the form that is fastest on the device, equal up to rounding."""

    def __post_init__(self) -> None:
        if self.size_px not in WIDTHS:
            raise ValueError(f"size_px must be one of {sorted(WIDTHS)}, found {self.size_px}")
        for field, least in (("num_classes", 0), ("base_width", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"{field} must be at least {least}, found {getattr(self, field)}")
        for field, kind in (
            ("head", Head),
            ("width", Width),
            ("attention_form", AttentionForm),
            ("sn_gradient", SpectralGradient),
            ("init", Init),
        ):
            if getattr(self, field) not in get_args(kind):
                raise ValueError(f"{field} must be one of {', '.join(get_args(kind))}, found {getattr(self, field)!r}")
        check_positions("discriminator", self.positions, self.attention_positions, self.residual, self.residual_ratio)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each block's output."""
        return tuple(multiple * self.base_width for multiple in WIDTHS[self.size_px])

    @property
    def downs(self) -> tuple[bool, ...]:
        """Whether each block halves the size."""
        blocks = len(WIDTHS[self.size_px])
        return tuple(i < DOWN_BLOCKS[self.size_px] or (self.last_block_down and i == blocks - 1) for i in range(blocks))

    @property
    def positions(self) -> dict[int, int]:
        """Where attention can be: {height of a feature map: channels of the FIRST block's output of that height}."""
        positions: dict[int, int] = {}
        height = self.size_px
        for width, down in zip(self.widths, self.downs, strict=True):
            height = height // 2 if down else height
            positions.setdefault(height, width)
        return positions

    @property
    def attention_positions(self) -> tuple[int, ...]:
        """Where attention is: the field, or its default."""
        return default_attention(self.size_px) if self.attention is None else self.attention


class ClassifierLogits(NamedTuple):
    """What a discriminator with the auxiliary head gives."""

    source: Tensor
    """Real or generated, (B,)."""
    classes: Tensor
    """Class logits, (B, num_classes)."""


class Discriminator(nn.Module):
    """SAGAN's discriminator: down-sampling residual blocks, attention between them, ReLU, sum over positions, a head.

    With h (B, C) the summed features: `projection` gives linear(h) + <embedding(y), h>; `auxiliary` gives linear(h)
    and class logits; `none` gives linear(h). Logits are linear, without a sigmoid.

    Shape: x (B, 3, size_px, size_px) in [-1, 1], y int64 (B,) -> logits (B,), or ClassifierLogits.

    Raises:
        ValueError: If x or y have the wrong shape, or y is missing where the head needs it.

    Source: Zhang et al. 2018; Miyato and Koyama 2018, figure 14; Odena et al. 2017 for the auxiliary head.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        style = LayerStyle(
            spectral=config.spectral_norm, sn_eps=config.sn_eps, sn_gradient=config.sn_gradient, init=config.init
        )
        self.blocks = nn.ModuleList()
        in_channels = 3
        for i, (out_channels, down) in enumerate(zip(config.widths, config.downs, strict=True)):
            hidden = out_channels if config.width == "wide" or i == 0 else in_channels
            self.blocks.append(
                DiscriminatorBlock(
                    in_channels,
                    out_channels,
                    hidden,
                    down=down,
                    first=i == 0,
                    shortcut_relu=config.shortcut_relu,
                    style=style,
                    fold=config.fold,
                )
            )
            in_channels = out_channels
        self.linear = initialised(nn.Linear(in_channels, 1, bias=config.linear_bias), style)
        conditional = config.num_classes > 0
        self.embedding = (
            initialised(nn.Embedding(config.num_classes, in_channels), style)
            if conditional and config.head == "projection"
            else None
        )
        self.classifier = (
            initialised(nn.Linear(in_channels, config.num_classes, bias=False), style)
            if conditional and config.head == "auxiliary"
            else None
        )
        self.attention = attention_modules(config.positions, config.attention_positions, config.attention_form, style)
        self.residual = residual_modules(
            config.positions, config.residual, config.attention_form, config.residual_ratio, style
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor | ClassifierLogits:
        """Map images x (B, 3, H, W) and classes y (B,) to logits (B,), and class logits with the auxiliary head."""
        size = self.config.size_px
        if x.ndim != 4 or x.shape[1:] != (3, size, size):
            raise ValueError(f"images must be (B, 3, {size}, {size}), found {tuple(x.shape)}")
        prepare_spectral(self)

        # Each position's attention works on the first block output of its size.
        h, done = x, set()
        for block in self.blocks:
            h = block(h)
            position = str(h.shape[-1])
            if position not in done:
                if position in self.attention:
                    h = self.attention[position](h)
                if position in self.residual:
                    h = self.residual[position](h)
            done.add(position)

        h = F.relu(h).sum(dim=(2, 3))  # (B, C): a sum, not a mean
        logits: Tensor = self.linear(h).squeeze(1)  # (B,)
        if self.embedding is not None:
            y = check_labels(y, len(x), self.config.num_classes)
            logits = logits + (self.embedding(y) * h).sum(1)
        if self.classifier is not None:
            return ClassifierLogits(logits, self.classifier(h))
        return logits
