"""The generator: noise and a class to an image."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.models.blocks import (
    GeneratorBlock,
    LayerStyle,
    attention_modules,
    class_norm,
    hearing,
    initialised,
    residual_modules,
    style_of,
)
from sagan.models.config import GENERATOR_WIDTHS, GeneratorConfig
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.resample import upsample_nearest
from sagan.ops.spectral import prepare_spectral


class Generator(nn.Module):
    """SAGAN's generator: a linear layer to the 4x4 start, up-sampling residual blocks, attention between them, tanh.

    Images of another shape than a square start from ``config.start_grid``, e.g. 4x6; all else is the same.

    The class enters only through the conditional batch normalisations, the noise at the bottom and, with
    ``config.noise_entry``, through them too: gain and bias of a sample then are those of its class plus linear maps,
    without bias, of the block's part of the noise. That is one linear map of the class (one-hot) and the noise, one
    after the other (Brock et al. 2019, appendix B: `chunks` as in BigGAN, `whole` as in BigGAN-deep, whose maps are of
    a class embedding that all blocks share).

    A generator that grows (``config.fades``) also has the last layers of that of half the size: images are
    tanh((1 - a) up(small) + a large), with a in [0, 1] the buffer ``fade`` (Karras et al. 2018, section 2). They are
    mixed before tanh, so that at 0 it draws what the smaller one drew.

    Shape: z (B, z_dim), y int64 (B,) or None if unconditional -> images (B, 3, H, W) in [-1, 1];
    (H, W) is ``config.image_size``.

    Args:
        config: What it is made of, kept as ``config``.

    Raises:
        ValueError: If z or y have the wrong shape, or y is missing.

    Source: Zhang et al. 2018, section 3; widths of the official code, equal to Miyato and Koyama 2018.
    """

    fade: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        style = style_of(config)
        norm = _class_norms(config, style)
        parts = [stop - start for start, stop in config.noise_parts]
        self.linear = initialised(nn.Linear(parts[0], widths[0] * prod(config.start_grid)), style)
        self.blocks = nn.ModuleList(
            GeneratorBlock(
                in_channels,
                out_channels,
                norm=hearing(norm, parts[i + 1], style),
                style=style,
                upsampling=config.upsampling,
                single=i >= len(GENERATOR_WIDTHS[config.whole_px]) - 1 - config.single_largest,
                fold=config.fold,
            )
            for i, (in_channels, out_channels) in enumerate(pairwise(widths))
        )
        last = config.bn_momentum if config.bn_momentum_last is None else config.bn_momentum_last
        self.norm = ConditionalBatchNorm2d(widths[-1], 0, config.bn_eps, last, biased=config.bn_biased)
        self.conv = initialised(nn.Conv2d(widths[-1], 3, 3, padding=1), style)
        if config.fades:
            self.norm_small = ConditionalBatchNorm2d(widths[-2], 0, config.bn_eps, last, biased=config.bn_biased)
            self.conv_small = initialised(nn.Conv2d(widths[-2], 3, 3, padding=1), style)
            self.register_buffer("fade", torch.ones(()))
        places = {str(side): config.positions[side] for side in config.attention_positions}
        self.attention = attention_modules(places, config.attention_form, style)
        self.residual = residual_modules(
            config.positions, config.residual, config.attention_form, config.residual_ratio, style
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map noise z (B, z_dim) and classes y (B,) to images (B, 3, H, W) in [-1, 1]."""
        if z.ndim != 2 or z.shape[1] != self.config.z_dim:
            raise ValueError(f"z must be (B, {self.config.z_dim}), found {tuple(z.shape)}")
        y = check_labels(y, z.shape[0], self.config.num_classes)  # not len: it would fix the batch of a graph
        prepare_spectral(self)

        # z enters at the bottom, and a part of it, or all of it, in each block if asked for.
        parts = [z[:, start:stop] for start, stop in self.config.noise_parts]
        h = self.linear(parts[0]).view(z.shape[0], -1, *self.config.start_grid)  # (B, C_0, 4, 4) if square

        # Each block doubles the size; attention works on the output of the block at its position.
        for block, noise in zip(self.blocks, parts[1:], strict=True):
            before = h
            h = block(h, y, noise)
            position = str(min(h.shape[2:]))
            if position in self.attention:
                h = self.attention[position](h)
            if position in self.residual:
                h = self.residual[position](h)

        h = self.conv(F.relu_(self.norm(h)))  # (B, 3, H, W)
        if self.config.fades:
            small = self.conv_small(F.relu_(self.norm_small(before)))  # (B, 3, H/2, W/2)
            h = torch.lerp(upsample_nearest(small), h, self.fade)
        return torch.tanh(h)


def _class_norms(config: GeneratorConfig, style: LayerStyle) -> Callable[[int], ConditionalBatchNorm2d]:
    """Give what makes the conditional batch normalisations of a generator, for a number of channels."""
    return partial(
        class_norm,
        num_classes=config.num_classes,
        style=replace(style, sn_side="right" if config.class_vectors == "channels" else "left"),
        eps=config.bn_eps,
        momentum=config.bn_momentum,
        biased=config.bn_biased,
        conditioning=config.class_conditioning,
        start=config.class_start,
    )


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
