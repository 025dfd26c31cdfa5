"""Help, version and mistakes: answered at once, without PyTorch, as wide as the terminal, short and long."""

import os
import re
import subprocess
import sys

import pytest

from sagan.cli.main import VERBS, main
from sagan.cli.parse import wrapped

HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "numpy", "PIL", "rich", "lightning_fabric")
# Asks the command line for several things one after the other, and says each time what was imported for it.
SCRIPT = """
import contextlib, io, json, sys
from sagan.cli.main import main
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(arguments)
    heavy = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    print(json.dumps([arguments, code, heavy, said.getvalue()]))
"""


def asked(questions):
    import json

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(questions), json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_help_and_version_need_no_heavy_library():
    questions = [[], ["--help"], ["--version"], ["data"], ["paper", "--help"]]
    questions += [[*verb.split(), form] for verb in VERBS for form in ("--help", "--help-all", "-h")]
    found = asked(questions)
    assert len(found) == len(questions)
    for arguments, code, heavy, _ in found:
        assert code == (2 if arguments == ["data"] else 0), arguments
        assert heavy == [], arguments


def test_mistakes_need_no_heavy_library():
    questions = [["trian"], ["train", "--preset", "sagan-33"], ["train", "--engine.device", "gpu"]]
    questions += [["sample", "run", "--out", "x.png", "--num", "0"], ["attention", "run", "--out", "x", "--query", "9"]]
    questions += [["evaluate", "run", "--features", "inceptoin"], ["paper", "run", "table1", "--scale", "smal"]]
    questions += [[verb, "run", "--out", "x.txt"] for verb in ("sample", "attention", "export")]
    questions += [["data", "check", "digits", "--sheet", "x.foo"], ["paper", "show", "tabel1"]]
    questions += [["attention", "run", "--out", "x.png", "--num", "0"], ["evaluate", "run", "--splits", "0"]]
    questions += [["train", "--size", "100"], ["train", "--batch-size", "1"], ["plan", "--steps", "0"]]
    questions += [["train", "--preset"], ["paper", "run", "tabel1"]]
    questions += [[*verb.split(), "--no-such-flag", "1"] for verb in VERBS]
    for arguments, code, heavy, _ in asked(questions):
        assert code == 2, arguments
        assert heavy == [], arguments


def test_what_is_not_there_is_said_before_any_heavy_library_is_imported(tmp_path):
    configuration, gone = tmp_path / "c.json", str(tmp_path / "gone")
    configuration.write_text(f'{{"data": {{"path": "{gone}"}}}}')
    questions = [[verb, "--data", gone] for verb in ("train", "plan", "benchmark")]
    questions += [[verb, "--config", str(configuration)] for verb in ("train", "plan")]
    questions += [["train", "--data", "digits", flag, gone] for flag in ("--init-from", "--resume")]
    questions += [[verb, gone, "--out", "x.png"] for verb in ("sample", "attention")]
    questions += [["attention", str(tmp_path), "--data", gone, "--out", "x.png"], ["export", gone, "--out", "x.onnx"]]
    questions += [["evaluate", gone, "--data", "digits"], ["evaluate", "--generated", gone, "--data", "digits"]]
    questions += [["evaluate", str(tmp_path), flag, gone] for flag in ("--data", "--statistics")]
    questions += [["evaluate", "--compare", gone, gone], ["report", gone], ["studio", gone]]
    questions += [["studio", str(tmp_path), "--data", gone], ["import", "auto", gone, "x"]]
    questions += [["data", "check", gone], ["data", "pack", gone, "--size", "32", "--out", "x"]]
    questions += [["paper", "render", "--out", gone]]
    for arguments, code, heavy, said in asked(questions):
        assert code == 2, arguments
        assert heavy == [], arguments
        assert said.startswith("sagan: ") and gone in said and said.count("\n") == 1, said


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_is_as_wide_as_the_terminal(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in [["--help"], ["data", "--help"], *([*verb.split(), "--help"] for verb in VERBS)]:
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        too_wide = [line for line in lines if len(line) > columns]
        assert not too_wide, f"{arguments}: {too_wide}"
    assert main(["train", "--help-all"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def flags(text):
    return {word for line in text.splitlines() for word in re.findall(r"^ {1,4}(--[a-z][a-z0-9.-]*)", line)}


@pytest.mark.parametrize("verb", ["train", "plan", "benchmark"])
def test_the_short_help_has_the_flags_that_people_use(capsys, verb):
    assert main([verb, "--help"]) == 0
    short = capsys.readouterr().out
    assert f"sagan {verb} --help-all" in " ".join(short.split())
    assert main([verb, "--help-all"]) == 0
    every = flags(capsys.readouterr().out)
    assert {"--data", "--preset", "--size", "--steps", "--seed"} <= flags(short)
    assert 15 <= len(flags(short)) <= 25
    assert flags(short) < every
    assert {"--generator.z-dim", "--discriminator.head", "--train.beta2", "--monitor.real", "--data.keep"} <= every


def test_long_help_is_grouped(capsys):
    assert main(["train", "--help-all"]) == 0
    text = capsys.readouterr().out
    for group in ("generator options", "discriminator options", "train options", "monitor options", "engine options"):
        assert group in text


def test_lists_are_wrapped_under_their_second_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert wrapped("  one  first and second and third and fourth") == (
        "  one  first and second and\n       third and fourth"
    )
    assert wrapped("usage: a b c d e f g h i j k l m n", hanging=7).splitlines()[1].startswith("       ")


def test_python_m_sagan_cli_works():
    for module in ("sagan", "sagan.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=False, env=os.environ
        )
        assert (done.returncode, done.stdout[:11]) == (0, "sagan-torch")


def test_help_in_words_and_verbs_of_two(capsys):
    assert main(["help", "data", "check"]) == 0
    assert capsys.readouterr().out.startswith("usage: sagan data check")
    for typed in (["dat", "check", "x"], ["dta", "check"]):
        assert main(typed) == 2
        assert "did you mean data check?" in capsys.readouterr().err


def test_the_short_help_is_grouped(capsys):
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"{group} options") for group in ("data", "train", "monitor", "engine")]
    assert places == sorted(places)
    assert places[0] < text.index("--data.flip") < places[1] < text.index("--train.lr-g") < places[2]


def test_the_short_help_says_what_unset_flags_stand_for(capsys):
    assert main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Defaults shown are those of preset" in text
    assert re.search(r"steps [\d,]+, batch size \d+, size \d+, base width \d+", text)


def test_a_wrong_number_is_named_by_the_flag_that_was_typed(capsys):
    for arguments, start in (
        (["train", "--size", "100"], "sagan: --size must be one of"),
        (["train", "--batch-size", "1"], "sagan: --batch-size must be at least 2"),
        (["plan", "--steps", "0"], "sagan: --steps must be at least 1"),
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith(start)


def test_a_missing_path_is_named_under_the_flag_that_was_typed(tmp_path):
    gone, there = str(tmp_path / "gone"), str(tmp_path / "there.pth")
    (tmp_path / "there.pth").touch()
    table, pictures = ["paper", "run", "table1", "--scale", "smoke"], ["train", "--data", "digits"]
    questions = [[*table, "--data", gone], [*table, "--feature-weights", gone], ["train", "--data.path", gone]]
    questions += [
        ["train", "--preset", "demo", f"--data={gone}"],
        ["plan", "--data", gone],
        ["train", "--resume", gone],
    ]
    questions += [["train", "--resume", str(tmp_path)], ["evaluate", there, "--data", gone]]
    questions += [[*pictures, flag, gone] for flag in ("--data.class-names", "--monitor.feature-weights")]
    questions += [["plan", "--data", "digits", "--data.class-names", gone], ["evaluate", there, "--statistics", gone]]
    questions += [["evaluate", "--data", "digits", "--generated", gone], ["studio", there, "--data", gone]]
    questions += [
        ["attention", there, "--out", "x.png", "--data", gone],
        ["export", there, "--out", "x", "--report", gone],
    ]
    questions += [["import", "auto", there, "x", flag, gone] for flag in ("--discriminator", "--class-names")]
    questions += [["data", "check", "digits", "--class-names", gone], ["paper", "render", "--out", gone]]
    questions += [["data", "pack", "digits", "--size", "32", "--out", "x", "--class-names", gone]]
    for arguments, code, heavy, said in asked(questions):
        flag = next(word for word in reversed(arguments) if word.startswith("--")).partition("=")[0]
        path = arguments[-1].rpartition("=")[2]
        assert (code, heavy) == (2, []), arguments
        assert said.startswith(f"sagan: {flag}") and path in said and said.count("\n") == 1, said


def test_impossible_numbers_and_pictures_that_nobody_named_need_no_heavy_library():
    questions = [["demo", "--steps", "0"], ["demo", "--seed=-1"], ["train"], ["paper", "run", "table1"]]
    starts = ("--steps must be at least 1", "--seed must be from 0", "which pictures?", "which pictures?")
    for (arguments, code, heavy, said), start in zip(asked(questions), starts, strict=True):
        assert (code, heavy) == (2, []), arguments
        assert said.startswith(f"sagan: {start}") and said.count("\n") == 1, said
