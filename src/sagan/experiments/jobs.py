"""Work off rows side by side, each in a process of its own, until all are done or the time is over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sagan.data.parallel import cores
from sagan.experiments.row import Order, read_result, write_order
from sagan.reading import lines_of
from sagan.runs.log import LOG
from sagan.runs.signals import PARENT, stopping
from sagan.streams import words_may_be_lost
from sagan.training.config import Device

CHECK_EVERY_S = 0.2
GRACE_S = 30.0
"""How long rows may take to save once the time is over, before they are killed."""


@dataclass
class _Running:
    order: Order
    process: "subprocess.Popen[bytes]"
    device: int
    task: TaskID
    log: Path
    first: int
    """The step that it starts from."""
    since: float
    """When it was started."""


@dataclass(kw_only=True)
class Pace:
    """How long rows take here, as the rows that have ended took."""

    seconds: float = 0.0
    """Time that rows have taken, all together."""
    updates: int = 0
    """Updates of D and G that they did in it."""

    def add(self, order: Order, first: int, seconds: float) -> None:
        """Count a row that was trained from a step to its end; one that was only measured tells nothing of training."""
        if done := updates(order, first):
            self.seconds += seconds
            self.updates += done

    def estimate_s(self, order: Order, first: int) -> float:
        """Say what a row takes from a step on; 0 as long as nothing is known."""
        return self.seconds / self.updates * updates(order, first) if self.updates else 0.0


def updates(order: Order, first: int = 0) -> int:
    """Count the updates of both networks that a row does from a step to its end."""
    train = order.config.train
    return (train.total_steps - first) * (1 + train.d_steps)


@dataclass(kw_only=True)
class _Work:
    """What waits, what runs, and what came of the rest."""

    waiting: list[Order]
    """Not started yet."""
    free: list[int]
    """Numbers of the places, and of the GPUs, where nothing runs."""
    jobs: int
    """How many places there are."""
    runs: Path
    """Folder of the runs."""
    console: Console
    """Where to report."""
    deadline: float | None
    """When rows that still train are stopped, by the monotonic clock."""
    pace: Pace = field(default_factory=Pace)
    """How long rows take."""
    running: list[_Running] = field(default_factory=list)
    """Processes that have not ended, or were not looked at since."""
    failed: list[str] = field(default_factory=list)
    """Titles of the rows that ended badly."""
    done: int = 0
    """How many rows have their results."""
    received: list[int] = field(default_factory=list)
    """Signals that stop the sweep."""

    def stop(self, number: int, _: object) -> None:
        """Pass a signal on; nothing is started any more."""
        self.received.append(number)
        for one in self.running:
            if one.process.poll() is None:
                one.process.send_signal(number)

    def start(self, progress: Progress) -> None:
        """Start what there is a place for."""
        while self.free and not self.received and (order := self.next()) is not None:
            device = self.free.pop(0)
            task = progress.add_task(f"  {title(order)}", total=order.config.train.total_steps, note="")
            self.running.append(_start(order, device, self.jobs, task, self.runs))
            self.console.print(f"started: {title(order)}", highlight=False)

    def next(self) -> Order | None:
        """Take the first waiting row that can be done in the time that is left; None if there is none."""
        for order in self.waiting:
            if self.fits(order):
                self.waiting.remove(order)
                return order
        return None

    def fits(self, order: Order) -> bool:
        """Tell whether a row can be done in the time that is left, at the pace of those that have ended."""
        if self.deadline is None:
            return True
        return time.monotonic() + self.pace.estimate_s(order, _progress(order)[0]) < self.deadline

    @property
    def over(self) -> bool:
        """Whether nothing is left that could still be done."""
        return not self.running and (bool(self.received) or not any(map(self.fits, self.waiting)))

    def stop_in_time(self) -> None:
        """Stop what still trains at the deadline; it saves. What is being measured, or saved, has some time for it."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return
        if not self.received:
            self.console.print("the time is over: rows that still train save and stop", highlight=False)
            self.received.append(signal.SIGTERM)
            for one in self.running:
                if one.process.poll() is None and not _progress(one.order)[1]:
                    one.process.terminate()
        elif time.monotonic() > self.deadline + GRACE_S:
            for one in self.running:
                one.process.kill()

    def look(self, progress: Progress, everything: TaskID) -> None:
        """Show how far the rows are, and tell of those that have ended."""
        for one in list(self.running):
            step, note = _progress(one.order)
            progress.update(one.task, completed=step, note=note)
            if one.process.poll() is None:
                continue
            self.running.remove(one)
            self.free.append(one.device)
            progress.remove_task(one.task)
            if (said := _ended(one, self.received)) is not None:
                self.failed.append(title(one.order))
                self.console.print(said, highlight=False)
            elif one.process.returncode == 0:  # also one that was done when the others were stopped
                self.done += 1
                self.pace.add(one.order, one.first, time.monotonic() - one.since)
                self.console.print(_told(one.order), highlight=False)
                progress.advance(everything)

    def end(self) -> None:
        """End all that still runs."""
        for one in self.running:
            if one.process.poll() is None:
                one.process.terminate()


def run(
    orders: Sequence[Order],
    runs: Path,
    console: Console,
    *,
    jobs: int | None = None,
    stop_after_s: float | None = None,
) -> int:
    """Work off orders side by side, one process each; gives the exit code: 0, or 128 + the signal that stopped it.

    A process that ends badly - killed, out of memory, an error - is told with the end of its output and tried again by
    the next call; the other rows go on meanwhile.

    Args:
        orders: What to do, in this order.
        runs: The folder of the runs, with their checkpoints.
        console: Where to report.
        jobs: Rows at a time; unset is one for each GPU that they may use, else for each core.
        stop_after_s: After so many seconds rows that still train save and stop, as by SIGTERM, and none is started that
            could not end before, as far as those that have ended tell.
    """
    jobs = jobs or default_jobs(*(order.config.engine.device for order in orders[:1]))
    runs.mkdir(parents=True, exist_ok=True)
    (runs / ".gitignore").write_text("*\n")  # checkpoints are large and can be made again
    deadline = None if stop_after_s is None else time.monotonic() + stop_after_s
    work = _Work(waiting=list(orders), free=list(range(jobs)), jobs=jobs, runs=runs, console=console, deadline=deadline)
    shown = console if console.is_terminal else Console(quiet=True)
    bars = Progress(*_columns(), console=shown, disable=shown.quiet)
    with words_may_be_lost(), bars as progress, ExitStack() as stack:
        for number in stopping():
            stack.callback(signal.signal, number, signal.signal(number, work.stop))
        stack.callback(work.end)  # if anything goes wrong here, no row trains on unseen
        everything = progress.add_task("rows", total=len(orders), note="")
        while not work.over:
            work.start(progress)
            time.sleep(CHECK_EVERY_S)
            work.look(progress, everything)
            work.stop_in_time()
    return _outcome(work, len(orders), console)


def _outcome(work: _Work, asked: int, console: Console) -> int:
    """Say how it ended, and give the exit code."""
    if work.done == asked:  # also where the time was over while the last of them were measured
        return 0
    if work.received:
        saved = f"; not saved to the end: {', '.join(work.failed)}" if work.failed else "; what was trained is saved"
        console.print(f"stopped{saved}. The same command goes on from there.")
        return 128 + work.received[-1]
    if work.waiting:
        console.print(
            f"{len(work.waiting)} of {asked} were not started: the time left is too short for them. The same command "
            "goes on from there."
        )
        return 128 + signal.SIGTERM
    count, failed = f"{len(work.failed)} of {asked}", ", ".join(work.failed)
    console.print(f"{count} did not end well: {failed}. The same command tries them again.")
    return 1


def _columns() -> tuple[TextColumn | BarColumn | MofNCompleteColumn | TimeRemainingColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )


def title(order: Order) -> str:
    """Name an order for people."""
    return f"{order.name}, seed {order.config.seed}"


def default_jobs(device: Device = "auto") -> int:
    """Count what rows can run on side by side: GPUs, else cores; those alone if they compute on a processor."""
    if device == "cpu":
        return cores()
    return torch.cuda.device_count() or (1 if torch.backends.mps.is_available() else cores())


def threads_each(jobs: int) -> int:
    """Say with how many threads each of several rows computes: OMP_NUM_THREADS, else its share of the cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else max(1, cores() // jobs)


def _start(order: Order, device: int, jobs: int, task: TaskID, runs: Path) -> _Running:
    file = runs / f"{order.result.name}.order.json"
    write_order(order, file)
    environment = os.environ | {PARENT: str(os.getpid())}
    environment["OMP_NUM_THREADS"] = str(threads_each(jobs))
    if torch.cuda.device_count() > 1:
        visible = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
        count = torch.cuda.device_count()
        environment["CUDA_VISIBLE_DEVICES"] = (visible or [str(i) for i in range(count)])[device % count]
    log = runs / f"{order.result.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sagan.experiments.row", str(file)],
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            # A group of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
            start_new_session=True,
        )
    return _Running(order, process, device, task, log, _progress(order)[0], time.monotonic())


def _progress(order: Order) -> tuple[int, str]:
    """Read how far a row is from the last line of its log."""
    try:
        lines = _end_of(order.run / LOG).splitlines()
    except OSError:
        return 0, ""
    records = lines_of("\n".join(lines[1:]).encode(), lambda record: type(record.get("step")) is int).records
    step = max((int(record["step"]) for record in records), default=0)
    return step, "measuring" if step >= order.config.train.total_steps else ""


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        return file.read(4096).decode("utf-8", "replace")


def _ended(one: _Running, received: list[int]) -> str | None:
    """Say why a process ended badly; None if it did not, or was stopped and saved."""
    code = one.process.returncode
    if code == 0 or code in {end for number in received for end in (128 + number, -number)}:
        return None
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = _end_of(one.log).strip().splitlines()[-3:]
    return f"NOT DONE: {title(one.order)} ({how}; {one.log}):\n  " + "\n  ".join(said)


def _told(order: Order) -> str:
    """Say in a line what came out of a row."""
    result = read_result(order.result)
    assert result is not None
    values = ", ".join(f"{v['metric']} {v['value']:.4g}" for v in result["reports"].get("final", {}).get("values", []))
    how = f"DIVERGED by step {result['step']:,}" if result["status"] == "diverged" else "done"
    return f"{how}: {title(order)}, {result['training_s'] / 60:.1f} min{f': {values}' if values else ''}"
