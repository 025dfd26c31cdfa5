"""A discriminator that looks through a frozen network: small heads on its features, each a judge of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.models.blocks import LayerStyle, attention_modules, initialised, style_of
from sagan.models.config import START, DiscriminatorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import check_labels
from sagan.ops.resample import downsample_average
from sagan.ops.spectral import prepare_spectral

SLOPE = 0.2
"""Of the leaky ReLU in heads, as in the paper's."""


class Head(nn.Module):
    """Judge places of a map: 4x4 convolutions that halve it down to the start grid, a 3x3 one, a logit for each place.

    With h (C) at a place the logit is linear(h) + <embedding(y), h>.

    Shape: x (B, C_in, H, W), y int64 (B,) or None -> logits (B, places of the start grid).
    """

    def __init__(self, in_channels: int, side: int, config: DiscriminatorConfig, style: LayerStyle) -> None:
        super().__init__()
        self.grid = config.start_grid
        narrow, wide = 4 * config.base_width, 8 * config.base_width
        self.downs = nn.ModuleList()
        while side > START:
            out_channels = wide if len(self.downs) else narrow
            self.downs.append(initialised(nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1), style))
            in_channels, side = out_channels, side // 2
        self.conv = initialised(nn.Conv2d(in_channels, wide, 3, padding=1), style)
        self.linear = initialised(nn.Conv2d(wide, 1, 1), style)
        conditional = config.num_classes > 0 and config.head == "projection"
        self.embedding = initialised(nn.Embedding(config.num_classes, wide), style) if conditional else None

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Map a feature map x (B, C_in, H, W) and classes y (B,) to logits (B, places)."""
        for down in self.downs:
            x = F.leaky_relu(down(x), SLOPE)
        h = F.leaky_relu(self.conv(x), SLOPE)
        logits: Tensor = self.linear(h).squeeze(1)  # (B, h, w)
        if self.embedding is not None:
            logits = logits + torch.einsum("bchw,bc->bhw", h, self.embedding(y))
        if tuple(logits.shape[1:]) != self.grid:  # a map smaller than the start grid: each place counts as its part
            logits = F.interpolate(logits[:, None], self.grid, mode="nearest")[:, 0]
        return logits.flatten(1)


class FeatureDiscriminator(Discriminator):
    """Judge what a frozen network sees: a :class:`Head` on each of its maps, and one on the image at half the size.

    Every head has a logit for each place of the start grid, so that none of them can decide for the others, and losses
    are means over all of them. Attention works on maps of its sizes, in front of their heads. Unlike in
    Projected GAN features are not mixed at random, and the image has a head of its own, for its colours.

    Shape: x (B, 3, H, W) in [-1, 1], y int64 (B,) -> logits (B, heads * places); (H, W) is ``config.image_size``.

    Args:
        config: What it is made of, kept as ``config``; its ``features`` name the network.
        look: The frozen network. Its ``maps`` gives normalised maps (B, C_i, H / 2^(i+2), W / 2^(i+2)), rounded up,
            of images in [-1, 1], enlarged as ``config.features_enlarge`` says; it has neither parameters nor a part in
            the state, see :func:`frozen`.

    Raises:
        ValueError: If x or y have the wrong shape, or y is missing where heads need it.

    Source: Sauer et al. 2021, "Projected GANs Converge Faster", sections 3.1 and 3.2, in part; Miyato and Koyama 2018
    for the class.
    """

    def __init__(self, config: DiscriminatorConfig, look: nn.Module) -> None:
        nn.Module.__init__(self)
        self.config = config
        style = style_of(config)
        self.look = look
        # Equal on all processes: DistributedDataParallel need not send it with each forward.
        self._ddp_params_and_buffers_to_ignore = [f"look.{name}" for name, _ in look.named_buffers()]
        self.blocks = nn.ModuleList()
        self.heads = nn.ModuleList(
            Head(width, side, config, style) for width, side in zip(config.widths, config.heights, strict=True)
        )
        places = {str(side): config.positions[side] for side in config.attention_positions}
        self.attention = attention_modules(places, config.attention_form, style)
        self.residual = nn.ModuleDict()

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Map images x (B, 3, H, W) and classes y (B,) to logits (B, heads * places)."""
        height, width = self.config.image_size
        if x.ndim != 4 or x.shape[1:] != (3, height, width):
            raise ValueError(f"images must be (B, 3, {height}, {width}), found {tuple(x.shape)}")
        if self.config.head == "projection":
            y = check_labels(y, len(x), self.config.num_classes)
        prepare_spectral(self)
        larger = self.config.features_enlarge
        seen = F.interpolate(x, scale_factor=larger, mode="bilinear") if larger > 1 else x
        maps: Sequence[Tensor] = self.look.maps(seen)  # type: ignore[operator]
        of_image, *of_maps = self.heads
        logits = [of_image(downsample_average(x), y)]
        for head, side, h in zip(of_maps, self.config.heights[1:], maps, strict=True):
            logits.append(head(self.attention[str(side)](h) if str(side) in self.attention else h, y))
        return torch.cat(logits, 1)


def frozen(network: nn.Module) -> nn.Module:
    """Make all parameters of a network buffers that are no part of its state; gives the network, changed in place.

    So it moves to a device with the network that it is a part of, is never trained, and is not in checkpoints.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, buffer, persistent=False)
    return network
