"""Hooks: what happens between the steps of training. Small objects with one job each, and the record they share."""

import copy
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sagan.models.generator import Generator
from sagan.places import AGAIN, in_a_sentence
from sagan.training.checkpoint import CheckpointError
from sagan.training.config import TrainConfig
from sagan.training.engine import Engine
from sagan.training.state import TrainState

Line = dict[str, object]
"""A line of the log: ``step`` and what was found out after that step."""
State = Mapping[str, object]
# What ended a run where a hook, no signal, asked for it: no number that a signal has.
BY_HOOK = -1
# A checkpoint that could not be written is tried again this often before the next one is due.
TRIES = 10


class Hook:
    """Something that happens between steps; every method may be left out. docs/hooks.md has examples."""

    name: str = ""
    """What a checkpoint keeps the state under; unset is the name of the class."""
    everywhere: bool = False
    """Whether it runs on every process of a run, or on process 0 alone, which writes and reports."""
    may_fail: bool = False
    """Whether training goes on where this hook cannot write a file (``OSError``); that is told."""

    def on_start(self, record: "Record") -> None:
        """Training goes on from ``record.step``: take back what was written after that step.

        Called once the state is loaded, before the first step, and again after each rollback to an earlier checkpoint.
        """

    def on_step(self, record: "Record") -> None:
        """A step is done; ``record.metrics`` has its numbers, the same on all processes."""

    def on_line(self, record: "Record", line: Line) -> None:
        """A line for the log was made (:meth:`Record.add`), on process 0."""

    def on_save(self, record: "Record") -> None:
        """A checkpoint is due: at step 0, every ``save_every`` steps, and at the end. Never twice for a step."""

    def on_end(self, record: "Record") -> None:
        """Training is over, whether it is finished, was stopped, or failed."""

    def state_dict(self) -> dict[str, object]:
        """Give what a checkpoint is to keep: tensors, numbers, strings, and containers of them.

        Called at each checkpoint, and before :meth:`on_start`, for what there is at the beginning.
        """
        return {}

    def load_state_dict(self, state: State) -> None:
        """Take over what :meth:`state_dict` gave: before :meth:`on_start`, on resuming and at each rollback."""


@dataclass
class Record:
    """What is known after a step. Hooks read in it what others found out, and write what they find."""

    config: TrainConfig
    """The recipe."""
    state: TrainState
    """Networks, optimisers, moving average, step. Only look at it: training must not notice."""
    engine: Engine
    """Device, precision, processes."""
    metrics: dict[str, Tensor] = field(default_factory=dict)
    """Scalars of the step just done (loss_d, loss_g, real_logits, fake_logits, ...), on the device."""
    history: list[Line] = field(default_factory=list)
    """All lines of the log so far."""
    sampler: Generator | None = None
    """A copy of the generator, ready to sample from, where samples are looked at after this step."""
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Pictures drawn after this step, by name, (H, W, 3)."""
    best: bool = False
    """Whether the samples after this step are the best measured so far."""
    finite: bool = True
    """Whether all weights were finite when they were last looked at."""
    symptoms: tuple[str, ...] = ()
    """What is wrong with the run now (see :mod:`sagan.training.health`)."""
    healthy: bool = True
    """Whether there is neither a symptom nor the first sign of one."""
    healthy_step: int = 0
    """The latest checkpoint from when the run was healthy."""
    values: dict[str, object] = field(default_factory=dict)
    """What your own hooks tell each other after this step."""
    aside_s: float = 0.0
    """Seconds since the start that went into other things than training."""
    stop_reason: str | None = None
    """Why a hook on this process wants the run to end."""
    stopped_by: int = 0
    """What ended the run on all processes: the number of a signal, ``BY_HOOK``, or 0."""
    saved: int | None = None
    """The step of the checkpoint that was last written or loaded."""
    save_error: OSError | None = None
    """Why the checkpoint that is due could not be written, if it could not."""
    unsaved: int | None = None
    """The step of a checkpoint that was due and could not be written, until a later one is."""
    went_back: bool = False
    """Whether the run went back to an earlier checkpoint after this step."""
    saved_in: Path | None = None
    """The file of the checkpoint that this process last wrote or loaded."""
    runner: "Hooks | None" = field(default=None, repr=False)
    sound: bool = True
    """Whether there is neither a symptom nor the first sign of one, but for what a rollback has no cure for."""
    back_step: int = 0
    """The latest checkpoint from when the run was sound, which a rollback goes to."""
    best_unsaved: int | None = None
    """The step whose best samples' state could not be written, until that is known to who found them the best."""

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    def add(self, line: Line) -> None:
        """Hand a line for the log to every hook (``on_line``), in the order in which lines are made, on process 0.

        Args:
            line: ``step``, and numbers or strings by name.

        Raises:
            TypeError: If a value is something else, or there is no step.
        """
        assert self.runner is not None
        if self.engine.writes:
            self.runner.hand_out(plain_line(line))

    def stop(self, reason: str) -> None:
        """End the run, saved, on all processes after the same step; ``reason`` is what people are told."""
        self.stop_reason = self.stop_reason or reason

    def states(self) -> dict[str, object]:
        """Give the state of every hook, by name, for a checkpoint."""
        assert self.runner is not None
        return self.runner.state_dict()

    def go_back(self, contents: Mapping[str, object], states: Mapping[str, State]) -> None:
        """Put the training state of a checkpoint, and the state of every hook, in place of what they are now."""
        assert self.runner is not None
        self.state.load_state_dict(dict(contents))
        self.went_back, self.saved = True, self.step
        self.stop_reason = None  # what a hook saw is undone with the steps that it saw
        self.runner.start_again(states)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time what is not training, so that images/s counts training alone."""
        start = time.monotonic()
        yield
        self.aside_s += time.monotonic() - start


class Hooks:
    """Calls hooks in order, and keeps their states together.

    Args:
        hooks: In the order in which they are called.
        record: What they share.
        say: Tells people what could not be written.

    Raises:
        ValueError: If two hooks have the same name.
    """

    def __init__(self, hooks: Sequence[Hook], record: Record, say: Callable[[str], object] = lambda _: None) -> None:
        self.record, self.say = record, say
        self._failing: dict[str, str] = {}
        """Hooks that could not write, and in which method."""
        self.by_name = named(hooks)
        # Where a checkpoint has nothing of a hook, as one from before it was added, a rollback puts this back.
        self._fresh = {name: copy.deepcopy(hook.state_dict()) for name, hook in self.by_name.items()}
        self._lines: deque[Line] = deque()
        self._handing_out = False
        record.runner = self

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all hooks, and end those that started whatever happens."""
        with ExitStack() as endings:
            started: list[Hook] = []
            endings.callback(lambda: self._end(started))
            for hook in self.by_name.values():
                hook.on_start(self.record)
                started.append(hook)
            yield

    def step(self, metrics: dict[str, Tensor]) -> None:
        """Tell that a step is done."""
        record = self.record
        record.metrics, record.went_back, record.best = metrics, False, False
        for hook in self.by_name.values():
            self._call(hook, hook.on_step, record)
            if record.went_back:  # the others have nothing more to do with that step
                break
        # Let go of what is large, and of what was true of this step alone.
        record.metrics, record.sampler, record.pictures, record.values = {}, None, {}, {}

    def due(self) -> bool:
        """Say whether a checkpoint is due after this step: every so often, at the end, and after one that failed."""
        record = self.record
        step, every, failed = record.step, record.config.save_every, record.unsaved
        again = failed is not None and (step - failed) % max(1, every // TRIES) == 0
        return step % every == 0 or step == record.config.total_steps or again

    def save(self, last: bool = False) -> None:
        """Tell that a checkpoint is due, unless that of this step is there already; the last time it is looked for.

        Where it cannot be written, training goes on if an earlier one is there (:attr:`Record.unsaved`).

        Args:
            last: Nothing comes after it.

        Raises:
            OSError: If it cannot be written, and is the last one or there is none before.
        """
        record = self.record
        lost = last and record.engine.largest(int(record.saved_in is not None and not record.saved_in.exists()))
        if record.saved == record.step and not lost:
            return
        before = None if lost else record.saved
        record.saved, record.save_error = record.step, None
        for hook in self.by_name.values():
            self._call(hook, hook.on_save, record)
            if record.went_back:
                return
        if not record.engine.largest(int(record.save_error is not None)):
            record.unsaved = None
            return
        record.saved, record.unsaved = before, record.step
        error = record.save_error or OSError("process 0 could not save the run")
        if before is None:
            raise error
        why = in_a_sentence(error).removesuffix(AGAIN)
        if last:
            said = f"{why}. The last checkpoint is that of step {before:,}, from which `sagan train --resume` goes on"
            raise OSError(error.errno, said) from error
        if record.engine.writes:
            self.say(
                f"step {record.step:,} is not saved: {why}. Training goes on and tries it again; until then the last "
                f"checkpoint is that of step {before:,}"
            )

    def stopped(self, signal: int) -> bool:
        """Agree with the other processes on whether to stop here.

        Args:
            signal: The number of the signal that this process received, or 0.
        """
        # A signal on one process counts for more than a hook on another.
        mine = signal + 1 if signal else int(self.record.stop_reason is not None)
        agreed = self.record.engine.largest(mine)
        self.record.stopped_by = BY_HOOK if agreed == 1 else max(0, agreed - 1)
        return agreed > 0

    def hand_out(self, line: Line) -> None:
        """Hand a line to every hook; one that is made meanwhile waits until all have this one."""
        self._lines.append(line)
        if self._handing_out:
            return
        self._handing_out = True
        try:
            while self._lines:
                line = self._lines.popleft()
                for hook in self.by_name.values():
                    self._call(hook, hook.on_line, self.record, line)
        finally:
            self._handing_out = False

    def _call(self, hook: Hook, method: Callable[..., None], *arguments: object) -> None:
        """Call a method of a hook; that one that may fail cannot write is told once, until it could in between."""
        name, aside_s = hook.name or type(hook).__name__, self.record.aside_s
        try:
            method(*arguments)
            if self.record.aside_s > aside_s and self._failing.get(name) == method.__name__:  # it did its work again
                del self._failing[name]
        except OSError as error:
            if not hook.may_fail:
                raise
            if name not in self._failing:
                self.say(f"note: {in_a_sentence(error).removesuffix(AGAIN)}. Training goes on")
            self._failing[name] = method.__name__

    def _end(self, started: Sequence[Hook]) -> None:
        with ExitStack() as endings:  # one that fails does not keep the others from ending
            for hook in reversed(started):
                endings.callback(self._call, hook, hook.on_end, self.record)

    def state_dict(self) -> dict[str, object]:
        """Give the state of each hook that has one, by name.

        Raises:
            TypeError: If one holds what a checkpoint cannot be read back with.
        """
        states = {name: plain_state(hook.state_dict(), name) for name, hook in self.by_name.items()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, states: Mapping[str, State]) -> None:
        """Give each hook its state; one without any keeps what it has.

        Raises:
            CheckpointError: If one cannot take its state; the hook's own error is its cause.
        """
        for name, hook in self.by_name.items():
            if name not in states:
                continue
            try:
                hook.load_state_dict(states[name])
            except Exception as error:  # Of a hook that may be anybody's.
                raise CheckpointError(
                    f"the hook {name!r} cannot take the state that the checkpoint keeps of it "
                    f"({type(error).__name__}: {error}); without that hook the run goes on, and the state is dropped"
                ) from error

    def start_again(self, states: Mapping[str, State]) -> None:
        """Take every hook back to a checkpoint."""
        self.load_state_dict({**copy.deepcopy(self._fresh), **states})
        for hook in self.by_name.values():
            hook.on_start(self.record)


def plain_line(line: Line) -> Line:
    """Give a line with NumPy's numbers and tensors of one number as Python's.

    Raises:
        TypeError: If there is no step, or a value is neither a number, a truth value, a string nor None.
    """
    plain = {key: value.item() if _is_number(value) else value for key, value in line.items()}
    if not isinstance(plain.get("step"), int):
        raise TypeError(
            f"a line for the log needs its step, as record.add({{'step': record.step, ...}}), found {line!r}"
        )
    for key, value in plain.items():
        if not (value is None or isinstance(value, (bool, int, float, str))):
            raise TypeError(f"a line for the log holds numbers and strings; {key} is one {type(value).__name__}")
    return plain


def _is_number(value: object) -> TypeGuard[np.generic | Tensor]:
    return isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1)


def named(hooks: Iterable[object] | Hook) -> dict[str, Hook]:
    """Give hooks by their names.

    Raises:
        ValueError: If two have the same.
        TypeError: If one is no hook.
    """
    if isinstance(hooks, Hook):
        raise TypeError(f"hooks is a list of hooks, e.g. [{type(hooks).__name__}()], found one hook")
    by_name: dict[str, Hook] = {}
    for hook in hooks:
        if not isinstance(hook, Hook):
            what = f"the class {hook.__name__} (write {hook.__name__}())" if isinstance(hook, type) else repr(hook)
            raise TypeError(f"a hook is an object of a class that inherits from sagan.Hook, found {what}")
        name = hook.name or type(hook).__name__
        if name in by_name:
            raise ValueError(
                f"two hooks are called {name!r}, and a checkpoint keeps the state of each under its name; "
                "give one of them another `name`"
            )
        by_name[name] = hook
    return by_name


def plain_state(value: object, name: str) -> object:
    """Give a hook's state as it can be read back without running code; NumPy's numbers become Python's.

    Raises:
        TypeError: If it holds anything but tensors, numbers, strings, None and containers of them.
    """
    if isinstance(value, dict):
        return {plain_state(key, name): plain_state(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain_state(item, name) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    if value is None or type(value) in (bool, int, float, str, bytes) or isinstance(value, Tensor):
        return value
    raise TypeError(
        f"the state of the hook {name!r} holds {value!r} of type {type(value).__name__}; a checkpoint keeps "
        "tensors, numbers, strings, None, and dicts, lists and tuples of them"
    )
