"""The way back after a collapse: to the latest checkpoint from before it, or the end of the run."""

from pathlib import Path
from typing import Any

from rich.console import Console

from sagan.runs.due import draws, logs, measures
from sagan.runs.log import ROLLED_BACK
from sagan.runs.states import states_of
from sagan.training.checkpoint import checkpoint_path, go_back, load_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.health import NO_CURE_BACK, REMEDY, DivergedError
from sagan.training.hooks import Hook, Record, State


class Rollback(Hook):
    """Takes the run back where the watch sees a collapse, and remembers the latest healthy checkpoint.

    It goes back to the latest sound one, which is later where only over-fitting or copies were seen since.

    It runs on all processes: process 0 decides, and all go back together.

    Args:
        train: The recipe.
        folder: The folder of the checkpoints.
        console: Where to tell.
    """

    def __init__(self, train: TrainConfig, folder: Path, console: Console) -> None:
        self.train, self.folder, self.console = train, folder, console
        self.healthy_step = self.healthy_before = 0
        self.back_step = self.back_before = 0

    def on_start(self, record: Record) -> None:
        """Say which checkpoint is the latest healthy one, and which one a rollback goes to."""
        record.healthy_step, record.back_step = self.healthy_step, self.back_step

    def on_step(self, record: Record) -> None:
        """Go back if a collapse was seen; it is seen in a line of the log, or in samples."""
        if any(due(self.train, record.step) for due in (logs, draws, measures)):
            self._go_back_if_collapsed(record)

    def on_save(self, record: Record) -> None:
        """Go back, if need be, instead of saving; otherwise remember a healthy checkpoint."""
        self._forget_unsaved(record)
        self._go_back_if_collapsed(record)
        if record.healthy and not record.went_back:
            self.healthy_before = self.healthy_step
            record.healthy_step = self.healthy_step = record.step
        if record.sound and not record.went_back:
            self.back_before = self.back_step
            record.back_step = self.back_step = record.step

    def state_dict(self) -> dict[str, object]:
        """Give the steps of the latest healthy checkpoint and of the one that a rollback goes to."""
        return {"healthy_step": self.healthy_step, "back_step": self.back_step}

    def load_state_dict(self, state: State) -> None:
        """Take that over; a checkpoint of before has one step for both."""
        self.healthy_step = int(state["healthy_step"])  # type: ignore[call-overload]
        self.back_step = int(state.get("back_step", self.healthy_step))  # type: ignore[call-overload]

    def _go_back_if_collapsed(self, record: Record) -> None:
        if self.train.on_collapse == "warn":
            return
        self._forget_unsaved(record)
        # What other draws and lower rates do not cure ends a run that is to stop, and lets another go on.
        cured = [name for name in record.symptoms if name not in NO_CURE_BACK or self.train.on_collapse == "stop"]
        before, seen = record.step, ", ".join(cured)
        to = _way_back(record, self.folder, seen) if seen else None
        # The step of that checkpoint, and 1, so that 0 says that process 0 does not go back.
        agreed = record.engine.largest(0 if to is None else to + 1)
        if agreed:
            contents = load_checkpoint(checkpoint_path(self.folder, agreed - 1))
            record.go_back(contents, states_of(contents))
            if record.engine.writes:
                line = rolled_back(record, before, seen)
                record.add(line)
                self.console.print(sentence(line, self.train.max_rollbacks), highlight=False)

    def _forget_unsaved(self, record: Record) -> None:
        if record.unsaved is not None and record.unsaved == self.healthy_step:
            record.healthy_step = self.healthy_step = self.healthy_before
        if record.unsaved is not None and record.unsaved == self.back_step:
            record.back_step = self.back_step = self.back_before


def _way_back(record: Record, folder: Path, seen: str) -> int:
    """Make the checkpoint to go back to the latest one of all, and give its step.

    Raises:
        DivergedError: If the run is to stop instead, has gone back often enough, or has no such checkpoint left.
    """
    train, healthy = record.config, checkpoint_path(folder, record.healthy_step)
    stopped = f"stopped at step {record.step:,}: {seen}"
    kept = f"the latest healthy checkpoint is {healthy.name}: `sagan train --init-from` starts a new run from it"
    if train.on_collapse == "stop":
        raise DivergedError(f"{stopped}; {kept}")
    if record.state.rollbacks >= train.max_rollbacks:
        raise DivergedError(
            f"{stopped}, after {record.state.rollbacks} rollbacks (--train.max-rollbacks); {kept}. {REMEDY}"
        )
    # A run that was not to go back when it was saved may have kept the healthy one alone.
    step = record.back_step if checkpoint_path(folder, record.back_step).exists() else record.healthy_step
    _check_whole(record, checkpoint_path(folder, step), stopped)
    go_back(folder, step)
    return step


def _check_whole(record: Record, path: Path, stopped: str) -> None:
    if not path.exists():
        raise DivergedError(f"{stopped}; {path} to go back to is gone")
    why = record.state.misfit(load_checkpoint(path))
    if why is not None:
        raise DivergedError(f"{stopped}; {path} to go back to does not fit the networks of the run: {why}")


def rolled_back(record: Record, before: int, seen: str) -> dict[str, Any]:
    """Give the line for the log of a run that went back."""
    rollbacks, config = record.state.rollbacks, record.config
    line: dict[str, Any] = {"step": record.step, "health": ROLLED_BACK, "from_step": before, "because": seen}
    return line | {"rollbacks": rollbacks, "lr_factor": config.rollback_lr_factor**rollbacks}


def sentence(line: dict[str, Any], at_most: int) -> str:
    """Say it for people."""
    return (
        f"health: rolled back from step {line['from_step']:,} to {line['step']:,} ({line['rollbacks']} of at most "
        f"{at_most}); on with other draws and {line['lr_factor']:g} times the learning rates"
    )
