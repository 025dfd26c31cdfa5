"""What is wrong with a command line, in a sentence: the words that were typed beside the flags of a dataclass.

It is asked once tyro has refused them: its own words are about Python's types, or about what follows from the mistake.
"""

import collections.abc
import dataclasses
import re
import shlex
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from sagan.words import did_you_mean, nearest

METAVARS: dict[Any, str] = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}
ONE: dict[Any, str] = {int: "a whole number", float: "a number", Path: "a path", bool: "True or False"}
SEVERAL: dict[Any, str] = {int: "whole numbers", float: "numbers", Path: "paths"}
COUNTED = ("no", "one", "two", "three", "four")
POSITIONAL, SUPPRESSED = (typing.get_args(marked[int])[1] for marked in (tyro.conf.Positional, tyro.conf.Suppress))
HELPS = ("--help", "--help-all")
NO_VALUE = "is a switch, which takes no value"


class Flag(NamedTuple):
    """A flag, or an argument without one."""

    name: str
    """As it is typed, or as help calls an argument without a flag."""
    kinds: tuple[Any, ...]
    """What each value can be; empty for a switch, which takes none."""
    number: int | None
    """How many values it takes; None is any number."""
    optional: bool
    """Whether None can be typed."""
    positional: bool
    required: bool

    @property
    def greedy(self) -> bool:
        """Whether the parser gives it all words up to the next flag."""
        return self.number is None or (self.optional and self.number > 1)

    @property
    def takes(self) -> str:
        """What it takes, in words."""
        kind = self.kinds[0]
        if typing.get_origin(kind) is typing.Literal:
            choices = ", ".join(map(str, typing.get_args(kind)))
            return f"{'some' if self.number is None else 'one'} of {choices}"
        if self.number is None:
            return SEVERAL.get(kind, "values")
        if self.number > 1:
            metavar = METAVARS.get(kind, "VALUE")
            return f"{COUNTED[self.number]} {SEVERAL.get(kind, 'values')} ({' '.join([metavar] * self.number)})"
        return ONE.get(kind, "a value")


class Words(NamedTuple):
    """What was typed, word by word as the parser takes it."""

    unknown: list[str]
    """Flags that there are not."""
    given: list[tuple[Flag, list[str]]]
    """Each flag with its values."""
    places: list[str]
    """What belongs to no flag."""


def mistake(kind: Any, arguments: Sequence[str], verb: str, help_flag: str = HELPS[0]) -> str:
    """Say what is wrong with what was typed, or "" if that does not show.

    Args:
        kind: The dataclass of the flags.
        arguments: The words behind the verb.
        verb: The verb.
        help_flag: What lists all flags.
    """
    flags = list(flags_of(kind))
    words = words_of(arguments, flags)
    if words.unknown:
        names = [*(flag.name for flag in flags if not flag.positional), *HELPS]
        near = near_flags(words.unknown[0], names)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        return f"{verb} has no flag {words.unknown[0]}; {hint}`sagan {verb} {help_flag}` lists all"
    wrong = (wrong_values(flag, values) for flag, values in words.given)
    return next(filter(None, wrong), "") or swallowed(kind, arguments, verb) or _wrong_places(words, flags, arguments)


def swallowed(kind: Any, arguments: Sequence[str], verb: str) -> str:
    """Say that a flag for several values took the path for one of them, and "" if none did.

    Args:
        kind: The dataclass of the flags.
        arguments: The words behind the verb.
        verb: The verb.
    """
    flags = list(flags_of(kind))
    words, places = words_of(arguments, flags), [flag for flag in flags if flag.positional]
    if words.places or not places:
        return ""
    for flag, values in words.given:
        if not flag.greedy or not values or (flag.number is not None and len(values) <= flag.number):
            continue
        name = places[0].name
        if Path in flag.kinds:  # whose own values are files as well
            there = [value for value in values if Path(value).is_dir()]
        else:
            there = [value for value in values if "/" in value or Path(value).exists()]
        if there and there[-1] in arguments:
            at = len(arguments) - 1 - list(reversed(arguments)).index(there[-1])
            before = arguments[: at if len(values) > 1 else at - 1]  # a flag that has no value left goes as well
            better = shlex.join([there[-1], *before, *arguments[at + 1 :]])
            return f"{flag.name} took {there[-1]} as one of its values; put the path first: sagan {verb} {better}"
        if places[0].required:
            return f"{name} is missing; put it first, as {flag.name} takes all words behind it ({' '.join(values)})"
    return ""


def _wrong_places(words: Words, flags: Sequence[Flag], arguments: Sequence[str]) -> str:
    """Say what is wrong with the words that belong to no flag."""
    places = [flag for flag in flags if flag.positional]
    for flag, word in zip(places, words.places, strict=False):
        if wrong := wrong_values(flag, [word]):
            return wrong
    if len(words.places) <= len(places) or any(flag.greedy for flag in places):
        return ""
    word = words.places[len(places)]
    before = arguments[arguments.index(word) - 1] if word in arguments[1:] else ""
    switches = [flag.name for flag in flags if not flag.kinds]
    if _in_dashes(before) in switches:
        return f"{before} {NO_VALUE}: leave {word!r} away"
    takes = f"only {' '.join(flag.name for flag in places)} goes without one" if places else "each value needs one"
    named = [flag.name for flag in flags if flag.name == "--data"] if not places and Path(word).exists() else []
    return f"{word!r} belongs to no flag; {f'did you mean --data {shlex.quote(word)}?' if named else takes}"


def wrong_values(flag: Flag, values: Sequence[str]) -> str:
    """Say what is wrong with the values of a flag; "" if they can be read."""
    if flag.optional and list(values) == ["None"]:
        return ""
    if flag.number is not None and len(values) != flag.number:
        if not flag.kinds:
            return f"{flag.name} {NO_VALUE}: leave {values[0]!r} away"
        return f"{flag.name} takes {flag.takes}, found {' '.join(values) or 'nothing'}"
    for value in values:
        if not any(_fits(kind, value) for kind in flag.kinds):
            choices = [str(choice) for kind in flag.kinds for choice in typing.get_args(kind)]
            hint = did_you_mean(value, choices)
            return f"{flag.name} takes {flag.takes}, found {value!r}{f'; {hint}' if hint else ''}"
    return ""


def _fits(kind: Any, value: str) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return value in map(str, typing.get_args(kind))
    if kind is bool:
        return value in ("True", "False")
    if kind not in (int, float):
        return True
    try:
        kind(value)
    except ValueError:
        return False
    return True


def near_flags(word: str, names: Sequence[str]) -> list[str]:
    """Find the flag that a word may mean: one with nearly its letters, else those of any group with nearly its end."""
    word = _in_dashes(word)
    if near := nearest(word, names, 1):
        return near
    ends = {name: name.lstrip("-").rpartition(".")[2] for name in names}
    found = nearest(word.lstrip("-").rpartition(".")[2], dict.fromkeys(ends.values()), 1)
    return [name for name in names if ends[name] in found][:3]


def words_of(arguments: Sequence[str], flags: Sequence[Flag]) -> Words:
    """Share out the words that were typed to flags, as the parser does."""
    named = {flag.name: flag for flag in flags if not flag.positional}
    words = Words([], [], [])
    room = -1  # of the flag before: how many words it still takes; unknown ones take what follows
    for word in arguments:
        name, sign, value = word.partition("=")
        if re.match(r"--?[^-\d.]", word):
            flag = named.get(_in_dashes(name))
            if flag is None:
                words.unknown.append(name)
                room = len(arguments)
                continue
            words.given.append((flag, [value] if sign else []))
            room = len(arguments) if flag.greedy else max(0, (flag.number or 0) - bool(sign))
        elif room > 0 and not words.unknown:
            words.given[-1][1].append(word)
            room -= 1
        elif not words.unknown:
            words.places.append(word)
    return words


def _in_dashes(name: str) -> str:
    return name.replace("_", "-")


def flags_of(kind: Any, prefix: str = "") -> Iterator[Flag]:
    """List the flags that tyro makes of a dataclass, those of nested ones included.

    Args:
        kind: The dataclass.
        prefix: What stands in front of their names, with a dot at its end.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        name = field.name
        hint, marks = _unmarked(hints[name])
        if SUPPRESSED in marks:
            continue
        said = next((mark.name for mark in marks if getattr(mark, "name", None) is not None), _in_dashes(name))
        if dataclasses.is_dataclass(hint):
            yield from flags_of(hint, f"{prefix}{said}." if said else prefix)
            continue
        kinds, count, optional = _values_of(hint)
        if POSITIONAL in marks:
            metavar = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), None)
            unset = field.default_factory is dataclasses.MISSING
            required = unset and field.default in (dataclasses.MISSING, tyro.MISSING)
            yield Flag(metavar or METAVARS.get(kinds[0], name.upper()), kinds, count, optional, True, required)
        elif hint is bool:
            yield from (Flag(f"--{prefix}{no}{said}", (), 0, False, False, False) for no in ("", "no-"))
        else:
            yield Flag(f"--{prefix}{said}", kinds, count, optional, False, False)


def _unmarked(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Part a type from the marks on it."""
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, ()
    hint, *marks = typing.get_args(hint)
    return hint, tuple(marks)


def _values_of(hint: Any) -> tuple[tuple[Any, ...], int | None, bool]:
    """Say what the values of a field can be, how many there are, and whether None is one."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    optional = type(None) in members
    kinds = tuple(member for member in members if member is not type(None))
    for kind in kinds:
        if typing.get_origin(kind) in (tuple, list, collections.abc.Sequence):
            items = typing.get_args(kind)
            any_number = len(items) == 1 or items[-1] is Ellipsis
            return items[:1], None if any_number else len(items), optional
    return kinds, 1, optional
