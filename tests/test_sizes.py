"""Functions stay short and take few arguments: what a reader has to hold in mind at a time."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")])
LINES, CODE_LINES, ARGUMENTS = 60, 35, 8
# So many functions of src/ may have more lines of code than CODE_LINES: hardly one, as a share of more than a thousand.
LONGER = 12


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    first = function.body[0]
    if ast.get_docstring(function) is None or first.end_lineno is None:
        return lines(function)
    return lines(function) - (first.end_lineno - first.lineno + 1)


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in every)


def named(path: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short_and_take_few_arguments(path: Path) -> None:
    for function in functions(path):
        assert lines(function) <= LINES, f"{named(path, function)} has {lines(function)} lines; cut it up"
        count = arguments(function)
        assert count <= ARGUMENTS, f"{named(path, function)} has {count} arguments; a configuration object says more"


def test_hardly_a_function_is_longer_than_a_page() -> None:
    found = [
        f"{named(path, function)}: {code_lines(function)}"
        for path in FILES
        if "src" in path.parts
        for function in functions(path)
        if code_lines(function) > CODE_LINES
    ]
    assert len(found) <= LONGER, "\n".join(found)


def test_lines_are_counted_without_the_docstring() -> None:
    function = ast.parse('def f(a, *, b):\n    """One.\n\n    Two.\n    """\n    return a\n').body[0]
    assert isinstance(function, ast.FunctionDef)
    assert (lines(function), code_lines(function), arguments(function)) == (6, 2, 2)
