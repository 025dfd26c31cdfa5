"""Curves of training from the records of a run's log: one panel per quantity, or one quantity of several runs.

Long noisy series are drawn twice: faint the raw values, thinned so that every peak stays, and strong a moving median,
which shows the course through the noise of adversarial losses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from sagan.figures.canvas import INK, MUTED, PALETTE, add_text
from sagan.reading import NOT_FINITE

Records = Sequence[Mapping[str, object]]
Floats = NDArray[np.float64]

DPI = 110
PANEL_INCHES = (4.6, 3.1)
# Longer names of curves are shortened.
MAX_NAME = 48
LEGEND_COLUMNS = 3
LINE_STYLES = ("-", "--", "-.", ":")
# Shorter series are drawn as they are.
SMOOTH_FROM = 60
# More points than this cannot be told apart in a panel.
MAX_POINTS = 600
# Larger values are no course of a training, whose float32 ends at 3.4e38, and axes from such to such cannot be drawn.
LARGEST = 1e30


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What one panel shows."""

    title: str
    """Written above it."""
    series: Mapping[str, tuple[Floats, Floats]]
    """Steps and values of each curve by its name in the legend."""
    noisy: bool = False
    """Whether long series get a moving median over their raw values."""
    from_zero: bool = False
    """Whether the axis of values starts at 0."""
    marks: tuple[int, ...] = ()
    """Steps that a dashed line is drawn at: where a collapse was seen."""
    bands: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """Lowest and highest values around a curve, by its name, at each of its steps."""
    x_label: str = "step"
    """Written below the axis of steps."""


def training_curves(records: Records, *, title: str | None = None, caption: str | None = None) -> Image.Image:
    """Draw the panels of :func:`training_panels` as one picture.

    Args:
        records: Parsed lines of the log, in the order written.
        title: Written above.
        caption: Written below.

    Raises:
        ValueError: As :func:`training_panels`.
    """
    return add_text(_render(draw_panels(training_panels(records))), title=title, caption=caption)


def comparison_curves(
    runs: Mapping[str, Records],
    key: str,
    *,
    label: str | None = None,
    title: str | None = None,
    caption: str | None = None,
) -> Image.Image:
    """Draw one quantity of several runs over the steps, for example a score.

    Args:
        runs: The log of each run by its name in the legend; a run without the quantity is marked there.
        key: The name of the quantity in the records, e.g. ``"score/fid"``.
        label: Written above the axes; by default the key.
        title: Written above the picture.
        caption: Written below the picture.

    Raises:
        ValueError: If no run has the quantity, or a record is malformed as in :func:`training_panels`.
    """
    return _large(comparison_panel(runs, key, label=label), title, caption)


def band_curves(
    groups: Mapping[str, Sequence[Records]],
    key: str,
    *,
    label: str | None = None,
    x_label: str = "step",
    title: str | None = None,
    caption: str | None = None,
) -> Image.Image:
    """Draw one quantity of several groups of runs: the mean over a group's runs, and a band from least to greatest.

    Where runs of a group have it at different steps, as when one ended early, each step takes those that have it.

    Args:
        groups: The logs of the runs of each group, e.g. its seeds, by the group's name in the legend.
        key: The name of the quantity in the records, e.g. ``"score/FID"``.
        label: Written above the axes; by default the key.
        x_label: What the records call ``step``, written below the axis.
        title: Written above the picture.
        caption: Written below the picture.

    Raises:
        ValueError: If no run has the quantity, or a record is malformed as in :func:`training_panels`.
    """
    series, bands = {}, {}
    for name, runs in groups.items():
        found = [_series(records, key) for records in runs]
        steps = np.unique(np.concatenate([some for some, _ in found])) if found else np.empty(0)
        values = [np.concatenate([values[some == step] for some, values in found]) for step in steps]
        if not len(steps):
            continue
        series[name] = steps, np.array([at.mean() for at in values])
        bands[name] = np.array([at.min() for at in values]), np.array([at.max() for at in values])
    if not series:
        raise ValueError(f"none of the runs has {key!r} in its log")
    return _large(Panel(title=label or key, series=series, bands=bands, x_label=x_label), title, caption)


def _large(panel: Panel, title: str | None, caption: str | None) -> Image.Image:
    """Draw a panel as a picture of its own."""
    figure = draw_panels([panel], panel_inches=(9.0, 4.8), legend_beside=True)
    return add_text(_render(figure), title=title, caption=caption)


def training_panels(records: Records) -> list[Panel]:
    """Sort the quantities of a log into panels: losses, logits, gamma of every attention block, speed, each score.

    Keys read: ``loss_d``, ``loss_g``, ``real_logits``, ``fake_logits``, ``trained_logits``, ``heldout_logits``,
    ``gamma/...``, ``variety/...``, ``sigma/...``, ``overfitting/...``, ``images_per_s``, ``score/...``; others are
    left alone, and what is nowhere in the log gets no panel. Records with ``health`` mark their step in all panels,
    unless something is over. Where a step occurs twice, as in a log that a resumed run continued, the later record
    counts. Values that are not finite, also as the strings "nan", "inf" and "-inf", or that are beyond 1e30, become
    crosses on the axis of steps.

    Raises:
        ValueError: If a record has no whole-number ``step``, a value is not a number, or nothing can be drawn.
    """
    keys = sorted({key for record in records for key in record}, key=_natural_order)

    def collect(names: Mapping[str, str]) -> dict[str, tuple[Floats, Floats]]:
        series = {name: _series(records, key) for key, name in names.items()}
        return {name: (steps, values) for name, (steps, values) in series.items() if len(steps)}

    logits = {"real_logits": "real, as trained on", "fake_logits": "generated"}
    memory = {"trained_logits": "trained on", "heldout_logits": "held out"}
    gammas = {key: key.removeprefix("gamma/") for key in keys if key.startswith("gamma/")}
    varieties = {key: f"{key.removeprefix('variety/')} classes" for key in keys if key.startswith("variety/")}
    fits = {"overfitting/logits": "held-out logits (0: trained, 1: generated)", "overfitting/copies": "copies"}
    sigmas = {key: key.removeprefix("sigma/") for key in keys if key.startswith("sigma/")}
    panels = [
        Panel(title="Losses", series=collect({"loss_d": "D", "loss_g": "G"}), noisy=True),
        Panel(title="Logits of D", series=collect(logits), noisy=True),
        Panel(title="Logits of D on real pictures", series=collect(memory), noisy=True),
        Panel(title="Attention gate γ", series=collect(gammas)),
        Panel(title="Variety of samples (real: 1)", series=collect(varieties), from_zero=True),
        Panel(title="Over-fitting", series=collect(fits), noisy=True, from_zero=True),
        Panel(title="Largest singular value", series=collect(sigmas), noisy=True),
        Panel(
            title="Images per second", series=collect({"images_per_s": "Images per second"}), noisy=True, from_zero=True
        ),
    ]
    panels += [
        Panel(title=key.removeprefix("score/"), series=collect({key: key.removeprefix("score/")}))
        for key in keys
        if key.startswith("score/")
    ]
    panels = [panel for panel in panels if panel.series]
    if not panels:
        found = ", ".join(keys) or "none"
        raise ValueError(f"the log has {len(records)} records and nothing to draw in them; their keys: {found}")
    marks = tuple(int(str(record["step"])) for record in records if "health" in record and not record.get("over"))
    return [replace(panel, marks=marks) for panel in panels]


def comparison_panel(runs: Mapping[str, Records], key: str, *, label: str | None = None) -> Panel:
    """Collect one quantity of several runs into a panel; see :func:`comparison_curves`.

    Raises:
        ValueError: If no run has the quantity, or a record is malformed.
    """
    series = {name: _series(records, key) for name, records in runs.items()}
    if not any(len(steps) for steps, _ in series.values()):
        known = sorted({key for records in runs.values() for record in records for key in record} - {"step"})
        raise ValueError(f"none of the {len(runs)} runs has {key!r} in its log; found: {', '.join(known) or 'nothing'}")
    series = {name if len(points[0]) else f"{name} (no data)": points for name, points in series.items()}
    return Panel(title=label or key, series=series)


def draw_panels(
    panels: Sequence[Panel], *, panel_inches: tuple[float, float] = PANEL_INCHES, legend_beside: bool = False
) -> Figure:
    """Draw panels side by side, at most three in a row.

    A panel with several curves has a legend between its title and its axes, or right of the axes (``legend_beside``,
    for long names); no legend covers a curve.
    """
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * panel_inches[0], rows * panel_inches[1]), dpi=DPI, layout="constrained")
    figure.set_facecolor("white")
    for place, panel in enumerate(panels):
        _draw_panel(figure.add_subplot(rows, columns, place + 1), panel, legend_beside)
    return figure


def moving_median(values: Floats, window: int) -> Floats:
    """Give the median of the ``window`` values around each; near the ends the window shrinks to what is there.

    Shape: values (n,) -> (n,). The window is odd.
    """
    padded = np.pad(values, window // 2, constant_values=np.nan)
    return np.asarray(np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1), dtype=np.float64)


def thin(steps: Floats, values: Floats, num_blocks: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Reduce a series to ``num_blocks`` blocks of neighbours; it has at least as many values.

    Returns:
        Of each block the first step, the median, the smallest and the largest value.
    """
    starts = np.array([block[0] for block in np.array_split(steps, num_blocks)])
    blocks = np.array_split(values, num_blocks)
    middles, lows, highs = (np.array([f(block) for block in blocks]) for f in (np.median, np.min, np.max))
    return starts, middles, lows, highs


def _series(records: Records, key: str) -> tuple[Floats, Floats]:
    """Give steps and values of one quantity in order of the steps; None counts as absent, what is too large is NaN."""
    points: dict[int, float] = {}
    for number, record in enumerate(records):
        value = record.get(key)
        if value is None:
            continue
        step = record.get("step")
        if isinstance(step, bool) or not isinstance(step, int):
            raise ValueError(f"record {number} of the log has {key!r} and no whole-number 'step': {step!r}")
        if value not in NOT_FINITE and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{key!r} at step {step} of the log is not a number: {value!r}")
        points[step] = float(str(value))
    steps = sorted(points)
    values = np.array([points[step] for step in steps], dtype=np.float64)
    values[np.abs(values) > LARGEST] = np.nan
    return np.array(steps, dtype=np.float64), values


def _natural_order(key: str) -> tuple[str, int, str]:
    """Sort "G/8" before "G/16" and both before "G/32"."""
    head, _, tail = key.rpartition("/")
    return (head, int(tail), "") if tail.isdecimal() else (head, 0, tail)


def _colour(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255


def _draw_panel(axes: Axes, panel: Panel, legend_beside: bool) -> None:
    lines: list[Line2D] = []
    # Yellow is too light for a line on white.
    colours = [_colour(rgb) for rgb in PALETTE if rgb != (240, 228, 66)]
    for number, name in enumerate(panel.series):
        line_style = LINE_STYLES[number // len(colours) % len(LINE_STYLES)]
        lines += _draw_curve(axes, panel, name, colours[number % len(colours)], line_style)
    for step in panel.marks:
        axes.axvline(step, color=_colour(INK), linestyle="--", linewidth=1.0)
    title_pad = 6
    # The only curve of a panel needs no legend where the title names it.
    if list(panel.series) != [panel.title]:
        _draw_legend(axes, lines, list(panel.series), legend_beside)
        if not legend_beside:
            title_pad = 8 + 14 * -(-len(lines) // LEGEND_COLUMNS)
    axes.set_title(panel.title, loc="left", fontsize=11, color=_colour(INK), pad=title_pad, parse_math=False)
    _draw_axes(axes, panel)


def _draw_curve(
    axes: Axes, panel: Panel, name: str, colour: tuple[float, float, float], line_style: str
) -> list[Line2D]:
    """Draw one series of a panel with its band and its crosses; gives the line for the legend."""
    steps, values = panel.series[name]
    if name in panel.bands:
        axes.fill_between(steps, *panel.bands[name], color=colour, alpha=0.16, linewidth=0)
    finite = np.isfinite(values)
    if not finite.all():
        # What is not finite is what a reader must see first: a cross on the axis.
        crosses = np.zeros(np.count_nonzero(~finite))
        at_the_axis = axes.get_xaxis_transform()
        axes.plot(steps[~finite], crosses, "x", color=colour, markersize=7, transform=at_the_axis, clip_on=False)
    steps, values = steps[finite], values[finite]
    if panel.noisy and len(values) >= SMOOTH_FROM:
        if len(values) <= MAX_POINTS:
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        else:
            steps, values, lows, highs = thin(steps, values, MAX_POINTS)
            axes.fill_between(steps, lows, highs, color=colour, alpha=0.16, linewidth=0)
        values = moving_median(values, max(5, len(values) // 40 * 2 + 1))
    marker = "o" if len(values) <= 25 else ""
    return list(
        axes.plot(steps, values, color=colour, linestyle=line_style, linewidth=1.7, marker=marker, markersize=3.5)
    )


def _draw_axes(axes: Axes, panel: Panel) -> None:
    muted, pale = _colour(MUTED), _colour((206, 212, 218))
    axes.set_xlabel(panel.x_label, fontsize=9, color=muted)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: _short_number(step)))
    axes.tick_params(labelsize=9, labelcolor=muted, color=pale)
    axes.grid(True, color=_colour((233, 236, 239)), linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    seen = np.concatenate([steps for steps, _ in panel.series.values()])
    if seen.min() == seen.max():
        axes.set_xlim(seen[0] - 1, seen[0] + 1)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(pale)
    if panel.from_zero:  # a little room below, or half of a curve that stays at 0 is cut off
        top = axes.get_ylim()[1]
        axes.set_ylim(-0.03 * top, top)


def _draw_legend(axes: Axes, lines: Sequence[Line2D], names: Sequence[str], beside: bool) -> None:
    # matplotlib leaves out names that begin with an underscore, so the names are set afterwards.
    numbers = [str(number) for number in range(len(lines))]
    legend = axes.legend(
        lines,
        numbers,
        loc="upper left" if beside else "lower left",
        bbox_to_anchor=(1.0, 1.0) if beside else (-0.02, 0.99),
        ncols=1 if beside else LEGEND_COLUMNS,
        fontsize=8.5,
        frameon=False,
        labelcolor=_colour(INK),
        columnspacing=1.2,
        handlelength=2.6,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…")


def _short_number(step: float) -> str:
    """Write 20000 as 20k and 1500000 as 1.5M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(step) >= size:
            return f"{step / size:g}{unit}"
    return f"{step:g}"


def _render(figure: Figure) -> Image.Image:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, facecolor="white", bbox_inches=None)
    return Image.open(file, formats=("PNG",)).convert("RGB")
