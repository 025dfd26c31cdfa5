"""The rooms of ARCHITECTURE.md: who may import whom, read from the imports themselves."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"

# Lowest first. A file imports only from rooms above its own in this list, or from its own room.
ROOMS = (
    "lazy",
    "words",
    "choices",
    "places",
    "regular",
    "reading",
    "streams",
    "interrupts",
    "bombs",
    "npy",
    "sizes",
    "old_names",
    "version",
    "whole",
    "randomness",
    "allocator",
    "losses",
    "machine",
    "ops.spectral",
    "ops",
    "models",
    "sampling",
    "data",
    "training",
    "metrics",
    "figures",
    "pages",
    "recipes",
    "generators",
    "exchange",
    "evaluation",
    "runs",
    "speed",
    "experiments",
    "studio",
    "cli",
)
# Rooms that are used by others outside the project too: what of ours they may import, and nothing else.
CLOSED: dict[str, set[str]] = {
    "randomness": set(),
    "allocator": set(),
    "machine": {"version"},
    "lazy": set(),
    "words": set(),
    "choices": set(),
    "places": set(),
    "regular": set(),
    "reading": {"regular"},
    "streams": set(),
    "interrupts": set(),
    "bombs": {"reading", "regular"},
    "npy": {"bombs", "reading", "regular"},
    "sizes": set(),
    "old_names": set(),
    "version": set(),
    "whole": {"places"},
    "ops": {"ops.spectral", "choices"},
    "ops.spectral": {"choices"},
    "losses": {"choices"},
    "data": {"randomness", "lazy", "words", "sizes", "places", "reading", "regular", "bombs", "npy"},
    "metrics": {"words", "reading", "regular", "bombs"},
    "figures": {"lazy", "reading", "whole"},
    "pages": {"lazy", "sizes"},
}


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted((SRC / "sagan").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Names of our modules that a file imports, inside functions too; ``if TYPE_CHECKING`` imports count as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else str(node.module))
    return {name for name in found if name in known}


def room(module: str) -> str:
    name = module.removeprefix("sagan").removeprefix(".")
    candidates = [r for r in ROOMS if name == r or name.startswith(f"{r}.")]
    return max(candidates, key=len) if candidates else ""


KNOWN = modules()


@pytest.mark.parametrize("module", [m for m in KNOWN if m not in ("sagan", "sagan.__main__")])
def test_imports_run_downward(module: str) -> None:
    own = room(module)
    assert own, f"{module} is in no room of ROOMS; add it there and to ARCHITECTURE.md"
    for imported in imports(KNOWN[module], KNOWN):
        other = room(imported)
        assert other, f"{module} imports {imported}, which is in no room"
        assert ROOMS.index(other) <= ROOMS.index(own), (
            f"{module} ({own}) imports {imported} ({other}), which is above it"
        )
        if own in CLOSED and other != own:
            assert other in CLOSED[own], (
                f"{module} ({own}) may import only {CLOSED[own] or 'nothing'} of ours, not {imported}"
            )


def test_no_circles() -> None:
    graph = {
        module: imports(path, KNOWN) for module, path in KNOWN.items() if module not in ("sagan", "sagan.__main__")
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_only_the_engine_names_fabric() -> None:
    naming = {module for module, path in KNOWN.items() if "lightning_fabric" in path.read_text()}
    assert naming == {"sagan.training.engine"}


def test_no_torchvision() -> None:
    for module, path in KNOWN.items():
        assert "import torchvision" not in path.read_text(), module
