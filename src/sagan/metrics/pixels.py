"""A feature network without weights: images averaged down to 8x8 pixels.

The Frechet distance of these features sees colours, layout and lost variety, not texture or detail. It is NOT FID and
compares only with itself, on the same data and counts; its use is to keep a best checkpoint and to show a collapse
where no network can be had.
"""

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from sagan.metrics.features import Features, check_images

CELLS = 8
NAME = "pixels 8x8"


class PixelNetwork:
    """The colours of 8x8 cells as the features of a picture; there are no classes, so no logits."""

    name = NAME
    weights_sha256 = hashlib.sha256(b"").hexdigest()
    width = CELLS * CELLS * 3
    num_classes = 0
    image_px = CELLS
    resize = "mean of the pixels of each cell"
    logits = "none"

    def to(self, device: torch.device, /) -> "PixelNetwork":
        """Do nothing: there are no weights."""
        return self

    def __call__(self, images: Tensor, /) -> Features:
        """Average images down to 8x8 cells.

        Where 8 does not divide a side, a cell also has the pixels that it shares with the next one.

        Shape: uint8 (N, H, W, 3), H and W at least 8 -> float32 (N, 192) in [0, 1], and (N, 0).

        Raises:
            ValueError: If the images are anything else.
        """
        check_images(images)
        n, height, width, _ = images.shape
        if min(height, width) < CELLS:
            raise ValueError(f"height and width must be at least {CELLS}, found {height}x{width}")
        if height % CELLS or width % CELLS:
            cells = adaptive_avg_pool2d(images.permute(0, 3, 1, 2).float(), CELLS).permute(0, 2, 3, 1)
        else:
            cells = images.float().reshape(n, CELLS, height // CELLS, CELLS, width // CELLS, 3).mean((2, 4))
        features = cells.reshape(n, -1) / 255.0
        return Features(features, features[:, :0])
