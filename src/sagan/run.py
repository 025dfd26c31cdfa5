"""A training run as a person meets it: the run folder, the log, pictures, checkpoints, progress, and how it stops."""

import json
import math
import os
import platform
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
import torch
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from sagan.build import build, with_classes
from sagan.config import RunConfig, differences, to_json
from sagan.data import Batches, ImageSet, notes, open_dataset
from sagan.figures import sample_grid, save_image, timeline, training_curves
from sagan.interop.weights import load_weights, save_weights
from sagan.metrics.frechet import Gaussian, frechet_distance, gaussian
from sagan.metrics.pixels import NAME as MONITOR_NAME
from sagan.metrics.pixels import pixel_features
from sagan.models.generator import Generator
from sagan.outputs import write_attention
from sagan.pretrained import (
    EXPORTED,
    PREVIEW_BATCH_SIZE,
    PREVIEW_BATCHES,
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    STANDING_SEED,
    load,
    read_snapshot,
)
from sagan.sampling import attention_gammas, generate, sample_labels, sample_latents, sampling_copy
from sagan.training.checkpoint import checkpoint_path, checkpoints, prune_checkpoints, save_checkpoint
from sagan.training.engine import Engine
from sagan.training.loop import train_loop
from sagan.training.state import TrainState
from sagan.training.step import mean_logit
from sagan.transfer import transfer_weights

# Fields of the configuration that a resumed run may change: they leave every computed number as it would have been.
RESUMABLE = {
    "train.total_steps",
    "train.log_every",
    "train.sample_every",
    "train.evaluate_every",
    "train.save_every",
    "train.keep_last",
}
MONITOR_SAMPLES = 1000
MONITOR_REAL = 10_000
HELDOUT_BATCH = 256
GRID_CLASSES, GRID_COLUMNS, TIMELINE_COLUMNS = 10, 10, 10


class RunError(ValueError):
    """A run that cannot start or go on; the message says why and what to do."""


class DivergedError(RuntimeError):
    """Training produced a number that is not finite; the last checkpoint is from before."""


@dataclass(frozen=True)
class TrainResult:
    """How a call of :func:`train` ended."""

    out: Path
    """The run folder."""
    step: int
    """Steps done."""
    finished: bool
    """Whether all steps are done."""
    signal: int | None
    """The signal that stopped it, if one did."""


def train(
    config: RunConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    init_from: str | Path | None = None,
    console: Console | None = None,
) -> TrainResult:
    """Train a run, or go on with one.

    Args:
        config: What to train. With ``resume``, unset takes the run's own; a given one may differ from it only in the
        number of
            steps and in cadences.
        out: A new run folder; unset is ``runs/NAME-NUMBER``.
        resume: The folder of a run to go on with, in place of ``out``.
        init_from: A run or weights file whose weights the new run starts from; classes are matched by name.
        console: Where to report; unset is the terminal's error stream.

    Returns:
        How it ended. Ctrl-C and SIGTERM finish the step, save and return.

    Raises:
        RunError: If the folder is in use or holds another run, the disk is too small, or a resumed configuration
        differs. DataError: If the data cannot be used.
        CheckpointError: If a checkpoint cannot be used.
        DivergedError: If a number is no longer finite.
    """
    console = console or Console(stderr=True, soft_wrap=True)
    if resume is not None:
        if out is not None or init_from is not None:
            raise RunError("--resume goes on in the run's own folder: leave --out and --init-from away")
        folder = Path(resume)
        if not folder.is_dir():
            raise RunError(f"{folder}: no such run folder to resume")
    else:
        config = config or RunConfig()
        folder = (
            Path(out) if out is not None else next_folder(f"{Path(config.data.path).stem}-{config.generator.size_px}")
        )
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; choose another --out")
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with run_lock(folder):
            if resume is None:
                _check_empty(folder)
            started, result = _train(config, folder, resume is not None, init_from, console)
            if result.finished:
                close_run(folder, started, console)
            return result
    finally:
        # A start that failed leaves nothing behind, so that the corrected command can use the same --out.
        if fresh and not (folder / "config.json").exists():
            shutil.rmtree(folder)


def _check_empty(folder: Path) -> None:
    if (folder / "config.json").exists():
        raise RunError(
            f"{folder} holds a run already; go on with `sagan train --resume {_quoted(folder)}`, or choose another --out"
        )
    if any(path.name != ".lock" for path in folder.iterdir()):
        raise RunError(f"{folder} exists and is not empty; choose another --out")


def _train(
    config: RunConfig | None, folder: Path, resuming: bool, init_from: str | Path | None, console: Console
) -> tuple[Parts, TrainResult]:
    snapshot = read_snapshot(folder, warn=lambda text: console.print(f"note: {text}")) if resuming else None
    if snapshot is not None:
        config = resumed_config(stored_config(folder, snapshot.config), config)
    assert config is not None
    dataset = open_dataset(config.data, config.generator.size_px)
    if snapshot is not None:
        _check_same_data(snapshot.contents.get("data"), dataset, folder)
    config = with_classes(config, len(dataset.class_names))
    train_indices, heldout_indices = dataset.split(config.data.holdout_fraction, config.data.holdout_max, config.seed)
    batches = Batches(
        dataset,
        train_indices,
        config.train.batch_size,
        config.seed,
        balanced=config.data.balanced,
        flip=config.data.flip,
    )
    parts = build(config)
    state, engine = parts.state, parts.engine
    _report_start(console, config, state, engine, dataset, len(train_indices), len(heldout_indices), folder)
    check_space(folder, state, config.train.keep_last, console)
    if snapshot is not None:
        state.load_state_dict({key: snapshot.contents[key] for key in state.state_dict()})
        _warn_of_changes(snapshot.contents, engine, console)
        console.print(f"resuming at step {state.step:,} from {snapshot.path}")
        if state.step > config.train.total_steps:
            raise RunError(
                f"{folder} is at step {state.step:,} already, beyond {config.train.total_steps:,}; --steps N asks for more"
            )
    elif init_from is not None:
        console.print(f"starting from {init_from}: {start_from(state, init_from, dataset.class_names)}")
    _write_text(folder / "config.json", to_json(config))
    _write_text(folder / "classes.txt", "".join(f"{name}\n" for name in dataset.class_names))
    if state.step >= config.train.total_steps:
        console.print(f"all {config.train.total_steps:,} steps are done already; --steps N asks for more")
        return parts, TrainResult(folder, state.step, True, None)
    sums = {} if snapshot is None else snapshot.contents.get("log", {})
    best = None if snapshot is None else snapshot.contents.get("best")
    del snapshot  # as large as the state; it need not stay for the whole training
    heldout = (
        Batches(dataset, heldout_indices, min(HELDOUT_BATCH, len(heldout_indices)), config.seed)
        if len(heldout_indices)
        else None
    )
    with (
        Reporter(config, folder, state, engine, dataset, train_indices, heldout, console) as reporter,
        _stop_signals(console) as stop,
    ):
        finished = train_loop(state, config.train, batches, engine, reporter, config.seed, stop.requested)
        reporter.close_run(finished)
    if not finished:
        console.print(
            f"stopped at step {state.step:,}, saved. To go on:\n  sagan train --resume {_quoted(folder)}",
            highlight=False,
        )
    return TrainResult(folder, state.step, finished, stop.number)


def next_folder(stem: str) -> Path:
    """Name a new run folder: runs/<stem>-<number>."""
    number = 1
    while (folder := Path("runs") / f"{stem}-{number:03d}").exists():
        number += 1
    return folder


def resumed_config(old: RunConfig, new: RunConfig | None) -> RunConfig:
    """Give the configuration to go on with.

    Raises:
        RunError: If a field differs that would change the run; each is named.
    """
    if new is None:
        return old
    changed = [name for name in differences(old, new) if name not in RESUMABLE]
    if changed:
        raise RunError(
            f"a run keeps its configuration, but {', '.join(changed)} differ{'s' if len(changed) == 1 else ''}: "
            "only --steps and cadences can change. To go on with other settings start a new run with --init-from"
        )
    return new


def start_from(state: TrainState, path: str | Path, class_names: Sequence[str]) -> str:
    """Put the weights of another run, or of a weights file, into a fresh state and say what was kept.

    Raises:
        ValueError: If the networks differ in more than their classes.
    """
    if Path(path).suffix == ".safetensors":
        weights = load_weights(Path(path))
        if state.G.config.spectral_norm:
            source = {_raw_key(state.G, key): value for key, value in weights.generator.state_dict().items()}
            source = {**state.G.state_dict(), **source}
        else:
            source = weights.generator.state_dict()
        report = str(transfer_weights(state.G, source, weights.class_names, class_names))
        report += "; the discriminator starts fresh, a weights file has none"
        from sagan.ops.spectral import refresh_spectral

        refresh_spectral(state.G)
    else:
        snapshot = read_snapshot(path)
        contents: dict[str, Any] = snapshot.contents
        report = str(transfer_weights(state.G, contents["ema"] or contents["G"], snapshot.class_names, class_names))
        transfer_weights(state.D, contents["D"], snapshot.class_names, class_names)
        if contents["ema"]:
            from sagan.ops.spectral import refresh_spectral

            refresh_spectral(state.G)
    if state.ema is not None:
        state.ema.load_state_dict(state.G.state_dict())
    return report


def _raw_key(G: Generator, key: str) -> str:
    raw = key.removesuffix("weight") + "parametrizations.weight.original"
    return raw if key.endswith("weight") and raw in G.state_dict() else key


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; the operating system lets go of it when the process ends, however it ends.

    Raises:
        RunError: If another process holds it.
    """
    with (folder / ".lock").open("a+") as file:
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            raise RunError(
                f"{folder} is in use by another training process ({file.read().strip() or 'unknown'}); "
                "wait for it, stop it, or choose another --out"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_space(folder: Path, state: TrainState, keep_last: int, console: Console) -> None:
    """Print the disk space that the run's checkpoints take, and refuse a disk that has less.

    Raises:
        RunError: If there is too little.
    """
    present = sum(path.stat().st_size for path in (folder / "checkpoints").glob("*.pt"))
    # keep_last, the best one, and the one being written before the oldest goes.
    need = state.num_bytes() * (keep_last + 2)
    free = shutil.disk_usage(folder).free
    console.print(
        f"disk: {_size(state.num_bytes())} a checkpoint, up to {_size(need)} in all ({keep_last} latest, the best, one "
        f"being written); {_size(free)} free"
    )
    if need - present > free:
        raise RunError(
            f"the run's checkpoints need {_size(need - present)} and {folder.resolve()} has {_size(free)} free; "
            "free some space, lower --train.keep-last, or choose another --out"
        )


class _Stop:
    number: int | None = None

    def requested(self) -> bool:
        return self.number is not None


@contextmanager
def _stop_signals(console: Console) -> Iterator[_Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop after the step; a second SIGINT interrupts at once."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: object) -> None:
        if stop.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.number = number
        console.print("finishing the step and saving (Ctrl-C again leaves without saving) ...")

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class Reporter:
    """The hooks of a run: log, monitor, pictures, checkpoints and what the terminal shows."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        state: TrainState,
        engine: Engine,
        dataset: ImageSet,
        train_indices: np.ndarray,
        heldout: Batches | None,
        console: Console,
    ) -> None:
        self.config = config
        self.folder = folder
        self.engine = engine
        self.heldout = heldout
        self.console = console
        self.class_names = dataset.class_names
        # The name alone: checkpoints and weights travel, and the folders of this machine are nobody else's business.
        self.data = {
            "source": Path(dataset.source).name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset.labels),
        }
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.best = self._best_so_far(state.step)
        self.records = truncate_log(folder / "log.jsonl", state.step)
        self.log_file: TextIO = (folder / "log.jsonl").open("a")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=state.step + 1)
        self.elapsed_before = max((float(str(record.get("elapsed_s", 0.0))) for record in self.records), default=0.0)
        self.started = self.interval_started = time.monotonic()
        self.aside = 0.0
        self.display = _Display(console, config.train.total_steps, state.step)
        self.real_monitor = self._real_monitor(dataset, train_indices) if config.train.evaluate_every else None

    def __enter__(self) -> "Reporter":
        self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.display.stop()
        self.log_file.close()
        self.board.close()

    # Hooks of the loop

    def log(self, state: TrainState, metrics: dict[str, Tensor]) -> None:
        """Add up the metrics of every step; write their means when a line of the log is due."""
        for key, value in metrics.items():
            self.sums[key] = self.sums[key] + value if key in self.sums else value.clone()
        self.count += 1
        self.display.step(state.step)
        if state.step % self.config.train.log_every and state.step != self.config.train.total_steps:
            return
        means = {key: float(value) / self.count for key, value in self.sums.items()}
        seconds = time.monotonic() - self.interval_started - self.aside
        record: dict[str, object] = {"step": state.step, **means}
        if self.heldout is not None:
            with self._aside():
                record["heldout_logits"] = float(mean_logit(state, self.heldout(0), self.engine))
        record["images_per_s"] = self.config.train.batch_size * self.count / seconds
        record |= {f"gamma/G/{k}": v for k, v in attention_gammas(state.G).items()}
        record |= {f"gamma/D/{k}": v for k, v in attention_gammas(state.D).items()}
        record["elapsed_s"] = self.elapsed_before + time.monotonic() - self.started
        self.write(record)
        self.display.show(record)
        self.sums, self.count = {}, 0
        self.interval_started, self.aside = time.monotonic(), 0.0
        if not all(math.isfinite(value) for value in means.values()):
            last = checkpoints(self.folder / "checkpoints")
            back = f"the last checkpoint, {last[-1].name}, is from before" if last else "nothing was saved yet"
            raise DivergedError(
                f"training diverged by step {state.step}: {_first_bad(means)} is not finite; {back}. "
                "Lower learning rates usually help, or spectral normalisation on both networks"
            )

    def evaluate(self, state: TrainState) -> None:
        """Draw samples and measure the monitor where due, on a copy: the training state is not touched."""
        train = self.config.train
        draw = train.sample_every > 0 and (state.step % train.sample_every == 0 or state.step == train.total_steps)
        measure = self.real_monitor is not None and (
            state.step % train.evaluate_every == 0 or state.step == train.total_steps
        )
        if not (draw or measure):
            return
        with self._aside():
            ready = sampling_copy(
                state.sampled, batches=PREVIEW_BATCHES, batch_size=PREVIEW_BATCH_SIZE, seed=STANDING_SEED
            )
            if draw:
                self._draw(ready, state.step)
            if measure:
                self._measure(ready, state)

    def save(self, state: TrainState, *, last: bool) -> None:
        """Write a checkpoint where due."""
        if not (last or state.step % self.config.train.save_every == 0):
            return
        with self._aside():
            folder = self.folder / "checkpoints"
            if not checkpoint_path(folder, state.step).exists():
                save_checkpoint(checkpoint_path(folder, state.step), self.contents(state))
                prune_checkpoints(folder, self.config.train.keep_last)
            if self.records:
                save_image(self._curves(), self.folder / "curves.png")
            self._draw_timeline(state.step)

    # What they are made of

    def contents(self, state: TrainState) -> dict[str, object]:
        """Give everything that goes into a checkpoint."""
        if not all(bool(torch.isfinite(p).all()) for network in (state.G, state.D) for p in network.parameters()):
            raise DivergedError(
                f"training diverged by step {state.step}: a weight is not finite, so this state was not saved; earlier "
                "checkpoints are kept. Lower learning rates usually help, or spectral normalisation on both networks"
            )
        return {
            **state.state_dict(),
            "config": to_json(self.config),
            "class_names": list(self.class_names),
            "data": self.data,
            "best": self.best,
            "versions": versions(),
            "machine": machine(self.engine),
        }

    def close_run(self, finished: bool) -> None:
        """After the last step: export the generator and draw its attention."""
        if not finished:
            return
        self.display.stop()
        self.console.print(
            f"computing standing statistics ({STANDING_BATCHES} batches of {STANDING_BATCH_SIZE}) for the weights file"
        )
        generator = load(self.folder / "checkpoints" / checkpoint_path(Path(), self.config.train.total_steps).name)
        save_weights(generator.network, self.folder / EXPORTED, self.class_names, generator.provenance)
        if generator.network.attention:
            write_attention(generator, self.folder / "attention.png")
        self.console.print(
            f"done: {_quoted(self.folder)} has samples/, timeline.png, curves.png and generator.safetensors\n"
            f"  sagan sample {_quoted(self.folder)} --out samples.png\n"
            f"  sagan attention {_quoted(self.folder)} --out attention.png",
            highlight=False,
        )

    def write(self, record: dict[str, object]) -> None:
        """Append a line to the log and its numbers to TensorBoard."""
        self.records.append(record)
        clean = {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in record.items()}
        self.log_file.write(json.dumps(clean) + "\n")
        self.log_file.flush()
        for key, value in record.items():
            if isinstance(value, float):
                self.board.add_scalar(key, value, int(str(record["step"])))

    def _draw(self, ready: Generator, step: int) -> None:
        rows = list(range(min(GRID_CLASSES, len(self.class_names)))) or [0] * 4
        labels = torch.tensor([row for row in rows for _ in range(GRID_COLUMNS)])
        z = sample_latents(0, range(len(labels)), ready.config.z_dim)
        images = generate(ready, z, labels if self.class_names else None)
        grid = sample_grid(
            images,
            columns=GRID_COLUMNS,
            row_labels=[self.class_names[row] for row in rows] if self.class_names else None,
            title=f"step {step:,}",
            caption=self._weights(),
        )
        save_image(grid, self.folder / "samples" / f"step-{step:08d}.png")
        # The first sample of each row, for the picture of samples over time.
        np.save(self.folder / "samples" / f"step-{step:08d}.npy", images[::GRID_COLUMNS])
        self.board.add_image("samples", np.asarray(grid.convert("RGB")), step, dataformats="HWC")

    def _draw_timeline(self, step: int) -> None:
        files = [path for path in sorted((self.folder / "samples").glob("step-*.npy")) if _step_of(path) <= step]
        if not files:
            return
        chosen = [files[i] for i in sorted({round(k) for k in np.linspace(0, len(files) - 1, TIMELINE_COLUMNS)})]
        picture = timeline(
            np.stack([np.load(path) for path in chosen]),
            [_step_of(path) for path in chosen],
            row_labels=list(self.class_names[:GRID_CLASSES]) or None,
            caption=f"the same noise and class at each step; {self._weights()}",
        )
        save_image(picture, self.folder / "timeline.png")

    def _weights(self) -> str:
        weights = "moving average" if self.config.train.ema_decay else "weights as trained"
        return f"{weights}; batch norm: standing statistics {PREVIEW_BATCHES} x {PREVIEW_BATCH_SIZE}; seed 0"

    def _measure(self, ready: Generator, state: TrainState) -> None:
        assert self.real_monitor is not None
        z = sample_latents(1, range(MONITOR_SAMPLES), ready.config.z_dim)
        images = generate(ready, z, sample_labels(1, range(MONITOR_SAMPLES), ready.config.num_classes))
        score = frechet_distance(self.real_monitor, gaussian(pixel_features(images)))
        self.write({"step": state.step, f"score/{MONITOR_NAME}": score})
        if self.best is None or score < self.best["score"]:
            self.best = {"score": score, "step": state.step}
            save_checkpoint(self.folder / "checkpoints" / "best.pt", self.contents(state))

    def _real_monitor(self, dataset: ImageSet, indices: np.ndarray) -> Gaussian:
        chosen = np.sort(np.random.default_rng(0).permutation(indices)[:MONITOR_REAL])
        return gaussian(pixel_features(np.asarray(dataset.images[chosen])))

    def _best_so_far(self, step: int) -> dict[str, float] | None:
        path = self.folder / "checkpoints" / "best.pt"
        if step == 0 or not path.exists():
            return None
        return read_snapshot(path).contents["best"]  # type: ignore[return-value]

    def _curves(self) -> Any:
        caption = f"{self.data['source']}; seed {self.config.seed}; {MONITOR_NAME}: {MONITOR_SAMPLES} samples, not FID"
        return training_curves(self.records, title=self.folder.name, caption=caption)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Time what is not training, so that images/s counts training alone."""
        start = time.monotonic()
        yield
        self.aside += time.monotonic() - start


class _Display:
    """Progress in the terminal; plain lines where there is none."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("step {task.completed:,.0f} of {task.total:,.0f}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self.task = self.bar.add_task("training", total=total, completed=done)
        self.total, self.first, self.started = total, done, time.monotonic()
        self.text = Text("")
        self.live = Live(console=console, refresh_per_second=4, get_renderable=lambda: Group(self.bar, self.text))
        self.running = False

    def start(self) -> None:
        if self.console.is_terminal:
            self.live.start()
            self.running = True

    def stop(self) -> None:
        if self.running:
            self.live.stop()
            self.running = False

    def step(self, step: int) -> None:
        self.bar.update(self.task, completed=step)

    def show(self, record: dict[str, object]) -> None:
        step = int(str(record["step"]))
        gammas = [
            f"{k.removeprefix('gamma/').replace('/', ' feat')} {v:+.3f}"
            for k, v in record.items()
            if k.startswith("gamma/")
        ]
        parts = [
            f"{record['images_per_s']:.0f} images/s",
            f"loss D {record['loss_d']:.3f} G {record['loss_g']:+.3f}",
            f"logits real {record['real_logits']:+.2f} fake {record['fake_logits']:+.2f}",
        ]
        if "heldout_logits" in record:
            parts[-1] += f" held-out {record['heldout_logits']:+.2f}"
        if gammas:
            parts.append("gamma " + ", ".join(gammas))
        line = " | ".join(parts)
        self.text = Text(line)
        if not self.running:
            rate = (time.monotonic() - self.started) / max(1, step - self.first)
            left = _duration(rate * (self.total - step))
            self.console.print(f"step {step:,}/{self.total:,} | {left} left | {line}", highlight=False)


def truncate_log(path: Path, step: int) -> list[dict[str, object]]:
    """Read a run's log up to a step and cut off what lies beyond it: lines of steps that will be done again.

    A last line that a crash cut short is dropped too. The file is replaced in one move.
    """
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    kept: list[dict[str, object]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record["step"] <= step:
            kept.append(record)
    if len(kept) != len(lines):
        _write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
    return kept


def versions() -> dict[str, str]:
    """Give the versions that a run's numbers depend on."""
    names = ("sagan-torch", "torch", "numpy", "lightning-fabric", "pillow")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return {"python": platform.python_version(), **found}


def machine(engine: Engine) -> dict[str, object]:
    """Give what a bit-for-bit continuation depends on besides versions."""
    name = (
        torch.cuda.get_device_name(engine.device)
        if engine.device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    return {"device": engine.device.type, "name": name, "threads": torch.get_num_threads()}


def _warn_of_changes(contents: dict[str, object], engine: Engine, console: Console) -> None:
    now = {**versions(), **machine(engine)}
    before: dict[str, object] = {**contents["versions"], **contents["machine"]}  # type: ignore[dict-item]
    changed = [f"{key} {before[key]} -> {now[key]}" for key in now if key in before and before[key] != now[key]]
    if changed:
        console.print(
            f"note: not the machine or versions that saved this ({'; '.join(changed)}): the run goes on, but not bit "
            "for bit as it would have"
        )


def _check_same_data(saved: object, dataset: ImageSet, folder: Path) -> None:
    if isinstance(saved, dict) and saved["fingerprint"] != dataset.fingerprint:
        raise RunError(
            f"the pictures changed since {folder} was saved ({saved['images']:,} images then, {len(dataset.labels):,} "
            f"now, from {dataset.source}); bring the old data back, or start a new run with --init-from {folder}"
        )


def _report_start(
    console: Console,
    config: RunConfig,
    state: TrainState,
    engine: Engine,
    dataset: ImageSet,
    num_train: int,
    num_heldout: int,
    folder: Path,
) -> None:
    classes = f"{len(dataset.class_names)} classes" if dataset.class_names else "no classes (unconditional)"
    console.print(f"run folder: {folder}", highlight=False)
    for note in notes(dataset):
        console.print(f"note: {note}", highlight=False)
    console.print(
        f"data: {dataset.source}: {num_train:,} images to train on, {num_heldout:,} held out, {classes}",
        highlight=False,
    )
    for name, network in (("generator", state.G), ("discriminator", state.D)):
        count = sum(p.numel() for p in network.parameters())
        where = ", ".join(f"feat{k}" for k in network.config.attention_positions) or "none"
        extra = "".join(f"; residual block at feat{k}" for k in network.config.residual)
        console.print(
            f"{name}: {count:,} parameters; attention ({network.config.attention_form}): {where}{extra}",
            highlight=False,
        )
    accumulate = f", in {config.train.accumulate} micro-batches" if config.train.accumulate > 1 else ""
    console.print(
        f"device: {engine.reason}; batch {config.train.batch_size}{accumulate}; {torch.get_num_threads()} threads",
        highlight=False,
    )


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _first_bad(values: dict[str, float]) -> str:
    return next(key for key, value in values.items() if not math.isfinite(value))


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
