"""A monitor that needs no feature network: the Frechet distance of images averaged down to 8x8 pixels.

It sees colours, layout and lost variety, not texture or detail. It is NOT FID and compares only with itself, on the
same data and counts; its use is to keep a best checkpoint and to show a collapse where no network can be had.
"""

import numpy as np
from numpy.typing import NDArray

CELLS = 8
NAME = "FD(pixels 8x8)"


def pixel_features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Average images down to 8x8 cells.

    Shape: uint8 (N, H, W, 3), H and W multiples of 8 -> float64 (N, 192) in [0, 1].

    Raises:
        ValueError: If the images are not uint8 (N, H, W, 3) with H and W multiples of 8.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be uint8 (N, H, W, 3), found {images.dtype} {images.shape}")
    n, height, width, _ = images.shape
    if height % CELLS or width % CELLS:
        raise ValueError(f"height and width must be multiples of {CELLS}, found {height}x{width}")
    cells = images.reshape(n, CELLS, height // CELLS, CELLS, width // CELLS, 3)
    features: NDArray[np.float64] = cells.mean(axis=(2, 4), dtype=np.float64).reshape(n, -1) / 255.0
    return features
