"""benchmarks/paper_rows.py: the same as `sagan paper run all`, without the command line's packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sagan.experiments.config import PaperConfig
from sagan.training.config import EngineConfig

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import paper_rows

    return paper_rows


def test_flags_become_a_configuration_and_the_command_that_does_the_same(rows) -> None:
    flags = rows.parsed(
        ["--experiments", "table1", "ttur", "--steps", "30", "--data", "x.zip", "--compile", "on", "--keep", "device"]
    )
    config = rows.config_of(flags)
    assert (config.name, config.steps, config.keep) == ("table1,ttur", 30, "device")
    assert config.engine == EngineConfig(precision="fp32", compile="on")
    command = " ".join(rows.command_of(flags))
    assert command.startswith("table1,ttur --scale small --data x.zip --steps 30 --keep device")
    assert command.endswith("--engine.precision fp32 --engine.compile on")
    graphed = rows.parsed(["--step-graph", "--device", "cuda"])
    assert rows.config_of(graphed).engine.step_graph
    assert rows.command_of(graphed)[-1] == "--engine.step-graph"


def test_that_command_is_understood_by_the_command_line(rows) -> None:
    from sagan.cli.paper_run import WHAT, PaperFlags
    from sagan.cli.parse import parse

    asked = ["--scale", "smoke", "--seeds", "2", "--jobs", "2", "--device", "cpu", "--stop-after-s", "60", "--out", "o"]
    flags = rows.parsed([*asked, "--feature-weights", "w.pth"])
    typed = parse(PaperFlags, rows.command_of(flags), "paper run", description=WHAT)
    same = {name: getattr(typed, name) for name in PaperConfig.__dataclass_fields__}
    assert same == {name: getattr(rows.config_of(flags), name) for name in same}


@pytest.mark.parametrize(
    ("word", "said"), [("--experiments=tabel1", "table1"), ("--jobs=0", "--jobs must be at least 1")]
)
def test_what_cannot_be_is_said_in_a_sentence(rows, capsys, word: str, said: str) -> None:
    assert rows.main([word]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_with_other_settings_is_said_in_a_sentence(rows, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    asked = ["--scale", "smoke", "--out", "out", "--experiments", "figure5", "--stop-after-s", "0.001"]
    monkeypatch.setattr("sagan.experiments.paper.run", lambda *_, **__: 0)  # no row is needed for it
    assert rows.main(asked) == 0
    capsys.readouterr()
    assert rows.main([*asked, "--steps", "3"]) == 2
    assert "other settings of: train.total_steps" in capsys.readouterr().err


def test_without_the_service_rows_take_turns_and_may_be_shorter(rows, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("PATH", "")
    with rows.service(True, Console(file=sys.stdout)) as works:
        assert not works
    assert "take turns on the GPU" in capsys.readouterr().out
    asked: list[PaperConfig] = []
    monkeypatch.setattr(rows, "run_rows", lambda config, *_: (asked.append(config), (0, []))[1])
    assert rows.main(["--data", "digits", "--mps", "--steps", "6000", "--steps-in-turns", "1000"]) == 0
    assert rows.main(["--data", "digits", "--steps", "6000"]) == 0
    assert capsys.readouterr().err.count("each has 1,000 steps") == 1
    monkeypatch.setattr(rows.shutil, "which", lambda _: "there")
    monkeypatch.setattr(rows, "tried", lambda: pytest.fail("a dry run starts the service"))
    assert rows.main(["--data", "digits", "--mps", "--steps", "6000", "--steps-in-turns", "1000", "--dry-run"]) == 0
    assert [config.steps for config in asked] == [1000, 6000, 6000]


def test_a_service_that_fails_is_ended_and_the_environment_stays(rows, tmp_path: Path, monkeypatch, capsys) -> None:
    control = tmp_path / rows.CONTROL
    control.write_text('#!/bin/sh\necho "$@ $(test -t 0 || cat)" >> calls.txt\ntest "$1" != "-d"\n')
    control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    before = dict(os.environ)
    with rows.service(True, Console(file=sys.stdout)) as works:
        assert not works
        assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ
    assert "does not work here" in capsys.readouterr().out
    assert dict(os.environ) == before
    assert "quit" in Path("calls.txt").read_text()


@pytest.mark.slow("starts processes that load PyTorch")
def test_it_runs_without_the_packages_of_the_command_line(tmp_path: Path) -> None:
    without = (
        "import sys; sys.modules['tyro'] = None; sys.path.insert(0, sys.argv[1]); import paper_rows; "
        "sys.exit(paper_rows.main(['--scale', 'smoke', '--out', 'out', '--experiments', 'figure5', '--jobs', '1']))"
    )
    run = [sys.executable, "-c", without, str(ROOT / "benchmarks")]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "done: SAGAN, seed 0" in done.stderr
    assert "sagan paper run figure5 --scale smoke" in done.stderr
    (result,) = (tmp_path / "out" / "rows").glob("sagan-seed0-*/result.json")
    assert (result.parent / "attention.png").exists()
    assert not list((tmp_path / "out").glob("figure5-*/table.md"))  # `sagan paper render` draws
