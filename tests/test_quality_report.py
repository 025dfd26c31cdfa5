"""benchmarks/quality_report.py and rows.py: changes that had not begun are told; a line that was cut off."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = ("quality_report", "quality_arms", "rows")


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name)


def row(arm, point, step, **about):
    values = {"fd": 5.0, "precision": 0.5, "recall": 0.25, "density": 1.0, "coverage": 0.125}
    made = {"samples": "10 of the same classes", "reference": "10 pictures"}
    told = {"arm": arm, "seed": 0, "budget_s": 880.0, "point_s": point, "cost_s": point, "step": step}
    return told | {"protocol": made, **values} | about


@pytest.mark.parametrize(
    ("arm", "point", "step", "late"),
    [
        ("base", 220.0, 400, []),
        ("decay", 440.0, 800, ["falling learning rates"]),
        ("narrow+decay", 880.0, 1600, []),
        ("lecam-0.1", 220.0, 414, ["LeCam"]),
        ("lecam-0.1+decay", 440.0, 800, ["falling learning rates"]),
        ("lecam-0.01", 440.0, 800, []),
    ],
)
def test_what_an_arm_is_named_after_may_not_have_begun(modules, arm, point, step, late):
    assert modules["quality_report"].not_begun(row(arm, point, step)) == late


def test_the_page_marks_what_had_not_begun_and_says_who_else_was_asked(modules, tmp_path):
    rows = [row("decay", 220.0, 400), row("narrow+decay", 880.0, 1600)]
    modules["quality_report"].write_report("clothes", rows, tmp_path)
    page = (tmp_path / "contest-clothes.md").read_text()
    assert "| decay § | learning" in page and "| narrow+decay | narrower" in page
    assert page.count("§ Learning rates had not begun") == 1 and "Another network" not in page
    modules["quality_report"].write_report("clothes", [row("features", 880.0, 9, judge_in_training=True)], tmp_path)
    page = (tmp_path / "contest-clothes.md").read_text()
    assert "§" not in page and "| features ‡ | D judges" in page and "Another network was asked" in page


def test_no_arm_is_told_by_another_that_stands_elsewhere(modules):
    for arm in modules["quality_arms"].ARMS.values():
        assert "the same" not in arm.why, arm.why


def test_lines_are_added_and_one_that_was_cut_off_does_not_count(modules, tmp_path):
    rows, file = modules["rows"], tmp_path / "rows.jsonl"
    assert rows.read_rows(file) == []
    for i in range(2):
        rows.add_row(file, {"a": i})
    file.write_text(file.read_text() + '{"a": 2')
    assert rows.read_rows(file) == [{"a": 0}, {"a": 1}]
    assert rows.same_seconds(880.0 / 3, 293.3333333333333) and not rows.same_seconds(220.0, 220.1)
