"""What users rely on by name, as a list with one line each: tests/public.txt.

Verbs and flags, configuration fields and presets, exit codes, names to import, files of a run and what is in them. The
test makes the list again and compares; a line that goes or changes is a break for somebody. To accept the new list:

    python tests/test_public.py --write
"""

import builtins
import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import os
import re
import signal
import sys
import tempfile
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from safetensors import safe_open

import sagan
from sagan.cli import main
from sagan.recipes.presets import PRESETS

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("public.txt")
CONFIGURED = ("train", "plan", "benchmark")
"""Verbs that take a configuration; without --preset their defaults depend on the machine."""
# At this width help has one column.
COLUMNS = "125"
TINY = [
    *("--preset", "demo", "--generator.base-width", "2", "--discriminator.base-width", "4", "--batch-size", "8"),
    *("--steps", "2", "--train.log-every", "1", "--train.sample-every", "1", "--train.save-every", "2"),
    *("--evaluate-every", "1", "--monitor.num", "20", "--monitor.real", "20", "--generator.sampling-norm", "running"),
]


class Said(typing.NamedTuple):
    """What a command left: exit code and output."""

    code: int
    out: str
    err: str


def command(*words: str) -> Said:
    """Run a command in this process."""
    # Streams that can hold the lines of boxes, which help is drawn with.
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict(os.environ, COLUMNS=COLUMNS),
    ):
        code = main(words)
    for stream in (out, err):
        stream.seek(0)
    return Said(code, out.read(), err.read())


# -------------------------------------------------------------------------------------------------------- verbs, flags


def documents() -> dict[str, str]:
    """Read README.md and docs/*.md."""
    return {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}


def verbs() -> list[str]:
    """Find the verbs that the general help or the documents name and that explain themselves."""
    named = set(re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", command("--help").out, re.MULTILINE))
    for text in documents().values():
        named |= set(re.findall(r"\bsagan (data [a-z]+|paper [a-z]+|[a-z]+)\b", text))
    named |= {f"paper {verb}" for verb in re.findall(r"`([a-z]+)(?: NAME|`)", documents()["verbs.md"])}
    named -= {"data", "paper", "help"}  # these have verbs of their own, or are none
    return sorted(verb for verb in named if command(*verb.split(), "--help").code == 0)


def full_help(verb: str) -> str:
    """Give a verb's complete help, with every flag; the defaults of a configuration are those of one preset."""
    words = [*verb.split(), *(("--preset", "sagan-128") if verb in CONFIGURED else ())]
    complete = command(*words, "--help-all")
    return complete.out if complete.code == 0 else command(*words, "--help").out


def flags_of(verb: str) -> list[str]:
    """List the flags and positional arguments of a verb with what they take and their defaults."""
    found = []
    for entry in entries(full_help(verb)):
        head, text = entry[0], " ".join(entry)
        names = re.match(r"(?:-\w, )?--[\w.-]+(?:, --[\w.-]+)*", head)
        what = re.split(r"\s{2,}", head)[0]
        default = re.findall(r"\((default: .*?|required)\)(?=\s|$|\()", text)
        told = default[-1] if default else "no default"
        if names and names.group().split()[-1] in ("--help", "--help-all"):
            continue
        found.append(f"flag: sagan {verb} {what if names else f'POSITIONAL {what}'} ({told})")
    return found


def entries(text: str) -> list[list[str]]:
    """Cut help into its entries: the line with the flag and what it takes, whole, then lines of explanation."""
    found: list[list[str]] = []
    positional = False
    for line in text.splitlines():
        if line.startswith("╭"):
            positional = "positional" in line
            continue
        inner = re.sub(r"^│ |\s*│$", "", line).rstrip()
        if re.match(r"(-\w, )?--\w", inner) or (positional and re.match(r"[\[{\w]", inner)):
            found.append([inner])
        elif found and line.startswith("│") and re.match(r"\S", inner) and len(found[-1]) == 1:
            found[-1][0] += inner  # what the flag takes goes on in this line
        elif found and line.startswith("│"):
            found[-1].append(inner.strip())
    return found


# ------------------------------------------------------------------------------------------------------- configuration


def typed(hint: Any) -> str:
    """Write a type alike in all versions of Python."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(typed(option) for option in arguments)
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        inside = ", ".join("..." if option is ... else typed(option) for option in arguments)
        return f"{origin.__name__}[{inside}]"
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, str, object]]:
    """Walk the fields of a configuration: dotted name, type and value."""
    hints = typing.get_type_hints(type(config))
    for item in dataclasses.fields(config):
        value, name = getattr(config, item.name), f"{prefix}{item.name}"
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{name}.")
        else:
            yield name, typed(hints[item.name]), value


def configuration() -> list[str]:
    """List every field with its type and default, and what each preset changes."""
    default = type(PRESETS["demo"]())()
    found = [f"field: {name}: {kind} = {value!r}" for name, kind, value in leaves(default)]
    plain = {name: value for name, _, value in leaves(default)}
    for preset, build in PRESETS.items():
        changed = [(name, value) for name, _, value in leaves(build()) if value != plain[name]]
        found.append(f"preset: {preset}")
        found += [f"preset: {preset} has {name} = {value!r}" for name, value in changed]
    return found


# --------------------------------------------------------------------------------------------------------------- names


def named_in_documents() -> set[str]:
    """Find what README.md and docs/*.md import or name: ``sagan.X``, ``from sagan.X import Y``."""
    found = set()
    for text in documents().values():
        found |= {name.rstrip(".") for name in re.findall(r"\bsagan\.(?!bash\b|fish\b|png\b)[A-Za-z_][\w.]*", text)}
        for module, names in re.findall(r"^from (sagan[\w.]*) import (.+)$", text, re.MULTILINE):
            found |= {f"{module}.{name.strip()}" for name in names.split(",")}
    return {name for name in found if not re.search(r"\.(git|md|py|npy|json|pt|bash|fish)$", name)}


def resolved(name: str) -> object:
    """Import what a dotted name means.

    Raises:
        AttributeError: If there is no such thing.
    """
    module, _, last = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ImportError:
        return getattr(importlib.import_module(module), last)


def signature(value: object) -> str:
    """Write the parameters of a callable with their defaults, without types."""
    kept = []
    for parameter in inspect.signature(value).parameters.values():  # type: ignore[arg-type]
        default = parameter.default
        if inspect.isfunction(default):
            default = _Name(default.__name__)
        if parameter.name != "self":
            kept.append(parameter.replace(annotation=inspect.Parameter.empty, default=default))
    return str(inspect.Signature(kept))


class _Name(str):
    """A default that is written by its name."""

    __slots__ = ()
    __repr__ = str.__str__


def names() -> list[str]:
    """List public names with what they take, and what hangs on the results of the three functions."""
    found = []
    for name in sorted({f"sagan.{name}" for name in sagan.__all__} | named_in_documents()):
        value = resolved(name)
        what = "" if inspect.ismodule(value) else signature(value) if callable(value) else f": {type(value).__name__}"
        found.append(f"name: {name}{what}")
    for function in (sagan.load, sagan.evaluate, sagan.train):
        result = typing.get_type_hints(function)["return"]
        found += [f"result: sagan.{function.__name__}(...){member}" for member in members(result)]
    return found


def members(kind: type) -> list[str]:
    """List the public fields, properties and methods of a class."""
    fields = {item.name for item in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    methods = {name for name in vars(kind) if not name.startswith("_")} - fields
    taken = {name: inspect.getattr_static(kind, name) for name in methods}
    told = [f".{name}{signature(value) if inspect.isfunction(value) else ''}" for name, value in taken.items()]
    return [*told, *(f".{name}" for name in fields)]


# ---------------------------------------------------------------------------------------------------------- exit codes


class _Raising:
    """Stands in for ``print``: raises once, as if that had happened in the middle of a command."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error

    def __call__(self, *words: object, **_: object) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error


class _Stopping(io.StringIO):
    """An error stream that sends SIGTERM to this process when the first step is reported."""

    sent = False

    def write(self, text: str) -> int:
        if "step 1/2" in text and not self.sent:
            self.sent = True
            signal.raise_signal(signal.SIGTERM)
        return super().write(text)


def exit_codes() -> list[str]:
    """List what exit codes mean, from commands that end so."""
    ended = {"done": command("--help").code, "a mistake of the user": command("no-such-verb").code}
    for meaning, error in (
        ("a failure, here of memory", MemoryError()),
        ("interrupted by Ctrl-C", KeyboardInterrupt()),
    ):
        with mock.patch.object(builtins, "print", _Raising(error)):
            ended[meaning] = command("--help").code
    return [f"exit code: {code} is {meaning}" for meaning, code in ended.items()]


# --------------------------------------------------------------------------------------------------------------- files


def run_files(folder: Path) -> list[str]:
    """Train a run that is stopped after its first step and goes on; list its files and their contents."""
    err = _Stopping()
    with contextlib.redirect_stderr(err), mock.patch.dict(os.environ, SAGAN_CACHE=str(folder / "cache")):
        code = main(["train", "--out", str(folder / "run"), *TINY])
        assert main(["train", "--resume", str(folder / "run")]) == 0, err.getvalue()
    files = [path for path in (folder / "run").rglob("*") if path.is_file()]
    names = {re.sub(r"(?<=step-)\d{8}|(?<=tfevents\.).*", "N", str(path.relative_to(folder / "run"))) for path in files}
    found = [f"exit code: {code} is training stopped by SIGTERM, saved", *(f"run folder: {name}" for name in names)]
    contents = torch.load(folder / "run" / "checkpoints" / "step-00000002.pt", weights_only=True)
    found += [f"checkpoint: {key}" for key in contents]
    found += [f"checkpoint: hooks.{name}.{key}" for name, state in contents["hooks"].items() for key in state]
    with safe_open(folder / "run" / "generator.safetensors", framework="pt") as file:
        metadata = file.metadata()
        found += [f"weights file: tensor {name}" for name in file.keys()]  # noqa: SIM118
    found += [f"weights file: metadata {key}" for key in metadata]
    found += [f"weights file: provenance {key}" for key in json.loads(metadata["provenance"])]
    lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return found + [f"log.jsonl: {key}" for key in {key for line in lines for key in line}]


# ------------------------------------------------------------------------------------------------------------ the list


def public(folder: Path) -> list[str]:
    """Make the list; ``folder`` is an empty place for a tiny run."""
    found = verbs()
    lines = [f"verb: sagan {verb}" for verb in found] + [line for verb in found for line in flags_of(verb)]
    lines += configuration() + names() + exit_codes() + run_files(folder)
    return sorted(set(lines))


def compare(old: Sequence[str], new: Sequence[str]) -> str:
    """Say which lines went and came; empty if none did."""
    gone = [f"- {line}" for line in old if line not in set(new)]
    come = [f"+ {line}" for line in new if line not in set(old)]
    return "\n".join(gone + come)


@pytest.mark.long("reads the help of every verb")
def test_what_is_public_stays(tmp_path: Path) -> None:
    differing = compare(LIST.read_text(encoding="utf-8").splitlines(), public(tmp_path))
    if differing:
        pytest.fail(
            f"what users rely on by name changed (- went, + came):\n{differing}\n"
            "If that is meant, say so where users read it, and run: python tests/test_public.py --write"
        )


def test_a_change_is_named() -> None:
    assert compare(["flag: a (default: 1)", "flag: b"], ["flag: a (default: 2)", "flag: b"]) == (
        "- flag: a (default: 1)\n+ flag: a (default: 2)"
    )


def test_help_is_read_whole() -> None:
    text = (
        "╭─ positional arguments ─╮\n│ PATH   A run. (required) │\n╰───╯\n╭─ options ─╮\n│ -h, --help  show │\n"
        "│ --seed INT   The seed. (default: 0) │\n│ --kind {one,two, │\n│ three} │\n│    What. (default: one) │\n╰─╯\n"
    )
    assert [entry[0] for entry in entries(text)] == [
        "PATH   A run. (required)",
        "-h, --help  show",
        "--seed INT   The seed. (default: 0)",
        "--kind {one,two,three}",
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        made = public(Path(place))
    before = LIST.read_text(encoding="utf-8").splitlines() if LIST.exists() else []
    print(compare(before, made) or "nothing changed")
    if "--write" in sys.argv[1:]:
        LIST.write_text("".join(f"{line}\n" for line in made), encoding="utf-8")
