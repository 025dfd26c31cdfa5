"""Processes that are forked with everything imported, watched as they change the disk, and struck at a moment.

What benchmarks/kills.py is made of. A change is a file opened to be written, a name given or taken away, a folder made:
the audit events of Python. Files that PyTorch opens itself raise none; only moments drawn by time fall into those.
Linux: it reads /proc, and orphans of what was killed become children of this process.
"""

import ctypes
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR
ENDS_WITHIN_S = 600.0
"""What takes longer counts as hanging."""
SUBREAPER = 36
"""Of prctl: orphans of this process's children become its own."""
Commands = Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When to strike."""

    change: int
    """After so many changes of the disk; 0 is the start."""
    delay_s: float = 0.0
    """Seconds from then on."""
    held: bool = False
    """Whether the process waits, before it makes that change, until it is struck."""


START = Moment(change=0)


@dataclass
class Watch:
    """What this process and those that it forks share: the count of changes, the moment, and a clock that can be set.

    Args:
        folder: Whose changes count.
        log: A file that gets a line for each change: seconds, the event, the path inside the folder.
        moment: When to tell.
    """

    folder: Path
    log: Path
    moment: Moment = START
    shared: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 16))
    told: tuple[int, int] = field(default_factory=os.pipe)
    go: tuple[int, int] = field(default_factory=os.pipe)

    def install(self) -> None:
        """Count the changes of this process, and of those that it forks, from now on."""
        lines = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        began, place = time.monotonic(), str(self.folder)

        def look(event: str, arguments: tuple[Any, ...]) -> None:
            path = changed(event, arguments)
            if path is None or not path.startswith(place):
                return
            number = struct.unpack_from("q", self.shared, 0)[0] + 1
            struct.pack_into("q", self.shared, 0, number)
            os.write(lines, f"{time.monotonic() - began:.4f} {event} {path[len(place) + 1 :]}\n".encode())
            if number == self.moment.change:
                os.write(self.told[1], b"x")
                if self.moment.held:
                    os.read(self.go[0], 1)

        sys.addaudithook(look)

    def set_clock(self, seconds: float) -> None:
        """Set the clock of the processes that follow it forward, or back."""
        struct.pack_into("d", self.shared, 8, seconds)

    def follow_clock(self) -> None:
        """Let this process, and those that it forks, read the clock that can be set: `time.time`, `time.time_ns`."""
        real = time.time

        def now() -> float:
            return real() + float(struct.unpack_from("d", self.shared, 8)[0])

        time.time, time.time_ns = now, lambda: int(now() * 1e9)

    def changes(self) -> list[tuple[float, str]]:
        """Give the changes so far: seconds, and what was changed how."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [(float(seconds), what) for seconds, _, what in (line.partition(" ") for line in lines)]

    def note_modules(self) -> None:
        """Write down what this process has imported, so that the next ones find it imported."""
        with self.log.with_suffix(".modules").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in list(sys.modules))

    def close(self) -> None:
        """Close the pipes."""
        for end in (*self.told, *self.go):
            os.close(end)


def changed(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Give the path that an audit event is about to change; None where it changes nothing."""
    if event == "open":
        path, _, flags = arguments
        counts = isinstance(flags, int) and bool(flags & WRITING)
    else:
        path, counts = (arguments[0] if arguments else None), event in CHANGES
    return str(path) if counts and isinstance(path, (str, os.PathLike)) else None


def fork(work: Callable[[], int], said: Path) -> int:
    """Do something in a process of its own, whose words go to the end of a file; gives its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code % 256)


class Forked:
    """What `subprocess.Popen` is to the launcher of a run and to a sweep: a process, but forked, not started anew."""

    watch: Watch | None = None

    def __init__(self, words: Sequence[str], *, env: dict[str, str], stdout: Any, **_: Any) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._become(words, env, stdout)

    def _become(self, words: Sequence[str], env: dict[str, str], stdout: Any) -> None:
        """Be the process that `python -m MODULE ARGUMENTS` would be."""
        code = 70
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.environ.update(env)
            if stdout is not None:
                os.dup2(stdout.fileno(), 1)
                os.dup2(stdout.fileno(), 2)
            code = called(words)
            if self.watch is not None:
                self.watch.note_modules()
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code % 256)

    def poll(self) -> int | None:
        """Give how it ended; None while it goes on."""
        if self.returncode is None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> int:
        """Wait until it has ended."""
        while self.poll() is None:
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it goes on."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def called(words: Sequence[str]) -> int:
    """Do what `python -m sagan ...` or `python -m sagan.experiments.row ...` does."""
    from sagan.cli import main
    from sagan.experiments import row

    module, arguments = words[2], list(words[3:])
    if module == "sagan":
        return main(arguments)
    sys.argv = [module, *arguments]
    return row.main()


def command(commands: Commands, watch: Watch | None, follow_clock: bool = False) -> Callable[[], int]:
    """Give what runs commands of `sagan` one after the other, until one ends badly."""

    def work() -> int:
        from sagan.cli import main
        from sagan.experiments import jobs
        from sagan.runs import launch

        forking = SimpleNamespace(**vars(subprocess) | {"Popen": type("Forked", (Forked,), {"watch": watch})})
        launch.subprocess = jobs.subprocess = forking  # type: ignore[attr-defined, assignment]
        if watch is not None and follow_clock:
            watch.follow_clock()
        if watch is not None:
            watch.install()
        code = next((code for words in commands if (code := main(list(words)))), 0)
        if watch is not None:
            watch.note_modules()
        return code

    return work


def adopt_orphans() -> None:
    """Become the parent of what processes leave behind that are killed."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def children_of(pid: int) -> list[int]:
    """Give the processes that a process has started and that have not been waited for, oldest first."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return sorted(found)


def family(pid: int) -> list[int]:
    """Give a process and all below it."""
    return [pid, *(below for child in children_of(pid) for below in family(child))]


def send(pids: Sequence[int], number: int) -> None:
    """Send a signal to processes, those that have ended aside."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def ended(pid: int) -> Iterator[int]:
    """Give a descriptor that can be read once a process has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def strike(pid: int, watch: Watch, act: Callable[[int], bool]) -> bool:
    """Wait for the moment of a watch and do something to a process; False if it ended before, or nothing was done."""
    moment = watch.moment
    with ended(pid) as end:
        if moment.change and watch.told[0] not in select.select([watch.told[0], end], [], [], ENDS_WITHIN_S)[0]:
            return False
        if select.select([end], [], [], moment.delay_s)[0]:
            return False
        done = act(pid)
        os.write(watch.go[1], b"x" * 8)
    return done


def wait_for(pid: int, within_s: float = ENDS_WITHIN_S) -> int | None:
    """Wait for a child and give its exit code; one that takes too long is killed, which gives None."""
    with ended(pid) as end:
        in_time = bool(select.select([end], [], [], within_s)[0])
    if not in_time:
        send(family(pid), signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if in_time else None


def wait_for_orphans(within_s: float = ENDS_WITHIN_S) -> bool:
    """Wait until all processes have ended that this one has become the parent of; False if some had to be killed."""
    until, in_time = time.monotonic() + within_s, True
    while left := children_of(os.getpid()):
        if time.monotonic() > until:
            send([below for pid in left for below in family(pid)], signal.SIGKILL)
            in_time = False
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)
    return in_time
