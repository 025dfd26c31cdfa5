"""Linter, formatter, type checker and docstring check, as tests: all that a change has to pass is one command."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = {
    # The linter's rule set D is the docstring check (pyproject.toml: Google style, every public name).
    "lint-and-docstrings": ["ruff", "check", "src", "tests", "benchmarks"],
    "format": ["ruff", "format", "--check", "src", "tests", "benchmarks"],
    "types": ["mypy"],
}


@pytest.mark.long("the type checker reads the whole package")
@pytest.mark.parametrize("name", CHECKS)
def test_quality(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", *CHECKS[name]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(CHECKS[name])}\n{done.stdout}{done.stderr}"


def test_linter_really_checks_docstrings(tmp_path: Path) -> None:
    (tmp_path / "undocumented.py").write_text('"""A module."""\n\n\ndef public() -> None:\n    pass\n')
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "D103" in done.stdout


def test_marks_of_slow_tests_say_why() -> None:
    for file in sorted((ROOT / "tests").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        told = [n.func for n in nodes if isinstance(n, ast.Call) and n.args and isinstance(n.args[0], ast.Constant)]
        for node in nodes:
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pytest.mark.slow", "pytest.mark.long"):
                assert node in told, f"{file}:{node.lineno}: a mark without its reason"
