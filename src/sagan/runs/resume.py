"""What may differ when a run goes on: its configuration, its pictures, the machine and versions."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sagan.data import ImageSet
from sagan.data.decisions import AS_BEFORE, flags_of_before
from sagan.data.names import in_a_line
from sagan.data.pack import Found
from sagan.generators.snapshot import Snapshot, good_snapshots
from sagan.machine import machine, versions
from sagan.recipes.config import RunConfig, differences
from sagan.runs.folder import CONFIG, RESUMABLE, RunError, quoted, stored_config
from sagan.runs.states import wrong_in
from sagan.training.checkpoint import CheckpointError
from sagan.training.engine import Engine

SHOWN_CLASSES = 5


def resumable(snapshots: Iterator[Snapshot], warn: Callable[[str], object]) -> Iterator[Snapshot]:
    """Leave out checkpoints that are whole and hold what no run can go on with; imported networks stay.

    Args:
        snapshots: The latest first.
        warn: What is wrong with those that are left out is told to it.

    Raises:
        CheckpointError: If all of them are left out.
    """
    given, said = False, ""
    for snapshot in snapshots:
        if said:
            warn(f"{said}; going back to the one before")
        why = wrong_in(snapshot.contents) if "optimizer_g" in snapshot.contents else None
        said = "" if why is None else f"{snapshot.path} is whole but cannot be right: {why}"
        if why is None:
            given = True
            yield snapshot
    if said and not given:
        raise CheckpointError(f"{said}; there is no earlier one to go on from")


def config_to_resume(folder: Path) -> RunConfig:
    """Give the configuration of a run: that of ``config.json`` or, where that is gone, of the latest checkpoint.

    Raises:
        RunError: If there is neither.
        ValueError: If ``config.json`` was edited into something that cannot be read.
    """
    if not (folder / CONFIG).is_file():
        with suppress(CheckpointError, FileNotFoundError):
            return next(good_snapshots(folder, lambda _: None)).config
    return stored_config(folder)


def resumed_config(old: RunConfig, new: RunConfig | None, saved: object = None) -> RunConfig:
    """Give the configuration to go on with.

    A run of a version that had no choice how pixels are read may go on with the flags that read them as then;
    :func:`check_same_data` tells whether they do.

    Args:
        old: That of the run.
        new: What is asked for; None takes the run's.
        saved: What the checkpoint says of the pictures.

    Raises:
        RunError: If a field differs that would change the run; each is named.
    """
    if new is None:
        return old
    changed = [name for name in differences(old, new) if name not in RESUMABLE]
    if _says_no_decoding(saved) and all(getattr(new.data, name) == value for name, value in AS_BEFORE.items()):
        changed = [name for name in changed if name.removeprefix("data.") not in AS_BEFORE]
    if changed:
        raise RunError(
            f"a run keeps its configuration, but {', '.join(changed)} {'differs' if len(changed) == 1 else 'differ'}: "
            "only --steps (with it --train.lr-decay-start), cadences, the device and where its pictures are can "
            "change. To go on with other settings start a new run with --init-from"
        )
    return new


def check_resumable(contents: dict[str, object], folder: Path) -> None:
    """Check that a checkpoint holds a state of training, not networks alone.

    Raises:
        RunError: If it does not.
    """
    if "optimizer_g" not in contents:
        raise RunError(
            f"{folder} holds imported networks and no state of training; start a run from them: "
            f"`sagan train --config {quoted(folder)}/config.json --init-from {quoted(folder)} --data PICTURES`"
        )


def check_steps(step: object, config: RunConfig, folder: Path) -> None:
    """Check that a run has not done more steps than are asked for.

    Raises:
        RunError: If it has.
    """
    if isinstance(step, int) and step > config.train.total_steps:
        raise RunError(f"{folder} is at step {step:,} already; --steps takes more than that")


def check_length(step: object, before: RunConfig, config: RunConfig) -> None:
    """Check that learning rates that fall have done nothing yet that another length would have done otherwise.

    Args:
        step: Steps done.
        before: The configuration that they were done with.
        config: That to go on with.

    Raises:
        RunError: If the rates have begun to fall, or would have with the length asked for.
    """
    old, new = before.train, config.train
    if (old.total_steps, old.lr_decay_start) == (new.total_steps, new.lr_decay_start) or not isinstance(step, int):
        return
    if old.lr_decay_start is not None and old.lr_decay_start < step:
        raise RunError(
            f"this run is at step {step:,}, and its learning rates fall from step {old.lr_decay_start:,} to "
            f"{old.total_steps:,}, so that neither can change any more. Leave --steps and --train.lr-decay-start away "
            f"(in its config.json they are {old.total_steps} and {old.lr_decay_start}), or start a new run from its "
            "weights with --init-from"
        )
    if new.lr_decay_start is not None and new.lr_decay_start < step:
        raise RunError(
            f"this run is at step {step:,}, and with a train.total_steps of {new.total_steps:,} and a "
            f"train.lr_decay_start of {new.lr_decay_start:,} its learning rates would have fallen already: add "
            f"--train.lr-decay-start {step}, or more"
        )


def check_same_data(saved: object, dataset: ImageSet, folder: Path) -> None:
    """Check by content that the pictures are those that the run was saved with.

    Raises:
        RunError: If they are not.
    """
    if isinstance(saved, dict) and saved["fingerprint"] != dataset.fingerprint:
        flags = flags_of_before(dataset.info.decoding) if _says_no_decoding(saved) else ""
        before = f"add {flags} if its version had no such choice, " if flags else ""
        then, now = saved["images"], len(dataset.labels)
        said = f"{then:,} images then, {now:,} now" if then != now else f"{now:,} images, of which some are others now"
        raise _other_pictures(folder, said, dataset.source, before)


def check_found(snapshot: Snapshot, found: Found, folder: Path, *, skip_unreadable: bool) -> None:
    """Check, before pictures are decoded, that their number and classes can be those of the run.

    Args:
        snapshot: What the run is to go on from.
        found: What is where its pictures should be.
        folder: The run's.
        skip_unreadable: Whether some of what was found may be left out.

    Raises:
        RunError: If they cannot; :func:`check_same_data` compares the content of those that can.
    """
    saved = snapshot.contents.get("data")
    if not isinstance(saved, dict):
        return
    then, now = saved["images"], found.num_images
    if now < then or (now > then and not skip_unreadable):
        raise _other_pictures(folder, f"{then:,} images then, {now:,} now", found.source)
    before, classes = set(snapshot.class_names), set(found.class_names)
    if before - classes or (classes - before and not skip_unreadable):
        said = f"classes {_some(snapshot.class_names)} then and {_some(found.class_names)} now"
        raise _other_pictures(folder, said, found.source)


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(in_a_line, names[:SHOWN_CLASSES])) or "none"
    return f"{shown}, ..." if len(names) > SHOWN_CLASSES else shown


def _other_pictures(folder: Path, said: str, source: str, before: str = "") -> RunError:
    return RunError(
        f"the pictures changed since {folder} was saved ({said}, from {source}); {before}bring the old data back, or "
        f"start a new run with --init-from {folder}"
    )


def _says_no_decoding(saved: object) -> bool:
    return isinstance(saved, dict) and "decoding" not in saved


def changes_since(contents: dict[str, object], engine: Engine) -> list[str]:
    """Name what differs in versions and machine from those that wrote a checkpoint."""
    now = {**versions(), **machine(engine.device, engine.process.world_size)}
    before: dict[str, object] = {**contents.get("versions", {}), **contents.get("machine", {})}  # type: ignore[dict-item]
    return [f"{key} {before[key]} -> {now[key]}" for key in now if key in before and before[key] != now[key]]
