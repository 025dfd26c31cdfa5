import numpy as np
import pytest

from sagan.figures import table_picture


def ink(picture):
    return np.asarray(picture.convert("L")) < 128


def test_every_cell_is_drawn():
    empty = ink(table_picture(["", "b"], [["", ""]])).sum()
    full = ink(table_picture(["", "b"], [["row", "12.3"]])).sum()
    assert full > empty


def test_numbers_end_at_one_line():
    picture = ink(table_picture(["", "value"], [["", "1"], ["", "1,000,000"]]))
    picture = picture[picture.mean(1) < 0.5]  # without the rules
    starts = np.flatnonzero(np.diff(np.r_[False, picture.any(1), False].astype(int)))
    ends = [np.flatnonzero(picture[a:b].any(0)).max() for a, b in starts.reshape(-1, 2)]
    assert len(ends) == 3  # the header and two cells
    assert max(ends) - min(ends) <= 3


def test_longer_cells_make_a_wider_table_and_more_rows_a_higher_one():
    base = table_picture(["", "b"], [["row", "1"]])
    assert table_picture(["", "b"], [["row", "1" * 30]]).width > base.width
    assert table_picture(["", "b"], [["row", "1"], ["row", "1"]]).height > base.height


def test_rows_have_one_cell_per_column():
    with pytest.raises(ValueError, match="one cell per column, 2 in all"):
        table_picture(["", "b"], [["row"]])
