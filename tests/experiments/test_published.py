"""The published numbers against a second table, typed from the sources and not from the code."""

import pytest

from sagan.experiments import published
from sagan.experiments.catalogue import table1_rows
from sagan.experiments.published import Published
from sagan.experiments.scales import paper

# Zhang et al. 2018, first version, table 1. FID above, IS below; columns: no attention, feat8, feat16, feat32, feat64.
TABLE_1 = """
SAGAN     22.96  22.98  22.14  18.28  18.65
          42.87  43.15  45.94  51.43  52.52
residual      -  42.13  22.40  27.33  28.82
              -  23.17  44.49  38.50  38.96
"""

# Table 2, with the intra-FID of Miyato and Koyama's README. Columns: IS, FID, intra-FID.
TABLE_2 = """
ACGAN  28.5       -     -
SNGAN  36.8   27.62  92.4
SAGAN  52.52  18.65     -
"""

# Figure 4, FID below its pictures; columns: after 10k, 160k, 260k and 1M steps.
FIGURE_4 = """
SN_ON_D      181.84      -      -      -
SN_ON_BOTH    93.52  33.39  72.41      -
SN_AND_TTUR   99.04  40.96  34.62  22.96
"""

# StudioGAN's log of SAGAN and mmgeneration's README, ImageNet at 128 px after 1M steps of 256. Columns: IS, FID.
RECIPES = """
STUDIO      29.85  34.73
BEST_KNOWN  69.54  12.83
"""


def lines(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def numbers(words: list[str]) -> list[float | None]:
    return [None if word == "-" else float(word) for word in words]


def value(cells: dict[str, Published], measure: str) -> float | None:
    return cells[measure].value if measure in cells else None


def test_table_1() -> None:
    (_, *fid), score, (_, *residual_fid), residual_score = lines(TABLE_1)
    columns = [published.NO_ATTENTION, *(published.ATTENTION[size] for size in (8, 16, 32, 64))]
    assert list(published.ATTENTION) == list(published.RESIDUAL) == [8, 16, 32, 64]
    assert [value(cells, "fd") for cells in columns] == numbers(fid)
    assert [value(cells, "score") for cells in columns] == numbers(score)
    blocks = [{}, *published.RESIDUAL.values()]
    assert [value(cells, "fd") for cells in blocks] == numbers(residual_fid)
    assert [value(cells, "score") for cells in blocks] == numbers(residual_score)


@pytest.mark.parametrize(("name", "typed"), [(name, typed) for name, *typed in lines(TABLE_2)])
def test_table_2(name: str, typed: list[str]) -> None:
    cells = getattr(published, name)
    assert [value(cells, measure) for measure in ("score", "fd", "intra")] == numbers(typed)
    assert set(cells) <= {"score", "fd", "intra"}


@pytest.mark.parametrize(("name", "typed"), [(name, typed) for name, *typed in lines(FIGURE_4)])
def test_figure_4(name: str, typed: list[str]) -> None:
    by_step = {step: fid for step, fid in zip((10, 160, 260, 1000), numbers(typed), strict=True) if fid is not None}
    assert getattr(published, name) == by_step


@pytest.mark.parametrize(("name", "typed"), [(name, typed) for name, *typed in lines(RECIPES)])
def test_recipes(name: str, typed: list[str]) -> None:
    cells = getattr(published, name)
    assert [value(cells, "score"), value(cells, "fd")] == numbers(typed)
    assert set(cells) == {"score", "fd"}


def test_figure_6_has_its_ten_classes() -> None:
    names = "goldfish, indigo bunting, redshank, saint bernard, tiger cat, broccoli, geyser, valley, rapeseed"
    assert list(published.FIGURE6_CLASSES) == [*names.split(", "), "coral fungus"]


def test_each_number_says_where_it_stands() -> None:
    tables = [published.NO_ATTENTION, *published.ATTENTION.values(), *published.RESIDUAL.values()]
    assert all("2018" in cell.source and "table 1" in cell.source for cells in tables for cell in cells.values())
    assert all("table 2" in cells["score"].source for cells in (published.ACGAN, published.SNGAN, published.SAGAN))
    assert "Miyato and Koyama" in published.SNGAN["intra"].source


def test_the_rows_of_table_1_carry_the_numbers_of_their_position() -> None:
    rows = {row.name: row.published for row in table1_rows(paper())}
    expected = {"no attention": published.NO_ATTENTION}
    expected |= {f"attention feat{k}": cells for k, cells in published.ATTENTION.items()}
    expected |= {f"residual feat{k}": cells for k, cells in published.RESIDUAL.items()}
    assert rows == expected
    assert all("table 1" in cells["fd"].source for cells in rows.values())
