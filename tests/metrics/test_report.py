"""Reports and their comparison."""

import json
import math

import pytest

from sagan.metrics.report import ProtocolError, Report, Value, compare, differing_fields, report_from_json


def value(metric: str = "FID", number: float = 12.5, **protocol: str | int) -> Value:
    return Value(
        metric=metric,
        value=number,
        higher_is_better=False,
        protocol={"network": "inception", "generated": 50_000} | protocol,
    )


def report(*values: Value) -> Report:
    return Report(subject={"step": 3}, values=values, versions={"torch": "2.13"})


def test_a_report_reads_back_as_it_was_written() -> None:
    made = report(
        value(), Value(metric="IS", value=9.0, spread=0.1, higher_is_better=True, protocol={}, warnings=("few",))
    )
    assert report_from_json(made.to_json()) == made


def test_a_number_that_is_not_finite_is_valid_json() -> None:
    text = report(value(number=math.inf)).to_json()
    assert json.loads(text)["values"][0]["value"] == "inf"
    assert report_from_json(text).values[0].value == math.inf


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"sagan_report": 1}', '{"sagan_report": 1, "values": [{}]}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a\.json is no report"):
        report_from_json(text, "a.json")


def test_another_format_is_refused() -> None:
    for other, said in ((0, "has no version that can be"), (2, "is of version 2, and this program reads up to 1")):
        with pytest.raises(ValueError, match=said):
            report_from_json(f'{{"sagan_report": {other}}}')


def test_equal_protocols_are_paired() -> None:
    pairs = compare(report(value(number=1.0), value("KID")), report(value("KID"), value(number=2.0)))
    assert [(a.metric, a.value, b.value) for a, b in pairs] == [("FID", 1.0, 2.0), ("KID", 12.5, 12.5)]


def test_different_protocols_are_refused_by_field() -> None:
    with pytest.raises(ProtocolError, match=r"FID \(generated: 50000 against 10000; split: None against 'train'\)"):
        compare(report(value()), report(value(generated=10_000, split="train")))


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(ProtocolError, match="one report has FID, the other KID"):
        compare(report(value()), report(value("KID")))


def test_differing_fields_are_symmetric() -> None:
    assert differing_fields({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {"b": (2, None), "c": (None, 3)}


def test_unknown_weights_differ_from_known_ones_and_from_other_unknown_ones() -> None:
    known, own, other = (
        report(value(weights_sha256="ab")),
        report(value(weights_sha256="cd", network_weights="unknown weights")),
        report(value(weights_sha256="ef", network_weights="unknown weights")),
    )
    with pytest.raises(
        ProtocolError, match=r"network_weights: None against 'unknown weights'; weights_sha256: 'ab' ag"
    ):
        compare(known, own)
    with pytest.raises(ProtocolError, match=r"FID \(weights_sha256: 'cd' against 'ef'\)"):
        compare(own, other)
    # A report of before has not the field, and weights may become known: the sum decides.
    assert len(compare(own, report(value(weights_sha256="cd")))) == 1
