"""The runs of an experiment: several rows and seeds, side by side over what there is, going on where it stopped."""

import difflib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sagan.data import NAMES, open_dataset
from sagan.evaluation import FeatureName, load_network, reference_of, reference_statistics
from sagan.experiments.catalogue import EXPERIMENTS, Experiment, Row
from sagan.experiments.row import (
    LOG,
    Order,
    is_done,
    missing_measures,
    possible,
    published_config,
    read_log,
    read_result,
    row_key,
    write_order,
)
from sagan.experiments.scales import Scale, ScaleName, scale_of
from sagan.metrics.config import MonitorConfig
from sagan.recipes.config import RunConfig, differences, from_json
from sagan.runs.folder import write_text

SWEEP = "sweep.json"
ROWS, RUNS = "rows", "runs"
CHECK_EVERY_S = 0.2
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
FORMAT = 1


class SweepError(ValueError):
    """A sweep that cannot start as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a sweep runs: an experiment at a scale on a data set, with what was changed."""

    experiment: str
    """Name in :data:`sagan.experiments.catalogue.EXPERIMENTS`."""
    scale: ScaleName
    """Name of the scale."""
    data: str
    """The pictures, as ``sagan train --data`` takes them."""
    seeds: int
    """Seeds 0 to seeds - 1."""
    size: int | None = None
    """Image size in pixels, where the scale has several."""
    steps: int | None = None
    """Steps of every row, in place of the scale's."""
    batch_size: int | None = None
    """Batch, in place of the scale's."""
    base_width: int | None = None
    """Base width of both networks, in place of the scale's."""
    num: int | None = None
    """Samples that rows are judged by, in place of the scale's."""
    features: FeatureName | None = None
    """Feature network, in place of the scale's."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """An experiment made ready for a data set: what each row trains and where its results are."""

    settings: Settings
    """What was asked for."""
    experiment: Experiment
    """The experiment."""
    scale: Scale
    """The scale, with what was changed."""
    data: dict[str, Any]
    """Name, fingerprint and size of the data set."""
    folder: Path
    """Where its tables and pictures are."""
    out: Path
    """The folder of all results."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the experiment at this scale."""
        return self.experiment.rows(self.scale)

    def config(self, row: Row, seed: int) -> RunConfig:
        """Give what a row trains with a seed."""
        assert row.config is not None
        data = replace(row.config.data, path=self.settings.data)
        return replace(row.config, data=data, seed=seed)

    def result_folder(self, row: Row, seed: int) -> Path:
        """Give the folder of a row's results; it need not exist."""
        return self._place(ROWS, row, seed)

    def run_folder(self, row: Row, seed: int) -> Path:
        """Give the folder of a row's run."""
        return self._place(RUNS, row, seed)

    def _place(self, kind: str, row: Row, seed: int) -> Path:
        key = self.key(row, seed)[:10]
        # The same row of another experiment may have another name there; its key is what counts.
        known = sorted((self.out / kind).glob(f"*-{key}"))
        return known[0] if known else self.out / kind / f"{slug(row.name)}-seed{seed}-{key}"

    def key(self, row: Row, seed: int) -> str:
        """Give the key of a row with a seed."""
        return row_key(self.config(row, seed), self.data["fingerprint"])

    def results(self, row: Row) -> dict[int, dict[str, Any]]:
        """Read what there is of a row by seed."""
        if row.config is None:
            return {}
        found = {}
        for seed in range(self.settings.seeds):
            folder = self.result_folder(row, seed)
            result = read_result(folder)
            # What was measured in another way does not belong into the same mean.
            if result is not None and not missing_measures(result, self.experiment.measures, self.scale.judging):
                found[seed] = result | {"log": read_log(folder)}
        return found

    def chosen(self, names: Sequence[str] = ()) -> list[Row]:
        """Give the rows of these names, or all that exist at this size.

        Raises:
            SweepError: If a name is no row of the experiment, or one that does not exist at this size.
        """
        known = {row.name: row for row in self.rows}
        for name in names:
            if name not in known:
                raise SweepError(f"{self.experiment.name} has no row {name!r}; its rows: {', '.join(known)}")
            if known[name].config is None:
                size = self.scale.base.generator.size_px
                raise SweepError(f"{name} does not exist at {size} px: both networks need a feature map of that height")
        return [row for row in self.rows if row.config is not None and (not names or row.name in names)]

    def orders(self, names: Sequence[str] = ()) -> list[Order]:
        """List what is still to do, seed by seed, so that an interrupted sweep has compared rows for the first ones.

        Raises:
            SweepError: If a name is no row of the experiment.
        """
        orders: dict[str, Order] = {}
        for seed in range(self.settings.seeds):
            for row in self.chosen(names):
                order = Order(
                    name=row.name,
                    config=self.config(row, seed),
                    key=self.key(row, seed),
                    measures=tuple(possible(self.experiment.measures, self.scale.judging)),
                    judging=self.scale.judging,
                    # Sheets over time show the first seed.
                    samples_at=stage_steps(self.scale) if "stages" in self.experiment.pictures and not seed else (),
                    attention="attention" in self.experiment.pictures,
                    by_class="classes" in self.experiment.pictures,
                    run=self.run_folder(row, seed),
                    result=self.result_folder(row, seed),
                )
                if not is_done(order):
                    orders.setdefault(order.key, order)
        return list(orders.values())


def slug(text: str) -> str:
    """Write a name so that it can be part of a file's: small letters, digits and single hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def stage_steps(scale: Scale) -> tuple[int, ...]:
    """Give the steps of figure 4: 10k, 160k, 260k and 1M at the paper's scale, else a sixth, a third, a half, all.

    They are steps whose samples are drawn: the nearest ones.
    """
    if scale.name == "paper":
        return 10_000, 160_000, 260_000, 1_000_000
    every, total = scale.base.train.sample_every, scale.base.train.total_steps
    drawn = sorted({*range(every, total + 1, every), total})
    return tuple(sorted({min(drawn, key=lambda s: abs(s - total * part)) for part in (1 / 6, 1 / 3, 1 / 2, 1.0)}))


def with_defaults(settings: Settings) -> Settings:
    """Fill in what was left open: the data of the experiment or of the scale, and the scale's number of seeds.

    Raises:
        SweepError: If the experiment is unknown, or it does not say which pictures.
    """
    experiment = experiment_of(settings.experiment)
    data = settings.data or experiment.data or ("digits" if settings.scale == "smoke" else "")
    if not data:
        raise SweepError(
            f"which pictures? {settings.experiment} needs --data with a folder, zip, .npz or packed file, or a name: "
            "digits, pairs, fashion-mnist, cifar10, cifar100"
        )
    if experiment.data is not None and data != experiment.data:
        raise SweepError(f"{experiment.name} is about the data set {experiment.data}: leave --data away")
    if Path(data).expanduser().exists() and data not in NAMES:
        data = str(Path(data).expanduser().resolve())
    if settings.seeds < 0:
        raise SweepError(f"--seeds must be at least 1, found {settings.seeds}")
    return replace(settings, data=data, seeds=settings.seeds or scale_of(settings.scale, settings.size).seeds)


def experiment_of(name: str) -> Experiment:
    """Find an experiment by its name.

    Raises:
        SweepError: If there is none of that name.
    """
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SweepError(f"unknown experiment {name!r}; {hint}known: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def check_network(sweep: Sweep) -> None:
    """Load the feature network once, before anything takes long.

    Raises:
        WeightsError: If its weights are not to be had.
    """
    if sweep.experiment.measures != ("pairs",):
        judging = sweep.scale.judging
        load_network(judging.features, judging.feature_weights, num_images=judging.num)


def make_ready(sweep: Sweep, *, progress: bool = True) -> None:
    """Find the statistics of the real pictures: rows that start side by side would each compute them."""
    judging, base = sweep.scale.judging, sweep.scale.base
    if "fd" in sweep.experiment.measures:
        network = load_network(judging.features, judging.feature_weights, num_images=judging.num)
        dataset = open_dataset(replace(base.data, path=sweep.settings.data), base.generator.size_px)
        reference = reference_of(dataset, "all", at_most=judging.real)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        reference_statistics(network, reference, device=device, cache_dir=base.data.cache_dir, progress=progress)


def prepare(settings: Settings, out: Path, *, feature_weights: str | None = None, progress: bool = True) -> Sweep:
    """Make an experiment ready: its scale with what was changed, its data opened.

    Args:
        settings: What to run.
        out: The folder of all results.
        feature_weights: A local file of the feature network's weights.
        progress: Show a bar while pictures are decoded.

    Raises:
        SweepError: If the experiment is unknown, or needs classes that the pictures have not.
        ValueError: If a changed field is impossible.
        DataError: If the pictures cannot be used.
    """
    experiment = experiment_of(settings.experiment)
    scale = changed(scale_of(settings.scale, settings.size), settings, feature_weights)
    dataset = open_dataset(replace(scale.base.data, path=settings.data), scale.base.generator.size_px)
    if "intra" in experiment.measures and not dataset.class_names:
        raise SweepError(
            f"{experiment.name} measures distances within classes, and {settings.data} has none: give a folder with "
            "one folder per class"
        )
    source = Path(dataset.source).name
    data = {"source": source, "fingerprint": dataset.fingerprint, "images": len(dataset.labels)}
    folder = out / f"{experiment.name}-{scale.name}-{scale.base.generator.size_px}-{Path(source).stem}"
    return Sweep(settings=settings, experiment=experiment, scale=scale, data=data, folder=folder, out=out)


def changed(scale: Scale, settings: Settings, feature_weights: str | None) -> Scale:
    """Give the scale with what the settings change.

    Raises:
        ValueError: If a changed field is impossible.
    """
    base, judging = scale.base, scale.judging
    train = base.train
    if scale.name == "paper" and {settings.steps, settings.batch_size, settings.base_width} != {None}:
        raise SweepError(
            "--steps, --batch-size and --base-width change the scale small; `paper` is the published budget, and its "
            "recipes have their own"
        )
    if settings.steps is not None:
        # Cadences keep their share of the run.
        share = settings.steps / train.total_steps
        cadences = {
            name: max(1, round(getattr(train, name) * share))
            for name in ("log_every", "sample_every", "evaluate_every", "save_every")
        }
        train = replace(train, total_steps=settings.steps, **cadences)
    if settings.batch_size is not None:
        train = replace(train, batch_size=settings.batch_size)
    G, D, monitor = base.generator, base.discriminator, base.monitor
    if settings.base_width is not None:
        G, D = replace(G, base_width=settings.base_width), replace(D, base_width=settings.base_width)
    if settings.features is not None:
        judging = replace(judging, features=settings.features)
        monitor = MonitorConfig(
            features="pixels" if settings.features.startswith("dinov2") else settings.features,  # type: ignore[arg-type]
            metrics=("fd",) if settings.features not in ("inception", "efficientnet-lite0") else monitor.metrics,
            num=monitor.num,
            real=monitor.real,
        )
    if settings.num is not None:
        judging = replace(judging, num=settings.num)
        if EXPERIMENTS[settings.experiment].measures == ("pairs",):
            judging = replace(judging, pairs_num=settings.num)
        monitor = replace(monitor, num=min(monitor.num, settings.num))
    monitor = replace(monitor, feature_weights=feature_weights)
    base = replace(base, train=train, generator=G, discriminator=D, monitor=monitor)
    return replace(scale, base=base, judging=replace(judging, feature_weights=feature_weights))


def remember(sweep: Sweep, command: str) -> None:
    """Write down what the sweep is, so that another machine goes on with it and ``render`` finds it.

    Raises:
        SweepError: If its folder holds one with other settings.
    """
    file = sweep.folder / SWEEP
    contents = {"sagan_sweep": FORMAT, "settings": asdict(sweep.settings) | {"data": sweep.data["source"]}}
    contents |= {"judging": asdict(replace(sweep.scale.judging, feature_weights=None))}
    contents |= {"data": sweep.data, "base": published_config(sweep.scale.base, sweep.data["source"])}
    commands = [command]
    if file.exists():
        old = _read(file)
        found = _changes(old, sweep.scale)
        if old["data"]["fingerprint"] != sweep.data["fingerprint"]:
            found.insert(0, "pictures")
        if found:
            raise SweepError(
                f"{sweep.folder} holds this experiment with other settings of: {', '.join(found)}; give the same flags "
                "as then, or another --out"
            )
        contents["settings"]["seeds"] = max(old["settings"]["seeds"], sweep.settings.seeds)  # type: ignore[index]
        commands = [*old["commands"], *([] if command in old["commands"] else [command])]
    sweep.folder.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(contents | {"commands": commands}, indent=1) + "\n")


def _changes(contents: dict[str, Any], scale: Scale) -> list[str]:
    """Name the fields in which a stored sweep differs from what its settings mean today."""
    stored = from_json(json.dumps(contents["base"]))
    fields = [name for name in differences(stored, scale.base) if not name.startswith(("data.path", "data.cache_dir"))]
    fields = [name for name in fields if name != "monitor.feature_weights"]
    today = asdict(replace(scale.judging, feature_weights=None))
    return fields + [
        f"judging.{name}" for name, value in contents.get("judging", {}).items() if today.get(name) != value
    ]


def _read(file: Path) -> dict[str, Any]:
    try:
        contents: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SweepError(f"{file} is damaged ({error}); remove it and give the same command again") from error
    if contents.get("sagan_sweep") != FORMAT:
        raise SweepError(f"{file} is of another version of sagan (format {contents.get('sagan_sweep')}, here {FORMAT})")
    return contents


def command_of(arguments: Sequence[str]) -> str:
    """Write the command of ``sagan paper run`` without the folders of this machine."""
    words, skip = ["sagan", "paper", "run"], False
    for word in arguments:
        flag, _, value = word.partition("=")
        if skip or flag in ("--out", "--feature-weights"):
            skip = not skip and not value
            continue
        place = value or word
        words.append(word.replace(place, Path(place).name) if "/" in place and Path(place).exists() else word)
    return shlex.join(words)


def read_sweep(folder: Path) -> Sweep:
    """Read a sweep back from its folder; the data set need not be there.

    Raises:
        SweepError: If there is none.
    """
    file = folder / SWEEP
    if not file.is_file():
        raise SweepError(f"{folder} has no {SWEEP}: `sagan paper run` makes one")
    contents = _read(file)
    settings = Settings(**contents["settings"])
    scale = changed(scale_of(settings.scale, settings.size), settings, None)
    differing = _changes(contents, scale)
    if differing:
        raise SweepError(
            f"{folder} was made when the scale {scale.name} had others of: {', '.join(differing)}; its rows cannot be "
            "found, so its tables stay as they are"
        )
    return Sweep(
        settings=settings,
        experiment=EXPERIMENTS[settings.experiment],
        scale=scale,
        data=contents["data"],
        folder=folder,
        out=folder.parent,
    )


# ------------------------------------------------------------------------------------------------------------- running


@dataclass
class _Running:
    order: Order
    process: "subprocess.Popen[bytes]"
    device: int
    task: TaskID
    log: Path


def run(sweep: Sweep, orders: Sequence[Order], console: Console, *, jobs: int | None = None) -> int:
    """Work off orders side by side, one process each; gives the exit code: 0, or 128 + the signal that stopped it.

    A process that ends badly - killed, out of memory, an error - is told with the end of its output and tried again by
    the next call; the other rows go on meanwhile.

    Args:
        sweep: What the orders belong to.
        orders: What to do.
        console: Where to report.
        jobs: Rows at a time; unset is one for each GPU, else for each core.
    """
    jobs = jobs or default_jobs()
    failed: list[str] = []
    received: list[int] = []
    waiting = list(orders)
    running: list[_Running] = []
    free = list(range(jobs))
    runs = sweep.out / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    (runs / ".gitignore").write_text("*\n")  # checkpoints are large and can be made again
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )

    def stop(number: int, _: object) -> None:
        received.append(number)
        for one in running:
            if one.process.poll() is None:
                one.process.send_signal(number)

    with Progress(*columns, console=console, disable=not console.is_terminal) as progress, ExitStack() as stack:
        for number in STOPPING:
            stack.callback(signal.signal, number, signal.signal(number, stop))
        stack.callback(_end, running)  # if anything goes wrong here, no row trains on unseen
        everything = progress.add_task(f"{sweep.experiment.name}: rows", total=len(orders), note="")
        while (waiting and not received) or running:
            while waiting and free and not received:
                order, device = waiting.pop(0), free.pop(0)
                task = progress.add_task(f"  {title(order)}", total=order.config.train.total_steps, note="")
                running.append(_start(order, device, jobs, task, runs))
                console.print(f"started: {title(order)}", highlight=False)
            time.sleep(CHECK_EVERY_S)
            for one in list(running):
                step, note = _progress(one.order)
                progress.update(one.task, completed=step, note=note)
                if one.process.poll() is None:
                    continue
                running.remove(one)
                free.append(one.device)
                progress.remove_task(one.task)
                if (said := _ended(one, received)) is not None:
                    failed.append(title(one.order))
                    console.print(said, highlight=False)
                elif not received:
                    console.print(_told(one.order), highlight=False)
                    progress.advance(everything)
    if received:
        console.print("stopped; what was trained is saved. The same command goes on from there.")
        return 128 + received[-1]
    if failed:
        console.print(
            f"{len(failed)} of {len(orders)} did not end well: {', '.join(failed)}. The same command tries them again."
        )
        return 1
    return 0


def _end(running: Sequence[_Running]) -> None:
    for one in running:
        if one.process.poll() is None:
            one.process.terminate()


def title(order: Order) -> str:
    """Name an order for people."""
    return f"{order.name}, seed {order.config.seed}"


def default_jobs() -> int:
    """Count what rows can run on side by side: GPUs, else cores."""
    return torch.cuda.device_count() or (1 if torch.backends.mps.is_available() else cores())


def cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(order: Order, device: int, jobs: int, task: TaskID, runs: Path) -> _Running:
    file = runs / f"{order.result.name}.order.json"
    write_order(order, file)
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
    if torch.cuda.device_count() > 1:
        visible = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
        count = torch.cuda.device_count()
        environment["CUDA_VISIBLE_DEVICES"] = (visible or [str(i) for i in range(count)])[device % count]
    log = runs / f"{order.result.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sagan.experiments.row", str(file)],
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            # A group of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
            start_new_session=True,
        )
    return _Running(order, process, device, task, log)


def _progress(order: Order) -> tuple[int, str]:
    """Read how far a row is from the last line of its log."""
    try:
        with (order.run / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode("utf-8", "ignore").splitlines()
        step = max((int(json.loads(line)["step"]) for line in lines[1:] if line.endswith("}")), default=0)
    except (OSError, ValueError, KeyError):
        return 0, ""
    return step, "measuring" if step >= order.config.train.total_steps else ""


def _ended(one: _Running, received: list[int]) -> str | None:
    """Say why a process ended badly; None if it did not."""
    code = one.process.returncode
    if code == 0 or received:
        return None
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = one.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    return f"NOT DONE: {title(one.order)} ({how}; {one.log}):\n  " + "\n  ".join(said)


def _told(order: Order) -> str:
    """Say in a line what came out of a row."""
    result = read_result(order.result)
    assert result is not None
    values = ", ".join(f"{v['metric']} {v['value']:.4g}" for v in result["reports"].get("final", {}).get("values", []))
    how = f"DIVERGED by step {result['step']:,}" if result["status"] == "diverged" else "done"
    return f"{how}: {title(order)}, {result['training_s'] / 60:.1f} min{f': {values}' if values else ''}"
