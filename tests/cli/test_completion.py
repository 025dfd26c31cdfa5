"""Completion in shells: verbs, flags, values and files are really completed, by a Python without any package."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sagan.cli.main import VERBS, main
from sagan.recipes.presets import PRESETS

LISTED = (Path(__file__).parents[1] / "public.txt").read_text(encoding="utf-8")

TRY = """
source ./script
for words in "$@"; do
  eval "COMP_WORDS=($words)"
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  COMPREPLY=()
  _sagan
  printf '%s\\n' "${COMPREPLY[@]}"
  echo ---
done
"""


def script(shell):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["completion", shell]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """Complete lines of words in bash; the last word of each is what stands before the cursor."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    folder = tmp_path_factory.mktemp("completion")
    (folder / "script").write_text(script("bash"), encoding="utf-8")
    (folder / "runs").mkdir()
    python = folder / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    python.chmod(0o755)

    def complete(*lines):
        done = subprocess.run(
            ["bash", "--norc", "-c", TRY, "bash", *lines],
            cwd=folder,
            env={"PATH": f"{python.parent}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return [[word for word in part.split("\n") if word] for part in done.stdout.split("---\n")[:-1]]

    return complete


def test_verbs_flags_and_values(completed):
    found = completed(
        "sagan tr",
        "sagan data ch",
        "sagan train --bat",
        "sagan train --train.loss ''",
        "sagan train --preset sagan-6",
        "sagan train --train.augment cutout tr",
        "sagan completion ''",
    )
    assert found[:4] == [["train"], ["check"], ["--batch-size"], ["hinge", "non-saturating", "relativistic"]]
    assert found[4] == [name for name in PRESETS if name.startswith("sagan-6")]
    assert found[5] == ["translation"]
    assert completed("sagan ''")[0] == ["-h", "--help", *sorted({verb.split()[0] for verb in VERBS})]


def test_files_where_nothing_else_is_known(completed):
    """Without candidates of ours bash completes files by itself: what `-o default` is for."""
    found = completed("sagan sample ru", "sagan studio ru", "sagan train --data ru", "sagan sample runs --out ru")
    assert found == [[], [], ["runs"], ["runs"]]
    said = subprocess.run(
        ["bash", "--norc", "-c", "source /dev/stdin; complete -p sagan"],
        input=script("bash"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout == "complete -o bashdefault -o default -o filenames -F _sagan sagan\n"


def test_every_flag_of_every_verb_and_nothing_else(completed):
    known = [line.split() for line in LISTED.splitlines() if line.startswith("flag: sagan ")]
    found = completed(*(f"sagan {verb} -" for verb in VERBS))
    for verb, words in zip(VERBS, found, strict=True):
        length = 2 + len(verb.split())
        flags = {word for line in known if " ".join(line[2:length]) == verb for word in line[length].split(",")}
        flags = {flag for flag in flags if flag.startswith("--")}
        assert flags <= set(words), (verb, flags - set(words))
        assert "--help" in words, verb
        assert all(word.startswith("-") for word in words), verb


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_small_enough_to_be_an_argument_and_have_no_errors(shell, tmp_path):
    text = script(shell)
    assert len(text.encode()) < 128 * 1024
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    (tmp_path / "script").write_text(text, encoding="utf-8")
    done = subprocess.run([shell, "-n", "script"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_completes(tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("no fish")
    (tmp_path / "script").write_text(script("fish"), encoding="utf-8")
    (tmp_path / "runs").mkdir()
    lines = ["sagan tr", "sagan train --train.loss ", "sagan sample ru"]
    asks = "".join(f"complete -C {json.dumps(line)}; echo ---;" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source script; {asks}"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [[line.split("\t")[0] for line in part.splitlines()] for part in done.stdout.split("---\n")[:-1]]
    assert found == [["train"], ["hinge", "non-saturating", "relativistic"], ["runs/"]]


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "csh"]) == 2
    assert "bash" in capsys.readouterr().err
