"""The rows of a sweep in processes of their own: one that ends badly, and a sweep that is interrupted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from sagan.cli.main import main
from sagan.experiments.jobs import run
from sagan.experiments.row import read_result

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.mark.slow("rows in processes of their own")
def test_a_process_that_ends_badly_is_told_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], smoke_sweep
) -> None:
    sweep = smoke_sweep()
    orders = sweep.orders(["no attention", "residual feat8"])
    # A file where the run folder should be: that row cannot start.
    orders[0].run.parent.mkdir(parents=True)
    orders[0].run.write_text("in the way")
    said = Console(file=sys.stdout, width=200)
    assert run(sweep, orders, said, jobs=2) == 1
    out = capsys.readouterr().out
    assert "NOT DONE: no attention, seed 0 (exit code 2" in out
    assert "is a file; choose another --out" in out
    assert "1 of 2 did not end well" in out
    assert read_result(orders[0].result) is None
    assert read_result(orders[1].result) is not None
    assert [o.name for o in sweep.orders(["no attention", "residual feat8"])] == ["no attention"]


@pytest.mark.slow("starts a sweep twice, in processes of their own")
def test_an_interrupted_sweep_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["paper", "run", "figure3", "--scale", "smoke", "--out", "out", "--steps", "300", "--rows", "SN on D"]
    with subprocess.Popen([sys.executable, "-m", "sagan", *asked], stderr=subprocess.PIPE, text=True) as process:
        while not list(Path("out/runs").glob("*/checkpoints/step-*.pt")):  # from now on the row trains
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert "stopped; what was trained is saved" in said
    saved = int(max(Path("out/runs").glob("*/checkpoints/step-*.pt")).stem.split("-")[1])
    assert saved < 300
    assert not list(Path("out/rows").glob("*/result.json"))
    assert main(asked) == 0
    assert "1 of 1 are still to run" in capsys.readouterr().err
    (log,) = Path("out/runs").glob("*.log")
    assert f"resuming at step {saved:,}" in log.read_text()
    (result,) = Path("out/rows").glob("*/result.json")
    assert json.loads(result.read_text())["step"] == 300
