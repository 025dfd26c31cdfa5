"""Decisions on how pictures are read, as packed files and runs record them: compared in pixels, said in words.

A record is what :class:`~sagan.data.pictures.Pictures` calls ``decoding``.
"""

from collections.abc import Mapping
from typing import Any

from sagan.data.config import DataConfig, given_range
from sagan.data.deep import Bounds, full_range

Decisions = Mapping[str, Any]
AUTOMATIC = ("background", "range")
"""Decisions that may be made by looking; where a record has none of them, its pictures have nothing that needs one."""
OTHERS = ("frames", "truncated", "profiles", "fit", "border")
"""Decisions that make pixels and are as usual where a record lacks them."""
FOUND = ("set", "percentile")
AS_BEFORE = {"range": "type", "background": "white"}
"""How pixels were read before there was a choice."""


def agree(name: str, one: Decisions, other: Decisions) -> bool:
    """Tell whether a decision is the same in two records, in the pixels and not in its words.

    Where a record has no background or no range, its pictures have nothing that needs one; ranges are compared for
    the kinds of values that both have. Which range was found by ``set`` or ``percentile`` cannot be told from the word.
    """
    if name in AUTOMATIC and (name not in one or name not in other):
        return True
    if name == "range":
        kinds = _kinds(one) & _kinds(other) if _kinds(one) and _kinds(other) else _kinds(one) | _kinds(other)
        return all(_same(_bounds(one, kind), _bounds(other, kind)) for kind in kinds or [""])
    usual = _usual(name)
    return bool(one.get(name, usual) == other.get(name, usual))


def words(name: str, record: Decisions) -> str:
    """Say a decision in words."""
    if name != "range" or not isinstance(record.get(name), dict):
        return f"{name} {record.get(name, _usual(name))}"
    ends = {kind: ":".join(map(_number, bounds)) for kind, bounds in record["range"].items()}
    return "range " + ", ".join(f"{kind} {written}" for kind, written in sorted(ends.items()))


def unusual(decoding: Decisions) -> str:
    """Say in words what makes pixels other than they were before there was a choice; empty where nothing does."""
    told = [words(name, decoding) for name in AUTOMATIC if not agree(name, decoding, AS_BEFORE)]
    told += [words(name, decoding) for name in OTHERS if name in decoding]
    return "; ".join(told)


def flags_of_before(decoding: Decisions) -> str:
    """Give the flags that read pictures as they were read before there was a choice; empty if that is the same."""
    if all(agree(name, decoding, AS_BEFORE) for name in AUTOMATIC):
        return ""
    return " ".join(f"--data.{name} {value}" for name, value in AS_BEFORE.items())


def range_flag(said: Decisions, own: Decisions | None) -> str | None:
    """Write a run's range as the flag that does the same for pictures of some kinds; None where none does.

    Args:
        said: The run's record.
        own: The record of the other pictures; unset takes the run's kinds.
    """
    held = said.get("range")
    if not isinstance(held, dict):
        return held
    kinds = _kinds(said) if own is None else _kinds(own)
    wanted = {_bounds(said, kind) for kind in kinds} if kinds <= held.keys() else set()
    return ":".join(_number(end) for end in wanted.pop()) if len(wanted) == 1 else None


def _kinds(record: Decisions) -> set[str]:
    return set(record["range"]) if isinstance(record.get("range"), dict) else set()


def _bounds(record: Decisions, kind: str) -> Bounds | str:
    """Give what becomes black and white in a kind of deep pictures; a word where that is not known."""
    held = record["range"]
    if isinstance(held, dict):
        low, high = held.get(kind, (0, 0))
        return float(low), float(high)
    if held == "type" and kind:
        return full_range(kind)
    return given_range(str(held)) or str(held)


def _same(one: Bounds | str, other: Bounds | str) -> bool:
    return one == other or one in FOUND or other in FOUND


def _usual(name: str) -> Any:
    return getattr(DataConfig(), name)


def _number(value: Any) -> str:
    short = f"{float(value):.9g}"
    return short if float(short) == float(value) else repr(float(value))
