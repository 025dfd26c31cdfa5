"""What an experiment leaves for people: a table as Markdown, CSV and a picture, and its other pictures."""

import csv
import io
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sagan.experiments.catalogue import Row, SweepError
from sagan.experiments.collect import Table, called, pairs_by_class, quantities, stages, stages_table, table
from sagan.experiments.effects import LEVEL, effects, effects_table, left_out, shares_beyond
from sagan.experiments.row import ATTENTION, BY_CLASS, SAMPLES
from sagan.experiments.sweep import ROWS, SWEEP, Sweep, read_sweep, slug, stage_steps
from sagan.figures import band_curves, dot_plot, save_image, strip, table_picture
from sagan.reading import object_of, read_bytes, whatever_happens
from sagan.regular import open_regular
from sagan.runs.folder import write_text

DIFFERENCES = (
    f"A row less the one that it is compared with, and Welch's {100 * LEVEL:.0f} % interval over the seeds: these are "
    "not paired, and the two sides may spread differently."
)


def render_all(out: Path) -> list[Path]:
    """Render every experiment that a folder of results has.

    Raises:
        SweepError: If it has none.
    """
    folders = sorted(file.parent for file in out.glob(f"*/{SWEEP}"))
    written = [path for folder in folders for path in render(read_sweep(folder))]
    if not written:
        raise SweepError(f"{out} has no results of `sagan paper run` (expected {out}/*/{SWEEP} and {out}/{ROWS}/*)")
    return written


def render(sweep: Sweep) -> list[Path]:
    """Write the table and the pictures of an experiment from the results that there are; gives the files.

    Without any result nothing is written: what an earlier call drew stays.
    """
    folder = sweep.folder
    if not any(sweep.results(row) for row in sweep.rows):
        return []
    made, caption = table(sweep), how_made(sweep)
    picture = table_picture(made.columns, made.rows, title=sweep.experiment.title, caption=caption)
    written = [folder / "table.md", folder / "table.csv"]
    write_text(written[0], "\n\n".join(_texts(sweep, made, caption)) + "\n")
    made = replace(made, numbers=(*made.numbers, *effects_table(effects(sweep)).numbers))
    if "stages" in sweep.experiment.pictures:
        made = replace(made, numbers=(*made.numbers, *stages_table(sweep).numbers))
    write_text(written[1], as_csv(made))
    return [*written, save_image(picture, folder / "table.png"), *_pictures(sweep, caption)]


def _texts(sweep: Sweep, made: Table, caption: str) -> list[str]:
    """Write the paragraphs of the page: the tables, and how their numbers came about."""
    contents = object_of(read_bytes(sweep.folder / SWEEP))
    texts = [f"# {sweep.experiment.title}", sweep.experiment.question, markdown(made)]
    if "pairs" in sweep.experiment.measures:
        texts += [
            "Above chance (0: independent parts, 1: perfect) of the readable share, by class; textures: recognised:"
        ]
        texts += [markdown(pairs_by_class(sweep))]
    if "stages" in sweep.experiment.pictures:
        texts += ["During training, measured by the monitor:", markdown(stages_table(sweep))]
    texts += ["Means and standard deviations over the seeds."]
    if compared := effects(sweep):
        texts += ["## Differences", DIFFERENCES, markdown(effects_table(compared)), shares_beyond(compared)]
    if missing := left_out(sweep):
        texts += ["Seeds without a finite value, which no difference above knows of:"]
        texts += ["\n".join(f"- {one}" for one in missing)]
    texts += ["## How it was made", caption]
    texts += ["\n".join(f"- `{command}`" for command in contents["commands"])]
    return texts + protocols(sweep)


def _pictures(sweep: Sweep, caption: str) -> list[Path]:
    """Draw what the experiment shows besides its table."""
    written = _dots(sweep, caption)
    if "stages" not in sweep.experiment.pictures:
        written += _last_samples(sweep, caption)
    if "curves" in sweep.experiment.pictures:
        written += _curves(sweep, caption)
    if "stages" in sweep.experiment.pictures:
        written += _stages(sweep, caption)
    if "attention" in sweep.experiment.pictures:
        written += _attention(sweep)
    if "classes" in sweep.experiment.pictures:
        written += _classes(sweep, caption)
    return written


def markdown(made: Table) -> str:
    """Write a table as Markdown."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (made.columns, *made.rows)]
    return "\n".join([lines[0], "|" + "---|" * len(made.columns), *lines[1:]])


def as_csv(made: Table) -> str:
    """Write the single numbers of a table as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, ["row", "seed", "quantity", "value", "source"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(made.numbers)
    return file.getvalue()


def how_made(sweep: Sweep) -> str:
    """Say in a few sentences how the numbers of an experiment came about."""
    judging, base = sweep.scale.judging, next(row.config for row in sweep.rows if row.config is not None)
    train = base.train
    average = (
        f"moving average {train.ema_decay} from step {train.ema_start:,}" if train.ema_decay else "no moving average"
    )
    asked, found = sweep.settings.seeds, {seed for row in sweep.rows for seed in sweep.results(row)}
    seeds = f"{asked}" if len(found) in (0, asked) else f"{len(found)} of {asked}"
    devices = {f"{r['device']}, {r['threads']} thread(s)" for row in sweep.rows for r in sweep.results(row).values()}
    told = [
        f"{sweep.data['source']}, {sweep.data['images']:,} pictures at {base.generator.size_px} px; "
        f"{train.total_steps:,} steps of {train.batch_size}; base width {base.generator.base_width} (G) and "
        f"{base.discriminator.base_width} (D); learning rates {train.lr_g:g} (G) and {train.lr_d:g} (D), Adam betas "
        f"({train.beta1:g}, {train.beta2:g}); {average}: so the first row, `sagan paper show` has the others",
        f"{seeds} seed(s); {', '.join(sorted(devices)) or 'not run yet'}",
    ]
    if sweep.experiment.measures != ("pairs",):
        real = "all" if judging.real is None else f"{min(judging.real, sweep.data['images']):,}"
        told.append(
            f"last step and best checkpoint: {judging.num:,} samples against {real} real pictures, "
            f"{judging.features}; best of training: {base.monitor.num:,} samples every {train.evaluate_every:,} steps, "
            f"{base.monitor.features}"
        )
        if judging.features != "inception":
            told.append("not comparable with the paper's FID and IS: another network, other pictures, other budget")
    if "pairs" in sweep.experiment.measures:
        told.append(f"{judging.pairs_num:,} samples of the last weights read by the decoder of pairs")
    return "; ".join(told) + "."


def protocols(sweep: Sweep) -> list[str]:
    """Write out the protocol of each value, as the first row that has it was measured."""
    found: dict[str, dict[str, object]] = {}
    for row in sweep.rows:
        for result in sweep.results(row).values():
            for value in result["reports"].get("final", {}).get("values", []):
                found.setdefault(f"{value['metric']}, last step", value["protocol"])
            if "final" in result["pairs"]:
                found.setdefault("readings of pairs, last step", result["pairs"]["final"]["protocol"])
            for value in (result["monitor"] or {}).get("values", []):
                found.setdefault(f"{value['metric']}, during training", value["protocol"])
    lines = [f"- {name}: {', '.join(f'{k} {v}' for k, v in made.items())}" for name, made in found.items()]
    return ["\n".join(lines)] if lines else []


def _dots(sweep: Sweep, caption: str) -> list[Path]:
    """Draw the single values of the last step, a dot a seed."""
    results = {row.name: list(sweep.results(row).values()) for row in sweep.rows if row.config is not None}
    panels = {}
    for quantity in quantities(sweep, [result for some in results.values() for result in some]):
        if quantity.drawn:
            values = {name: [quantity.of(result) for result in some] for name, some in results.items()}
            panels[quantity.column] = {name: [v for v in some if v is not None] for name, some in values.items()}
    if not panels:
        return []
    picture = dot_plot(panels, title=f"{sweep.experiment.title} (a dot a seed, a bar their mean)", caption=caption)
    return [save_image(picture, sweep.folder / "seeds.png")]


def _last_samples(sweep: Sweep, caption: str) -> list[Path]:
    """Draw what each row's samples look like at the end, seed 0: the same noise, one picture of each of ten classes."""
    lines, labels = [], []
    names: list[str] = []
    for row in sweep.rows:
        if (result := sweep.results(row).get(0)) is not None and (samples := _samples(sweep, row, 0)):
            lines.append(samples[max(samples)])
            labels.append(row.name)
            names = result["class_names"][: len(lines[-1])]
    if not lines:
        return []
    columns = names if names and len(names) == len(lines[0]) else None
    picture = strip(np.stack(lines), labels=columns, row_labels=labels, title=sweep.experiment.title, caption=caption)
    return [save_image(picture, sweep.folder / "samples.png")]


def _curves(sweep: Sweep, caption: str) -> list[Path]:
    logs = {row.name: [result["log"] for result in sweep.results(row).values()] for row in sweep.rows}
    logs = {name: some for name, some in logs.items() if some}
    keys = sorted({key for some in logs.values() for log in some for record in log for key in record})
    written = []
    for key in keys:
        if not key.startswith("score/"):
            continue
        label = f"{key.removeprefix('score/')} during training: mean of the seeds, band from least to greatest"
        picture = band_curves(logs, key, label=label, title=sweep.experiment.title, caption=caption)
        written.append(save_image(picture, sweep.folder / f"curves-{slug(key.removeprefix('score/'))}.png"))
    return written


def _stages(sweep: Sweep, caption: str) -> list[Path]:
    """Draw the samples of each row at the steps of figure 4, seed 0, with the distance at each step beside them."""
    lines, labels = [], []
    for row in sweep.rows:
        result = sweep.results(row).get(0)
        if result is None:
            continue
        samples = _samples(sweep, row, 0)
        distances = stages(sweep, row)
        for step in stage_steps(sweep.scale):
            if step not in samples:
                continue
            at = distances.get(step)
            ours = f", FD {statistics.fmean(at):.1f}" if at else ""
            lines.append(samples[step])
            labels.append(f"{row.name}, step {step:,}{ours}{_published(sweep, row, step)}")
    if not lines:
        return []
    picture = strip(np.stack(lines), row_labels=labels, title=sweep.experiment.title, caption=caption)
    return [save_image(picture, sweep.folder / "stages.png")]


def _published(sweep: Sweep, row: Row, step: int) -> str:
    at = row.curve.get(step) if sweep.scale.name == "paper" else None
    return "" if at is None else f", paper's FID {at.value:g}"


def _samples(sweep: Sweep, row: Row, seed: int) -> dict[int, NDArray[np.uint8]]:
    """Read the strip of samples that a row left: {step: (N, H, W, 3)}."""
    steps = sweep.results(row)[seed].get("samples_at", [])
    strips = _strips(sweep.result_folder(row, seed) / SAMPLES, sweep.scale.base.generator.size_px, len(steps))
    return {} if strips is None else dict(zip(steps, strips, strict=True))


def _strips(file: Path, size: int, expected: int) -> NDArray[np.uint8] | None:
    """Read strips of pictures that lie side by side: (strips, N, H, W, 3); None if there is no file.

    Raises:
        SweepError: If it is damaged, or has another number of strips than expected.
    """
    picture = _picture(file)
    if picture is None:
        return None
    width, height = picture.size
    if (width % size, height) != (0, expected * size):
        raise _damaged(file, f"{width} x {height} pixels are not {expected} strips of pictures of {size} px")
    return np.asarray(picture).reshape(expected, size, width // size, size, 3).swapaxes(1, 2)


def _picture(file: Path) -> Image.Image | None:
    """Read a picture that a row left; None if there is no file.

    Raises:
        SweepError: If it is damaged.
    """
    if not file.is_file():
        return None
    with whatever_happens(lambda why: _damaged(file, why)), open_regular(file) as opened:
        return Image.open(opened, formats=("PNG",)).convert("RGB")


def _damaged(file: Path, why: str) -> SweepError:
    return SweepError(f"{file} is damaged ({why}); remove its folder to measure the row again")


def _attention(sweep: Sweep) -> list[Path]:
    written = []
    for row in sweep.rows:
        for seed in list(sweep.results(row))[:1]:
            looks = _picture(sweep.result_folder(row, seed) / ATTENTION)
            if looks is not None:
                written.append(save_image(looks, sweep.folder / f"attention-{slug(row.name)}.png"))
    return written


def _classes(sweep: Sweep, caption: str) -> list[Path]:
    """Draw samples of each class and row, seed 0, with the distance within that class beside them."""
    written = []
    for row in sweep.rows:
        result = sweep.results(row).get(0)
        if result is None:
            continue
        file, classes = sweep.result_folder(row, 0) / BY_CLASS, len(result["by_class"])
        pictures = _strips(file, sweep.scale.base.generator.size_px, classes) if classes else None
        if pictures is None:
            continue
        distances = result["reports"].get("final", {}).get("classes", {})
        name = called(sweep, "intra", [result])
        labels = [
            f"{one['shown']}, {name} {float(distances[one['class']]['value']):.1f}"
            if one["class"] in distances
            else one["shown"]
            for one in result["by_class"]
        ]
        title = f"{sweep.experiment.title}: {row.name}"
        picture = strip(pictures, row_labels=labels, title=title, caption=caption)
        written.append(save_image(picture, sweep.folder / f"classes-{slug(row.name)}.png"))
    return written
