"""A run as it goes on: its curves, its samples over time, and what was said of its health."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagan.figures.curves import MAX_POINTS, Panel, thin, training_panels
from sagan.generators.pretrained import EXPORTED, exported_step
from sagan.reading import NOT_FINITE, read_named
from sagan.recipes.config import RunConfig, config_of_file
from sagan.runs.curves import one_protocol
from sagan.runs.log import LOG, NUMBERS, read_log
from sagan.runs.samples import kept_samples, read_samples
from sagan.training.checkpoint import checkpoints

Line = dict[str, Any]
# A run that wrote nothing for so long, and for longer than three of its lines took, is taken not to train any more.
SILENT_S = 60.0
MOST_BYTES = 2**28
MOST_STEP = 2**53  # a larger one is no number of a browser


def run_told(folder: Path) -> dict[str, object]:
    """Give the state of a run: steps, speed, time left, curves, findings about its health, steps with samples.

    Its step is the last that was logged or saved, whichever came later.

    Raises:
        ValueError: If its configuration or its log cannot be read.
    """
    lines = log_lines(folder)
    config = config_of(folder)
    logged, saved = max((line["step"] for line in lines), default=0), saved_step(folder)
    step = max(logged, saved or 0)
    total = None if config is None else config.train.total_steps
    speeds = [_finite(float(line["images_per_s"])) for line in lines if "images_per_s" in line]
    speed = next((speed for speed in reversed(speeds) if speed is not None), None)
    silent = silent_s(folder)
    training = total is not None and step < total and silent is not None and silent < patience_s(lines)
    left = None
    if training and config is not None and total is not None and speed:
        left = (total - step) * config.train.batch_size / speed
    return {
        "step": step,
        "stand": stand(step, logged, saved),
        "total": total,
        "images_per_s": speed,
        "training": training,
        "silent_s": silent,
        "left_s": left,
        "health": [for_json(line) for line in lines if "health" in line],
        "samples": [k for k, _ in kept_samples(folder / "samples", step)],
        "rows": [] if config is None else row_names(folder),
        "panels": panels(lines),
    }


def saved_step(folder: Path) -> int | None:
    """Give the step of what :func:`sagan.generators.pretrained.load` would read of a run; None if it saved nothing."""
    found = checkpoints(folder / "checkpoints")
    if found:
        return int(found[-1].stem.removeprefix("step-"))
    try:
        inside(folder, folder / EXPORTED)
        return exported_step(folder)
    except (OSError, ValueError):  # damaged: whoever loads it says so
        return None


def stand(step: int, logged: int, saved: int | None) -> str:
    """Say what a run has saved and logged, where that is not its step; "" where both are."""
    said = [] if saved == step else ["nothing saved yet" if saved is None else f"last saved at step {saved:,}"]
    last = f"last logged at step {logged:,}" if logged else "nothing logged yet"
    return "; ".join([*said, *([last] if logged < step else [])])


def log_lines(folder: Path) -> list[Line]:
    """Read the log of a run; a line that is just being written, and what is no number in a curve, is left out."""
    lines = read_log(inside(folder, folder / LOG)).records
    return [_sound(line) for line in lines if 0 <= line["step"] <= MOST_STEP]


def _sound(line: Line) -> Line:
    return {key: value for key, value in line.items() if not key.startswith(NUMBERS) or _is_number(value)}


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value in NOT_FINITE
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def for_json(value: Any) -> Any:
    """Write what is not finite as text: JSON has no such numbers, and a browser reads the text back as one."""
    if isinstance(value, dict):
        return {str(key): for_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def inside(folder: Path, path: Path) -> Path:
    """Check that a file lies in a run's folder, wherever links lead.

    Raises:
        ValueError: If it does not, or is no file.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path.name} of {folder.name} is a link that leads out of the folder, and is not followed")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} of {folder.name} is no file")
    return path


def text_in(folder: Path, name: str) -> str | None:
    """Read a text of a run's folder; None if there is none.

    Raises:
        ValueError: If it is a link that leads out of the folder, no file, or too long.
    """
    try:
        return read_named(inside(folder, folder / name)).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def panels(lines: list[Line]) -> list[dict[str, object]]:
    """Give the panels of curves.png as numbers, each curve with at most so many points as can be told apart."""
    drawable = [line for line in lines if "health" in line or len(line) > 1]
    try:
        found = training_panels(one_protocol(drawable))
    except ValueError:  # nothing to draw yet
        return []
    return [
        {
            "title": panel.title,
            "from_zero": panel.from_zero,
            "marks": list(panel.marks),
            "series": {name: _curve(panel, name) for name in panel.series},
        }
        for panel in found
    ]


def samples_at(folder: Path, step: int) -> NDArray[np.uint8]:
    """Give the samples that previews left at a step, one of each row: uint8 (rows, H, W, 3).

    Raises:
        ValueError: If there are none.
    """
    for k, path in kept_samples(folder / "samples", step):
        if k == step:
            return read_inside(folder, path)
    raise ValueError(f"{folder.name} has no samples of step {step:,}; it may have gone back, look again")


def read_inside(folder: Path, path: Path) -> NDArray[np.uint8]:
    """Read a file of samples of a run, uint8 (rows, H, W, 3).

    Raises:
        ValueError: If it is none, is larger than any, or a link that leads out of the folder.
    """
    if inside(folder, path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} is larger than samples are")
    return read_samples(path)


def config_of(folder: Path) -> RunConfig | None:
    """Read the configuration of a run; None if it has none."""
    try:
        return config_of_file(inside(folder, folder / "config.json"))
    except FileNotFoundError:
        return None


def row_names(folder: Path) -> list[str]:
    """Give the names of the rows of samples, where a run tells them.

    Raises:
        ValueError: As :func:`text_in`.
    """
    return (text_in(folder, "classes.txt") or "").splitlines()


def silent_s(folder: Path) -> float | None:
    """Give the seconds since the log was written to; None if there is none."""
    try:
        return max(0.0, time.time() - (folder / "log.jsonl").stat().st_mtime)
    except FileNotFoundError:
        return None


def patience_s(lines: list[Line]) -> float:
    """Give the seconds of silence after which a run is taken not to train any more."""
    times = [float(line["elapsed_s"]) for line in lines if "elapsed_s" in line][-2:]
    return max(SILENT_S, 3.0 * (times[-1] - times[0])) if times else SILENT_S


def _curve(panel: Panel, name: str) -> list[list[float | None]]:
    """Give steps, values, lowest and highest; what is not finite is null."""
    steps, values = panel.series[name]
    lows = highs = values
    if len(steps) > MAX_POINTS:
        steps, values, lows, highs = thin(steps, values, MAX_POINTS)
    return [[_finite(number) for number in part] for part in (steps, values, lows, highs)]


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
