"""Tell whether a picture of ``pairs`` (``data/pairs.py``) is the texture that it should be, by its spectrum.

A picture is recognised as a texture when the nearest real picture, in a few numbers about contrast and spectrum, is
one of that texture and not much farther away than real pictures are from each other. Blank, noisy and mixed pictures
are far from all and recognised as nothing.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sagan.data.pairs import CLASSES, TEXTURES, draw, scene

Images = NDArray[np.uint8]
Rows = NDArray[np.float64]

REFERENCES = 400
"""Real pictures of each texture to compare with."""
REFERENCE_SEED = 2**32
"""Not the seed of the data set: nothing is recognised by being a copy."""
SLACK = 1.75
"""As many times the distance within which 99 % of the real pictures have their nearest neighbour is near enough."""
LEAST_CONTRAST = 15.0
"""Standard deviation in levels along the picture's main direction of colour; pictures with less are blank."""
RINGS = (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 8.0, np.inf)
"""Borders of rings of the spectrum, in cycles to the picture; the textures have their main waves below 8."""
LEAST_SCALE = 0.05
"""Numbers that hardly vary among real pictures count as if they varied by this much: a little noise is forgiven."""
SECTORS = 12
"""Of 15 degrees each, the first around horizontal waves."""


def recognise_textures(images: Images) -> NDArray[np.int64]:
    """Give the index into TEXTURES that each picture is recognised as, or -1.

    Shape: uint8 (N, size_px, size_px, 3), at least 16 px -> int64 (N,).
    """
    numbers, labels, radius, scale = _references(images.shape[1])
    found, contrast = _numbers(images)
    recognised = np.full(len(images), -1)
    for start in range(0, len(images), 256):  # bounds the memory of the distances
        rows = slice(start, start + 256)
        distance = np.linalg.norm(found[rows, None] / scale - numbers / scale, axis=2)
        nearest = distance.argmin(1)
        near = (distance.min(1) <= radius) & (contrast[rows] >= LEAST_CONTRAST)
        recognised[rows] = np.where(near, labels[nearest], -1)
    return recognised


@lru_cache(maxsize=8)
def _references(size_px: int) -> tuple[Rows, NDArray[np.int64], float, Rows]:
    """Give the numbers of real textures with their labels, how near is near enough, and what to divide numbers by."""
    labels = np.arange(REFERENCES * len(TEXTURES)) % len(TEXTURES)
    places = [len(CLASSES) * turn + label for turn in range(REFERENCES) for label in range(len(TEXTURES))]
    numbers, _ = _numbers(np.stack([draw(scene(index, REFERENCE_SEED), size_px) for index in places]))
    scale = np.stack([numbers[labels == label].std(0) for label in range(len(TEXTURES))]).mean(0).clip(LEAST_SCALE)
    distance = np.linalg.norm((numbers[:, None] - numbers) / scale, axis=2)
    np.fill_diagonal(distance, np.inf)
    return numbers, labels, SLACK * float(np.quantile(distance.min(1), 0.99)), scale


def _numbers(images: Images) -> tuple[Rows, Rows]:
    """Describe pictures by their spectrum, (N, D), and give their contrast in levels, (N,)."""
    n, size_px = images.shape[:2]
    colours = images.reshape(n, -1, 3).astype(np.float64)
    colours -= colours.mean(1, keepdims=True)
    variances, directions = np.linalg.eigh(colours.transpose(0, 2, 1) @ colours / size_px**2)
    contrast = np.sqrt(variances[:, 2].clip(0.0))
    levels = (colours @ directions[:, :, 2:]).reshape(n, size_px, size_px) / np.maximum(contrast, 1e-6)[:, None, None]
    window = np.hanning(size_px + 2)[1:-1]
    power = abs(np.fft.rfft2(levels * window * window[:, None])) ** 2
    down, right = np.fft.fftfreq(size_px, 1 / size_px)[:, None], np.fft.rfftfreq(size_px, 1 / size_px)
    radius = np.hypot(down, right)
    sector = np.floor(np.arctan2(down, right + 1e-9) / np.pi * SECTORS + 0.5).astype(int) % SECTORS
    known = radius >= RINGS[0]
    power = power / np.maximum(power[:, known].sum(1), 1e-9)[:, None, None]
    rings = [power[:, (radius >= low) & (radius < high)].sum(1) for low, high in pairwise(RINGS)]
    sectors = np.stack([power[:, known & (sector == index)].sum(1) for index in range(SECTORS)], 1)
    crossed = sectors[:, : SECTORS // 2] + sectors[:, SECTORS // 2 :]  # a wave and the one at right angles to it
    numbers = np.column_stack(
        [
            *rings,
            np.sort(sectors, 1),
            crossed[:, 0],
            crossed[:, SECTORS // 4],
            abs((levels**3).mean((1, 2))),
            (levels**4).mean((1, 2)),
            np.sqrt(variances[:, 1].clip(0.0) / np.maximum(variances[:, 2], 1e-9)),
        ]
    )
    return numbers, contrast
