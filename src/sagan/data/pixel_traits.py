"""What the pixels of a decoded picture show: nothing, nearly nothing, or less than their format could."""

from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

SHOWN = frozenset(["one colour", "nearly black", "nearly white", "equal channels", "saturated"])
"""All that can be said."""
COMMON = frozenset(["equal channels", "saturated"])
"""What many good sets have: it is counted, and told where a person asks what is in a set."""
DARK, LIGHT = 16, 239
"""Levels up to and from which pixels count as black and white."""
NEARLY_ALL = 0.999
HALF = 0.5
GRID = 64


def pixel_traits(pixels: Pixels) -> frozenset[str]:
    """Name what is peculiar about the pixels of a picture: keys of decode.TREATMENTS.

    A grid of some 64x64 pixels is looked at, and all of them before anything is said of all.

    Shape: uint8 (H, W, 3).
    """
    step = max(1, min(pixels.shape[:2]) // GRID)
    some = pixels[::step, ::step]
    corner = pixels[0, 0]
    if (some == corner).all() and (pixels == corner).all():
        return frozenset({"one colour"})
    found = set()
    if nearly_all(some, up_to=DARK):
        found.add("nearly black")
    elif nearly_all(some, above=LIGHT):
        found.add("nearly white")
    if _equal_channels(some) and _equal_channels(pixels):
        found.add("equal channels")
    if ((some == 0) | (some == 255)).all(axis=2).mean() > HALF:
        found.add("saturated")
    return frozenset(found)


def nearly_all(values: Pixels, *, up_to: int = 255, above: int = 0) -> bool:
    """Tell whether nearly all values lie in a range, ends included."""
    return bool(((values >= above) & (values <= up_to)).mean() >= NEARLY_ALL)


def _equal_channels(pixels: Pixels) -> bool:
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
