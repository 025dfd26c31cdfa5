"""Single values of several groups as dots on a line, with the mean of each group: spread is seen, not summed up."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from sagan.figures.canvas import INK, MUTED, PALETTE, add_text
from sagan.figures.curves import DPI

ROW_INCHES, PANEL_INCHES, LABEL_INCHES = 0.34, 4.2, 2.2


def dot_plot(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    title: str | None = None,
    caption: str | None = None,
) -> Image.Image:
    """Draw one panel a quantity, one line a group, one dot a value, and a bar at each mean.

    Args:
        panels: {quantity: {group: its values}}; all panels have the groups of the first, in that order from the top.
        title: Written above.
        caption: Written below.

    Raises:
        ValueError: If there is no panel or no group.
    """
    groups = list(next(iter(panels.values()), {}))
    if not groups:
        raise ValueError("there is no group to draw")
    size = (LABEL_INCHES + PANEL_INCHES * len(panels), 1.0 + ROW_INCHES * len(groups))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    dot, bar, muted = (tuple(channel / 255 for channel in rgb) for rgb in (PALETTE[0], INK, MUTED))
    for ax, (quantity, values) in zip(axes, panels.items(), strict=True):
        for place, group in enumerate(groups):
            some = np.asarray(values.get(group, ()), dtype=float)
            if len(some):
                ax.plot(some, np.full(len(some), place), "o", color=dot, alpha=0.7, markersize=7, markeredgewidth=0)
                ax.plot([some.mean()], [place], "|", color=bar, markersize=17, markeredgewidth=2)
        ax.set_title(quantity, loc="left", fontsize=11, color=bar, parse_math=False)
        ax.set_ylim(len(groups) - 0.5, -0.5)
        ax.set_yticks(range(len(groups)), groups, parse_math=False)
        ax.tick_params(labelsize=10, labelcolor=muted, length=0)
        ax.grid(True, axis="x", color="#e9ecef")
        ax.set_axisbelow(True)
        for spine in ax.spines.values():
            spine.set_visible(False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, facecolor="white")
    return add_text(Image.open(file, formats=("PNG",)).convert("RGB"), title=title, caption=caption)
