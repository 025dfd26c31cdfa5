"""``sagan report``: what became of a run, in one file that opens from the disk and can be sent to others."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import file_of, load
from sagan.generators.staged import newest_stage, run_name
from sagan.generators.trained import TrainedGenerator
from sagan.metrics.report import Report, report_from_json
from sagan.reading import object_of, read_bytes, read_named
from sagan.recipes.config import FORM
from sagan.runs.folder import write_text
from sagan.runs.samples import kept_samples
from sagan.sampling import generate
from sagan.sizes import written
from sagan.studio.binary import packed
from sagan.studio.bundle import single_file
from sagan.studio.commands import flag_name, sample_command
from sagan.studio.drawing import looks
from sagan.studio.live import for_json, inside, log_lines, read_inside, run_told

# Room for each part, in bytes before base64 makes four of three; together the page stays under 15 MB. Where a single
# picture takes more than its part, maps have less.
MOST_OVER_TIME, MOST_SAMPLES, MOST_LOOKS = 3_000_000, 2_500_000, 5_000_000
MOST_TOGETHER = 10_500_000
MOST_STEPS, MOST_CLASSES, EACH, MOST_LOOKED_AT = 40, 20, 6, 10
SCRIPTS = ("dom.js", "wire.js", "colours.js", "maps.js", "looks.js", "chart.js", "grid.js", "report.js")
VALUE_FILES = ("evaluation.json", "values.json")

Say = Callable[[str], None]


def write_report(run: str | Path, out: str | Path, *, progress: bool = False) -> str:
    """Write the report of a run: curves, samples over time and by class, attention, values, what went wrong.

    Args:
        run: The run's folder.
        out: The page, ``.html``.
        progress: Show a progress bar while standing statistics are computed, and say what is left out.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If it is no run folder.
        OSError: If the run cannot be read or the page cannot be written.
    """
    name, run, out = run_name(run), newest_stage(run), Path(out)
    if not (run / "log.jsonl").is_file():
        raise ValueError(f"{run} is no run folder: it has no log.jsonl")
    told = run_told(run)
    told |= {"name": name, "values": _values(run), "configuration": _configuration(run)}
    told["first_line"] = next(iter(log_lines(run)), None)
    data = {"over-time": _over_time(run, told)}
    try:
        generator = load(run, preview=True, progress=progress)
    except (FileNotFoundError, ValueError) as error:  # a run that has saved nothing yet has curves all the same
        told |= {"no_generator": str(error), "classes": [], "gammas": {}}
        if progress:
            print(f"note: the report has neither samples by class nor attention: {error}", file=sys.stderr)
    else:
        data |= _of_generator(generator, file_of(run), told, MOST_TOGETHER - len(data["over-time"]))
    data["told"] = json.dumps(for_json(told), allow_nan=False).encode()
    page = single_file("report.html", ("studio.css", "report.css"), SCRIPTS, data)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    return f"{out}: the report of {run}, {len(page) / 1e6:.1f} MB"


def _over_time(run: Path, told: dict[str, Any]) -> bytes:
    """Pack samples of evenly spread steps, of the first rows where all take too much; the steps stand in the header."""
    files = kept_samples(run / "samples", told["step"])
    images: list[NDArray[np.uint8]] = []
    if not files:
        return packed({"steps": []}, {})
    first = max(1, files[0][1].stat().st_size)
    count = min(len(files), MOST_STEPS, max(2, MOST_OVER_TIME // first))
    chosen = [files[i] for i in sorted({round(k) for k in np.linspace(0, len(files) - 1, count)})]
    steps = []
    for step, path in chosen:
        try:
            found = read_inside(run, path)
        except (OSError, ValueError):  # damaged, or just being written
            continue
        found = found[: max(1, MOST_OVER_TIME // max(1, count * math.prod(found.shape[1:])))]
        if not images or found.shape == images[0].shape:
            steps.append(step)
            images.append(found)
    return packed({"steps": steps}, {"images": np.stack(images)} if images else {})


def _of_generator(generator: TrainedGenerator, file: Path, told: dict[str, Any], left: int) -> dict[str, bytes]:
    """Draw samples by class and pack the whole maps of some of them, in so many bytes."""
    size, names = generator.config.image_size, generator.class_names
    room = max(1, MOST_SAMPLES // (math.prod(size) * 3))
    classes = tuple(flag_name(c, names) for c in range(min(MOST_CLASSES, room, len(names))))
    num = max(1, min(EACH, room // max(1, len(classes))))
    config = SampleConfig(classes=classes, num=num if classes else min(24, room))
    network, z, y = generator.inputs(config)
    told |= {
        "classes": list(names),
        "size": written(size),
        "provenance": generator.provenance,
        "command": sample_command(file, config, "samples.png"),
        "labels": None if y is None else y.tolist(),
        "looked_at": [],
    }
    data = {"samples": packed({}, {"images": generate(network, z, y)})}
    return data | _maps(generator, config, told["looked_at"], len(z), min(MOST_LOOKS, left - len(data["samples"])))


def _maps(
    generator: TrainedGenerator, config: SampleConfig, looked_at: list[int], count: int, room: int
) -> dict[str, bytes]:
    """Pack the maps of some of these pictures, the first coarser where it would not fit; tell which they are."""
    data: dict[str, bytes] = {}
    for item in range(0, count, math.ceil(count / MOST_LOOKED_AT)):
        message = looks(generator, config, item)
        if len(message) > room and looked_at:
            break
        if len(message) > room:
            blocks = len(generator.config.attention_positions)
            message = looks(generator, config, item, most=max(1, room // max(1, blocks)))
        room -= len(message)
        looked_at.append(item)
        data[f"looks-{item}"] = message
    return data


def _values(run: Path) -> list[dict[str, Any]]:
    """Read the values that were measured: those of `sagan evaluate` in the folder, and the latest of the monitor."""
    files = [run / name for name in VALUE_FILES if (run / name).is_file()]
    files += sorted((run / "evaluations").glob("step-*.json"))[-1:]
    found = []
    for file in files:
        report = _read_values(file)
        if report is not None:
            found.append({"file": file.name, "subject": report.subject, "values": [vars(v) for v in report.values]})
    return found


def _read_values(file: Path) -> Report | None:
    text = read_named(file)
    try:
        return report_from_json(text, file.name)
    except ValueError:  # another kind of JSON
        return None


def _configuration(run: Path) -> dict[str, Any]:
    try:
        told = object_of(read_bytes(inside(run, run / "config.json")))
        told.pop(FORM, None)
        return told
    except (OSError, ValueError):
        return {}
