"""Measured values that say how they were made, and the comparison that refuses to mix ways of making them."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from sagan.reading import check_version, object_of, whatever_happens

FORMAT = 1

Protocol = dict[str, str | int | float | bool | None]

UNKNOWN = "unknown"
"""What a field holds that nobody can know, e.g. the batch normalisation of another generator's pictures."""


class ReportError(ValueError):
    """Text that is no report."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One number and how it was made."""

    metric: str
    """What it is called, e.g. ``FID`` or ``FD(efficientnet-lite0)``."""
    value: float
    """The number."""
    spread: float | None = None
    """Population standard deviation over splits (IS) or subsets (KID), where the metric has one."""
    higher_is_better: bool
    """Which way is better."""
    protocol: Protocol
    """Everything that another value must share to be comparable: feature network and its weights, resize, counts,
    reference set, moving average or not, batch normalisation, seed, parameters of the metric."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before quoting it."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one evaluation gave."""

    subject: Protocol
    """What was judged: run or folder, step, hash. Not part of the protocol."""
    values: tuple[Value, ...]
    versions: dict[str, str]
    """Library versions; comparing across versions is noted, not refused."""
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    """Distances within classes, if asked for: value and counts of each class by its name."""

    def to_json(self) -> str:
        """Write it as JSON, numbers that are not finite as strings."""
        contents = {
            "sagan_report": FORMAT,
            "subject": self.subject,
            "values": [vars(value) | {"warnings": list(value.warnings)} for value in self.values],
            "versions": self.versions,
            "classes": self.classes,
        }
        return json.dumps(_finite(contents), indent=2, ensure_ascii=False) + "\n"


def report_from_json(text: str | bytes, name: str = "the report") -> Report:
    """Read what :meth:`Report.to_json` wrote.

    Raises:
        ValueError: If it is no report, or one of another format.
    """
    with whatever_happens(lambda why: ReportError(f"{name} is no report of `sagan evaluate` ({why})")):
        contents = object_of(text)
        check_version(contents["sagan_report"], FORMAT, f"the report {name}")
        values = tuple(map(_value_of, contents["values"]))
        tables = [contents["subject"], contents["versions"], contents.get("classes", {}), *(v.protocol for v in values)]
        if not all(isinstance(table, dict) for table in tables) or not all(isinstance(v.metric, str) for v in values):
            raise ReportError(f"{name} is no report of `sagan evaluate` (a part of it is of another kind)")
        return Report(
            subject=contents["subject"],
            values=values,
            versions=contents["versions"],
            classes=contents.get("classes", {}),
        )


def _value_of(entry: dict[str, Any]) -> Value:
    """Read a value; numbers that are not finite are text in files."""
    spread, better = entry.get("spread"), entry.get("higher_is_better")
    if isinstance(spread, bool) or not isinstance(better, bool):
        raise ValueError("a spread is no number, or it is not said whether more is better")
    numbers = {"value": float(entry["value"]), "spread": None if spread is None else float(spread)}
    return Value(**(entry | numbers | {"warnings": tuple(entry["warnings"])}))


FOLLOWS = {"network_weights": "weights_sha256", "reference_decoding": "reference_sha256"}
"""Fields that follow from another one. They do not differ where that agrees: older reports and statistics lack
them, what is unknown may be known later, and the same pixels may have been read in other words."""


def differing_fields(a: Protocol, b: Protocol) -> dict[str, tuple[object, object]]:
    """Give the fields in which two protocols differ, each with both values; None stands for a field that one lacks."""
    differing = {key: (a.get(key), b.get(key)) for key in sorted({*a, *b}) if a.get(key) != b.get(key)}
    return {key: both for key, both in differing.items() if FOLLOWS.get(key, key) in differing}


class ProtocolError(ValueError):
    """Two values were made in different ways."""


def compare(a: Report, b: Report) -> list[tuple[Value, Value]]:
    """Pair the values of two reports by metric; :func:`comparison_notes` has what a reader must know beside them.

    A field that is unknown on one side cannot differ: pictures of another generator tell nothing of its weights.

    Raises:
        ProtocolError: If a metric that both have was made in different ways, or they have none in common; the message
            names every field that differs.
    """
    by_name = {value.metric: value for value in b.values}
    pairs = [(value, by_name[value.metric]) for value in a.values if value.metric in by_name]
    if not pairs:
        networks = [{str(v.protocol.get("network")) for v in report.values} for report in (a, b)]
        other = f" (network: {', '.join(networks[0])} against {', '.join(networks[1])})" if all(networks) else ""
        raise ProtocolError(
            f"nothing to compare: one report has {', '.join(v.metric for v in a.values) or 'no values'}, the other "
            f"{', '.join(by_name) or 'no values'}{other if networks[0] != networks[1] else ''}"
        )
    complaints: dict[str, list[str]] = {}
    for first, second in pairs:
        differing = _known_differences(first, second)
        if differing:
            told = "; ".join(f"{name}: {one!r} against {other!r}" for name, (one, other) in differing.items())
            complaints.setdefault(told, []).append(first.metric)
    if complaints:
        raise ProtocolError(
            "these values were made in different ways and cannot be compared: "
            + ", ".join(f"{', '.join(metrics)} ({told})" for told, metrics in complaints.items())
            + ". Evaluate both with the same settings"
        )
    return pairs


def comparison_notes(a: Report, b: Report) -> list[str]:
    """Say what the pairs of two comparable reports do not show: other versions, unknown fields, metrics left out."""
    notes = [
        f"{name} {one or 'absent'} against {other or 'absent'}"
        for name, (one, other) in differing_fields(dict(a.versions), dict(b.versions)).items()
    ]
    notes = [f"other versions: {', '.join(notes)}"] if notes else []
    unknown = {name for value in (*a.values, *b.values) for name, held in value.protocol.items() if held == UNKNOWN}
    if unknown:
        notes.append(f"unknown of given pictures, so not compared: {', '.join(sorted(unknown))}")
    one, other = ({value.metric for value in report.values} for report in (a, b))
    if one ^ other:
        notes.append(f"in one of the two only: {', '.join(sorted(one ^ other))}")
    return notes


def _known_differences(first: Value, second: Value) -> dict[str, tuple[object, object]]:
    differing = differing_fields(first.protocol, second.protocol)
    return {name: both for name, both in differing.items() if UNKNOWN not in both}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
