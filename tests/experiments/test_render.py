"""Tables as texts."""

from sagan.experiments.collect import table
from sagan.experiments.render import as_csv, markdown

FD = "FD(pixels 8x8)"


def test_markdown_and_csv(tmp_path, result, sweep_of) -> None:
    made = table(sweep_of(tmp_path, "table1", {"no attention": {0: result(20.0)}}))
    lines = markdown(made).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 7
    rows = as_csv(made).splitlines()
    assert rows[0] == "row,seed,quantity,value,source"
    assert f'no attention,0,"{FD}, last step",20.0,measured here' in rows
