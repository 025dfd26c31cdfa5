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
        """What of the last line, or of an update, says that nothing good can follow."""

    def on_start(self, record: Record) -> None:
        """Say what is known of the checkpoint that training goes on from."""
        self.lost, record.finite = None, True
        self._leave(record)

    def on_line(self, record: Record, line: Line) -> None:
        """Judge the means of a line of the log, or how varied samples are."""
        step = int(str(line["step"]))
        if line.keys() >= {"sigma/G", "sigma/D", *record.metrics} and record.metrics:
            means = {key: float(str(line[key])) for key in record.metrics}
            sigma = max(float(str(line["sigma/G"])), float(str(line["sigma/D"])))
            self._tell(record, self.watch.log_line(step, means, sigma))
            self.lost = lost(means)
        if found := under("variety/", line):
            self._tell(record, self.watch.look(step, found))
        if found := under("overfitting/", line):
            self._tell(record, self.watch.fit(step, found))

    def on_step(self, record: Record) -> None:
        """End the run if a gradient or a mean is not finite, or a mean beyond all bounds.

        Weights are looked at before samples are drawn. Gradients are looked at after each step on a processor, and
        with the lines of the log elsewhere, as looking waits for the device.

        Raises:
            DivergedError: If so, or a weight is not finite, and the run does not go back then.
        """
        if self.lost is None and (record.engine.device.type == "cpu" or logs(self.train, record.step)):
            self._check_updates(record)
        self._end_if_lost(record)
        if draws(self.train, record.step) or measures(self.train, record.step):
            self._check_weights(record)

    def on_save(self, record: Record) -> None:
        """Look at the weights before they are saved, and whether all updates were done."""
        self._check_weights(record)
        self._check_updates(record)
        self._end_if_lost(record)

    def state_dict(self) -> dict[str, object]:
        """Give what is known of the run's health."""
        return {"healthy": self.watch.healthy, **self.watch.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Take that over; of a checkpoint from before health was watched nothing bad is known."""
        self.watch.load_state_dict(state)

    def _check_updates(self, record: Record) -> None:
        where = record.state.refused_by()
        if where is not None:
            self._tell(record, self.watch.not_finite(record.step, f"a gradient ({where})", math.nan))
            self.lost = f"a gradient is not finite ({where}), and the update was not done"

    def _end_if_lost(self, record: Record) -> None:
        if self.lost is not None and self.train.on_collapse != "rollback":
            last = checkpoints(self.folder)
            raise DivergedError(
                f"training diverged by step {record.step}: {self.lost}; the last checkpoint, "
                f"{last[-1].name if last else 'none yet'}, is from before. {REMEDY}"
            )

    def _check_weights(self, record: Record) -> None:
        broken = record.state.not_finite()
        record.finite = broken is None
        if broken is None:
            return
        self._tell(record, self.watch.not_finite(record.step, "a weight", math.nan))
        if self.train.on_collapse != "rollback":
            raise DivergedError(
                f"training diverged by step {record.step}: a weight is not finite ({broken}), so this state was not "
                f"saved; earlier checkpoints are kept. {REMEDY}"
            )

    def _tell(self, record: Record, findings: list[Finding]) -> None:
        for finding in findings:
            if finding.name in NO_CURE_BACK and not finding.over:
                finding = replace(finding, helps=f"{self._when_to_stop(record)}; for another run {finding.helps}")
            self.console.print(str(finding), highlight=False)
            record.add(finding.record())
        self._leave(record)

    def _when_to_stop(self, record: Record) -> str:
        step = record.healthy_step
        if not step:
            return "stop here (no checkpoint is from before it: --train.save-every)"
        return f"stop here, and take {checkpoint_path(self.folder, step).name}, the latest checkpoint from before it"

    def _leave(self, record: Record) -> None:
        record.symptoms, record.healthy = tuple(self.watch.active), self.watch.healthy


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
