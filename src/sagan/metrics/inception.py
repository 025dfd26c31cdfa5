"""The Inception network of 2015-12-05, which FID and IS are defined by.

It is Inception v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", table 1) as in
TensorFlow's frozen graph ``classify_image_graph_def.pb``, which differs from later ones: 1,008 logits, averages that do
not count the padding, and a maximum in place of the average in the last block. torch-fidelity and pytorch-fid publish
its weights for PyTorch, byte for byte the same file under two names.
"""

from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sagan.metrics.features import Features, check_images, in_parts
from sagan.metrics.resize import TF1_BILINEAR, resize_bilinear_tf1
from sagan.metrics.weights import Download, StateReader, find_weights, is_known, read_state_dict, weights_folder

NAME = "inception-2015-12-05"
"""The name of the network with the published weights. What is made with it may be called FID and IS."""

OTHER_NAME = "inception-v3"
"""The name of the same network with any other weights."""

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""That of :data:`sagan.metrics.weights.KNOWN_FILES`."""

DOWNLOADS = (
    Download(
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        sha256=SHA256,
    ),
    Download(
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        sha256=SHA256,
    ),
)

NORM_EPS = 1e-3


class Unit(nn.Conv2d):
    """Convolution, batch norm (folded into it when the weights are loaded), ReLU.

    With stride 1 the output has the input's size, with stride 2 there is no padding, unless ``padding`` says else.
    """

    def __init__(
        self,
        block: str,
        name: str,
        width_in: int,
        width: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        height, across = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        same = (height // 2, across // 2) if stride == 1 else 0
        super().__init__(width_in, width, (height, across), stride, same if padding is None else padding)
        self.key = f"{block}.{name}" if block else name

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, width_in, H, W) -> (N, width, H', W')."""
        return functional.relu_(super().forward(x))


class Parallel(nn.ModuleList):
    """Branches that see the same input; their outputs are concatenated over channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, H, W) -> (N, sum of the branches' widths, H', W')."""
        return torch.cat([branch(x) for branch in self], 1)


class AveragedUnit(Unit):
    """Average of 3x3 pixels, at the border of those that exist, then a 1x1 unit.

    The average comes after the convolution here, on fewer channels: both are linear and neither minds the order.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, width_in, H, W) -> (N, width, H, W)."""
        x = functional.conv2d(x, self.weight, self.bias)
        return functional.relu_(functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False))


# ----- The blocks. Names are those of the files; widths follow the paper's figures 5 to 7 and 10.


def block_35(name: str, width: int, pool_width: int) -> nn.Module:
    """Figure 5, at 35x35: (N, width, 35, 35) -> (N, 224 + pool_width, 35, 35)."""
    unit = partial(Unit, name)
    return Parallel(
        unit("branch1x1", width, 64, 1),
        nn.Sequential(unit("branch5x5_1", width, 48, 1), unit("branch5x5_2", 48, 64, 5)),
        nn.Sequential(
            unit("branch3x3dbl_1", width, 64, 1),
            unit("branch3x3dbl_2", 64, 96, 3),
            unit("branch3x3dbl_3", 96, 96, 3),
        ),
        AveragedUnit(name, "branch_pool", width, pool_width, 1),
    )


def block_35_to_17(name: str, width: int) -> nn.Module:
    """Figure 10: (N, width, 35, 35) -> (N, 480 + width, 17, 17)."""
    unit = partial(Unit, name)
    return Parallel(
        unit("branch3x3", width, 384, 3, stride=2),
        nn.Sequential(
            unit("branch3x3dbl_1", width, 64, 1),
            unit("branch3x3dbl_2", 64, 96, 3),
            unit("branch3x3dbl_3", 96, 96, 3, stride=2),
        ),
        nn.MaxPool2d(3, stride=2),
    )


def block_17(name: str, inner: int) -> nn.Module:
    """Figure 6 with n = 7, at 17x17: (N, 768, 17, 17) -> (N, 768, 17, 17)."""
    unit = partial(Unit, name)
    return Parallel(
        unit("branch1x1", 768, 192, 1),
        nn.Sequential(
            unit("branch7x7_1", 768, inner, 1),
            unit("branch7x7_2", inner, inner, (1, 7)),
            unit("branch7x7_3", inner, 192, (7, 1)),
        ),
        nn.Sequential(
            unit("branch7x7dbl_1", 768, inner, 1),
            unit("branch7x7dbl_2", inner, inner, (7, 1)),
            unit("branch7x7dbl_3", inner, inner, (1, 7)),
            unit("branch7x7dbl_4", inner, inner, (7, 1)),
            unit("branch7x7dbl_5", inner, 192, (1, 7)),
        ),
        AveragedUnit(name, "branch_pool", 768, 192, 1),
    )


def block_17_to_8(name: str) -> nn.Module:
    """(N, 768, 17, 17) -> (N, 1280, 8, 8)."""
    unit = partial(Unit, name)
    return Parallel(
        nn.Sequential(unit("branch3x3_1", 768, 192, 1), unit("branch3x3_2", 192, 320, 3, stride=2)),
        nn.Sequential(
            unit("branch7x7x3_1", 768, 192, 1),
            unit("branch7x7x3_2", 192, 192, (1, 7)),
            unit("branch7x7x3_3", 192, 192, (7, 1)),
            unit("branch7x7x3_4", 192, 192, 3, stride=2),
        ),
        nn.MaxPool2d(3, stride=2),
    )


def block_8(name: str, width: int, pool: Literal["average", "maximum"]) -> nn.Module:
    """Figure 7, at 8x8: (N, width, 8, 8) -> (N, 2048, 8, 8)."""
    unit = partial(Unit, name)
    maximum = nn.MaxPool2d(3, stride=1, padding=1)
    return Parallel(
        unit("branch1x1", width, 320, 1),
        nn.Sequential(
            unit("branch3x3_1", width, 384, 1),
            Parallel(unit("branch3x3_2a", 384, 384, (1, 3)), unit("branch3x3_2b", 384, 384, (3, 1))),
        ),
        nn.Sequential(
            unit("branch3x3dbl_1", width, 448, 1),
            unit("branch3x3dbl_2", 448, 384, 3),
            Parallel(unit("branch3x3dbl_3a", 384, 384, (1, 3)), unit("branch3x3dbl_3b", 384, 384, (3, 1))),
        ),
        AveragedUnit(name, "branch_pool", width, 192, 1)
        if pool == "average"
        else nn.Sequential(maximum, unit("branch_pool", width, 192, 1)),
    )


def body() -> nn.Sequential:
    """Give everything before the last mean: (N, 3, 299, 299) -> (N, 2048, 8, 8)."""
    stem = partial(Unit, "")
    return nn.Sequential(
        stem("Conv2d_1a_3x3", 3, 32, 3, stride=2),  # (N, 32, 149, 149)
        stem("Conv2d_2a_3x3", 32, 32, 3, padding=0),  # (N, 32, 147, 147)
        stem("Conv2d_2b_3x3", 32, 64, 3),
        nn.MaxPool2d(3, stride=2),  # (N, 64, 73, 73)
        stem("Conv2d_3b_1x1", 64, 80, 1),
        stem("Conv2d_4a_3x3", 80, 192, 3, padding=0),  # (N, 192, 71, 71)
        nn.MaxPool2d(3, stride=2),  # (N, 192, 35, 35)
        block_35("Mixed_5b", 192, 32),
        block_35("Mixed_5c", 256, 64),
        block_35("Mixed_5d", 288, 64),  # (N, 288, 35, 35)
        block_35_to_17("Mixed_6a", 288),
        block_17("Mixed_6b", 128),
        block_17("Mixed_6c", 160),
        block_17("Mixed_6d", 160),
        block_17("Mixed_6e", 192),  # (N, 768, 17, 17)
        block_17_to_8("Mixed_7a"),
        block_8("Mixed_7b", 1280, "average"),
        block_8("Mixed_7c", 2048, "maximum"),  # (N, 2048, 8, 8)
    )


class Inception(nn.Module):
    """The network of FID: uint8 pictures to 2,048 features and 1,008 logits.

    Pictures are resized to 299x299 as TensorFlow 1 does and normalised as (x - 128) / 128. Features are the last
    block's mean over its 8x8 positions. Logits have no bias unless it is asked for: those of the original Inception
    Score are the product alone.

    Args:
        state: State dict of torch-fidelity's or pytorch-fid's file.
        weights_sha256: SHA-256 sum of that file; the published one gives the network its name.
        logit_bias: Add the bias to the logits.
        file: What messages call the file.

    Raises:
        WeightsError: If the state dict is of another network.
    """

    width = 2048
    num_classes = 1008
    image_px = 299
    resize = TF1_BILINEAR

    def __init__(
        self, state: dict[str, Tensor], weights_sha256: str, *, logit_bias: bool = False, file: str = "the state dict"
    ) -> None:
        super().__init__()
        self.weights_known = is_known(NAME, weights_sha256)
        """Whether these are the published ones."""
        self.name = NAME if self.weights_known else OTHER_NAME
        self.weights_sha256 = weights_sha256
        self.logit_bias = logit_bias
        self.logits = "with bias" if logit_bias else "without bias"
        with torch.device("meta"):  # The weights come from the file: nothing is drawn.
            self.body = body()
            self.head = nn.Linear(self.width, self.num_classes)
        reader = StateReader(state, "the Inception network of FID (2015-12-05)", file)
        for module in self.body.modules():
            if isinstance(module, Unit):
                reader.take_folded(module, f"{module.key}.conv.weight", f"{module.key}.bn", NORM_EPS)
        reader.take_linear(self.head, "fc")
        reader.finish()
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Features:
        """Compute features and logits.

        Shape: uint8 (N, H, W, 3) -> float32 (N, 2048), at least 0, and (N, 1008).

        Raises:
            ValueError: If the images are anything else.
        """
        check_images(images)
        return in_parts(images, self._compute)

    def _compute(self, images: Tensor) -> Features:
        # The permuted view of (N, H, W, 3) is channels_last, which CPUs and GPUs convolve faster.
        x = resize_bilinear_tf1(images.permute(0, 3, 1, 2), self.image_px, self.image_px)
        x = self.body(x.sub_(128.0).div_(128.0))
        features = x.mean((2, 3))
        return Features(
            features, functional.linear(features, self.head.weight, self.head.bias if self.logit_bias else None)
        )


def load_inception(
    path: str | Path | None = None, *, logit_bias: bool = False, cache_dir: str | None = None, progress: bool = True
) -> Inception:
    """Load the network of FID from torch-fidelity's or pytorch-fid's weights file.

    Args:
        path: The file; None looks in the cache folder and in torch.hub's, and else downloads it (91 MiB).
        logit_bias: Add the bias to the logits.
        cache_dir: Folder for downloads; default $SAGAN_CACHE, else the platform's cache folder.
        progress: Show a progress bar while downloading.

    Raises:
        WeightsError: If there is no file and no network, or the file is damaged, a changed copy of the published one,
            or of another network.
    """
    file = find_weights(DOWNLOADS, weights_folder(cache_dir), progress=progress) if path is None else Path(path)
    state, sha256 = read_state_dict(file)
    return Inception(state, sha256, logit_bias=logit_bias, file=str(file))
