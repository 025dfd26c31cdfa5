"""A run's folder: its name, its lock, its configuration, its log, the room that it needs, and what made it."""

import json
import os
import platform
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console

from sagan.data import ImageSet
from sagan.machine import machine, versions
from sagan.recipes.config import RunConfig, differences, from_json, merged
from sagan.training.engine import Engine
from sagan.training.state import TrainState

# Fields of the configuration that a resumed run may change. Those of `train` leave every computed number as it would
# have been; those of `data` say where the pictures are now, and their content is compared; the rest follows the data.
RESUMABLE = {
    "train.total_steps",
    "train.log_every",
    "train.sample_every",
    "train.evaluate_every",
    "train.save_every",
    "train.keep_last",
    "train.on_collapse",
    "train.max_rollbacks",
    "monitor.features",
    "monitor.metrics",
    "monitor.num",
    "monitor.real",
    "monitor.feature_weights",
    "data.path",
    "data.cache_dir",
    "data.class_names",
    "data.skip_unreadable",
    "data.keep",
    "generator.num_classes",
    "discriminator.num_classes",
}
LOCK = ".lock"
# The byte that is locked where locks are on bytes: far behind the text that says who holds it, which stays readable.
LOCK_BYTE = 1 << 20


class RunError(ValueError):
    """A run that cannot start or go on; the message says why and what to do."""


def next_folder(stem: str) -> Path:
    """Name a new run folder: runs/<stem>-<number>."""
    number = 1
    while (folder := Path("runs") / f"{stem}-{number:03d}").exists():
        number += 1
    return folder


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds a run or anything else.

    Raises:
        RunError: If it does.
    """
    if (folder / "config.json").exists():
        raise RunError(
            f"{folder} holds a run already; go on with `sagan train --resume {quoted(folder)}`, or choose another --out"
        )
    if any(path.name != LOCK for path in folder.iterdir()):
        raise RunError(f"{folder} exists and is not empty; choose another --out")


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; the operating system lets go of it when the process ends, however it ends.

    Raises:
        RunError: If another process holds it.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            raise RunError(
                f"{folder} is in use by another training process ({file.read().strip() or 'unknown'}); "
                "wait for it, stop it, or choose another --out"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        os.lseek(file.fileno(), LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def stored_config(folder: Path, checkpointed: RunConfig | None = None) -> RunConfig:
    """Give the configuration to resume with.

    That is the checkpoint's, with the resumable fields of ``config.json``, where the latest wishes stand.

    Args:
        folder: The run folder.
        checkpointed: The configuration in the checkpoint; unset takes ``config.json`` alone.

    Raises:
        RunError: If there is no run.
        ValueError: If ``config.json`` was edited into something that cannot be read.
    """
    path = folder / "config.json"
    if not path.is_file():
        if checkpointed is not None:
            return checkpointed
        raise RunError(f"{folder}: no run to resume there (it has no config.json)")
    written = from_json(path.read_text(encoding="utf-8"))
    if checkpointed is None:
        return written
    return merged(checkpointed, written, RESUMABLE)


def resumed_config(old: RunConfig, new: RunConfig | None) -> RunConfig:
    """Give the configuration to go on with.

    Raises:
        RunError: If a field differs that would change the run; each is named.
    """
    if new is None:
        return old
    changed = [name for name in differences(old, new) if name not in RESUMABLE]
    if new.train.lr_decay_start is not None and old.train.total_steps != new.train.total_steps:
        changed.append("train.total_steps (the learning rates fall towards it)")
    if changed:
        raise RunError(
            f"a run keeps its configuration, but {', '.join(changed)} {'differs' if len(changed) == 1 else 'differ'}: "
            "only --steps and cadences can change. To go on with other settings start a new run with --init-from"
        )
    return new


def check_same_data(saved: object, dataset: ImageSet, folder: Path) -> None:
    """Check by content that the pictures are those that the run was saved with.

    Raises:
        RunError: If they are not.
    """
    if isinstance(saved, dict) and saved["fingerprint"] != dataset.fingerprint:
        raise RunError(
            f"the pictures changed since {folder} was saved ({saved['images']:,} images then, {len(dataset.labels):,} "
            f"now, from {dataset.source}); bring the old data back, or start a new run with --init-from {folder}"
        )


def check_space(folder: Path, state: TrainState, keep_last: int, console: Console) -> None:
    """Print the disk space that the run's checkpoints take, and refuse a disk that has less.

    Raises:
        RunError: If there is too little.
    """
    present = sum(path.stat().st_size for path in (folder / "checkpoints").glob("*.pt"))
    # keep_last, the best one, the latest healthy one, and the one being written before the oldest goes.
    need = state.num_bytes() * (keep_last + 3)
    free = shutil.disk_usage(folder).free
    console.print(
        f"disk: {size(state.num_bytes())} a checkpoint, up to {size(need)} in all ({keep_last} latest, the best, "
        f"the latest healthy, one being written); {size(free)} free",
        markup=False,
    )
    if need - present > free:
        raise RunError(
            f"the run's checkpoints need {size(need - present)} and {folder.resolve()} has {size(free)} free; "
            "free some space, lower --train.keep-last, or choose another --out"
        )


def truncate_log(path: Path, step: int) -> list[dict[str, object]]:
    """Read a run's log up to a step and cut off what lies beyond it: lines of steps that will be done again.

    Lines that are no record, as one that a crash cut short, are dropped too. The file is replaced in one move.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept: list[dict[str, object]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and record["step"] <= step:
            kept.append(record)
    if len(kept) != len(lines):
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
    return kept


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move: a reader sees the old one or the new one, never half."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def changes_since(contents: dict[str, object], engine: Engine) -> list[str]:
    """Name what differs in versions and machine from those that wrote a checkpoint."""
    now = {**versions(), **machine(engine.device, engine.process.world_size)}
    before: dict[str, object] = {**contents["versions"], **contents["machine"]}  # type: ignore[dict-item]
    return [f"{key} {before[key]} -> {now[key]}" for key in now if key in before and before[key] != now[key]]


def size(num_bytes: float) -> str:
    """Write a number of bytes for people."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def quoted(path: Path) -> str:
    """Write a path so that it can be pasted into a shell."""
    return shlex.quote(str(path))
