"""The rows of a sweep in processes of their own: one that ends badly, and a sweep that is interrupted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sagan.cli.main import main
from sagan.data.parallel import cores
from sagan.experiments import jobs
from sagan.experiments.jobs import Pace, _ended, _outcome, _Work, default_jobs, run, updates
from sagan.experiments.row import Order, measured_on, read_result
from sagan.experiments.sweep import RUNS
from sagan.training.config import EngineConfig

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
    assert run(orders, sweep.out / RUNS, said, jobs=2) == 1
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


def order_of(smoke_sweep, name: str, experiment: str = "table2") -> Order:
    return next(order for order in smoke_sweep(experiment).orders() if order.name == name)


def test_what_a_row_takes_is_told_by_those_that_ended(smoke_sweep) -> None:
    acgan, sngan = order_of(smoke_sweep, "AC-GAN"), order_of(smoke_sweep, "SNGAN-projection")
    assert (updates(acgan), updates(sngan)) == (4 * 2, 4 * 6)
    assert updates(sngan, 1) == 3 * 6
    pace = Pace()
    assert pace.estimate_s(sngan, 0) == 0.0
    pace.add(acgan, acgan.config.train.total_steps, 100.0)  # was trained before, and only measured
    assert pace.estimate_s(sngan, 0) == 0.0
    pace.add(acgan, 2, 10.0)  # went on from step 2: four updates
    assert pace.estimate_s(sngan, 0) == pytest.approx(60.0)
    assert pace.estimate_s(sngan, 3) == pytest.approx(15.0)


@pytest.mark.parametrize(
    ("code", "received", "said"),
    [
        (0, [], None),
        (143, [15], None),
        (-15, [15], None),
        (1, [15], "exit code 1"),
        (-9, [15], "killed by SIGKILL"),
        (1, [], "exit code 1"),
        (130, [15], "exit code 130"),
    ],
)
def test_a_row_that_was_stopped_and_one_that_failed_then_are_told_apart(smoke_sweep, tmp_path, code, received, said):
    order, log = order_of(smoke_sweep, "AC-GAN"), tmp_path / "row.log"
    log.write_text("No space left on device\n")
    one = SimpleNamespace(process=SimpleNamespace(returncode=code), order=order, log=log)
    found = _ended(one, received)
    assert found is None if said is None else said in found and "No space left" in found


def test_rows_that_failed_while_they_were_stopped_are_named(smoke_sweep, tmp_path, capsys) -> None:
    console = Console(file=sys.stdout, width=200)
    about = {"waiting": [], "free": [], "jobs": 1, "runs": tmp_path, "console": console, "deadline": None}
    assert _outcome(_Work(**about, received=[2]), 2, console) == 130
    assert _outcome(_Work(**about, received=[2], failed=["AC-GAN, seed 0"]), 2, console) == 130
    first, second = capsys.readouterr().out.splitlines()
    assert "what was trained is saved" in first
    assert "not saved to the end: AC-GAN, seed 0" in second


@pytest.mark.slow("starts a row, in a process of its own")
def test_when_the_time_is_over_rows_save_and_nothing_more_is_started(
    capsys: pytest.CaptureFixture[str], smoke_sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = smoke_sweep("figure3", steps=20_000, seeds=2)
    orders, said = sweep.orders(["SN on D"]), Console(file=sys.stdout, width=200)
    monkeypatch.setattr("sagan.experiments.jobs.GRACE_S", 300.0)  # a busy machine needs longer to save

    class Clock:
        """A clock that is over the time once a row trains."""

        @staticmethod
        def monotonic() -> float:
            return 1000.0 if list(Path("out/runs").glob("*/checkpoints/step-*.pt")) else 0.0

        sleep = staticmethod(time.sleep)

    monkeypatch.setattr("sagan.experiments.jobs.time", Clock)
    assert run(orders, sweep.out / RUNS, said, jobs=1, stop_after_s=900.0) == 128 + signal.SIGTERM
    out = capsys.readouterr().out
    assert out.count("started:") == 1
    assert "the time is over" in out
    assert "stopped; what was trained is saved" in out
    assert read_result(orders[0].result) is None
    (saved,) = {path.parent.parent for path in Path("out/runs").glob("*/checkpoints/step-*.pt")}
    assert saved == orders[0].run


def test_nothing_is_started_that_could_not_end_in_time(
    capsys: pytest.CaptureFixture[str], smoke_sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagan.experiments.jobs.Pace.estimate_s", lambda *_: 60.0)
    sweep = smoke_sweep()
    code = run(sweep.orders(), sweep.out / RUNS, Console(file=sys.stdout, width=200), stop_after_s=50.0)
    assert code == 128 + signal.SIGTERM
    assert "5 of 5 were not started: the time left is too short" in capsys.readouterr().out


def test_what_has_all_its_results_is_done_although_the_time_is_over() -> None:
    said = Console(quiet=True)
    work = jobs._Work(waiting=[], free=[0], jobs=1, runs=Path("out"), console=said, deadline=0.0, done=2)
    work.received.append(signal.SIGTERM)
    assert jobs._outcome(work, 2, said) == 0
    assert jobs._outcome(work, 3, said) == 128 + signal.SIGTERM


def test_rows_for_a_processor_leave_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1000)
    assert (default_jobs(), default_jobs("cpu")) == (1000, cores())
    assert [measured_on(EngineConfig(device=device)) for device in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
