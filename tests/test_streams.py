"""Standard streams: words that cannot be written are lost, and end nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sagan.generators.snapshot import read_snapshot
from sagan.streams import Lasting, words_may_be_lost

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")


def test_words_that_nobody_reads_are_lost_and_no_error() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as read, os.fdopen(writer, "w") as stream:
        lasting = Lasting(stream)
        assert lasting.write("heard") == 5
        lasting.flush()
        assert read.read(5) == "heard"
        read.close()
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
        for _ in range(2):
            lasting.write("lost")
            lasting.flush()
        assert lasting.fileno() == writer
        os.write(writer, b"nor does who writes there otherwise fail")


@needs_full
def test_words_that_a_full_disk_does_not_take_are_lost() -> None:
    with FULL.open("w", encoding="utf-8", buffering=1) as full:
        with pytest.raises(OSError, match="No space left"):
            print("refused", file=full)
        lasting = Lasting(full)
        for _ in range(2):
            print("lost" * 5000, file=lasting, flush=True)
        assert lasting.name == str(FULL)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, full.fileno())  # there is room again: what waits does not fail either
        os.close(nowhere)
        lasting.flush()


def test_standard_error_is_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with words_may_be_lost():
        Console(stderr=True).print("said")
        assert sys.stderr is not before
    assert sys.stderr is before
    assert capsys.readouterr().err == "said\n"


TRAIN = ["train", "--preset", "demo", "--base-width", "4", "--train.batch-size", "8", "--train.log-every", "1"]


@needs_full
@pytest.mark.slow("a process of its own whose words find no room")
def test_a_run_goes_on_when_its_words_find_no_room(tmp_path: Path) -> None:
    command = [*TRAIN, "--steps", "30", "--train.sample-every", "0", "--out", str(tmp_path / "run")]
    with FULL.open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "sagan", *command], stderr=full, check=False)
    assert done.returncode == 0
    assert int(read_snapshot(tmp_path / "run").contents["step"]) == 30  # type: ignore[call-overload]


@pytest.mark.skipif(os.name == "nt", reason="closed by a shell")
@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_streams_that_are_closed_end_nothing(closed: str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m sagan info --help {closed}', sys.executable], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert ("usage: sagan info" in done.stdout) == (closed == "2>&-")


@needs_full
def test_results_that_find_no_room_are_a_sentence() -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sagan", "info", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
