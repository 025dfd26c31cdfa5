"""The checkpoints of a run: the latest ones, the latest healthy one, that to go back to, and the best one."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from sagan.machine import machine, versions
from sagan.runs.folder import copied
from sagan.training.checkpoint import (
    CheckpointError,
    checkpoint_path,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
    set_aside_later,
)
from sagan.training.hooks import Hook, Record

BEST = "best.pt"
# The best one from before the checkpoint that a rollback goes to, while there is a later best one.
BEST_BEFORE = ".best-before.pt"


class Checkpoints(Hook):
    """Writes checkpoints, and removes those that are no longer needed.

    One that cannot be written is left out where an earlier one is there.

    Args:
        folder: Where they lie.
        about: What each of them holds besides the training state and the states of hooks.
        console: Where to tell what became of a best checkpoint.
    """

    may_fail = True

    def __init__(self, folder: Path, about: Mapping[str, object], console: Console | None = None) -> None:
        self.folder, self.about, self.console = folder, about, console or Console(quiet=True)
        self.best, self.best_before = folder / BEST, folder / BEST_BEFORE
        self.good: set[Path] = set()
        """Those that this process wrote, or went on from."""

    def on_start(self, record: Record) -> None:
        """After a rollback, take back a best checkpoint of the abandoned branch: the one before it is the best then.

        A run that is resumed does the same steps again, which is no other branch, so that its best checkpoint stays.
        Later checkpoints than the one that it goes on from could not be used, and are set aside.
        """
        if record.saved == record.step:
            record.saved_in = checkpoint_path(self.folder, record.step)
            self.good.add(record.saved_in)
        if not self.best.exists() and self.best_before.exists():  # versions of before moved it, and were killed then
            linked(self.best_before, self.best)
        if not record.went_back:
            set_aside_later(self.folder, record.step)
        if not record.went_back and not record.state.rollbacks:
            return
        with suppress(FileNotFoundError, CheckpointError):
            best = load_checkpoint(self.best)
            # A run that was killed while it went back comes here by resuming, with fewer rollbacks in its best one.
            left = record.went_back or best.get("rollbacks", 0) < record.state.rollbacks
            if left and best["step"] > record.step:
                take_best_back(self.best, self.best_before, record, self.console)

    def on_step(self, record: Record) -> None:
        """Save the best samples' state apart."""
        if not record.best:
            return
        with record.aside():
            if record.config.on_collapse == "rollback" and self.best.exists() and not self.best_before.exists():
                linked(self.best, self.best_before)
            try:
                save_checkpoint(self.best, self._contents(record))
            except OSError:
                record.best_unsaved = record.step
                raise

    def on_save(self, record: Record) -> None:
        """Save, and prune; why it cannot be saved is left in ``record.save_error``."""
        with record.aside():
            path = checkpoint_path(self.folder, record.step)
            try:
                save_checkpoint(path, self._contents(record))
            except OSError as error:
                record.save_error = error
                return
            self.good.add(path)
            record.saved_in = path
            steps = [record.healthy_step, *([record.back_step] if record.config.on_collapse == "rollback" else [])]
            keep = [checkpoint_path(self.folder, step) for step in steps]
            prune_checkpoints(self.folder, record.config.kept, keep, self.good)
            if record.sound:
                self.best_before.unlink(missing_ok=True)

    def _contents(self, record: Record) -> dict[str, object]:
        return {
            **record.state.state_dict(),
            **self.about,
            "hooks": record.states(),
            "versions": versions(),
            "machine": machine(record.engine.device, record.engine.process.world_size),
        }


def take_best_back(best: Path, before: Path, record: Record, console: Console) -> None:
    """Put the best checkpoint of before in place of that of an abandoned branch, or give that another name.

    Args:
        best: That of the abandoned branch.
        before: The one from before; it need not be there.
        record: Of the run that went back.
        console: Where to tell of the other name.
    """
    if before.exists():
        copied(before, best)
        return
    kept = best.with_name(f"best-rolled-back-{record.state.rollbacks}.pt")
    best.replace(kept)
    console.print(
        f"note: {best} is from after step {record.step:,}, and no best one from before was kept: it is {kept.name} now",
        highlight=False,
    )


def linked(path: Path, other: Path) -> None:
    """Give a file another name as well; where the disk has no two names for a file, it is copied.

    Raises:
        OSError: If it cannot be copied either.
    """
    try:
        os.link(path, other)
    except OSError:
        copied(path, other)
