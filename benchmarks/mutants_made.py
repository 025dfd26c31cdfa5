"""The mutants of benchmarks/mutants.py: all that cosmic-ray's operators make of some files, and a sample of them.

    python benchmarks/mutants_made.py SAMPLE.json --num 400 --seed 0

Needs cosmic-ray alone, none of sagan: benchmarks/mutants.py starts this file beside a pinned version of it.

Operators of cosmic-ray that need arguments (replacing and inserting a variable by a random one) are not used. Left out
is what no test should look at: messages (what is raised, warned of or printed), annotations, type aliases, ``if
TYPE_CHECKING``, ``__all__``, and what does not compile or compiles to the same program. cosmic-ray changes no string,
so docstrings stay as they are.
"""

import argparse
import ast
import difflib
import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "ops": "src/sagan/ops",
    "losses": "src/sagan/losses.py",
    "training/step": "src/sagan/training/step.py",
    "metrics": "src/sagan/metrics",
    "evaluation": "src/sagan/evaluation",
}
"""What is mutated: the name of a room, and its folder or file."""
SPEAKING = {"print", "say", "warn", "warning"}
"""Calls whose arguments are messages."""
ALIASES = {"Literal", "Callable", "TypeVar", "Union", "Optional", "NewType", "dict", "list", "tuple", "set", "type"}
"""What a type alias begins with: ``Rows = tuple[int, ...]``."""

Place = tuple[int, int]
Span = tuple[Place, Place]


class Position(NamedTuple):
    """Where an operator can change a file: its n-th place there."""

    operator: str
    occurrence: int
    start: Place
    stop: Place


def files_of(room: str) -> list[str]:
    """List the files of a room, relative to the root."""
    place = ROOT / ROOMS[room]
    found = [place] if place.is_file() else sorted(place.rglob("*.py"))
    return [file.relative_to(ROOT).as_posix() for file in found if file.name != "__init__.py"]


# ----------------------------------------------------------------------------------------------------------- left out


def span_of(node: ast.AST) -> Span:
    """Give where a node begins and ends, as parso counts: lines from 1, characters from 0."""
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def left_out(tree: ast.Module) -> list[Span]:
    """List the parts of a file whose changes no test should notice."""
    spans = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            spans.append(span_of(node.annotation))
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            spans.append(span_of(node.returns))
        elif isinstance(node, ast.Raise) and node.exc is not None:
            spans.append(span_of(node.exc))
        elif isinstance(node, ast.Call) and name_of(node.func) in SPEAKING:
            spans += [span_of(argument) for argument in node.args]
        elif isinstance(node, ast.If) and name_of(node.test) == "TYPE_CHECKING":
            spans.append(span_of(node))
    return spans + [span_of(node) for node in tree.body if is_alias(node)]


def name_of(node: ast.AST) -> str:
    """Give the last name of ``a.b.name``; nothing of other nodes."""
    return getattr(node, "attr", None) or getattr(node, "id", "")


def is_alias(node: ast.stmt) -> bool:
    """Say whether a statement of a module only names a type, or what the module exports."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return False
    value, name = node.value, node.targets[0].id
    if name == "__all__":
        return True
    if isinstance(value, ast.Subscript):
        return name_of(value.value) in ALIASES
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr) and name[0].isupper() and not name.isupper()


# ------------------------------------------------------------------------------------------------------------- places


def operators() -> dict[str, Any]:
    """Make every operator of cosmic-ray that needs no arguments, by name."""
    from cosmic_ray.plugins import get_operator, operator_names

    classes = {name: get_operator(name) for name in sorted(operator_names())}
    return {name: made() for name, made in classes.items() if not made.arguments()}


def positions(source: str) -> list[Position]:
    """List every place at which an operator changes a file, without those left out."""
    from cosmic_ray.ast import ast_nodes, get_ast

    lines = source.splitlines()
    skipped = [(in_characters(lines, start), in_characters(lines, stop)) for start, stop in left_out(ast.parse(source))]
    nodes = list(ast_nodes(get_ast(source)))
    found = []
    for name, operator in operators().items():
        places = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, (start, stop) in enumerate(places):
            if not any(first <= start and stop <= last for first, last in skipped):
                found.append(Position(name, occurrence, start, stop))
    return found


def in_characters(lines: list[str], place: Place) -> Place:
    """Count a column in characters, where ``ast`` counts bytes."""
    line, column = place
    return line, len(lines[line - 1].encode()[:column].decode())


def mutated(source: str, position: Position) -> str | None:
    """Change a file; None where the change is no program, or the same one."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    try:
        text = mutate_code(source, get_operator(position.operator)(), position.occurrence)
    except AttributeError:  # cosmic-ray cannot replace `except module.Error`
        return None
    try:
        changed = ast.dump(ast.parse(text))
        compile(text, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return None if changed == ast.dump(ast.parse(source)) else text


# ------------------------------------------------------------------------------------------------------------- sample


def function_of(tree: ast.Module, line: int) -> str:
    """Name the innermost function or class around a line, with those around it; nothing at the top level."""
    names, inside = [], tree.body
    while True:
        around = [
            node for node in inside if hasattr(node, "body") and first_line(node) <= line <= (node.end_lineno or 0)
        ]
        if not around:
            return ".".join(names)
        names += [around[0].name] if isinstance(around[0], ast.FunctionDef | ast.ClassDef) else []
        inside = [child for child in ast.iter_child_nodes(around[0]) if isinstance(child, ast.stmt)]


def first_line(node: ast.stmt) -> int:
    """Give the first line of a statement, with its decorators."""
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])


def described(file: str, source: str, position: Position, text: str) -> dict[str, Any]:
    """Describe a mutant by what stays when lines above it move: file, function, operator and the changed lines."""
    lines = difflib.unified_diff(source.splitlines(), text.splitlines(), lineterm="", n=0)
    diff = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    about = {
        "file": file,
        "function": function_of(ast.parse(source), position.start[0]),
        "operator": position.operator.removeprefix("core/"),
        "diff": "\n".join(diff),
    }
    column = position.start[1] - len(source.splitlines()[position.start[0] - 1].split(maxsplit=1)[0])
    key = hashlib.sha256(json.dumps([*about.values(), column]).encode()).hexdigest()[:12]
    return {
        "key": key,
        **about,
        "line": position.start[0],
        "lines": [position.start[0], position.stop[0]],
        "text": text,
    }


def drawn(file: str, source: str, seed: int, positions_: list[Position]) -> Iterator[dict[str, Any]]:
    """Yield mutants of a file in an order that seed and file determine, no program twice."""
    order = sorted(positions_)
    random.Random(f"{seed} {file}").shuffle(order)
    seen = set()
    for position in order:
        text = mutated(source, position)
        if text is not None and text not in seen:
            seen.add(text)
            yield described(file, source, position, text)


def shares(counts: dict[str, int], num: int) -> dict[str, int]:
    """Share a number out in proportion, by largest remainders."""
    total = sum(counts.values())
    exact = {name: num * count / total for name, count in counts.items()}
    given = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: given[name] - exact[name])[: num - sum(given.values())]:
        given[name] += 1
    return given


def sample(num: int, seed: int) -> dict[str, Any]:
    """Draw ``num`` mutants, spread over the files in proportion to the places in each."""
    from importlib.metadata import version

    rooms = {file: room for room in ROOMS for file in files_of(room)}
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in rooms}
    places = {file: positions(source) for file, source in sources.items()}
    given = shares({file: len(found) for file, found in places.items()}, num)
    mutants = []
    for file, source in sources.items():
        for _, mutant in zip(range(given[file]), drawn(file, source, seed, places[file]), strict=False):
            mutants.append({"room": rooms[file], **mutant})
        print(f"{file}: {given[file]} of {len(places[file])} places", file=sys.stderr, flush=True)
    counts = {room: sum(len(places[file]) for file in rooms if rooms[file] == room) for room in ROOMS}
    return {"tool": f"cosmic-ray {version('cosmic-ray')}", "places": counts, "mutants": mutants}


def main() -> None:
    """Write the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--num", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.write_text(json.dumps(sample(args.num, args.seed)))


if __name__ == "__main__":
    main()
