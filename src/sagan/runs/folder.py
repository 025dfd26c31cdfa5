"""A run's folder: its name, its configuration, what is in it, and the room that it needs."""

import os
import re
import shlex
import shutil
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from sagan.data.config import GIVEN
from sagan.reading import object_of, read_bytes
from sagan.recipes.config import FORM, RunConfig, config_of_file, merged
from sagan.sizes import written
from sagan.training.config import TrainConfig
from sagan.training.state import TrainState
from sagan.whole import whole_file, write_whole

# Fields of the configuration that a resumed run may change. Those of `train` leave every computed number as it would
# have been (lengths: as long as rates that fall have not begun to); those of `data` say where the pictures are now, and
# their content is compared; `engine` changes numbers by rounding at most; the rest follows the data.
RESUMABLE = {
    "train.total_steps",
    "train.lr_decay_start",
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
    "engine.deterministic",
    "engine.device",
    "engine.step_graph",
    "generator.num_classes",
    "discriminator.num_classes",
}
LOCK = ".lock"
CONFIG = "config.json"
BEFORE_IT_SAVES = (CONFIG, "classes.txt", "log.jsonl", "tensorboard", "checkpoints")
"""What a run writes before its first checkpoint is there."""


class RunError(ValueError):
    """A run that cannot start or go on; the message says why and what to do."""


def next_folder(stem: str) -> Path:
    """Name a new run folder: runs/<stem>-<number>."""
    number = 1
    while (folder := Path("runs") / f"{stem}-{number:03d}").exists():
        number += 1
    return folder


def folder_for(config: RunConfig) -> Path:
    """Name a new folder for a run after its pictures and their size."""
    path = config.data.path
    name = path.split(":")[1] if path.startswith(GIVEN) else Path(path).stem
    name = re.sub(r"[\ud800-\udfff]", "_", name)  # bytes that are no UTF-8, which no run can be written under
    return next_folder(f"{name}-{written(config.generator.image_size)}")


def make_empty(folder: Path, held_before: bool = True) -> None:
    """Refuse a folder that holds a run or anything else; what a start that was killed before it saved left goes.

    Args:
        folder: The folder.
        held_before: Whether another process locked it before this one. Else no start left anything there, whatever it
            looks like.

    Raises:
        RunError: If there is a run in it, or something that no start leaves.
    """
    there = {path.name: path for path in folder.iterdir() if path.name != LOCK}
    if not there:
        return
    if held_before and _is_file(folder / LOCK) and _is_start(there):
        _remove_start(there)
        return
    if (folder / CONFIG).exists():
        raise RunError(
            f"{folder} holds a run already; go on with `sagan train --resume {quoted(folder)}`, or choose another --out"
        )
    raise RunError(f"{folder} exists and is not empty; choose another --out")


check_empty = make_empty
"""What it was called when it only looked."""


def is_start(folder: Path) -> bool:
    """Tell whether a folder holds what a run writes before its first checkpoint, and nothing else, or nothing."""
    return _is_start({path.name: path for path in folder.iterdir() if path.name != LOCK})


def _is_start(there: Mapping[str, Path]) -> bool:
    """Tell whether a folder holds what a run writes before its first checkpoint, and nothing else.

    The configuration comes first. Without it there is, at most, half of one.
    """
    others = {name: path for name, path in there.items() if not (_is_half_of(name, BEFORE_IT_SAVES) and _is_file(path))}
    return not others or (
        _is_our_config(others.pop(CONFIG, None)) and all(_of_a_start(name, path) for name, path in others.items())
    )


def _of_a_start(name: str, path: Path) -> bool:
    if name in FOLDERS_BEFORE:
        return _is_folder(path) and all(
            _is_file(inner) and FOLDERS_BEFORE[name](inner.name) for inner in path.iterdir()
        )
    return name in BEFORE_IT_SAVES and _is_file(path)


def _is_our_config(path: Path | None) -> bool:
    if path is None or not _is_file(path):
        return False
    try:
        config_of_file(path)
        return FORM in object_of(read_bytes(path))
    except (OSError, ValueError):
        return False


def _remove_start(there: Mapping[str, Path]) -> None:
    """Remove what a start left: the configuration last, which the rest is known by if this is cut short."""
    for _, path in sorted(there.items(), key=lambda item: item[0] == CONFIG):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_inside(folder: Path) -> None:
    """Check that nothing in a run's folder leads out of it: who writes and removes there is to do so there alone.

    The folder may be a link itself.

    Raises:
        RunError: If there is a link that leads out of it, or a pipe, a socket or a device.
    """
    whole = folder.resolve()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _check_inside(Path(place, name), whole)


def _check_inside(path: Path, whole: Path) -> None:
    try:
        mode = path.lstat().st_mode
        leads_out = not stat.S_ISREG(mode) and not path.resolve().is_relative_to(whole)
    except FileNotFoundError:  # removed meanwhile
        return
    except (OSError, RuntimeError) as error:  # a circle of links
        raise RunError(f"{path} cannot be followed to what it leads to; remove it") from error
    if leads_out:
        raise RunError(f"{path} is a link that leads out of the run's folder; put there what it leads to")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise RunError(f"{path} is a pipe, a socket or a device, and nothing of a run; remove it")


def clear_unfinished(folder: Path) -> None:
    """Remove the hidden files that a killed process was writing when it ended, in a run's folder and those in it.

    Only for whom the run is locked, who is then the one that writes there.

    Raises:
        RunError: As :func:`check_inside`.
    """
    check_inside(folder)
    for path in (*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")):
        if path.is_file():
            with suppress(OSError):  # what cannot be removed does no harm
                path.unlink()


def _is_half_of(name: str, names: Collection[str]) -> bool:
    """Tell whether a file is what one of such a name is written into before it takes its place."""
    found = re.fullmatch(r"\.(.+)\.\d+\.tmp", name)
    return found is not None and found[1] in names


def _is_half_a_checkpoint(name: str) -> bool:
    return re.fullmatch(r"\.step-\d+\.pt\.\d+\.tmp", name) is not None


def _is_of_a_board(name: str) -> bool:
    return name.startswith("events.out.tfevents.")


FOLDERS_BEFORE = {"tensorboard": _is_of_a_board, "checkpoints": _is_half_a_checkpoint}
"""The folders among what a run writes before it saves, and which files can be in them."""


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.resolve() == path.parent.resolve() / path.name


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
    written = config_of_file(path)
    if checkpointed is None:
        return written
    return merged(checkpointed, written, RESUMABLE)


def check_space(folder: Path, state: TrainState, train: TrainConfig, console: Console) -> None:
    """Print the disk space that the run's checkpoints take, and refuse a disk that has less.

    Raises:
        RunError: If there is too little.
    """
    present = sum(path.stat().st_size for path in (folder / "checkpoints").glob("*.pt"))
    goes_back = train.on_collapse == "rollback"
    best, back = ("the best, the best before it", "that to go back to, ") if goes_back else ("the best", "")
    need = state.num_bytes() * train.most_checkpoints
    free = shutil.disk_usage(folder).free
    console.print(
        f"disk: {size(state.num_bytes())} a checkpoint, up to {size(need)} in all ({train.kept} latest, {best}, "
        f"the latest healthy, {back}one being written); {size(free)} free",
        markup=False,
    )
    if need - present > free:
        raise RunError(
            f"the run's checkpoints need {size(need - present)} and {folder.resolve()} has {size(free)} free; "
            "free some space, lower --train.keep-last, or choose another --out"
        )


def step_of(path: Path) -> int:
    """Give the step that a file of a run is named after, as in step-00000500.png; -1 if it is not."""
    found = re.fullmatch(r"step-(\d+)", path.stem)
    return int(found[1]) if found else -1


def place_of(folder: Path) -> tuple[int, int] | None:
    """Tell which folder it is, whatever has its name later; None if there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def take_back(folder: Path, step: int) -> None:
    """Remove the files of later steps, which will be done again."""
    for path in folder.glob("step-*"):
        if step_of(path) > step:
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move: a reader sees the old one or the new one, never half, also after a power cut.

    Raises:
        OSError: If it cannot be written; an older one stays.
    """
    write_whole(path, text)


def copied(source: Path, target: Path) -> None:
    """Copy a file in one move.

    Raises:
        OSError: If it cannot be written; an older one stays.
    """
    with whole_file(target, source.stat().st_size) as temporary:
        shutil.copyfile(source, temporary)


def size(num_bytes: float) -> str:
    """Write a number of bytes for people."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def quoted(path: Path) -> str:
    """Write a path so that it can be pasted into a shell."""
    return shlex.quote(str(path))
