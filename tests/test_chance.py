"""benchmarks/chance.py: what it reads of pytest, that it goes on, and that a seed moves what tests draw."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = "tests/ops/test_pixels.py"


@pytest.fixture
def chance(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("chance")
    monkeypatch.setattr(module, "QUALITY", tmp_path)
    monkeypatch.setattr(module, "ROWS", tmp_path / "chance.jsonl")
    yield module
    sys.modules.pop("chance")


def test_outcomes_are_read_from_pytests_report(chance, tmp_path):
    (tmp_path / "found.xml").write_text(
        "<testsuites><testcase name='a' time='1.5'/><testcase name='b'><failure message='why'/></testcase>"
        "<testcase name='c'><skipped message='no'/></testcase><testcase name='d'><error message='oh'/></testcase>"
        "</testsuites>"
    )
    rows = chance.read_outcomes(tmp_path / "found.xml")
    assert [(row["name"], row["outcome"]) for row in rows] == [
        *(("a", "passed"), ("b", "failed"), ("c", "skipped"), ("d", "failed"))
    ]
    assert (rows[0]["seconds"], rows[1]["why"]) == (1.5, "why")


def test_it_goes_on_with_what_was_not_run(chance, monkeypatch, capsys):
    codes, ran = {"seed-1": 1, "avx2": 0}, []

    def run(files, factor, marks):
        (file,) = files
        ran.append((factor, marks))
        others = [{"name": "t", "outcome": "failed", "seconds": 1.0, "why": "`x` is 1"}] if codes[factor] else []
        about = {"file": file, "factor": factor, "marks": marks, "code": codes[factor], "seconds": 2.0}
        return [about | {"commit": "abc", "passed": 3, "others": others}]

    monkeypatch.setattr(chance, "run_files", run)

    def call(*more):
        ran.clear()
        monkeypatch.setattr(sys, "argv", ["chance.py", "--only", FILE, "--factors", "seed-1", "avx2", *more])
        return chance.main()

    assert call("--marks", "not slow") == 1
    assert ran == [("seed-1", "not slow"), ("avx2", "not slow")]
    assert f"- seed-1: `{FILE}::t`: `'x' is 1`" in (chance.QUALITY / "chance.md").read_text()
    assert call("--marks", "not slow") == 1
    assert ran == []
    codes["seed-1"] = 0
    assert call("--marks", "not slow", "--again") == 0
    assert ran == [("seed-1", "not slow")]
    assert call() == 0  # without marks there is more to run
    assert ran == [("seed-1", ""), ("avx2", "")]
    assert [row["factor"] for row in chance.kept.read_rows(chance.ROWS)].count("seed-1") == 3
    assert "Nothing." in (chance.QUALITY / "chance.md").read_text()
    capsys.readouterr()


def test_files_of_a_folder_share_a_process(chance, monkeypatch):
    monkeypatch.setattr(chance, "TOGETHER", 2)
    assert chance.together(["t/a/1", "t/a/2", "t/a/3", "t/b/1", "t/1"]) == [
        *(["t/a/1", "t/a/2"], ["t/a/3"], ["t/b/1"], ["t/1"])
    ]


def test_outcomes_go_to_their_files(chance, monkeypatch):
    tests = [
        {"name": "one", "file": "t/a", "outcome": "passed", "seconds": 1.0},
        {"name": "two", "file": "t/b", "outcome": "failed", "seconds": 2.0, "why": "x"},
    ]
    monkeypatch.setattr(chance, "run_pytest", lambda files, factor, marks: (1, 9.0, tests))
    rows = chance.run_files(["t/a", "t/b", "t/c"], "seed-1", "")
    assert [(row["file"], row["code"], row["seconds"]) for row in rows] == [
        ("t/a", 0, 1.0),
        ("t/b", 1, 2.0),
        ("t/c", 5, 0),
    ]
    assert [row["passed"] for row in rows] == [1, 0, 0]
    assert rows[1]["others"] == [{"name": "two", "outcome": "failed", "seconds": 2.0, "why": "x"}]


def test_an_unpacked_archive_has_no_commit(chance, monkeypatch, tmp_path):
    monkeypatch.setattr(chance, "ROOT", tmp_path)
    assert chance.commit_here() == "none"


def test_after_a_crash_each_file_has_a_process_of_its_own(chance, monkeypatch):
    asked = []

    def run(files, factor, marks):
        asked.append(list(files))
        bad = "t/b" in files
        found = [] if bad else [{"name": "one", "file": file, "outcome": "passed", "seconds": 1.0} for file in files]
        return (-11 if bad else 0), 5.0, found

    monkeypatch.setattr(chance, "run_pytest", run)
    rows = chance.run_files(["t/a", "t/b"], "avx2", "")
    assert asked == [["t/a", "t/b"], ["t/a"], ["t/b"]]
    assert [(row["code"], row["passed"]) for row in rows] == [(0, 1), (-11, 0)]


@pytest.mark.slow("a test run in a process of its own")
def test_a_seed_moves_what_tests_draw_and_nothing_else(tmp_path):
    for name in ("conftest.py", "browser.py"):
        (tmp_path / name).write_text((ROOT / "tests" / name).read_text())
    (tmp_path / "test_draws.py").write_text(
        "import json, numpy as np, torch\n"
        "from pathlib import Path\n"
        "from sagan.randomness import keyed_generator\n"
        "def test_draws(tiny_config):\n"
        "    torch.manual_seed(3)\n"
        "    own = torch.rand(1).item(), torch.rand(1, generator=torch.Generator().manual_seed(3)).item()\n"
        "    own += np.random.default_rng(3).random(), tiny_config(seed=3).seed\n"
        "    Path('draws.json').write_text(json.dumps([own, keyed_generator(3, 'x').random()]))\n"
    )
    found = []
    for seed in ("0", "1"):
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_draws.py"]
        environment = os.environ | {"SAGAN_TEST_SEED": seed, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
        found.append(json.loads((tmp_path / "draws.json").read_text()))
    (plain, others), (moved, same) = found
    assert all(one != other for one, other in zip(plain, moved, strict=True))
    assert (plain[3], moved[3]) == (3, 1003)
    assert others == same


def test_rows_are_read_packed_and_appended_and_half_a_line_is_left_out(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from rows import add_row, pack_rows, read_rows

    file = tmp_path / "some.jsonl"
    assert read_rows(file) == []
    add_row(file, {"a": 1})
    add_row(file, {"a": 2})
    pack_rows(file, read_rows(file))
    assert [path.name for path in tmp_path.iterdir()] == ["some.jsonl.gz"]
    add_row(file, {"a": 3})
    with file.open("a") as opened:
        opened.write('{"a": ')
    assert read_rows(file) == [{"a": 1}, {"a": 2}, {"a": 3}]
