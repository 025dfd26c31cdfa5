"""What a run leaves while it trains: the log, pictures, the monitor, checkpoints, and progress in the terminal."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

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

from sagan.data import Batches, ImageSet
from sagan.figures import sample_grid, save_image, timeline, training_curves
from sagan.generators.pretrained import (
    PREVIEW_BATCH_SIZE,
    PREVIEW_BATCHES,
    STANDING_SEED,
    TrainedGenerator,
    provenance,
    sampling_norm_of,
)
from sagan.machine import machine, versions
from sagan.metrics.config import MonitorConfig
from sagan.models.generator import Generator
from sagan.recipes.config import RunConfig, to_json
from sagan.runs.folder import truncate_log, write_text
from sagan.runs.monitor import SAMPLE_SEED, Monitor, best_by
from sagan.sampling import attention_gammas, generate, sample_latents, sampling_copy
from sagan.training.checkpoint import (
    checkpoint_path,
    checkpoints,
    go_back,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from sagan.training.config import TrainConfig
from sagan.training.engine import Engine
from sagan.training.health import REAL_PER_CLASS, Finding, RealPictures, Watch, largest_sigma, real_pictures, variety
from sagan.training.state import TrainState
from sagan.training.step import mean_logit

LOOK_BATCH = 256
REMEDY = "Lower learning rates usually help, or spectral normalisation on both networks"
GRID_CLASSES, GRID_COLUMNS, TIMELINE_COLUMNS = 10, 10, 10


class DivergedError(RuntimeError):
    """Training produced a number that is not finite, or collapsed in another way; a checkpoint from before is kept."""


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
        self.dataset, self.train_indices = dataset, train_indices
        self.real: RealPictures | None = None
        self.class_names = dataset.class_names
        # The name alone: checkpoints and weights travel, and the folders of this machine are nobody else's business.
        self.data = {
            "source": Path(dataset.source).name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset.labels),
        }
        self.watch = Watch(config.train)
        self._take_over(resumed or {}, state.step)
        self.timed = 0
        self._open_log(state.step)
        self.elapsed_before = max((float(str(record.get("elapsed_s", 0.0))) for record in self.records), default=0.0)
        self.started = self.interval_started = time.monotonic()
        self.aside = 0.0
        self.display = _Display(console, config.train.total_steps, state.step)

    def _take_over(self, resumed: dict[str, object], step: int) -> None:
        """Go on from what the checkpoint of ``step`` holds of the reporter."""
        # Sums of the metrics since the last line of the log; a checkpoint carries them, so the log resumes exactly too.
        self.sums: dict[str, Tensor] = {k: self.engine.tensor(v) for k, v in resumed.get("sums", {}).items()}  # type: ignore[attr-defined]
        self.count = int(resumed.get("count", 0))  # type: ignore[call-overload]
        # A best value of another metric says nothing of this one's.
        same = resumed.get("monitor", _plain(asdict(MonitorConfig()))) == _plain(asdict(self.config.monitor))
        self.best: dict[str, float] | None = resumed.get("best") if same else None  # type: ignore[assignment]
        self.watch.load_state_dict(resumed.get("health", {}))  # type: ignore[arg-type]
        # Of a checkpoint from before health was watched nothing bad is known.
        self.healthy_step: int = int(resumed.get("healthy_step", step))  # type: ignore[call-overload]

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
        with self._aside():
            sigmas = {"sigma/G": largest_sigma(state.G), "sigma/D": largest_sigma(state.D)}
        record |= sigmas
        record["elapsed_s"] = self.elapsed_before + time.monotonic() - self.started
        self.write(record)
        self.display.show(record)
        self.sums, self.count, self.timed = {}, 0, 0
        self.interval_started, self.aside = time.monotonic(), 0.0
        self._tell(self.watch.log_line(state.step, means, max(sigmas.values())))
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad and self.config.train.on_collapse != "rollback":
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
            if not self._is_finite(state):
                return
            if draw:
                self._draw(ready, state.step)
            if measure:
                self._measure(ready, state)

    def save(self, state: TrainState, *, last: bool) -> None:
        """Write a checkpoint where due; where a collapse was seen, go back to an earlier one or stop instead."""
        save_due = last or state.step % self.config.train.save_every == 0
        finite = not save_due or self._is_finite(state)
        if self.config.train.on_collapse != "warn" and looked_at(self.config.train, state.step, last):
            seen, before = ", ".join(self.watch.active), state.step
            to = self._way_back(state) if seen or not finite else None
            contents = go_back_together(state, self.engine, self.folder, to)
            if contents is not None:
                self._rolled_back(state, contents, before, seen)
                return
        if not save_due:
            return
        with self._aside():
            folder = self.folder / "checkpoints"
            if not checkpoint_path(folder, state.step).exists():
                if self.watch.healthy:
                    self.healthy_step = state.step
                save_checkpoint(checkpoint_path(folder, state.step), self.contents(state))
                prune_checkpoints(folder, self.config.train.keep_last, keep=checkpoint_path(folder, self.healthy_step))
            if self.records:
                save_image(self._curves(), self.folder / "curves.png")
            self._draw_timeline(state.step)

    # Health

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.console.print(str(finding), highlight=False)
            self.write(finding.record())

    def _is_finite(self, state: TrainState) -> bool:
        """Tell whether all weights are finite.

        Raises:
            DivergedError: If one is not and the run does not go back then.
        """
        if all(bool(torch.isfinite(p).all()) for network in (state.G, state.D) for p in network.parameters()):
            return True
        self._tell(self.watch.not_finite(state.step, "a weight", math.nan))
        if self.config.train.on_collapse != "rollback":
            raise DivergedError(
                f"training diverged by step {state.step}: a weight is not finite, so this state was not saved; earlier "
                f"checkpoints are kept. {REMEDY}"
            )
        return False

    def _way_back(self, state: TrainState) -> int:
        """Make the latest healthy checkpoint the latest one of all, and give its step.

        Raises:
            DivergedError: If the run is to stop instead, has gone back often enough, or has no healthy checkpoint left.
        """
        train, seen = self.config.train, ", ".join(self.watch.active)
        folder, before = self.folder / "checkpoints", state.step
        healthy = checkpoint_path(folder, self.healthy_step)
        kept = f"the latest healthy checkpoint is {healthy.name}: `sagan train --init-from` starts a new run from it"
        if train.on_collapse == "stop":
            raise DivergedError(f"stopped at step {before:,}: {seen}; {kept}")
        if state.rollbacks >= train.max_rollbacks:
            raise DivergedError(
                f"stopped at step {before:,}: {seen}, after {state.rollbacks} rollbacks (--train.max-rollbacks); "
                f"{kept}. {REMEDY}"
            )
        if not healthy.exists():
            raise DivergedError(f"stopped at step {before:,}: {seen}; {healthy} to go back to is gone")
        go_back(folder, self.healthy_step)
        return self.healthy_step

    def _rolled_back(self, state: TrainState, contents: dict[str, Any], before: int, seen: str) -> None:
        """Go on reporting from the checkpoint that the state went back to."""
        train = self.config.train
        self._take_over(contents["reporter"], state.step)
        self._cut_log(state)
        factor = train.rollback_lr_factor**state.rollbacks
        record: dict[str, object] = {"step": state.step, "health": "rolled back", "from_step": before, "because": seen}
        self.write(record | {"rollbacks": state.rollbacks, "lr_factor": factor})
        self.console.print(
            f"health: rolled back from step {before:,} to {state.step:,} ({state.rollbacks} of at most "
            f"{train.max_rollbacks}); on with other draws and {factor:g} times the learning rates",
            highlight=False,
        )

    def _cut_log(self, state: TrainState) -> None:
        """Take the lines of the steps that will be done again out of the log, into a file of their own."""
        self.log_file.close()
        self.board.close()
        cut = [record for record in self.records if int(str(record["step"])) > state.step]
        text = "".join(json.dumps(_finite(record)) + "\n" for record in cut)
        write_text(self.folder / f"rolled-back-{state.rollbacks}.jsonl", text)
        self._open_log(state.step)
        self.timed = 0
        self.display.restart(state.step)
        self.interval_started, self.aside = time.monotonic(), 0.0

    def _open_log(self, step: int) -> None:
        self.records = truncate_log(self.folder / "log.jsonl", step)
        self.log_file: TextIO = (self.folder / "log.jsonl").open("a", encoding="utf-8")
        self.board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    # What they are made of

    def contents(self, state: TrainState) -> dict[str, object]:
        """Give everything that goes into a checkpoint."""
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
                "healthy_step": self.healthy_step,
                "health": {"healthy": self.watch.healthy, **self.watch.state_dict()},
            },
            "versions": versions(),
            "machine": machine(self.engine.device, self.engine.process.world_size),
        }

    def write(self, record: dict[str, object]) -> None:
        """Append a line to the log and its numbers to TensorBoard."""
        self.records.append(record)
        self.log_file.write(json.dumps(_finite(record)) + "\n")
        self.log_file.flush()
        for key, value in record.items():
            if isinstance(value, float) and "health" not in record:
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
        found = variety(images, labels.numpy(), self._real(rows))
        if found:
            self.write({"step": step} | {f"variety/{kind}": value for kind, value in found.items()})
        self._tell(self.watch.look(step, found))

    def _real(self, rows: list[int]) -> RealPictures:
        """Measure, once, the training pictures of the classes that are drawn."""
        if self.real is None:
            labels = self.dataset.labels[self.train_indices]
            members = [self.train_indices[labels == k] if self.class_names else self.train_indices for k in {*rows}]
            chosen = np.concatenate([some[:REAL_PER_CLASS] for some in members])
            self.real = real_pictures(
                self.dataset.images[chosen], self.dataset.labels[chosen], len(rows) * GRID_COLUMNS // len({*rows})
            )
        return self.real

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
        norm = sampling_norm_of(self.config.generator, PREVIEW_BATCHES, PREVIEW_BATCH_SIZE)
        return f"{weights}; batch norm: {norm}"

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
        seen = [
            f"rolled back from step {record['from_step']:,} to {record['step']:,} ({record['because']})"
            if record["health"] == "rolled back"
            else f"{record['health']} at step {record['step']:,}"
            for record in self.records
            if "health" in record and not record.get("over")
        ]
        if seen:
            caption += f"; dashed: {', '.join(seen)}"
        return training_curves(_one_protocol(self.records), title=self.folder.name, caption=caption)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Time what is not training, so that images/s counts training alone."""
        start = time.monotonic()
        yield
        self.aside += time.monotonic() - start


class Follower:
    """The hooks of the processes that do not write: they take their part in what all compute together."""

    def __init__(self, train: TrainConfig, engine: Engine, folder: Path) -> None:
        self.train, self.engine, self.folder = train, engine, folder

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
        """Go back where the first process does; it saves the state, which is the same on all."""
        if self.train.on_collapse != "warn" and looked_at(self.train, state.step, last):
            go_back_together(state, self.engine, self.folder, None)


def due(train: TrainConfig, step: int) -> tuple[bool, bool]:
    """Tell whether samples are drawn, and whether the monitor is measured, after a step."""
    last = step == train.total_steps
    draw, measure = (
        (every > 0 and (step % every == 0 or last)) for every in (train.sample_every, train.evaluate_every)
    )
    return draw, measure


def looked_at(train: TrainConfig, step: int, last: bool) -> bool:
    """Tell whether a collapse may be seen after a step: a line of the log, samples or a checkpoint are due."""
    due_now = last or step == train.total_steps or step % train.log_every == 0 or step % train.save_every == 0
    return due_now or any(due(train, step))


def go_back_together(state: TrainState, engine: Engine, folder: Path, to: int | None) -> dict[str, Any] | None:
    """Load the checkpoint that the first process goes back to, if it does, into the state of every process, in place.

    Args:
        state: Changed if so.
        engine: Where the processes agree; all call this after the same steps.
        folder: The run folder.
        to: The step of that checkpoint on the first process; None on the others, and where it does not go back.

    Returns:
        What the checkpoint holds, or None.
    """
    agreed = engine.largest(0 if to is None else to + 1)
    if not agreed:
        return None
    contents = load_checkpoint(checkpoint_path(folder / "checkpoints", agreed - 1))
    state.load_state_dict(contents)
    return contents


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

    def restart(self, step: int) -> None:
        """Count the time left anew, from a step that the run went back to."""
        self.first, self.started = step, time.monotonic()
        self.bar.reset(self.task, completed=step)

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


def _finite(record: dict[str, object]) -> dict[str, object]:
    """Write numbers that are not finite as strings, which strict JSON has none of."""
    return {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in record.items()}


def _plain(fields: dict[str, object]) -> dict[str, object]:
    """Write tuples as lists, which is what a checkpoint gives back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
