"""How a picture of any shape is brought to one size: what is cut off, what is added, what is distorted.

- ``crop``: the largest part of the picture's middle that has the shape wanted.
- ``smart``: a part as large, where along the longer side most is to be seen.
- ``pad``: the whole picture, with borders.
- ``squeeze``: the whole picture, its sides scaled each by their own factor.

What is taken is resized with Pillow's bilinear filter, whose support grows with the reduction (the official pipeline's
choice).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from sagan.data.config import Fit

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

LOOKED_AT_PX = 64
"""``smart`` looks at the picture reduced so that the side that it keeps whole has so many pixels: fine grain is gone
there, what has a shape is not."""


class Frame(NamedTuple):
    """A part of a picture, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    def share_of(self, shape: tuple[int, ...]) -> float:
        """Give the share of the area of a picture (H, W, ...) that lies inside."""
        return self.height * self.width / (shape[0] * shape[1])


def fitted(pixels: Pixels, size: tuple[int, int], fit: Fit = "crop", border: str = "auto") -> Pixels:
    """Bring a picture to a size.

    Shape: ``uint8 (H, W, 3) -> uint8 (*size, 3)``. Pixels are copied unchanged where what is taken has that size
    already.

    Args:
        pixels: The picture.
        size: (height, width) in pixels.
        fit: How.
        border: Colour of borders: ``auto``, the median of the two edges that they touch, or one that Pillow knows, as
            ``white`` or ``#808080``.
    """
    if fit == "pad":
        return _padded(pixels, size, border)
    if fit == "squeeze":
        return _resized(pixels, size)
    top, left, height, width = frame_of(pixels, size, fit)
    return _resized(pixels[top : top + height, left : left + width], size)


def frame_of(pixels: Pixels, size: tuple[int, int], fit: Fit = "crop") -> Frame:
    """Tell which part of a picture is taken: with ``pad`` and ``squeeze`` all of it."""
    height, width = pixels.shape[:2]
    if fit in ("pad", "squeeze"):
        return Frame(0, 0, height, width)
    inner_height, inner_width = cut_size((height, width), size)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    if fit == "smart" and inner_height < height:
        top = _most_content(pixels, inner_height)
    elif fit == "smart" and inner_width < width:
        left = _most_content(pixels.swapaxes(0, 1), inner_width)
    return Frame(top, left, inner_height, inner_width)


def cut_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Give height and width of the largest part of (H, W) that has the shape of ``size``, to the nearest pixel."""
    height, width = shape
    if height * size[1] > width * size[0]:
        return min(height, max(1, round(width * size[0] / size[1]))), width
    return height, min(width, max(1, round(height * size[1] / size[0])))


def shown_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Give height and width that ``pad`` leaves to a picture (H, W) inside of ``size``, to the nearest pixel."""
    (height, width), (most_height, most_width) = shape, size
    if height * most_width > width * most_height:
        return most_height, min(most_width, max(1, round(width * most_height / height)))
    return min(most_height, max(1, round(height * most_width / width))), most_width


def is_enlarged(shape: tuple[int, int], size: tuple[int, int], fit: Fit = "crop") -> bool:
    """Tell whether a picture (H, W) has fewer pixels along a side than are made of it."""
    if fit == "pad":
        return any(old < new for old, new in zip(shape, shown_size(shape, size), strict=True))
    taken = shape if fit == "squeeze" else cut_size(shape, size)
    return any(old < new for old, new in zip(taken, size, strict=True))


def content(pixels: Pixels) -> NDArray[np.float64]:
    """Say how much is to be seen in each row of a picture: edges, and colours that are not those of the whole.

    Half of it is the sum of the absolute differences of neighbouring pixels, half the sum of the absolute differences
    from the mean colour of the picture. Either alone fails often: grain and foliage are full of edges, and half a
    picture of sky is far from the mean. All sums are of whole numbers, so every machine finds the same.

    Shape: uint8 (H, W, 3) -> (H,), which sums to 1, or to 0 if all pixels are equal.

    Source: Achanta et al. 2009, "Frequency-tuned salient region detection", for the distance from the mean colour.
    """
    values = pixels.astype(np.int64)
    down = np.abs(np.diff(values, axis=0)).sum((1, 2))  # between a row and the next one
    edges = np.abs(np.diff(values, axis=1)).sum((1, 2)) * 2
    edges[1:] += down
    edges[:-1] += down
    count = values.shape[0] * values.shape[1]
    distance = np.abs(values * count - values.sum((0, 1))).sum((1, 2))
    # Float sums of whole numbers below 2**53 are exact in any order.
    parts = [part / part.sum() / 2 for part in (edges.astype(np.float64), distance.astype(np.float64)) if part.any()]
    return np.sum(parts, axis=0) if parts else np.zeros(len(values))


def _most_content(pixels: Pixels, length: int) -> int:
    """Find the first row of the ``length`` rows in which most is to be seen; of several the ones nearest the middle."""
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    scale = min(1.0, LOOKED_AT_PX / width)
    small = _resized(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))
    rows = len(small)
    window = min(rows, max(1, round(rows * length / height)))
    sums = np.concatenate([[0.0], np.cumsum(content(small))])
    inside = sums[window:] - sums[:-window]
    if inside.max() - inside.min() < 1e-9:  # nowhere more than elsewhere
        return (height - length) // 2
    places = np.flatnonzero(inside >= inside.max() - 1e-9)
    first = int(min(places, key=lambda place: abs(2 * place - (rows - window))))
    return round(first * (height - length) / (rows - window))


def _padded(pixels: Pixels, size: tuple[int, int], border: str) -> Pixels:
    height, width = shown_size((pixels.shape[0], pixels.shape[1]), size)
    inner = _resized(pixels, (height, width))
    if (height, width) == size:
        return inner
    if border == "auto":
        edges = inner[[0, -1]] if height < size[0] else inner[:, [0, -1]]
        colour = np.median(edges.reshape(-1, 3), axis=0).astype(np.uint8)
    else:
        colour = np.array(ImageColor.getrgb(border)[:3], np.uint8)
    page = np.empty((*size, 3), np.uint8)
    page[:] = colour
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    page[top : top + height, left : left + width] = inner
    return page


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape[:2] == size:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
