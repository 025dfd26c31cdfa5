"""Ctrl-C and SIGTERM: the step is finished and saved, and the printed command goes on."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from sagan.generators.pretrained import read_snapshot
from sagan.runs.signals import end_with_parent, stop_signals, stopping


@pytest.fixture
def hangups() -> Iterator[None]:
    """Let SIGHUP do what it does by default, which processes inherit: where tests run under nohup it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.slow("a process of its own that is stopped and goes on")
@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_finish_the_step_and_save(tmp_path: Path, number: signal.Signals, code: int) -> None:
    out = tmp_path / "run"
    flags = ["--base-width", "4", "--train.batch-size", "8", "--train.log-every", "1", "--train.sample-every", "0"]
    command = [
        sys.executable,
        "-m",
        "sagan",
        "train",
        "--preset",
        "demo",
        "--steps",
        "1000000",
        "--out",
        str(out),
        *flags,
    ]
    said = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # read until it trains, then stop it
            said += line
            if line.startswith("step 3/"):
                process.send_signal(number)
                break
        said += process.stderr.read()
    assert process.returncode == code, said
    assert f"sagan train --resume {out}" in said
    assert "Traceback" not in said
    step = int(read_snapshot(out).contents["step"])  # type: ignore[call-overload]
    assert step >= 3
    # ... and the printed command continues
    done = subprocess.run(
        [sys.executable, "-m", "sagan", "train", "--resume", str(out), "--steps", str(step + 2)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(read_snapshot(out).contents["step"]) == step + 2  # type: ignore[call-overload]


IN_A_TERMINAL = """
import os, pty, re, signal, sys
child, terminal = pty.fork()
if not child:
    os.environ["TERM"] = "xterm"
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(600)
said = b""
while not re.search(rb"step [1-9]", said):
    said += os.read(terminal, 4096)
os.close(terminal)  # as closing its window does
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow("a run in a terminal of its own")
@pytest.mark.usefixtures("hangups")
def test_a_closed_terminal_has_the_step_finished_and_saved(tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = ["--base-width", "4", "--train.batch-size", "8", "--train.log-every", "1", "--train.sample-every", "0"]
    command = ["-m", "sagan", "train", "--preset", "demo", "--steps", "1000000", "--out", str(out), *flags]
    closed = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL, *command], capture_output=True, text=True, check=False
    )
    assert closed.returncode == 129, closed.stderr
    assert int(read_snapshot(out).contents["step"]) >= 1  # type: ignore[call-overload]


@pytest.mark.slow("a process of its own whose words nobody reads")
def test_a_run_goes_on_when_nobody_reads_its_words(tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = ["--base-width", "4", "--train.batch-size", "8", "--train.log-every", "1", "--train.sample-every", "0"]
    command = [sys.executable, "-m", "sagan", "train", "--preset", "demo", "--steps", "40", "--out", str(out), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 2/"):
                break
        process.stdout.close()
        assert process.wait(300) == 0
    assert int(read_snapshot(out).contents["step"]) == 40  # type: ignore[call-overload]


def test_where_nohup_had_it_ignored_a_closed_terminal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals(Console(quiet=True)) as received:
            signal.raise_signal(signal.SIGHUP)
            assert received() == 0
            signal.raise_signal(signal.SIGTERM)
            assert received() == signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert stopping() == [signal.SIGINT, signal.SIGTERM]
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert stopping() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert stopping() == [signal.SIGTERM, signal.SIGHUP]
        signal.signal(signal.SIGINT, interrupt)
    finally:
        signal.signal(signal.SIGHUP, before)


STARTED = """
import signal, sys
from pathlib import Path
from sagan.runs import signals

def end(number, _):
    Path(sys.argv[1]).write_text(signal.Signals(number).name)
    sys.exit()

signal.signal(signal.SIGTERM, end)
signals.LOOK_EVERY_S = 0.01
signals.end_with_parent()
print("ready", flush=True)
while True:
    signal.pause()
"""
STARTS = """
import os, signal, subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], sys.argv[2]], env=os.environ | {"SAGAN_PARENT": str(os.getpid())}, stdout=-1
)
child.stdout.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there a process keeps the number of a parent that has ended")
def test_a_process_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    done = subprocess.run([sys.executable, "-c", STARTS, STARTED, str(ended)], check=False)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 120
    while not (ended.exists() and ended.read_text()) and time.monotonic() < until:
        time.sleep(0.01)
    assert ended.read_text() == "SIGTERM"


def test_a_process_of_its_own_does_not_watch_who_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGAN_PARENT", raising=False)
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before
