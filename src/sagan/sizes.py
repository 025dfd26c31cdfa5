"""Sizes of pictures: 64 is a square, 64x96 is 64 pixels high and 96 wide. As people write them and as numbers."""

import re

Size = int | str | tuple[int, ...]
"""The side of a square, text such as "64" or "64x96" (height x width), or (height, width); in pixels."""


def size_of(size: Size) -> tuple[int, int]:
    """Give (height, width) in pixels.

    Raises:
        ValueError: If it is no size, or a side is below 1; the sentence starts with ``size``.
    """
    given = size
    if isinstance(size, str):
        found = re.fullmatch(r"\s*(\d{1,9})\s*(?:[xX×]\s*(\d{1,9}))?\s*", size)
        size = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(
            f"size is the side of a square in pixels, as 64, or HEIGHTxWIDTH, as 64x96; at least 1, found {given}"
        )
    return sides[0], sides[1]


def written(size: Size) -> int | str:
    """Write a size as short as it goes: 64 for a square, "64x96" for 64 pixels high and 96 wide."""
    height, width = size_of(size)
    return height if height == width else f"{height}x{width}"


def longhand(size: Size) -> str:
    """Write a size as height x width, as in "64x64" and "64x96"."""
    return "{}x{}".format(*size_of(size))
