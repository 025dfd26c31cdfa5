"""Checkpoints: one file each, written so that a crash at any moment leaves the old ones whole."""

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT = "sagan checkpoint"
FORMAT_VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


def save_checkpoint(path: Path, contents: dict[str, object]) -> None:
    """Write a checkpoint: to a temporary file beside it, flushed to the disk, then renamed.

    Args:
        path: The file; an older one of the same name is replaced in one move.
        contents: Tensors, numbers, strings and containers of them only.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, "format_version": FORMAT_VERSION, **contents}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # torch reports a failed write as a RuntimeError of its zip writer.
        if isinstance(error, RuntimeError):
            raise OSError(f"could not write {path}: {error}; is the disk full?") from error
        raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU without executing anything that it holds (``weights_only``).

    Raises:
        FileNotFoundError: If there is no such file.
        PermissionError: If the file may not be read.
        CheckpointError: If the file is damaged (checksums included), is no checkpoint of ours, or has a newer format.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # what torch.save writes; torch.load does not compare its checksums
            damaged = archive.testzip()
        contents = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # foreign bytes make both readers fail in nearly any way
        raise _unreadable(path) from error
    if damaged:
        raise _unreadable(path)
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no sagan checkpoint; give a run folder or a file from its checkpoints folder")
    version = contents.get("format_version")
    if version not in range(1, FORMAT_VERSION + 1):
        raise CheckpointError(
            f"{path} has checkpoint format {version}, this version reads up to {FORMAT_VERSION}; update sagan-torch"
        )
    return contents


def _unreadable(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read as a checkpoint (damaged, truncated, or of another program); use an earlier one"
    )


def checkpoint_path(folder: Path, step: int) -> Path:
    """Name the checkpoint of a step."""
    return folder / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """List the numbered checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("step-*.pt") if re.fullmatch(r"step-\d+\.pt", path.name)]
    return sorted(found, key=lambda path: int(path.stem.split("-")[1]))


def prune_checkpoints(folder: Path, keep_last: int, keep: Path | None = None) -> None:
    """Remove numbered checkpoints but the latest ``keep_last`` and ``keep``, and leftovers of interrupted writes."""
    for path in checkpoints(folder)[:-keep_last]:
        if path != keep:
            path.unlink()
    for path in folder.glob(".*.tmp"):
        path.unlink()


def go_back(folder: Path, step: int) -> None:
    """Make the checkpoint of a step the latest one again and count the rollback in it.

    Later ones go first, so that whoever resumes after a crash in between finds this one, and collapses and goes back as
    before.

    Raises:
        FileNotFoundError: If there is no such checkpoint; then nothing is changed.
        CheckpointError: If it cannot be used; likewise.
    """
    path = checkpoint_path(folder, step)
    contents = load_checkpoint(path)
    found = checkpoints(folder)
    for later in reversed(found[found.index(path) + 1 :]):
        later.unlink()
    save_checkpoint(path, contents | {"rollbacks": int(contents.get("rollbacks", 0)) + 1})
