"""The watch over a run's health: it says what is wrong, and ends a run whose numbers are no longer finite."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from sagan.runs.due import draws, logs, measures
from sagan.training.checkpoint import checkpoint_path, checkpoints
from sagan.training.config import TrainConfig
from sagan.training.health import (
    JUDGED,
    NO_CURE_BACK,
    RAN_AWAY_LIMIT,
    REMEDY,
    DivergedError,
    Finding,
    Watch,
)
from sagan.training.hooks import Hook, Line, Record, State


class Watcher(Hook):
    """Feeds :class:`~sagan.training.health.Watch` with lines of the log, and tells what it finds.

    Args:
        train: The recipe.
        folder: The folder of the checkpoints.
        console: Where to tell.
    """

    def __init__(self, train: TrainConfig, folder: Path, console: Console) -> None:
        self.train, self.folder, self.console = train, folder, console
        self.watch = Watch(train)
        self.lost: str | None = None
        """What of the last line says that nothing good can follow."""

    def on_start(self, record: Record) -> None:
        """Say what is known of the checkpoint that training goes on from."""
        self.lost, record.finite = None, True
        self._leave(record)

    def on_line(self, record: Record, line: Line) -> None:
        """Judge the means of a line of the log, or how varied samples are and how near to training pictures."""
        step = int(str(line["step"]))
        if line.keys() >= {"sigma/G", "sigma/D", *record.metrics} and record.metrics:
            means = {key: float(str(line[key])) for key in record.metrics}
            self._tell(record, self.watch.log_line(step, means, max(under("sigma/", line).values())))
            self.lost = lost(means)
        for prefix, judge in (("variety/", self.watch.look), ("overfitting/", self.watch.fit)):
            if found := under(prefix, line):
                self._tell(record, judge(step, found))

    def on_step(self, record: Record) -> None:
        """Look at gradients (where that waits for a GPU, with the lines of the log), and at weights before samples.

        Raises:
            DivergedError: If one is not finite, or a mean is or is beyond all bounds, and the run does not go back.
        """
        self._end_if(self.lost, record)
        if record.engine.device.type == "cpu" or logs(self.train, record.step):
            self._check_updates(record)
        if draws(self.train, record.step) or measures(self.train, record.step):
            self._check_weights(record)

    def on_save(self, record: Record) -> None:
        """Look at the weights before they are saved, and whether all updates were done."""
        self._check_weights(record)
        self._check_updates(record)

    def state_dict(self) -> dict[str, object]:
        """Give what is known of the run's health."""
        return {"healthy": self.watch.healthy, **self.watch.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Take that over; of a checkpoint from before health was watched nothing bad is known."""
        self.watch.load_state_dict(state)

    def _check_updates(self, record: Record) -> None:
        if where := record.state.refused_by():
            self._tell(record, self.watch.not_finite(record.step, f"a gradient ({where})", math.nan))
            self._end_if(f"a gradient is not finite ({where}), and the update was not done", record)

    def _check_weights(self, record: Record) -> None:
        if broken := record.state.not_finite():
            self._tell(record, self.watch.not_finite(record.step, "a weight", math.nan))
            record.finite = False
            self._end_if(f"a weight is not finite ({broken}), so this state was not saved", record)

    def _end_if(self, lost: str | None, record: Record) -> None:
        if lost is not None and self.train.on_collapse != "rollback":
            raise DivergedError(f"training diverged by step {record.step}: {lost}; {before(self.folder)}. {REMEDY}")

    def _tell(self, record: Record, findings: list[Finding]) -> None:
        for finding in findings:
            finding = with_advice(finding, self.folder, record)
            self.console.print(str(finding), highlight=False)
            record.add(finding.record())
        self._leave(record)

    def _leave(self, record: Record) -> None:
        record.symptoms, record.healthy, record.sound = tuple(self.watch.active), self.watch.healthy, self.watch.sound


def before(folder: Path) -> str:
    """Say which checkpoint is from before what ends a run."""
    last = checkpoints(folder)
    return f"the last checkpoint, {last[-1].name if last else 'none yet'}, is from before"


def with_advice(finding: Finding, folder: Path, record: Record) -> Finding:
    """Add which checkpoint to take, where going on does not help."""
    if finding.name not in NO_CURE_BACK or finding.over:
        return finding
    stop, step = "stop here (no checkpoint is from before it: --train.save-every)", record.healthy_step
    if step:
        stop = f"stop here, and take {checkpoint_path(folder, step).name}, the latest checkpoint from before it"
    return replace(finding, helps=f"{stop}; for another run {finding.helps}")


def under(prefix: str, line: Line) -> dict[str, float]:
    """Give the numbers of a line whose names begin so, by what follows."""
    return {key.removeprefix(prefix): float(str(value)) for key, value in line.items() if key.startswith(prefix)}


def lost(means: Mapping[str, float]) -> str | None:
    """Say which mean is one that no run comes back from; None if there is none."""
    for name, value in means.items():
        if not math.isfinite(value):
            return f"{name} is not finite"
        if name in JUDGED and abs(value) > RAN_AWAY_LIMIT:
            return f"{name} is {value:.3g}, and no run comes back from beyond {RAN_AWAY_LIMIT:,.0f}"
    return None
