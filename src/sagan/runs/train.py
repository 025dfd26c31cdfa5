"""Train a run, or go on with one: from a configuration to a finished run folder."""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from sagan.data import DataError, prefetched
from sagan.data.config import GIVEN
from sagan.data.given import GivenData, as_given
from sagan.generators.pretrained import EXPORTED, exported_step
from sagan.places import check_name
from sagan.recipes.config import RunConfig
from sagan.runs.finish import finish
from sagan.runs.folder import (
    CONFIG,
    LOCK,
    RunError,
    clear_unfinished,
    folder_for,
    is_start,
    make_empty,
    place_of,
    quoted,
)
from sagan.runs.hooks import Scene, check_names, hooks_of, undrawn
from sagan.runs.lock import run_lock
from sagan.runs.log import LOG, truncate_log
from sagan.runs.prepare import Order, Run, prepare
from sagan.runs.signals import stop_signals
from sagan.runs.start_from import check_start
from sagan.training.checkpoint import checkpoints
from sagan.training.engine import is_lost_contact, lost_sentence
from sagan.training.health import DivergedError
from sagan.training.hooks import BY_HOOK, Hook, Hooks, Record
from sagan.training.kernels import NotDeterministicError, kernels_as_before
from sagan.training.loop import train_loop
from sagan.training.processes import Process, ProcessLostError, current_process

__all__ = ["DivergedError", "Hook", "NotDeterministicError", "ProcessLostError", "RunError", "TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """How a call of :func:`train` ended."""

    out: Path
    """The run folder."""
    step: int
    """Steps done."""
    finished: bool
    """Whether all steps are done, and the weights to share are written."""
    signal: int | None
    """The signal that stopped it before that, if one did."""
    reason: str | None = None
    """Why a hook stopped it before that, if one did."""


def train(
    config: RunConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    init_from: str | Path | None = None,
    console: Console | None = None,
    hooks: Sequence[Hook] = (),
    data: Any = None,
    keep_fields: Collection[str] | None = None,
) -> TrainResult:
    """Train a run, or go on with one.

    Args:
        config: What to train. With ``resume`` unset is the run's own; a given one may differ from that only in steps,
            when rates fall as long as they have not begun to, in cadences and in where the same pictures lie.
        out: A new run folder; unset is ``runs/NAME-NUMBER``.
        resume: The folder of a run to go on with, in place of ``out``.
        init_from: A run or weights file whose weights the new run starts from; classes are matched by name.
        console: Where to report; unset is the terminal's error stream.
        hooks: What else happens between steps (:class:`~sagan.training.hooks.Hook`, docs/hooks.md). They are called in
            this order, and checkpoints keep their states.
        data: Pictures in Python in place of ``config.data.path`` (see :func:`~sagan.data.given.as_given`). They are
            packed into the cache folder. A run that goes on finds them there, or is given the same again.
        keep_fields: Choose what suits few pictures (:func:`~sagan.recipes.few.for_few`) but for these fields, by their
            dotted names, as `sagan train` does but for its flags; None changes nothing.

    Started by ``torchrun``, SLURM's ``srun`` or ``sagan train --devices N``, each process calls this; they train one
    run together, and process 0 alone writes and reports.

    Returns:
        How it ended. Ctrl-C, SIGTERM and a closed terminal finish the step, save and return, on all processes.

    Raises:
        RunError: If the folder is in use or holds another run, the disk is too small, or a resumed field differs.
        DataError: If the data cannot be used.
        CheckpointError: If a checkpoint cannot be used.
        DivergedError: If a number is no longer finite.
        NotDeterministicError: If ``engine.deterministic`` is asked for and an operation has no such form.
        ProcessLostError: If another process of the run has ended.
        FileNotFoundError: If there is nothing at ``init_from``.
        ValueError: If two hooks have the same name, or there is neither a configuration nor a run to go on with.
    """
    process, resuming = current_process(), resume is not None
    check_names(hooks)
    console = _console(process, console)
    if resuming and (out is not None or init_from is not None):
        raise RunError("--resume goes on in the run's own folder: leave --out and --init-from away")
    if init_from is not None:
        check_start(init_from, config)  # refused now rather than when pictures are read and networks built
    data = data if data is None or isinstance(data, (str, Path)) else as_given(data)  # refused now
    folder = _old_folder(Path(resume)) if resume is not None else _new_folder(config, out, data)
    order = Order(config, folder, resuming, init_from, console, tuple(hooks), data, keep_fields)
    if process.rank > 0:
        with kernels_as_before(), _naming_lost_processes(process):
            return _trained(prepare(order), order.hooks)
    with kernels_as_before(), _held(folder) as held, _naming_lost_processes(process):
        _clear(order, held)
        run = prepare(order)
        return _finished(_trained(run, order.hooks), run)


def _clear(order: Order, held: "_Held") -> None:
    """Take away what a killed process left in a run's folder, or in a new one; refuse a folder that is none of both."""
    if order.resuming:
        clear_unfinished(order.folder)
        return
    try:
        make_empty(order.folder, held.before)
    except RunError:
        if held.made:  # the next one is not to take this lock for that of a run
            (order.folder / LOCK).unlink(missing_ok=True)
        raise


def _trained(run: Run, yours: Sequence[Hook]) -> TrainResult:
    """Train a prepared run to its last step, or until it is stopped."""
    scene, state = run.scene, run.parts.state
    total = scene.config.train.total_steps
    if state.step == total:
        scene.console.print(f"all {total:,} steps are done already; --steps N asks for more")
        _draw_undrawn(run)
        scene.engine.close()
        return TrainResult(scene.folder, state.step, True, None)
    record = Record(scene.config.train, state, scene.engine, saved=state.step if run.states else None)
    hooks = Hooks(hooks_of(scene, run.monitor, yours), record, scene.console.print)
    hooks.load_state_dict(run.states)
    saying = _saying_what_is_saved(record, scene)
    with stop_signals(scene.console) as received, prefetched(run.batches) as next_batch, saying:
        finished = train_loop(hooks, next_batch, scene.config.seed, received)
    scene.engine.close()
    if finished:
        return TrainResult(scene.folder, state.step, not received(), received() or None)
    if record.stopped_by == BY_HOOK:
        reason = record.stop_reason or "asked for by a hook on another process"
        return TrainResult(scene.folder, state.step, False, None, reason)
    return TrainResult(scene.folder, state.step, False, record.stopped_by)


def _draw_undrawn(run: Run) -> None:
    """Draw what a kill between the last checkpoint and the end of a run left undrawn."""
    scene, state = run.scene, run.parts.state
    record, hooks = Record(scene.config.train, state, scene.engine), undrawn(scene, run.monitor, state.step)
    if hooks:
        record.history[:] = truncate_log(scene.folder / LOG, state.step, scene.console)
    Hooks(hooks, record, scene.console.print).save()


def _finished(result: TrainResult, run: Run) -> TrainResult:
    """Do what is left to do at the end of a run, or say how to go on with it."""
    if result.finished:
        finish(result.out, run.parts, run.scene.console)
    else:
        all_steps = result.step == run.scene.config.train.total_steps
        _tell_stopped(result, f"write {EXPORTED}, after all steps" if all_steps else "go on", run.scene.console)
    return result


def _tell_stopped(result: TrainResult, rest: str, console: Console) -> None:
    why = "" if result.reason is None else f" ({result.reason})"
    folder = quoted(result.out)
    console.print(f"stopped at step {result.step:,}, saved{why}. To {rest}:\n  sagan train --resume {folder}")
    if result.reason is not None:  # by a hook, which the command line does not know
        console.print(
            "without the hooks that stopped it; sagan.train(resume=..., hooks=[...]) has them. Weights as they are:\n"
            f"  sagan export {folder} --out {folder}/{EXPORTED}"
        )


def _console(process: Process, console: Console | None) -> Console:
    """Give where this process reports: process 0 alone does."""
    if process.rank > 0:
        return Console(quiet=True)
    return console or Console(stderr=True, soft_wrap=True, markup=False, highlight=False)


def _old_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run folder to resume")
    if not (folder / CONFIG).is_file() or checkpoints(folder / "checkpoints"):
        return folder
    if is_start(folder):
        raise RunError(
            f"{folder} was started and has saved nothing yet, so there is nothing to go on from; give the command that "
            f"started it again, with --out {quoted(folder)}"
        )
    said = f"{folder} has no checkpoint to go on from: {folder / 'checkpoints'} is gone, or empty"
    if exported_step(folder) is not None:
        weights = quoted(folder / EXPORTED)
        said += f"; its weights are in {weights}, and a new run can start from them with --init-from {weights}"
    raise RunError(said)


def _new_folder(config: RunConfig | None, out: str | Path | None, data: Any) -> Path:
    if not isinstance(config, RunConfig):
        raise ValueError("train what? Give a configuration, as sagan.preset(data=PICTURES) makes one, or resume=FOLDER")
    if data is not None:
        path = f"{GIVEN}pictures" if isinstance(data, GivenData) else str(data)
        config = replace(config, data=replace(config.data, path=path))
    folder = Path(out) if out is not None else folder_for(config)
    check_name("--out", folder)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; choose another --out")
    if folder.is_symlink() and not folder.exists():
        raise RunError(f"{folder} is a link that leads nowhere ({folder.readlink()}); choose another --out")
    return folder


class _Held(NamedTuple):
    """How a folder was found by who holds it now."""

    before: bool
    """Whether another process held it before."""
    made: bool
    """Whether its lock is a new one."""


@contextmanager
def _held(folder: Path) -> Iterator[_Held]:
    """Make a folder and hold it.

    A new one is removed again if a start fails, so that the corrected command can use the same --out.
    """
    try:
        folder.mkdir(parents=True)
        made = place_of(folder)
    except FileExistsError:
        made = None
    new_lock = not os.path.lexists(folder / LOCK)
    with run_lock(folder) as before:
        try:
            yield _Held(before, new_lock)
        finally:  # while it is held: another process may have come to the same folder
            if made is not None and place_of(folder) == made and not (folder / CONFIG).exists() and is_start(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _saying_what_is_saved(record: Record, scene: Scene) -> Iterator[None]:
    """Add to an error about the pictures of a run that they can be mended and the run can go on."""
    try:
        yield
    except DataError as error:
        if record.stopped_by:  # on all processes: none leaves before process 0 has saved
            scene.engine.close()
        raise DataError(
            f"{error} - the run is saved at step {record.saved:,}; once the pictures are mended, it goes on from there "
            f"with: sagan train --resume {quoted(scene.folder)}"
        ) from error


@contextmanager
def _naming_lost_processes(process: Process) -> Iterator[None]:
    """Turn the failure of an exchange between processes into one that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if process.world_size == 1 or not is_lost_contact(error):
            raise
        what = "another process of this run has ended or is out of reach"
        raise ProcessLostError(lost_sentence(process, what)) from error
