"""Ctrl-C and SIGTERM: the step is finished and saved, and the printed command goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sagan.generators.pretrained import read_snapshot


@pytest.mark.slow("a process of its own that is stopped and goes on")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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
