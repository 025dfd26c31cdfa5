"""The checkpoints of a run: the latest ones, the latest healthy one, that to go back to, and the best one."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sagan.machine import machine, versions
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
    """

    may_fail = True

    def __init__(self, folder: Path, about: Mapping[str, object]) -> None:
        self.folder, self.about = folder, about
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
        if not record.went_back:
            set_aside_later(self.folder, record.step)
            return
        with suppress(FileNotFoundError, CheckpointError):
            if load_checkpoint(self.best)["step"] > record.step:
                if self.best_before.exists():
                    temporary = self.folder / f".{BEST}.tmp"
                    shutil.copyfile(self.best_before, temporary)
                    temporary.replace(self.best)
                else:
                    self.best.unlink()

    def on_step(self, record: Record) -> None:
        """Save the best samples' state apart."""
        if not record.best:
            return
        with record.aside():
            if record.config.on_collapse == "rollback" and self.best.exists() and not self.best_before.exists():
                self.best.replace(self.best_before)
            try:
                save_checkpoint(self.best, self._contents(record))
            except OSError:
                record.best_unsaved = record.step
                if self.best_before.exists() and not self.best.exists():
                    self.best_before.replace(self.best)
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
