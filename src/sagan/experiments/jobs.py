"""Work off the rows of a sweep side by side, each in a process of its own."""

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
from sagan.experiments.sweep import RUNS, Sweep
from sagan.reading import lines_of
from sagan.runs.log import LOG
from sagan.runs.signals import PARENT

CHECK_EVERY_S = 0.2
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass
class _Running:
    order: Order
    process: "subprocess.Popen[bytes]"
    device: int
    task: TaskID
    log: Path


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
    running: list[_Running] = field(default_factory=list)
    """Processes that have not ended, or were not looked at since."""
    failed: list[str] = field(default_factory=list)
    """Titles of the rows that ended badly."""
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
        while self.waiting and self.free and not self.received:
            order, device = self.waiting.pop(0), self.free.pop(0)
            task = progress.add_task(f"  {title(order)}", total=order.config.train.total_steps, note="")
            self.running.append(_start(order, device, self.jobs, task, self.runs))
            self.console.print(f"started: {title(order)}", highlight=False)

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
            elif not self.received:
                self.console.print(_told(one.order), highlight=False)
                progress.advance(everything)

    def end(self) -> None:
        """End all that still runs."""
        for one in self.running:
            if one.process.poll() is None:
                one.process.terminate()


def run(sweep: Sweep, orders: Sequence[Order], console: Console, *, jobs: int | None = None) -> int:
    """Work off orders side by side, one process each; gives the exit code: 0, or 128 + the signal that stopped it.

    A process that ends badly - killed, out of memory, an error - is told with the end of its output and tried again by
    the next call; the other rows go on meanwhile.

    Args:
        sweep: What the orders belong to.
        orders: What to do.
        console: Where to report.
        jobs: Rows at a time; unset is one for each GPU, else for each core.
    """
    jobs = jobs or default_jobs()
    runs = sweep.out / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    (runs / ".gitignore").write_text("*\n")  # checkpoints are large and can be made again
    work = _Work(waiting=list(orders), free=list(range(jobs)), jobs=jobs, runs=runs, console=console)
    shown = console if console.is_terminal else Console(quiet=True)
    with Progress(*_columns(), console=shown, disable=shown.quiet) as progress, ExitStack() as stack:
        for number in STOPPING:
            stack.callback(signal.signal, number, signal.signal(number, work.stop))
        stack.callback(work.end)  # if anything goes wrong here, no row trains on unseen
        everything = progress.add_task(f"{sweep.experiment.name}: rows", total=len(orders), note="")
        while (work.waiting and not work.received) or work.running:
            work.start(progress)
            time.sleep(CHECK_EVERY_S)
            work.look(progress, everything)
    if work.received:
        console.print("stopped; what was trained is saved. The same command goes on from there.")
        return 128 + work.received[-1]
    if work.failed:
        count, failed = f"{len(work.failed)} of {len(orders)}", ", ".join(work.failed)
        console.print(f"{count} did not end well: {failed}. The same command tries them again.")
        return 1
    return 0


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


def default_jobs() -> int:
    """Count what rows can run on side by side: GPUs, else cores."""
    return torch.cuda.device_count() or (1 if torch.backends.mps.is_available() else cores())


def _start(order: Order, device: int, jobs: int, task: TaskID, runs: Path) -> _Running:
    file = runs / f"{order.result.name}.order.json"
    write_order(order, file)
    environment = os.environ | {PARENT: str(os.getpid())}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
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
    return _Running(order, process, device, task, log)


def _progress(order: Order) -> tuple[int, str]:
    """Read how far a row is from the last line of its log."""
    try:
        with (order.run / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode("utf-8", "ignore").splitlines()
    except OSError:
        return 0, ""
    records = lines_of("\n".join(lines[1:]).encode(), lambda record: type(record.get("step")) is int).records
    step = max((int(record["step"]) for record in records), default=0)
    return step, "measuring" if step >= order.config.train.total_steps else ""


def _ended(one: _Running, received: list[int]) -> str | None:
    """Say why a process ended badly; None if it did not."""
    code = one.process.returncode
    if code == 0 or received:
        return None
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = one.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    return f"NOT DONE: {title(one.order)} ({how}; {one.log}):\n  " + "\n  ".join(said)


def _told(order: Order) -> str:
    """Say in a line what came out of a row."""
    result = read_result(order.result)
    assert result is not None
    values = ", ".join(f"{v['metric']} {v['value']:.4g}" for v in result["reports"].get("final", {}).get("values", []))
    how = f"DIVERGED by step {result['step']:,}" if result["status"] == "diverged" else "done"
    return f"{how}: {title(order)}, {result['training_s'] / 60:.1f} min{f': {values}' if values else ''}"
