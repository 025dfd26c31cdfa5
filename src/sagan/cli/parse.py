"""Flags to dataclasses, help in a short and a long form, and the error for what cannot be right on a command line."""

import ast
import dataclasses
import inspect
import io
import itertools
import re
import shutil
import sys
import textwrap
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import cache
from typing import Annotated, Any, TypeVar

A = TypeVar("A")

HELP, HELP_ALL = ("-h", "--help"), "--help-all"


class UsageError(ValueError):
    """A mistake on the command line."""


def parse(
    kind: type[A],
    arguments: Sequence[str],
    verb: str,
    default: A | None = None,
    description: str = "",
    short: Sequence[str] | None = None,
) -> A:
    """Parse flags into a dataclass; what cannot be read ends with exit code 2 and the nearest known flag.

    Args:
        kind: The dataclass; a nested one is a group of flags.
        arguments: What stands behind the verb.
        verb: The verb, for messages.
        default: Where the flags start from, where that is not the dataclass's own.
        description: What the verb does; it is wrapped to the terminal's width.
        short: The fields, dotted where they are nested, that ``--help`` shows; all others only ``--help-all`` does.
            Unset shows all.

    Raises:
        UsageError: If the flags can be read, but the dataclass refuses their values.
    """
    import tyro

    _refuse_empty(arguments)
    shown: Any = kind
    if asks_for_help(arguments):
        if short is not None and HELP_ALL not in arguments:
            shown, default = _shortened(kind, default, short), None
            description += f"\n\n`sagan {verb} {HELP_ALL}` lists every flag."
        arguments = ["--help"]
    options = {} if default is None else {"default": default}
    # In the encoding of the terminal, which says whether tyro may draw boxes.
    printed = io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding or "utf-8", errors="replace", write_through=True)
    with redirect_stdout(printed) if list(arguments) == ["--help"] else nullcontext():
        try:
            with refusals_as_sentences(arguments, explained(kind, verb, HELP[1] if short is None else HELP_ALL)):
                return tyro.cli(shown, args=list(arguments), prog=f"sagan {verb}", description="", **options)  # type: ignore[no-any-return,call-overload]
        except SystemExit as end:
            printed.seek(0)
            if not (text := printed.read()):
                raise
            code = end.code
    usage, _, flags = text.partition("\n\n")  # tyro would join the lines of a description
    usage = wrapped(" ".join(usage.split()), hanging=7)
    flags = "\n".join(line.rstrip() for line in flags.strip().splitlines())
    print(f"{usage}\n\n{wrapped(description)}\n\n{flags}")
    raise SystemExit(code)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse a flag whose value is empty, as that of a variable that is not set: a path would be the folder one is in.

    Raises:
        UsageError: If there is one.
    """
    for word, after in itertools.pairwise((*arguments, None)):
        flag, equals, value = word.partition("=") if word else ("", "", "")
        if flag.startswith("--") and (value == "" if equals else after == ""):
            raise UsageError(f"{flag} is empty; give it a value, or leave it away")


def explained(kind: type[Any], verb: str, help_flag: str) -> Callable[[Sequence[str], bool], str]:
    """Give what says what is wrong with words that were typed, for :func:`refusals_as_sentences`."""
    from sagan.cli.mistakes import mistake, swallowed

    def explain(words: Sequence[str], understood: bool) -> str:
        return swallowed(kind, words, verb) if understood else mistake(kind, words, verb, help_flag)

    return explain


@contextmanager
def refusals_as_sentences(
    arguments: Sequence[str], explain: Callable[[Sequence[str], bool], str] = lambda *_: ""
) -> Iterator[None]:
    """Turn what is refused inside the context into a sentence about the flag that was given.

    Args:
        arguments: What was typed.
        explain: Says what is wrong with it, or "": called with it, and whether the parser understood it and only the
            dataclass refused. Where it says nothing, as of a flag that is missing, tyro's own words are kept.

    Raises:
        UsageError: With the sentence; a field at the beginning of one of a dataclass is written as the flag that was
            given.
    """
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            yield
    except (SystemExit, ValueError, OSError) as end:
        refusal: BaseException | None = end
        while refusal is not None and not _is_of_dataclass(refusal):
            refusal = refusal.__context__
        if getattr(end, "code", 2) and (said := explain(arguments, refusal is not None)):
            raise UsageError("; ".join(filter(None, (said, _dashed_hint(arguments))))) from None
        if refusal is not None:
            field, _, rest = str(getattr(refusal, "strerror", None) or refusal).partition(" ")
            flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
            short = f"_{field.removesuffix('_px')}"
            named = [flag for flag in flags if short.endswith(f"_{_field_of(flag)}")]  # --splits is score_splits
            raise UsageError(f"{named[-1] if named else field} {rest}".rstrip()) from None
        sys.stderr.write(printed.getvalue())
        raise
    sys.stderr.write(printed.getvalue())


def _dashed_hint(arguments: Sequence[str]) -> str:
    """Say how a name that begins with a dash is written, if there is one; "" otherwise."""
    dashed = next((word for word in arguments if re.match(r"-[^-\d]", word) and word not in HELP), None)
    if dashed is None:
        return ""
    return f"a name that begins with a dash is written behind its flag, as --class={dashed}, or as a path, ./{dashed}"


def _field_of(flag: str) -> str:
    return flag.split(".")[-1].lstrip("-").replace("-", "_")


def _is_of_dataclass(error: BaseException) -> bool:
    """Tell whether an error was raised by the checks of a dataclass."""
    frames = traceback.walk_tb(error.__traceback__)
    return isinstance(error, (ValueError, OSError)) and any(
        frame.f_code.co_name == "__post_init__" for frame, _ in frames
    )


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Tell whether a help text is asked for, in whatever form."""
    return any(argument in (*HELP, HELP_ALL) for argument in arguments)


def typed(arguments: Sequence[str], *flags: str) -> str:
    """Give the one of some flags that was typed, the last one if there are several, or "" if none was."""
    words = [argument.partition("=")[0] for argument in arguments]
    return next((word for word in reversed(words) if word in flags), "")


def wrapped(text: str, hanging: int = 0) -> str:
    """Wrap a text to the terminal's width; in lists, lines that begin with blanks, under the second column.

    Args:
        text: Lines of text.
        hanging: By how many blanks the lines after the first are indented, in what is no list.
    """
    width = shutil.get_terminal_size().columns
    lines = []
    for line in text.split("\n"):
        entry = re.match(r"  +(\S+(?: \S+)*)(  +)", line)
        column = len(entry[0]) if entry else hanging
        indent = " " * (column if column <= width // 2 else 6)
        lines += textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
    return "\n".join(lines)


def _shortened(kind: type[Any], default: Any, short: Sequence[str]) -> type[Any]:
    """Make a dataclass of some fields of another, and of those nested in it, with the same flags and texts."""
    import tyro

    groups: dict[str, list[Any]] = {}
    for path in short:
        owner, value = kind, default
        *outer, name = path.split(".")
        for group in outer:
            owner = typing.get_type_hints(owner)[group]
            value = getattr(value, group) if value is not None else None
        hint = typing.get_type_hints(owner, include_extras=True)[name]
        argument = tyro.conf.arg(help=field_docs(typing.cast("Any", owner))[name])
        field = next(field for field in dataclasses.fields(owner) if field.name == name)
        given = field.default if value is None else getattr(value, name)
        item: Any = (name, Annotated[hint, argument])
        entry = item if given is dataclasses.MISSING else (*item, dataclasses.field(default=given))
        groups.setdefault(".".join(outer).removeprefix("config").lstrip("."), []).append(entry)
    fields = groups.pop("", [])
    for flag, members in groups.items():
        nested = dataclasses.make_dataclass(flag.title(), members, frozen=True, kw_only=True)
        fields.append((f"{flag}_", Annotated[nested, tyro.conf.arg(name=flag)], dataclasses.field(default=nested())))
    return dataclasses.make_dataclass("Shortened", fields, frozen=True, kw_only=True)


@cache
def field_docs(kind: Any) -> dict[str, str]:
    """Read the text below each field of a dataclass, those of its bases included."""
    docs: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        body = typing.cast(
            "ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(typing.cast("Any", owner)))).body[0]
        ).body
        for field, text in itertools.pairwise(body):
            named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                docs[typing.cast("Any", field).target.id] = " ".join(str(text.value.value).split())
    return docs
