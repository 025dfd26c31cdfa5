"""A chart of the sizes of pictures: where to draw which dots."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 52
TICKS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
MOST_DOTS = 600


class Dot(NamedTuple):
    """A size that pictures have."""

    x: float
    y: float
    radius: float
    label: str


class Tick(NamedTuple):
    """A line of the grid."""

    at: float
    label: str


class SizeChart(NamedTuple):
    """What the template draws, in units of its view box."""

    dots: list[Dot]
    across: list[Tick]
    """Widths."""
    up: list[Tick]
    """Heights."""
    target_x: float
    target_y: float
    """The size to train at: left of it, or below, pictures are enlarged."""
    hidden: int
    """Sizes that are not drawn because there are so many."""


def size_chart(sizes: Sequence[Mapping[str, Any]], target_px: int) -> SizeChart:
    """Lay out a chart with widths and heights on logarithmic axes; the area of a dot grows with its pictures.

    Args:
        sizes: Dictionaries with ``width``, ``height`` and ``pictures``, the most frequent first; not empty.
        target_px: The size to train at.
    """
    shown = sizes[:MOST_DOTS]
    sides = [size[side] for size in shown for side in ("width", "height")] + [target_px]
    low, high = math.log2(min(sides)) - 0.3, math.log2(max(sides)) + 0.3
    most = max(size["pictures"] for size in shown)

    def x(px: float) -> float:
        return round(LEFT + (math.log2(px) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def y(px: float) -> float:
        return round(HEIGHT - BOTTOM - (math.log2(px) - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    dots = [
        Dot(
            x(size["width"]),
            y(size["height"]),
            round(max(2.5, 16 * math.sqrt(size["pictures"] / most)), 1),
            f"{size['width']:,} x {size['height']:,} px: {size['pictures']:,}",
        )
        for size in shown
    ]
    ticks = [px for px in TICKS if low <= math.log2(px) <= high]
    return SizeChart(
        dots,
        [Tick(x(px), f"{px:,}") for px in ticks],
        [Tick(y(px), f"{px:,}") for px in ticks],
        x(target_px),
        y(target_px),
        len(sizes) - len(shown),
    )
