"""Checkpoints: one file each, written so that a crash at any moment leaves the old ones whole.

A file of version 2 has a checksum over all that it holds; those of version 1 have none and are read as before.
"""

import os
import re
import zipfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from sagan.bombs import check_directory, check_torch_zip
from sagan.places import could_not_write
from sagan.reading import BytesError, check_version, whatever_happens
from sagan.regular import open_regular
from sagan.training.contents import FINITE, SCALARS, check_stored, checksum, not_finite, num_bytes
from sagan.whole import settle

FORMAT = "sagan checkpoint"
FORMAT_VERSION = 2
ABOUT_THE_FILE = ("format", "format_version", "checksum")
MOST_STEPS, MOST_ROLLBACKS = 2**32 - 1, 2**20
"""More than any run has; draws are numbered by both, with 64 bits."""
DAMAGED = ".damaged"
"""What the name of a checkpoint that cannot be used gets behind it, once its run goes on from an earlier one."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says why and what to do."""


def save_checkpoint(path: Path, contents: dict[str, object]) -> None:
    """Write a checkpoint: to a temporary file beside it, flushed to the disk, then renamed.

    Args:
        path: The file; an older one of the same name is replaced in one move.
        contents: Tensors, numbers, strings and containers of them only.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the temporary file is removed.
        TypeError: If there is something else in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    contents = {key: value for key, value in contents.items() if key not in ABOUT_THE_FILE}
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, "checksum": checksum(contents)}
    failed: list[OSError] = []
    try:
        with temporary.open("wb") as file:
            torch.save({**about, **contents}, _Noting(file, failed))  # type: ignore[arg-type]
        settle(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) or failed:
            raise could_not_write(path, failed[0] if failed else error, num_bytes(contents)) from error
        raise


class _Noting:
    """A stream that notes why it cannot be written to: torch's writer tells inner words of its own instead."""

    def __init__(self, file: IO[bytes], failed: list[OSError]) -> None:
        self.file, self.failed = file, failed

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.failed.append(error)
            raise

    def flush(self) -> None:
        self.file.flush()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU without executing anything that it holds (``weights_only``).

    Raises:
        FileNotFoundError: If there is no such file.
        PermissionError: If the file may not be read.
        CheckpointError: If the file is damaged (checksums included), is no checkpoint of ours, or has a newer format.
    """
    if path.is_dir():
        raise _unreadable(path)
    with whatever_happens(lambda _: _unreadable(path)):
        open_regular(path).close()
        check_directory(path)
        with zipfile.ZipFile(path) as archive:  # what torch.save writes; torch.load does not compare its checksums
            check_torch_zip(archive, path.stat().st_size)
            if archive.testzip() is not None:
                raise _unreadable(path)
        contents = torch.load(path, map_location="cpu", weights_only=True)
        check_stored(contents)
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no sagan checkpoint; give a run folder or a file from its checkpoints folder")
    try:
        version = check_version(contents.get("format_version"), FORMAT_VERSION, f"the checkpoint {path}")
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    said = contents.pop("checksum", None)
    if version > 1:
        rest = {key: value for key, value in contents.items() if key not in ABOUT_THE_FILE}
        with whatever_happens(lambda _: _unreadable(path)):
            if said != checksum(rest):
                raise _unreadable(path)
    return contents


def check_contents(contents: dict[str, Any], path: Path) -> None:
    """Check that a checkpoint that could be read is one to go on from, as far as that shows without its networks.

    Raises:
        CheckpointError: If something is missing, is of another kind, or is not finite.
    """
    with whatever_happens(
        lambda why: CheckpointError(f"{path} is whole but cannot be right: {why}; use an earlier one")
    ):
        _check_kinds(contents)


def _check_kinds(contents: dict[str, Any]) -> None:
    for key, most in (("step", MOST_STEPS), ("rollbacks", MOST_ROLLBACKS)):
        value = contents.get(key, 0 if key == "rollbacks" else None)
        _require(type(value) is int and 0 <= value <= most, f"its {key} is {value!r}"[:80])
    _require(isinstance(contents.get("config"), str), "it has no configuration")
    names = contents.get("class_names")
    _require(isinstance(names, list) and all(isinstance(name, str) for name in names), "it has no names of classes")
    _require(_is_network(contents.get("G")), "it has no generator")
    _require(_is_network(contents.get("D")), "it has no discriminator")
    _require("ema" in contents and (contents["ema"] is None or _is_network(contents["ema"])), "its average is none")
    seen = contents.get("d_features")
    _require(seen is None or isinstance(seen, str), f"its d_features is {seen!r}"[:80])
    if "optimizer_g" in contents or "optimizer_d" in contents:  # imported networks have neither
        _check_training(contents)
    found = not_finite({key: contents.get(key) for key in FINITE})
    _require(found is None, f"{found} is not finite")


def _check_training(contents: dict[str, Any]) -> None:
    for key in ("optimizer_g", "optimizer_d"):
        optimizer = contents.get(key)
        optimizer = optimizer if isinstance(optimizer, dict) else {}
        whole = isinstance(optimizer.get("state"), dict) and isinstance(optimizer.get("param_groups"), list)
        _require(whole, f"it has no {key}")
        _require(bool(optimizer["state"]) or not contents["step"], f"the state of its {key} is empty")
    for key in ("versions", "machine"):
        said = contents.get(key, {})
        plain = isinstance(said, dict) and all(type(one) in SCALARS for pair in said.items() for one in pair)
        _require(plain, f"its {key} is none")
    states = contents.get("hooks", {})
    whole = isinstance(states, dict) and all(isinstance(state, dict) for state in states.values())
    _require(whole, "the states of its hooks are none")


def _require(fine: bool, otherwise: str) -> None:
    if not fine:
        raise BytesError(otherwise)


def _is_network(value: object) -> bool:
    named = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    return named and bool(value) and all(isinstance(item, Tensor) for item in value.values())  # type: ignore[attr-defined]


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


def prune_checkpoints(
    folder: Path, keep_last: int, keep: Path | Collection[Path] | None = None, good: Collection[Path] | None = None
) -> None:
    """Remove numbered checkpoints but the latest ones and ``keep``, and leftovers of interrupted writes.

    Args:
        folder: Where they lie.
        keep_last: So many of the latest good ones stay, and all that are later than those.
        keep: Another one that stays, or several.
        good: Those that are known to be whole, written or read by this process; unset trusts all.
    """
    found = checkpoints(folder)
    trusted = [path for path in found if good is None or path in good]
    earlier = found[: found.index(trusted[-keep_last])] if len(trusted) >= keep_last else []
    kept = (keep,) if isinstance(keep, Path) else keep or ()
    for path in earlier:
        if path not in kept:
            path.unlink()
    for path in folder.glob(".*.tmp"):
        path.unlink()


def set_aside_later(folder: Path, step: int) -> None:
    """Take the checkpoints of later steps, which could not be used, out of the way: they get another name."""
    for path in checkpoints(folder):
        if int(path.stem.split("-")[1]) > step:
            path.replace(path.with_name(path.name + DAMAGED))


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
