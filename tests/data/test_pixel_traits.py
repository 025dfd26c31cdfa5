"""What decoded pixels show: said where it is so, and nowhere else."""

import numpy as np
import pytest
from made import ramp

from sagan.data.pixel_traits import SHOWN, pixel_traits

NOISE = np.random.default_rng(3).integers(20, 236, (90, 130, 3), dtype=np.uint8)


def with_spot(value, spot):
    pixels = np.full((200, 150, 3), value, np.uint8)
    pixels[101, 77] = spot  # between the points of the grid that is looked at first
    return pixels


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (NOISE, set()),
        (np.full((9, 9, 3), 7, np.uint8), {"one colour"}),
        (np.full((200, 150, 3), (1, 2, 3), np.uint8), {"one colour"}),
        (with_spot(7, 200), {"nearly black", "equal channels"}),
        (with_spot(250, 0), {"nearly white", "equal channels"}),
        (with_spot(100, (100, 100, 101)), set()),
        (np.repeat(NOISE[..., :1], 3, axis=2), {"equal channels"}),
        (np.where(NOISE > 127, 255, 0).astype(np.uint8), {"saturated"}),
        (np.dstack([np.rint(ramp() * 15).astype(np.uint8)] * 3), {"nearly black", "equal channels"}),
        (np.dstack([np.rint(ramp() * 40).astype(np.uint8)] * 3), {"equal channels"}),
    ],
    ids=[
        "noise",
        "black",
        "a colour",
        "a spot",
        "a dark spot",
        "one blue pixel",
        "grey",
        "pure",
        "12 of 16 bits",
        "dim",
    ],
)
def test_what_is_said(pixels, expected):
    assert pixel_traits(pixels) == expected
    assert expected <= SHOWN
