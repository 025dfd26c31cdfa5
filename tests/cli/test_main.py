"""The command line as a whole: help, and every mistake is one clear sentence."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sagan.cli.main import main

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]
GOLDEN = Path(__file__).parents[1] / "golden" / "evaluation.json"


def test_help_lists_every_verb_and_each_explains_itself(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for verb in (
        "demo",
        "train",
        "sample",
        "attention",
        "evaluate",
        "export",
        "data check",
        "data pack",
        "plan",
        "benchmark",
        "info",
    ):
        assert f"  {verb} " in out
        code, explained, _ = run(*verb.split(), "--help")
        assert code == 0, verb
        assert len(explained) > 100, verb
    code, explained, _ = run("train", "--help-all")
    for flag in (
        "--data",
        "--resume",
        "--preset",
        "--generator.attention",
        "--train.lr-d",
        "--data.balanced",
        "--seed",
    ):
        assert flag in explained
    assert "sagan-128" in explained


def test_version_and_info(run: Run) -> None:
    assert run("--version")[1].startswith("sagan-torch ")
    code, out, _ = run("info")
    assert code == 0
    for word in ("torch", "threads", "cuda", "cache", "inception"):
        assert word in out


def test_mistakes_on_the_command_line(run: Run, tmp_path: Path, digits_run: Path, error: Mistake) -> None:
    assert "did you mean train" in error(run("trian"))
    assert "did you mean sagan-32" in error(run("train", "--preset", "sagan-33", "--data", "digits"))
    assert "which pictures" in error(run("train", "--out", tmp_path / "r"))
    assert "there is no nowhere" in error(run("train", "--data", "nowhere", "--out", tmp_path / "r"))
    assert "--train.lr-d" in error(run("train", "--data", "digits", "--train.lrd", "1"))
    assert "batch-size must be at least 2" in error(run("train", "--preset", "demo", "--train.batch-size", "1"))
    assert "--size must be one of" in error(run("train", "--data", "digits", "--size", "48"))
    assert "has no feat64; it has feat8, feat16" in error(run("train", "--preset", "demo", "--attention", "64"))
    assert "no class 'zebra'" in error(run("sample", digits_run, "--class", "zebra", "--out", "x.png"))
    assert "num must be at least 1" in error(run("sample", digits_run, "--num", "0", "--out", "x.png"))
    assert "no such run folder" in error(run("sample", "nowhere", "--out", "x.png"))
    assert "write samples to" in error(run("sample", digits_run, "--out", "x.tiff"))
    assert "holds a run already" in error(run("train", "--preset", "demo", "--out", digits_run))
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").glob("*.json"))


@pytest.mark.slow("a process of its own")
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs a user to change to")
def test_no_permission_is_one_sentence(pictures: Path, tmp_path: Path) -> None:
    (pictures / "dark" / "0.png").chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    script = (
        "import os, sys; os.setgid(65534); os.setuid(65534); from sagan.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    preload = (
        "import sagan.cli.main, sagan.runs.train, sagan.recipes.presets, lightning_fabric, tyro, sklearn.datasets; "
    )
    done = subprocess.run(
        [sys.executable, "-c", preload + script, "train", "--preset", "demo", "--data", str(pictures), "--out", "r"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("sagan: ")  # matplotlib may say before that it is slow


def test_python_m_sagan_works() -> None:
    done = subprocess.run([sys.executable, "-m", "sagan", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:11]) == (0, "sagan-torch")


BROKEN_OFF = """
import importlib, os, signal, sys, time
{module} = importlib.import_module("{where}")
def broken_off(*_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        raise RecursionError("an import that was broken off half-way")
{module}.{function} = broken_off
sys.argv = ["sagan", "x"]
sys.exit({module}.main())
"""


@pytest.mark.parametrize(
    ("where", "function", "said"),
    [("sagan.cli.main", "dispatch", "sagan: interrupted\n"), ("sagan.experiments.row", "read_order", "")],
)
def test_ctrl_c_that_a_library_turns_into_an_error_of_its_own_stays_one(where: str, function: str, said: str) -> None:
    program = BROKEN_OFF.format(module="m", where=where, function=function)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, said)


def test_help_ends_in_a_terminal_of_one_column() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sagan", "sample", "--help"],
        capture_output=True,
        check=False,
        timeout=300,
        env=os.environ | {"COLUMNS": "1"},
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 100


def test_flags_that_would_do_nothing_are_refused(run: Run, digits_run: Path, error: Mistake) -> None:
    assert "--interpolate" in error(run("sample", digits_run, "--end-seed", "3", "--out", "x.png"))
    assert "--truncation" in error(
        run("attention", digits_run, "--data", "digits", "--truncation", "1", "--out", "x.png")
    )
    assert "num must be at least 1" in error(run("attention", digits_run, "--num", "0", "--out", "x.png"))


def test_the_systems_own_errors_say_what_to_do(run: Run, digits_run: Path, error: Mistake) -> None:
    for out in ("/proc/no/samples.png", "/proc/no/samples"):
        said = error(run("sample", digits_run, "--num", "1", "--out", out))
        assert "/proc/no" in said
        assert "choose a" in said
        assert "Errno" not in said


def test_a_refused_value_and_a_misread_one_are_a_sentence_each(run: Run) -> None:
    refused = "must be at least"
    for arguments, sentence in (
        (("sample", "r", "--out", "x.png", "--num", "0"), f"sagan: --num {refused} 1, found 0\n"),
        (("evaluate", "r", "--data", "digits", "--num=1"), f"sagan: --num {refused} 2, found 1\n"),
        (("attention", "r", "--out", "x.png", "--num", "0"), f"sagan: --num {refused} 1, found 0\n"),
    ):
        assert run(*arguments) == (2, "", sentence)
    code, _, err = run("train", "--preset", "demo", "--train.batch-size", "1")
    assert code == 2
    assert err.startswith("sagan: --train.batch-size must be at least 2")
    code, _, err = run("sample", "r", "--out", "x.png", "--num", "many")
    assert code == 2
    assert err == "sagan: --num takes a whole number, found 'many'\n"
    assert "has no flag --nums; did you mean --num?" in run("sample", "r", "--out", "x.png", "--nums", "1")[2]


@pytest.mark.parametrize("words", [["sample", "run", "--out", "x.png", "--class", "-cat"], ["data", "check", "-cat"]])
def test_a_name_that_begins_with_a_dash_is_told_how_it_is_written(run: Run, words: list[str]) -> None:
    code, _, said = run(*words)
    assert code == 2
    assert "is written behind its flag, as --class=-cat, or as a path, ./-cat" in said


def compared() -> int:
    return main(["evaluate", "--compare", str(GOLDEN), str(GOLDEN)])


def broken(*_: object) -> None:
    raise KeyError("u")


def test_what_nobody_foresaw_is_a_sentence_with_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sagan.evaluation.comparison", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("SAGAN_TRACEBACK", raising=False)
    assert compared() == 1
    (file,) = tmp_path.iterdir()
    said = f"KeyError: 'u'; please report it with what you did; its traceback is in {file}"
    assert capsys.readouterr().err == f"sagan: this should not have happened: {said}\n"
    assert file.read_text().startswith("Traceback")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert compared() == 1
    assert capsys.readouterr().err.startswith("Traceback")


def test_what_nobody_foresaw_is_raised_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagan.evaluation.comparison", broken)
    monkeypatch.setenv("SAGAN_TRACEBACK", "1")
    with pytest.raises(KeyError):
        compared()
