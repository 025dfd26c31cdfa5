"""The discriminator: an image and a class to a logit."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.models.blocks import (
    DiscriminatorBlock,
    LayerStyle,
    attention_modules,
    initialised,
    residual_modules,
    style_of,
)
from sagan.models.config import DiscriminatorConfig
from sagan.models.generator import check_labels
from sagan.ops.resample import downsample_average
from sagan.ops.spectral import prepare_spectral


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

    An inner part of a larger one (``config.inside``) sees colours through a 1x1 convolution in front of its blocks. One
    that grows (``config.fades``) also has that of the part of half the size, and mixes what it gives for the image at
    half the size, averaged, with what its first block gives: by the buffer ``fade``, as :class:`Generator` does.

    Shape: x (B, 3, H, W) in [-1, 1], y int64 (B,) -> logits (B,), or ClassifierLogits; (H, W) is
    ``config.image_size``.

    Args:
        config: What it is made of, kept as ``config``.

    Raises:
        ValueError: If x or y have the wrong shape, y is missing where the head needs it, or the configuration asks for
            heads on features, which are a :class:`~sagan.models.feature_heads.FeatureDiscriminator`.

    Source: Zhang et al. 2018; Miyato and Koyama 2018, figure 14; Odena et al. 2017 for the auxiliary head.
    """

    fade: Tensor

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        if config.features != "none":
            raise ValueError(
                f"a discriminator with features {config.features} needs that network: make it with "
                "sagan.recipes.build.build_discriminator"
            )
        self.config = config
        style = style_of(config)
        self.blocks = _blocks(config, style)
        self.places = _places(config)
        colours = config.colour_width
        self.from_rgb = None if colours is None else initialised(nn.Conv2d(3, colours, 1), style)
        if config.fades:
            self.from_rgb_small = initialised(nn.Conv2d(3, config.widths[0], 1), style)
            self.register_buffer("fade", torch.ones(()))
        in_channels = config.widths[-1]
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
        self.attention = attention_modules(_attention_places(config), config.attention_form, style)
        self.residual = residual_modules(
            config.positions, config.residual, config.attention_form, config.residual_ratio, style
        )

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor | ClassifierLogits:
        """Map images x (B, 3, H, W) and classes y (B,) to logits (B,), and class logits with the auxiliary head."""
        height, width = self.config.image_size
        if x.ndim != 4 or x.shape[1:] != (3, height, width):
            raise ValueError(f"images must be (B, 3, {height}, {width}), found {tuple(x.shape)}")
        prepare_spectral(self)

        # Each position's attention works on the first block output of its size, or on each of them.
        h = x if self.from_rgb is None else self.from_rgb(x)
        for i, (block, place) in enumerate(zip(self.blocks, self.places, strict=True)):
            h = block(h)
            if i == 0 and self.config.fades:
                h = torch.lerp(self.from_rgb_small(downsample_average(x)), h, self.fade)
            if place in self.attention:
                h = self.attention[place](h)
            if place in self.residual:
                h = self.residual[place](h)

        h = F.relu(h).sum(dim=(2, 3))  # (B, C): a sum, not a mean
        logits: Tensor = self.linear(h).squeeze(1)  # (B,)
        if self.embedding is not None:
            y = check_labels(y, len(x), self.config.num_classes)
            logits = logits + (self.embedding(y) * h).sum(1)
        if self.classifier is not None:
            return ClassifierLogits(logits, self.classifier(h))
        return logits


def _places(config: DiscriminatorConfig) -> list[str]:
    """Name the place after each block: the shorter side of its output, from the second of that on with a number."""
    seen: list[int] = []
    places = []
    for height in config.heights:
        seen.append(height)
        count = seen.count(height)
        places.append(str(height) if count == 1 else f"{height}-{count}")
    return places


def _attention_places(config: DiscriminatorConfig) -> dict[str, int]:
    """Give the places with attention, in the order of the configuration, and the channels there."""
    found = {}
    for wanted in config.attention_positions:
        for place, height, width in zip(_places(config), config.heights, config.widths, strict=True):
            if height == wanted and (config.attention_repeat or place == str(height)):
                found[place] = width
    return found


def _blocks(config: DiscriminatorConfig, style: LayerStyle) -> nn.ModuleList:
    blocks = nn.ModuleList()
    in_channels = config.colour_width or 3
    for i, (out_channels, down) in enumerate(zip(config.widths, config.downs, strict=True)):
        sees_image = i == 0 and config.inside is None
        wide = config.width == "wide" or (sees_image and not config.thin_first)
        hidden: int | None = out_channels if wide else in_channels
        if i + config.outer_blocks < config.single_largest:
            hidden = None
        blocks.append(
            DiscriminatorBlock(
                in_channels,
                out_channels,
                hidden,
                down=down,
                first=sees_image,
                shortcut_relu=config.shortcut_relu,
                style=style,
                fold=config.fold,
            )
        )
        in_channels = out_channels
    return blocks
