"""Tables as texts, and pictures that rows left."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from sagan.experiments.catalogue import SweepError
from sagan.experiments.collect import table
from sagan.experiments.render import as_csv, markdown, render_all

GOLDEN = Path(__file__).parents[1] / "golden" / "paper"

FD = "FD(pixels 8x8)"


def test_markdown_and_csv(tmp_path, result, sweep_of) -> None:
    made = table(sweep_of(tmp_path, "table1", {"no attention": {0: result(20.0)}}))
    lines = markdown(made).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 7
    rows = as_csv(made).splitlines()
    assert rows[0] == "row,seed,quantity,value,source"
    assert f'no attention,0,"{FD}, last step",20.0,measured here' in rows


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:60]), ""),
        (lambda file: file.write_bytes(b"no picture"), "UnidentifiedImageError"),
        (lambda file: Image.new("RGB", (9, 9)).save(file), "9 x 9 pixels are not . strips of pictures of 32 px"),
    ],
)
def test_a_damaged_picture_of_a_row_is_named(tmp_path, change, said) -> None:
    out = shutil.copytree(GOLDEN, tmp_path / "paper")
    assert render_all(out)
    for file in out.glob("rows/*/samples.png"):
        change(file)
    with pytest.raises(SweepError, match=rf"samples\.png is damaged \(.*{said}.*\); remove its folder"):
        render_all(out)
