import pytest

from sagan.sizes import longhand, size_of, written


@pytest.mark.parametrize(
    ("size", "expected"),
    [(64, (64, 64)), ("64", (64, 64)), ("64x96", (64, 96)), (" 64 X 96 ", (64, 96)), ("9×6", (9, 6)), ((3, 5), (3, 5))],
)
def test_sizes_are_height_and_width(size, expected):
    assert size_of(size) == size_of(written(size)) == size_of(longhand(size)) == expected


def test_a_square_is_written_as_its_side():
    assert (written((64, 64)), written((64, 96)), longhand(64)) == (64, "64x96", "64x64")


@pytest.mark.parametrize("size", [0, -1, "", "64x", "x64", "64x96x3", "6.4", "64,96", (0, 5), "64x0", (8,)])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match=r"^size is the side of a square in pixels, as 64, or HEIGHTxWIDTH"):
        size_of(size)
