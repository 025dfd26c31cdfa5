"""A short form of benchmarks/fuzz.py: a few hostile files for every reader; and what it makes of what it sees."""

import importlib
import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
QUICK = (
    *("weights", "packed", "shards", "statistics", "npz", "npy", "samples", "cifar", "idx", "zip", "tar", "images"),
    *("config", "yaml", "values", "log", "class-names", "table", "import", "feature-weights"),
)
PHASES = [hypothesis.Phase.generate]
LOADED = ("loaded", "refused")
"""All but those of which one file takes long to read."""


@pytest.fixture
def fuzz(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    return importlib.import_module("fuzz")


@pytest.fixture
def judge(fuzz, monkeypatch, tmp_path):
    """Make what reads the files of a target."""
    targets = importlib.import_module("fuzz_targets")

    def make(name):
        folder = tmp_path / "fuzzed"
        folder.mkdir()
        monkeypatch.chdir(folder)
        return fuzz.Judge(targets.TARGETS[name], folder)

    return make


@pytest.mark.parametrize("name", QUICK)
def test_whatever_is_in_a_file_it_loads_or_is_refused_in_a_sentence(name, judge):
    drawn = importlib.import_module("fuzz_bytes")
    found = judge(name)
    outcomes = [found.look(index, found.packed(index, seed.body)) for index, seed in enumerate(found.seeds)]
    assert ("loaded", "") in outcomes
    indices = st.integers(0, len(found.seeds) - 1)

    @hypothesis.settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(indices, drawn.changes())
    def look(index, changes):
        body = drawn.changed(found.seeds[index].body, changes)
        try:
            data = found.packed(index, body)
        except (ValueError, TypeError, KeyError, OverflowError):
            return
        outcomes.append(found.look(index, data))

    look()
    assert {kind for kind, _ in outcomes} <= {"loaded", "refused"}, [o for o in outcomes if o[0] not in LOADED]


def test_what_is_not_a_sentence_of_ours_is_a_find(judge, fuzz, monkeypatch):
    found = judge("class-names")
    cases = {
        ValueError("names.txt is damaged"): "refused",
        ValueError("it is damaged"): "ValueError: it is damaged",
        KeyError("names.txt"): "KeyError: 'names.txt'",
        ValueError("names.txt\nis damaged"): "ValueError: names.txt",
        MemoryError("names.txt"): "asks for too much memory",
    }
    for error, kind in cases.items():

        def read(path, error=error):
            raise error

        monkeypatch.setattr(found, "_read", read)
        assert found.look(0, b"x")[0] == kind


def test_time_memory_and_canaries_are_finds(judge, fuzz, monkeypatch):
    found = judge("class-names")

    def endless(path):
        while True:
            pass

    object.__setattr__(found, "target", fuzz_target(found.target, endless, seconds=0.1))
    assert found.look(0, b"x")[0] == "takes too long"
    object.__setattr__(found, "target", fuzz_target(found.target, lambda path: found.canary.mkdir()))
    assert found.look(0, b"x")[0] == "code of the file ran"
    assert found.look(0, b"x")[0] == "code of the file ran", "the canary was taken away"


def fuzz_target(target, read, **more):
    from dataclasses import replace

    return replace(target, read=read, **more)


def test_content_that_a_sum_covers_must_be_what_was_written(judge, monkeypatch):
    found = judge("packed")
    assert found.look(0, found.seeds[0].body) == ("loaded", "")
    monkeypatch.setattr(found, "_read", lambda path: "something else")
    assert found.look(0, found.seeds[0].body[:-1]) == ("wrong content", "")
    older = found.seeds[2].body  # has no sums, and two seeds can come together in one file
    assert found.look(0, older) == ("loaded", "")


def test_changes_are_those_that_were_drawn(fuzz):
    drawn = importlib.import_module("fuzz_bytes")
    change = drawn.Change
    assert drawn.changed(b"abcdef", [change("flip", 0, b"\0")]) == b"`bcdef"
    assert drawn.changed(b"abcdef", [change("put", 1 << 15, b"xy")]) == b"abcxyf"
    assert drawn.changed(b"abcdef", [change("insert", 1 << 15, b"xy"), change("end", 1 << 15, b"\0")]) == b"abcx"
    assert drawn.changed(b"abcdef", [change("cut", 0, b"\0"), change("double", 0, b"\0")]) == b"bbcdef"
    assert drawn.changed(b"abcdef", [change("join", 1 << 15, b"\0")], b"123456") == b"abc456"


def test_finds_are_counted_once_a_kind_and_the_smallest_file_is_kept(fuzz, tmp_path):
    tally = fuzz.Tally(tmp_path / "tally.json", tmp_path / "kept", "zip")
    for outcome, data in (
        (("loaded", ""), b""),
        (("KeyError: a", "x.py:f"), b"123"),
        (("KeyError: b", "x.py:f"), b"1"),
    ):
        tally.add(outcome, data)
    tally.note()
    found = json.loads((tmp_path / "tally.json").read_text())
    assert (found["cases"], found["loaded"], len(found["finds"])) == (3, 1, 1)
    assert (found["finds"][0]["times"], found["finds"][0]["bytes"]) == (2, 1)
    assert (tmp_path / "kept" / found["finds"][0]["file"]).read_bytes() == b"1"


def test_the_page_is_what_the_command_draws(fuzz):
    report = fuzz.read_report(fuzz.RESULTS / "fuzz.json")
    assert (fuzz.RESULTS / "fuzz.md").read_text(encoding="utf-8") == fuzz.render(report)


@pytest.mark.slow("starts a process for each target")
@pytest.mark.parametrize("engine", ["hypothesis", "atheris"])
def test_the_command_goes_on_where_it_was_and_finds_nothing(engine, fuzz, monkeypatch, tmp_path, capsys):
    if engine == "atheris":
        pytest.importorskip("atheris")
    out = ["--out", str(tmp_path), "--engine", engine, "--minutes", str(1 / 60)]
    names = [name for name in fuzz.read_targets() if name != "onnx"]
    monkeypatch.setattr("sys.argv", ["fuzz.py", *out, "--target", *names])
    with pytest.raises(SystemExit) as ended:
        fuzz.main()
    assert ended.value.code == 0, capsys.readouterr().out
    rows = fuzz.read_report(tmp_path / "fuzz.json")["rows"]
    assert [row["target"] for row in rows] == names
    assert all(row["cases"] > 0 and row["seconds"] >= 1 for row in rows)
    with pytest.raises(SystemExit):
        fuzz.main()
    assert fuzz.read_report(tmp_path / "fuzz.json")["rows"] == rows
