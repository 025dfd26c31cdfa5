"""A checkpoint of a run, read back: what it was trained with, and what it holds."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sagan.recipes.config import RunConfig, from_json
from sagan.training.checkpoint import CheckpointError, checkpoints, load_checkpoint


class Snapshot(NamedTuple):
    """A checkpoint read back."""

    path: Path
    config: RunConfig
    class_names: tuple[str, ...]
    contents: dict[str, object]
    """What :func:`sagan.training.checkpoint.load_checkpoint` gave."""


def read_snapshot(path: str | Path, warn: Callable[[str], None] | None = None) -> Snapshot:
    """Read the latest checkpoint of a run folder, or a checkpoint file.

    Args:
        path: A run folder or a checkpoint file.
        warn: If given, a run folder's damaged checkpoint is told to it and the one before is read.

    Raises:
        FileNotFoundError: If there is no such run, or it has no checkpoint yet.
        CheckpointError: If the file cannot be used.
    """
    found = stored(path)
    while warn is not None and len(found) > 1:
        try:
            return _snapshot(found[-1])
        except CheckpointError as error:
            warn(f"{error}; going back to the one before")
            found.pop()
    return _snapshot(found[-1])


def stored(path: str | Path) -> list[Path]:
    """List the checkpoints of a run folder, the latest last; a file stands for itself, whatever it holds.

    Raises:
        FileNotFoundError: If there is no such run or file, or the run has no checkpoint yet.
    """
    path = Path(path)
    if path.is_dir():
        found = checkpoints(path / "checkpoints")
        if not found:
            raise FileNotFoundError(
                f"{path} has no checkpoint (expected {path / 'checkpoints'}/step-*.pt): is it a run folder, "
                "and has it saved once?"
            )
        return found
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such run folder, checkpoint or weights file")
    return [path]


def _snapshot(path: Path) -> Snapshot:
    contents = load_checkpoint(path)
    return Snapshot(path, from_json(contents["config"]), tuple(contents["class_names"]), contents)
