"""Every file and every name that ARCHITECTURE.md tells a reader to look for is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SRC = ROOT / "src" / "sagan"
NAMED = sorted(set(re.findall(r"`((?:\w+/)*\w+\.py):(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?:\w+/)+[\w.]*)`", TEXT)))
ROOMS = [row.split("|")[1] for row in TEXT[TEXT.index("| room |") : TEXT.index("## Two walks")].splitlines()[2:] if row]


def defined(path: Path) -> set[str]:
    """Names at the top level: a method or a field of the same name would not help a reader."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: value)
def test_a_name_is_in_its_file(file: str, name: str) -> None:
    assert (SRC / file).is_file(), f"there is no {file}"
    assert name in defined(SRC / file), f"{file} has no {name}"


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_there(file: str) -> None:
    assert any((place / file).exists() for place in (ROOT, SRC)), f"there is no {file}"


def test_every_room_has_its_row() -> None:
    rooms = {f"{path.name}/" for path in SRC.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rooms |= {path.name for path in SRC.glob("*.py") if not path.name.startswith("__")}
    assert {room for row in ROOMS for room in re.findall(r"`([^`]+)`", row)} == rooms


@pytest.mark.parametrize(
    "room", [path for path in sorted(SRC.iterdir()) if path.is_dir() and path.name != "__pycache__"]
)
def test_every_file_of_a_room_is_in_its_row(room: Path) -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{room.name}/` |"))
    files = {path.stem for path in room.glob("*.py")} - {"__init__", "__main__"}
    assert files <= set(re.findall(r"`(\w+)`", row)), sorted(files - set(re.findall(r"`(\w+)`", row)))


def test_the_picture_shows_arrows_that_exist() -> None:
    arrows = re.findall(r"^    (\w+) --> (\w+)$", TEXT, re.MULTILINE)
    assert len(arrows) > 10
    for above, below in arrows:
        files = (SRC / above).rglob("*.py") if (SRC / above).is_dir() else [SRC / f"{above}.py"]
        assert any(re.search(rf"\bsagan\.{below}\b", file.read_text(encoding="utf-8")) for file in files), (
            f"{above} imports nothing of {below}"
        )
