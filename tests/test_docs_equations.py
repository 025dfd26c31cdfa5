"""docs/equations.md: all that the paper numbers is there, and each function that a row names exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "equations.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in PAGE.splitlines() if line[0:1] == "|"]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)))

# Of the paper: equations (1) to (4), six figures, two tables; and its methods that have a formula and no number.
NUMBERED = {*(f"equation {n}" for n in range(1, 5)), *(f"figure {n}" for n in range(1, 7)), "table 1", "table 2"}
METHODS = (
    "spectral normalisation",
    "learning rates",
    "conditional batch normalisation",
    "projection",
    "Inception Score",
    "Fréchet Inception Distance",
    "within each class",
    "residual block in attention's place",
    "AC-GAN, SNGAN-projection",
)


def missing(page: str) -> set[str]:
    """Tell what the paper numbers and the page has no row with a function for."""
    rows = [line for line in page.splitlines() if line.startswith("| ") and re.search(r"`[\w/]+\.py:\w+", line)]
    return {name for name in NUMBERED if not any(row.startswith(f"| {name} |") for row in rows)}


def test_all_that_the_paper_numbers_has_a_row() -> None:
    assert missing(PAGE) == set()
    assert sum(row[0] == "equation 4" for row in ROWS) == 2  # of D and of G


def test_a_row_that_is_missing_is_noticed() -> None:
    without = "\n".join(line for line in PAGE.splitlines() if not line.startswith("| equation 2 "))
    assert missing(without) == {"equation 2"}
    assert missing(PAGE.replace("`figures/curves.py:band_curves`", "").replace("catalogue.py:stage_rows", "")) >= {
        "figure 3"
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_method_without_a_number_has_a_row_with_a_function(method: str) -> None:
    assert any(method in " ".join(row) and re.search(r"\.py:\w", " ".join(row)) for row in ROWS)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_function_can_be_imported_from_its_file(file: str, name: str) -> None:
    found = import_module("sagan." + file.removesuffix(".py").replace("/", "."))
    owner, _, attribute = name.partition(".")
    assert getattr(found, owner).__module__ == found.__name__, f"{owner} is of {getattr(found, owner).__module__}"
    assert not attribute or hasattr(getattr(found, owner), attribute)


def test_the_three_names_of_each_part_stand_side_by_side() -> None:
    names = {
        row[0].strip("`"): (row[1], row[2]) for row in ROWS if row[0].strip("`") in ("query", "key", "value", "gamma")
    }
    assert names == {"query": ("g", "theta"), "key": ("f", "phi"), "value": ("h", "g"), "gamma": ("γ", "sigma")}
