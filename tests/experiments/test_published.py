"""The paper's own numbers."""

from sagan.experiments.catalogue import table1_rows
from sagan.experiments.scales import paper

# Table 1 of the paper's first version, FID and IS.
TABLE1 = {
    "no attention": (22.96, 42.87),
    "attention feat8": (22.98, 43.15),
    "attention feat16": (22.14, 45.94),
    "attention feat32": (18.28, 51.43),
    "attention feat64": (18.65, 52.52),
    "residual feat8": (42.13, 23.17),
    "residual feat16": (22.40, 44.49),
    "residual feat32": (27.33, 38.50),
    "residual feat64": (28.82, 38.96),
}


def test_table_1_has_the_papers_rows_and_numbers() -> None:
    rows = table1_rows(paper())
    assert {r.name: (r.published["fd"].value, r.published["score"].value) for r in rows} == TABLE1
    assert all("table 1" in r.published["fd"].source for r in rows)
