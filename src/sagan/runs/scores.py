"""The monitor's values in a run: measured where due, written with their protocols, the best one remembered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from sagan.generators.pretrained import PREVIEW_BATCH_SIZE, PREVIEW_BATCHES, TrainedGenerator, provenance
from sagan.metrics.config import MonitorConfig
from sagan.metrics.report import Report
from sagan.models.generator import Generator
from sagan.recipes.config import RunConfig
from sagan.runs.due import measures
from sagan.runs.folder import take_back, write_text
from sagan.runs.monitor import Monitor, best_before, best_by
from sagan.training.hooks import Hook, Record, State


class Scores(Hook):
    """Measures samples where that is due, and says when they are the best so far.

    Args:
        config: The run.
        folder: The run's folder ``evaluations``.
        monitor: What measures.
        class_names: The classes of the generator.
    """

    may_fail = True

    def __init__(self, config: RunConfig, folder: Path, monitor: Monitor, class_names: tuple[str, ...]) -> None:
        self.config, self.folder, self.monitor, self.class_names = config, folder, monitor, class_names
        self.best: dict[str, float] | None = None
        self.best_before: dict[str, float] | None = None
        """The best value before that one."""

    def on_start(self, record: Record) -> None:
        """Remove the values of steps that will be done again."""
        take_back(self.folder, record.step)

    def on_step(self, record: Record) -> None:
        """Measure if it is due."""
        self._forget_unsaved(record)
        if record.sampler is None or not measures(self.config.train, record.step):
            return
        with record.aside():
            report = self._measure(record.sampler, record.step, record.state.d_features)
            # Values that were made in other ways, as after a resumed run changed its monitor, do not share a curve.
            made = hashlib.sha256(json.dumps([value.protocol for value in report.values]).encode()).hexdigest()[:12]
            scores = {f"score/{value.metric}{mark(value.protocol)}": value.value for value in report.values}
            record.add({"step": record.step, "score_protocol": made} | scores)
            record.best = self._is_best(report, record.step)
            # Each value with the way it was made, as `sagan evaluate --compare` reads it.
            self.folder.mkdir(exist_ok=True)
            write_text(self.folder / f"step-{record.step:08d}.json", report.to_json())

    def on_save(self, record: Record) -> None:
        """Forget a best value whose checkpoint is not there."""
        self._forget_unsaved(record)

    def state_dict(self) -> dict[str, object]:
        """Give the best value, its step, and what it is a value of."""
        monitor = self.config.monitor
        return {"best": self.best, "best_by": monitor.metrics[0], "monitor": plain(monitor)}

    def load_state_dict(self, state: State) -> None:
        """Take over the best value; one of another metric says nothing of this one's."""
        monitor = self.config.monitor
        same = state.get("monitor", plain(MonitorConfig())) == plain(monitor)
        same = same and state.get("best_by", best_before(monitor)) == monitor.metrics[0]
        self.best = state.get("best") if same else None  # type: ignore[assignment]

    def _forget_unsaved(self, record: Record) -> None:
        """Take the best value before back where the checkpoint of the best one could not be written."""
        if self.best is not None and self.best["step"] == record.best_unsaved:
            self.best = self.best_before
        record.best_unsaved = None

    def _measure(self, sampler: Generator, step: int, d_features: str | None) -> Report:
        origin = provenance(self.config, {"step": step, "d_features": d_features}, PREVIEW_BATCHES, PREVIEW_BATCH_SIZE)
        return self.monitor.measure(TrainedGenerator(sampler, self.class_names, origin))

    def _is_best(self, report: Report, step: int) -> bool:
        value = best_by(report, self.config.monitor)
        sign = 1.0 if value.higher_is_better else -1.0
        if self.best is not None and sign * value.value <= sign * self.best["score"]:
            return False
        self.best_before, self.best = self.best, {"score": value.value, "step": step}
        return True


def mark(protocol: Mapping[str, object]) -> str:
    """Name, behind a value's name in log and curves, what makes it no evidence; "" if nothing does."""
    return " by D's own network" if protocol.get("network_in_training") else ""


def plain(config: MonitorConfig) -> dict[str, object]:
    """Write what is measured as a checkpoint gives it back: with lists for tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
