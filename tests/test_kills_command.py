"""benchmarks/kills.py: moments are met exactly, it goes on where it was stopped, and the page tells what was lost."""

import importlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = ("kills", "kills_forked", "kills_kinds")
HELD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from kills_forked import Moment, Watch, family, fork, send, strike, wait_for, wait_for_orphans, adopt_orphans
folder, number, grandchild = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "grandchild"
adopt_orphans()
watch = Watch(folder, folder.with_name("changes.txt"), Moment(change=number, held=True))
def files():
    for name in "abcde":
        (folder / name).write_text(name)
def work():
    watch.install()
    if grandchild and os.fork():
        os.wait()
    else:
        files()
    return 0
def kill(pid):
    send(family(pid), signal.SIGKILL)
    return True
pid = fork(work, folder.with_name("said.txt"))
print(strike(pid, watch, kill), wait_for(pid), wait_for_orphans(), len(watch.changes()))
"""


@pytest.fixture
def kills(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("kills")
    for name in MODULES:
        sys.modules.pop(name, None)


def row(kind="steps", number=1, lost=(), **more):
    about = {"kind": kind, "number": number, "seed": 0, "how": "SIGKILL", "victim": "all", "moment": "before change 3"}
    return about | {"code": -9, "again": [0], "ended_s": 0.1, "lost": [*lost]} | more


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("where", ["child", "grandchild"])
@pytest.mark.parametrize(("number", "there"), [(1, ""), (4, "abc"), (6, "abcde")])
def test_a_process_is_killed_before_a_change_and_not_after(tmp_path, where, number, there):
    folder = tmp_path / "here"
    folder.mkdir()
    words = [sys.executable, "-c", HELD, str(ROOT / "benchmarks"), str(folder), str(number), where]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "".join(sorted(path.name for path in folder.iterdir())) == there
    struck, code = (True, -9) if number <= 5 else (False, 0)
    assert done.stdout.split() == [str(struck), str(code), "True", str(min(number, 5))]


def test_moments_are_those_of_the_seed_and_within_the_window(kills):
    changes = [(0.1 * i, f"open {'checkpoints/' if i > 4 else ''}{i}") for i in range(10)]
    done = kills.Whole(2.0, changes, {})
    whole, near = kills.KINDS["steps"], kills.KINDS["saves"]
    drawn = [kills.moment_of(whole, done, random.Random(seed)) for seed in range(60)]
    assert drawn == [kills.moment_of(whole, done, random.Random(seed)) for seed in range(60)]
    assert {moment.held for moment in drawn} == {True, False}
    assert all(0 <= moment.delay_s <= 2.0 and 0 <= moment.change <= 10 for moment in drawn)
    assert any(moment.change == 0 and moment.delay_s > 0.1 for moment in drawn)
    assert kills.changes_of(near, done) == [6, 7, 8, 9, 10]


def test_it_goes_on_with_what_was_not_struck(kills, tmp_path, monkeypatch):
    struck = []

    def once(name, number, seed, place, moment):
        struck.append((name, number))
        return row(name, number, ["the log"] if (name, number) == ("packing", 2) else [])

    monkeypatch.setattr(kills, "struck_once", once)
    monkeypatch.setattr(kills, "make_ready", lambda: None)
    file = tmp_path / "rows" / "kills.jsonl"
    words = ["--rows", str(file), "--kinds", "packing", "export", "--count"]
    assert kills.main([*words, "2"]) == 1
    assert struck == [("packing", 1), ("export", 1), ("packing", 2), ("export", 2)]
    with file.open("a") as opened:
        opened.write('{"kind": "packing", "numb')  # killed while it wrote
    struck.clear()
    assert kills.main([*words, "3"]) == 1
    assert struck == [("packing", 3), ("export", 3)]
    struck.clear()
    monkeypatch.setattr(
        kills, "struck_once", lambda name, number, *_: struck.append((name, number)) or row(name, number)
    )
    assert kills.main([*words, "3", "--again"]) == 0
    assert struck == [("packing", 2)]
    assert len(kills.read_rows(file)) == 6


def test_the_page_counts_and_names_what_was_lost(kills):
    rows = [row(again=[2, 0], ended_s=3.5), row(number=2), row("halted", again=[], lost=["values step-2"])]
    rows += [row("one of two", victim="process 1"), row("preemption", code=143)]
    page = "\n".join(kills.report(rows))
    assert "| steps | a run, anywhere | SIGKILL | 2 | 1 | 3.5 | 0 |" in page
    assert "In all 5 strokes, 3 of them with SIGKILL; in 1 something was lost." in page
    assert "- halted 1, all, before change 3: values step-2" in page
    assert "process 1 1" in page


def test_the_page_is_that_of_the_rows(kills):
    rows = list(kills.read_rows(kills.ROWS).values())
    assert kills.ROWS.with_suffix(".md").read_text(encoding="utf-8") == "\n".join(kills.report(rows)) + "\n"


def test_outcomes_that_differ_are_named(kills):
    from kills_kinds import digest

    assert kills.differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]
    assert digest({"x": [1, 2.0]}) == digest({"x": [1, 2.0]}) != digest({"x": [1, 2.5]})
