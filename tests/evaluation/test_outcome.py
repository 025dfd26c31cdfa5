"""What an evaluation prints, and two of them side by side."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cells import Cells, evaluate

from sagan.evaluation import (
    Evaluation,
    comparison,
    reference_of,
    sampled_batches,
)
from sagan.metrics.report import ProtocolError, ReportError, compare, report_from_json

GOLDEN = Path(__file__).parents[1] / "golden" / "evaluation.json"


def test_values_made_in_different_ways_are_not_compared(dataset, generator):
    def report(**how):
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], **how).report

    assert "FD(cells)" in comparison(report(num=20), report(num=20), ["a", "b"])
    with pytest.raises(ProtocolError, match="generated: 20 against 30"):
        compare(report(num=20), report(num=30))


def test_an_evaluation_without_classes_prints_none(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"])
    assert isinstance(result, Evaluation)
    assert "within classes" not in result.text()


def test_a_note_that_several_values_share_is_printed_once(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["fd", "is"], num=40)
    first, second = (replace(value, warnings=("shared",)) for value in result.report.values[:2])
    report = replace(result.report, values=(replace(first, warnings=("shared", "own")), second))
    lines = [line for line in replace(result, report=report).text().splitlines() if line.startswith("note: ")]
    assert lines == [f"note: {first.metric}, {second.metric}: shared", f"note: {first.metric}: own"]


def test_pictures_of_another_generator_compare_with_a_run(dataset, generator):
    samples = np.concatenate(list(sampled_batches(generator, 40, 0)))
    ours, theirs = (
        evaluate(side, reference_of(dataset), Cells(), metrics=["fd"], num=40).report for side in (generator, samples)
    )
    text = comparison(ours, theirs, ["ours", "theirs"])
    assert ours.values[0].value == pytest.approx(theirs.values[0].value)
    assert "unknown of given pictures, so not compared: batch_norm, ema, seed, truncation" in text
    more = evaluate(samples[:30], reference_of(dataset), Cells(), metrics=["fd"]).report
    with pytest.raises(ProtocolError, match="generated: 40 against 30"):
        comparison(ours, more, ["ours", "more"])


def test_a_comparison_notes_versions_and_what_it_leaves_out(dataset, generator):
    def report(metrics):
        return evaluate(generator, reference_of(dataset), Cells(), metrics=metrics, num=40).report

    older = replace(report(["fd"]), versions=report(["fd"]).versions | {"torch": "1.0"})
    text = comparison(report(["fd", "is"]), older, ["a", "b"])
    assert "note: other versions: torch" in text
    assert "against 1.0" in text
    assert "in one of the two only: IS(cells)" in text


@pytest.mark.parametrize("change", [{"spread": [1]}, {"spread": "x"}, {"spread": True}, {"higher_is_better": [1]}])
def test_a_report_with_parts_of_another_kind_is_named(change):
    held = json.loads(GOLDEN.read_text())
    held["values"][0] |= change
    with pytest.raises(ReportError, match=r"^b\.json is no report of `sagan evaluate` \("):
        report_from_json(json.dumps(held), "b.json")


def test_a_spread_that_is_not_finite_is_written():
    held = json.loads(GOLDEN.read_text())
    held["values"][0]["spread"] = "nan"
    report = report_from_json(json.dumps(held), "a.json")
    assert "+- nan" in comparison(report, report, ["a.json", "a.json"])
