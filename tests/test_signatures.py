"""How functions are called: parameters have names that callers may use."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "sagan"


@pytest.mark.parametrize("room", ["ops", "models", "training", "metrics", "evaluation", "losses.py"])
def test_parameters_can_be_named_or_none_can(room: str) -> None:
    """A `/` closes the short signatures of protocols; before other parameters it would be a slip for `*`."""
    files = sorted((SOURCE / room).rglob("*.py")) if (SOURCE / room).is_dir() else [SOURCE / room]
    trees = {file.name: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    functions = [
        (name, node) for name, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    ]
    assert functions
    mixed = [
        (name, node) for name, node in functions if node.args.posonlyargs and (node.args.args or node.args.kwonlyargs)
    ]
    assert [f"{name}:{node.lineno} {node.name}" for name, node in mixed] == []
