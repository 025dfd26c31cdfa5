"""Running tests of a tree in a copy of this process: a fork has what takes seconds to import, and nothing of sagan.

Part of benchmarks/mutants.py. :func:`record` runs a test file and notes which lines of the source each test reaches;
:func:`verdict` runs chosen tests in a given order, up to the first that fails.
"""

import contextlib
import faulthandler
import importlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

PRELOADED = (
    *("hypothesis", "lightning_fabric", "matplotlib.figure", "matplotlib.backends.backend_agg", "numpy", "PIL.Image"),
    *("rich.console", "rich.progress", "safetensors.torch", "scipy.linalg", "scipy.stats", "sklearn.datasets"),
    *("torch", "torch.distributed", "torch.nn.functional", "torch.nn.utils.parametrize", "tyro"),
)
"""What the parent imports for all its forks. None of these is sagan's, or changed by a test."""
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-o", "addopts=", "-n", "0")
OPTIONS += ("--strict-markers", "--strict-config", "--import-mode=importlib", "-m", "not slow")
OPTIONS += ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning", "--hypothesis-seed=0")
MEMORY_BYTES = 24 << 30
"""Address space of a fork: a mutant that asks for more is killed, not the machine."""
TEST_S, TIMES_SLOWER = 40.0, 10.0
"""A test is stopped after so many seconds, and so many times what it takes without a mutant."""
STARTS = {"os.fork", "os.posix_spawn", "subprocess.Popen"}
"""Events by which a test is seen to start processes, whose lines are not recorded."""

Phase = Iterator[None]


def preload() -> None:
    """Import what all forks share, on one thread."""
    for name in PRELOADED:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


def forked(tree: Path, work: Callable[[], Any], log: Path, timeout: float) -> Any:
    """Do ``work`` in a fork that stands in a tree; gives its result, or None where it left none in time."""
    answer = log.with_suffix(".answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            _settle(tree, log)
            answer.write_text(json.dumps(work()))
        except BaseException:  # there is nobody to catch it: this is a process of its own
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    _wait(child, timeout)
    return json.loads(answer.read_text()) if answer.exists() and answer.stat().st_size else None


def _settle(tree: Path, log: Path) -> None:
    """Make a fork a process of its own: group, output, limits, and the source that it imports."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDONLY) if stream == 0 else opened, stream)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(fd, "w"), write_through=True) for fd in (1, 2))
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(tree)
    sys.path[0] = str(tree / "src")
    os.environ["PYTHONPATH"] = str(tree / "src")
    temporary = log.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    if sys.dont_write_bytecode:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def _wait(child: int, timeout: float) -> None:
    """Wait for a fork; after the time, and in any case for what it started, end the group."""
    last = time.monotonic() + timeout
    ended = False
    try:
        while not ended and time.monotonic() < last:
            time.sleep(0.02)
            ended = bool(os.waitpid(child, os.WNOHANG)[0])
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


# ----------------------------------------------------------------------------------------------------------- recording


class Recorder:
    """Notes for each test how long it takes, which lines of some files it reaches, and whether it starts processes.

    What a fixture of a wider scope than a test reaches counts for all tests of the file.
    """

    def __init__(self, tree: Path, files: Sequence[str]):
        self.names = {str(tree / file): file for file in files}
        self.found: dict[str, dict[str, Any]] = {}
        self.shared: set[tuple[str, int]] = set()
        self.lines: set[tuple[str, int]] = set()
        self.starts = False
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: object) -> None:
        if event in STARTS:
            self.starts = True

    def _enter(self, frame: FrameType, _: str, __: object) -> Any:
        return self._step if frame.f_code.co_filename in self.names else None

    def _step(self, frame: FrameType, _: str, __: object) -> Any:
        self.lines.add((self.names[frame.f_code.co_filename], frame.f_lineno))
        return self._step

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Phase:
        before, self.lines = self.lines, set()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self.shared |= self.lines
            self.lines |= before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Phase:
        self.lines, self.starts, began = set(), False, time.monotonic()
        sys.settrace(self._enter)
        threading.settrace(self._enter)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            taken = time.monotonic() - began
            self.found[item.nodeid] = {"s": round(taken, 3), "starts": self.starts, "lines": self.lines}

    def result(self) -> dict[str, Any]:
        """Give what was noted, by test: seconds, whether it starts processes, and line numbers by file."""
        return {name: about | {"lines": _by_file(about["lines"] | self.shared)} for name, about in self.found.items()}


def _by_file(lines: set[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for file, line in sorted(lines):
        found.setdefault(file, []).append(line)
    return found


def record(tree: Path, file: str, sources: Sequence[str]) -> dict[str, Any]:
    """Run a test file in this process and note what its tests reach; gives also the exit code."""
    recorder = Recorder(tree, sources)
    code = pytest.main([*OPTIONS, file], plugins=[recorder])
    return {"code": int(code), "tests": recorder.result()}


# ------------------------------------------------------------------------------------------------------------ verdicts


class Chosen:
    """Keeps the chosen tests, in the order in which they are given, and notes the one that fails."""

    def __init__(self, seconds: dict[str, float], running: Path):
        self.seconds = seconds
        self.running = running
        self.failed: str | None = None
        self.why = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        rank = {name: place for place, name in enumerate(self.seconds)}
        items[:] = sorted((item for item in items if item.nodeid in rank), key=lambda item: rank[item.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Phase:
        self.running.write_text(item.nodeid)
        seconds = TEST_S + TIMES_SLOWER * self.seconds[item.nodeid]
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.failed is None:
            self.failed = report.nodeid
            self.why = str(report.longrepr).strip().splitlines()[-1] if report.longrepr else ""


def verdict(seconds: dict[str, float], running: Path) -> dict[str, Any]:
    """Run tests in this process in the given order up to the first failure; ``seconds`` is what each takes."""
    chosen = Chosen(seconds, running)
    files = list(dict.fromkeys(name.split("::")[0] for name in seconds))
    code = pytest.main([*OPTIONS, *files], plugins=[chosen])
    return {"code": int(code), "failed": chosen.failed, "why": chosen.why[:300]}
