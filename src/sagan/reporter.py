"""What a run leaves while it trains: the log, pictures, the monitor, checkpoints, and progress in the terminal."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from sagan.config import RunConfig, to_json
from sagan.data import Batches, ImageSet
from sagan.figures import sample_grid, save_image, timeline, training_curves
from sagan.metrics.config import MonitorConfig
from sagan.models.generator import Generator
from sagan.monitor import SAMPLE_SEED, Monitor, best_by
from sagan.pretrained import PREVIEW_BATCH_SIZE, PREVIEW_BATCHES, STANDING_SEED, TrainedGenerator, provenance
from sagan.runfolder import machine, truncate_log, versions, write_text
from sagan.sampling import attention_gammas, generate, sample_latents, sampling_copy
from sagan.training.checkpoint import checkpoint_path, checkpoints, prune_checkpoints, save_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.engine import Engine
from sagan.training.state import TrainState
from sagan.training.step import mean_logit

LOOK_BATCH = 256
REMEDY = "Lower learning rates usually help, or spectral normalisation on both networks"
GRID_CLASSES, GRID_COLUMNS, TIMELINE_COLUMNS = 10, 10, 10


class DivergedError(RuntimeError):
    """Training produced a number that is not finite; the last checkpoint is from before."""


class Reporter:
    """The hooks of a run: log, monitor, pictures, checkpoints and what the terminal shows."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        state: TrainState,
        engine: Engine,
        dataset: ImageSet,
        train_indices: NDArray[np.int64],
        heldout_indices: NDArray[np.int64],
        console: Console,
        monitor: Monitor | None = None,
        resumed: dict[str, object] | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self.engine = engine
        self.monitor = monitor
        self.looks = {
            name: Batches(dataset, indices, min(LOOK_BATCH, len(indices)), config.seed)
            for name, indices in (("trained_logits", train_indices), ("heldout_logits", heldout_indices))
            if len(heldout_indices) and len(indices)
        }
        self.console = console
        self.class_names = dataset.class_names
        # The name alone: checkpoints and weights travel, and the folders of this machine are nobody else's business.
        self.data = {
            "source": Path(dataset.source).name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset.labels),
        }
        # Sums of the metrics since the last line of the log; a checkpoint carries them, so the log resumes exactly too.
        resumed = resumed or {}
        self.sums: dict[str, Tensor] = {k: engine.tensor(v) for k, v in resumed.get("sums", {}).items()}  # type: ignore[attr-defined]
        self.count = int(resumed.get("count", 0))  # type: ignore[call-overload]
        # A best value of another metric says nothing of this one's.
        same = resumed.get("monitor", _plain(asdict(MonitorConfig()))) == _plain(asdict(config.monitor))
        self.best: dict[str, float] | None = resumed.get("best") if same else None  # type: ignore[assignment]
        self.timed = 0
        self.records = truncate_log(folder / "log.jsonl", state.step)
        self.log_file: TextIO = (folder / "log.jsonl").open("a", encoding="utf-8")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=state.step + 1)
        self.elapsed_before = max((float(str(record.get("elapsed_s", 0.0))) for record in self.records), default=0.0)
        self.started = self.interval_started = time.monotonic()
        self.aside = 0.0
        self.display = _Display(console, config.train.total_steps, state.step)

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
        self.timed += 1
        self.display.step(state.step)
        if state.step % self.config.train.log_every and state.step != self.config.train.total_steps:
            return
        means = {key: float(value) / self.count for key, value in self.sums.items()}
        seconds = time.monotonic() - self.interval_started - self.aside
        record: dict[str, object] = {"step": state.step, **means}
        with self._aside():
            # The same measure on pictures that D trains on and on pictures that it never sees: when the first rises and
            # the second does not, D memorises.
            for name, batches in self.looks.items():
                batch = batches(state.step // self.config.train.log_every)
                at_once = self.config.train.batch_size // self.config.train.accumulate
                record[name] = float(mean_logit(state, batch, self.engine, at_once))
        record["images_per_s"] = self.config.train.batch_size * self.timed / seconds
        record |= {f"gamma/G/{k}": v for k, v in attention_gammas(state.G).items()}
        record |= {f"gamma/D/{k}": v for k, v in attention_gammas(state.D).items()}
        record["elapsed_s"] = self.elapsed_before + time.monotonic() - self.started
        self.write(record)
        self.display.show(record)
        self.sums, self.count, self.timed = {}, 0, 0
        self.interval_started, self.aside = time.monotonic(), 0.0
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            last = checkpoints(self.folder / "checkpoints")
            raise DivergedError(
                f"training diverged by step {state.step}: {bad[0]} is not finite; the last checkpoint, "
                f"{last[-1].name if last else 'none yet'}, is from before. {REMEDY}"
            )

    def evaluate(self, state: TrainState) -> None:
        """Draw samples and measure the monitor where due, on a copy: the training state is not touched."""
        draw, measure = due(self.config.train, state.step)
        if not (draw or measure):
            return
        with self._aside():
            ready = preview_copy(state, self.engine)
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
                f"checkpoints are kept. {REMEDY}"
            )
        return {
            **state.state_dict(),
            "config": to_json(self.config),
            "class_names": list(self.class_names),
            "data": self.data,
            "reporter": {
                "sums": self.sums,
                "count": self.count,
                "best": self.best,
                "monitor": _plain(asdict(self.config.monitor)),
            },
            "versions": versions(),
            "machine": machine(self.engine),
        }

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
        assert self.monitor is not None
        origin = provenance(self.config, {"step": state.step}, PREVIEW_BATCHES, PREVIEW_BATCH_SIZE)
        report = self.monitor.measure(TrainedGenerator(ready, self.class_names, origin))
        # Values that were made in other ways, as after a resumed run changed its monitor, do not share a curve.
        made = hashlib.sha256(json.dumps([value.protocol for value in report.values]).encode()).hexdigest()[:12]
        scores = {f"score/{value.metric}": value.value for value in report.values}
        self.write({"step": state.step, "score_protocol": made} | scores)
        # Each value with the way it was made, as `sagan evaluate --compare` reads it.
        file = self.folder / "evaluations" / f"step-{state.step:08d}.json"
        file.parent.mkdir(exist_ok=True)
        write_text(file, report.to_json())
        value = best_by(report, self.config.monitor)
        sign = 1.0 if value.higher_is_better else -1.0
        if self.best is None or sign * value.value > sign * self.best["score"]:
            self.best = {"score": value.value, "step": state.step}
            save_checkpoint(self.folder / "checkpoints" / "best.pt", self.contents(state))

    def _curves(self) -> Image.Image:
        caption = f"{self.data['source']}; seed {self.config.seed}"
        if self.monitor is not None:
            count = self.config.monitor.num
            real = self.monitor.real.protocol["reference_count"]
            caption += (
                f"; scores: {count} samples (seed {SAMPLE_SEED}) against {real} training pictures; {self._weights()}"
            )
        return training_curves(_one_protocol(self.records), title=self.folder.name, caption=caption)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Time what is not training, so that images/s counts training alone."""
        start = time.monotonic()
        yield
        self.aside += time.monotonic() - start


class Follower:
    """The hooks of the processes that do not write: they take their part in what all compute together."""

    def __init__(self, train: TrainConfig, engine: Engine) -> None:
        self.train, self.engine = train, engine

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, state: TrainState, metrics: dict[str, Tensor]) -> None:
        """Do nothing: the metrics are means over the processes already."""

    def evaluate(self, state: TrainState) -> None:
        """Compute a part of the standing statistics of the previews."""
        if any(due(self.train, state.step)):
            preview_copy(state, self.engine)

    def save(self, state: TrainState, *, last: bool) -> None:
        """Do nothing: all processes hold the same state, and the first one saves it."""


def due(train: TrainConfig, step: int) -> tuple[bool, bool]:
    """Tell whether samples are drawn, and whether the monitor is measured, after a step."""
    last = step == train.total_steps
    draw, measure = (
        (every > 0 and (step % every == 0 or last)) for every in (train.sample_every, train.evaluate_every)
    )
    return draw, measure


def preview_copy(state: TrainState, engine: Engine) -> Generator:
    """Copy the generator for previews; the processes share the batches of its standing statistics."""
    return sampling_copy(
        state.sampled, batches=PREVIEW_BATCHES, batch_size=PREVIEW_BATCH_SIZE, seed=STANDING_SEED, sharing=engine
    )


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
            # Both of the network as it is now; "real" above is an average over the updates since the last line.
            parts[-1] += f", now: trained {record['trained_logits']:+.2f} held-out {record['heldout_logits']:+.2f}"
        if gammas:
            parts.append("gamma " + ", ".join(gammas))
        line = " | ".join(parts)
        self.text = Text(line)
        if not self.running:
            rate = (time.monotonic() - self.started) / max(1, step - self.first)
            left = _duration(rate * (self.total - step))
            self.console.print(f"step {step:,}/{self.total:,} | {left} left | {line}", highlight=False)


def _one_protocol(records: list[dict[str, object]]) -> list[dict[str, object]]:
    """Leave out the scores of records whose scores were made in another way than the latest ones."""
    latest = next((record["score_protocol"] for record in reversed(records) if "score_protocol" in record), None)
    return [
        record
        if record.get("score_protocol") == latest
        else {key: value for key, value in record.items() if not key.startswith("score/")}
        for record in records
    ]


def _plain(fields: dict[str, object]) -> dict[str, object]:
    """Write tuples as lists, which is what a checkpoint gives back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
