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
GRID = 16
NOT_BLACK, NOT_WHITE = bytes(range(DARK + 1, 256)), bytes(range(LIGHT))


def pixel_traits(pixels: Pixels) -> frozenset[str]:
    """Name what is peculiar about the pixels of a picture: keys of decode.TREATMENTS.

    How often each level is there is counted on a grid of 16x16 pixels or some more, and all pixels are looked at before
    anything is said of all. It has to be quick, as every picture that is packed is looked at.

    Shape: uint8 (H, W, 3).
    """
    height, width = pixels.shape[:2]
    step = max(1, min(height, width) // GRID)
    # Bytes, as NumPy takes longer to begin a sum than Python to count a few hundred of them.
    some = pixels[::step, ::step].tobytes()
    if not some.translate(None, some[:3]) and (pixels == pixels[0, 0]).all():
        return frozenset({"one colour"})
    found = set()
    if some[::3] == some[1::3] == some[2::3] and _is_grey(pixels):
        found.add("equal channels")
    if len(some.translate(None, NOT_BLACK)) >= NEARLY_ALL * len(some):
        found.add("nearly black")
    elif len(some.translate(None, NOT_WHITE)) >= NEARLY_ALL * len(some):
        found.add("nearly white")
    if some.count(0) + some.count(255) > HALF * len(some):
        found.add("saturated")
    return frozenset(found)


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())
