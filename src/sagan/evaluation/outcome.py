"""What an evaluation gave, and two of them side by side, as text for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from sagan.evaluation.nearest_pictures import NearestPictures
from sagan.evaluation.within_classes import ClassDistance
from sagan.metrics.report import Protocol, Report, Value, compare, comparison_notes


@dataclass(frozen=True)
class Evaluation:
    """What :func:`sagan.evaluate` gives."""

    report: Report
    classes: tuple[ClassDistance, ...] = ()
    """With ``intra``: each class, the worst first."""
    neighbours: NearestPictures | None = None
    """If it was asked for."""
    exported: str | None = None
    """Where the statistics of the real pictures were written, in a sentence, if that was asked for."""
    not_exported: OSError | None = None
    """Why they could not be written: the values are worth more than that."""

    def text(self) -> str:
        """Write the values for people: a table, then what all of them share, then warnings."""
        values = self.report.values
        width = max((len(value.metric) for value in values), default=0)
        lines = [f"{value.metric:<{width}}  {_number(value)}  {_better(value)}" for value in values]
        if self.classes:
            shown = self.classes if len(self.classes) <= 20 else (*self.classes[:10], *self.classes[-10:])
            lines += ["", "within classes, the worst first:"]
            lines += [f"  {found.value:>10.4g}  {found.class_name} ({found.real:,} real)" for found in shown]
        if values:
            lines += ["", *_protocols(values)]
        lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in self.report.versions.items()))
        notes: dict[str, list[str]] = {}
        for value in values:
            for text in value.warnings:
                notes.setdefault(text, []).append(value.metric)
        lines += [f"note: {', '.join(metrics)}: {text}" for text, metrics in notes.items()]
        return "\n".join(lines)


def comparison(a: Report, b: Report, names: Sequence[str]) -> str:
    """Write the comparable values of two reports side by side, and what a reader must know beside them.

    Raises:
        ProtocolError: If they were made in different ways.
    """
    pairs = compare(a, b)
    width = max(len(first.metric) for first, _ in pairs)
    lines = [f"{'':<{width}}  {names[0]:>20}  {names[1]:>20}"]
    for first, second in pairs:
        lines.append(f"{first.metric:<{width}}  {_number(first):>20}  {_number(second):>20}  {_better(first)}")
    return "\n".join(lines + [f"note: {note}" for note in comparison_notes(a, b)])


def _protocols(values: Sequence[Value]) -> list[str]:
    """Write what all values share, then what each has of its own; those that were made alike share a line."""
    shared = {
        name: field
        for name, field in values[0].protocol.items()
        if all(name in value.protocol and value.protocol[name] == field for value in values)
    }
    own: dict[str, list[str]] = {}
    for value in values:
        rest = {name: field for name, field in value.protocol.items() if name not in shared}
        own.setdefault(_fields(rest), []).append(value.metric)
    told = [f"  {', '.join(metrics)}: {told}" for told, metrics in own.items() if told]
    return [f"made with: {_fields(shared)}", *told]


def _fields(protocol: Protocol) -> str:
    return ", ".join(f"{name} {field}" for name, field in protocol.items() if field is not None)


def _number(value: Value) -> str:
    spread = "" if value.spread is None else f" +- {value.spread:.2g}"
    return f"{value.value:.4g}{spread}"


def _better(value: Value) -> str:
    return "(higher is better)" if value.higher_is_better else "(lower is better)"
