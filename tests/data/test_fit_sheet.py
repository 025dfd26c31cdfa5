import numpy as np
import pytest

from sagan.data.decode import Decoded
from sagan.data.fit import cut_size, fitted, frame_of, shown_size
from sagan.data.fit_sheet import BOX_PX, FITS, FRAMES, GAP_PX, HEAD_PX, extremes, fit_advice, fit_sheet, losses
from sagan.data.pictures import Pictures


def pictures_of(shapes):
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    return arrays, Pictures(
        names=tuple(f"picture\n{index}" for index in range(len(shapes))),
        labels=np.zeros(len(shapes), np.int64),
        class_names=(),
        decode=lambda index: Decoded(arrays[index], "PNG", frozenset()),
    )


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (96, 64)])
def test_losses_are_those_of_the_frames(size):
    shapes = [(1000, 1500), (1500, 1000), (1000, 1000), (1000, 4000), (1000, 1100)]
    cut = [1 - np.prod(cut_size(shape, size)) / np.prod(shape) for shape in shapes]
    border = [1 - np.prod(shown_size(shape, (size[0] * 40, size[1] * 40))) / np.prod(size) / 1600 for shape in shapes]
    found = losses(shapes, size)
    for one in (cut, border):
        assert (found.typical, found.mean) == pytest.approx((np.median(one), np.mean(one)), abs=2e-3)
        assert found.worst_tenth == pytest.approx(np.quantile(one, 0.9), abs=2e-3)
    low, high = np.quantile([1.5, 2 / 3, 1, 4, 1.1], [0.1, 0.9])
    assert found.spread == pytest.approx(high / low)


def test_crop_is_advised_where_it_loses_little():
    advice = fit_advice([(480, 500), (500, 480), (500, 500)] * 10, (64, 64))
    assert (advice.fit, advice.other_size) == ("crop", None)
    assert advice.sentences == (
        "fit: crop (the default) loses little at 64x64: 4% of a typical picture is cut off, 4% or more of one in ten",
    )


@pytest.mark.parametrize(
    ("shape", "size"), [((1000, 1500), (64, 96)), ((1600, 900), (112, 64)), ((300, 1200), (64, 256))]
)
def test_pictures_of_one_shape_are_told_the_size_that_has_it(shape, size):
    advice = fit_advice([shape] * 20, (64, 64))
    assert (advice.fit, advice.other_size) == ("smart", size)
    assert "are alike, but not that one" in advice.sentences[0]
    assert f"--size {size[0]}x{size[1]}" in advice.sentences[1]
    there = fit_advice([shape] * 20, size)
    assert (there.fit, there.other_size) == ("crop", None)


def test_smart_is_advised_where_shapes_differ():
    advice = fit_advice([(1000, 2000), (2000, 1000)] * 10, (64, 64))
    assert (advice.fit, advice.other_size) == ("smart", None)
    assert "differ: 50% of a typical picture is cut off" in advice.sentences[0]
    assert "borders (50% of the area)" in advice.sentences[0]
    assert "distorts it (2.00 times)" in advice.sentences[0]


def test_a_shorter_side_without_quarters_gets_no_other_size():
    assert fit_advice([(100, 300)] * 5, (50, 50)).other_size is None


def test_the_widest_and_the_tallest_are_shown():
    shapes = {7: (10, 10), 3: (10, 40), 5: (40, 10), 1: (10, 20), 2: (10, 30), 9: (10, 50)}
    assert extremes(shapes, (64, 64)) == [9, 3, 2, 5]
    assert extremes({4: (10, 10), 8: (20, 20)}, (64, 64)) == [4]


def test_the_sheet_shows_frames_and_results():
    shapes = [(60, 300), (64, 64), (300, 60)]
    arrays, pictures = pictures_of(shapes)
    size = (72, 48)
    sheet = np.asarray(fit_sheet(pictures, dict(enumerate(shapes)), size))
    first = HEAD_PX
    for column, fit in enumerate(FITS, start=1):
        left = GAP_PX + column * (BOX_PX + GAP_PX)
        expected = fitted(arrays[0], size, fit).repeat(2, 0).repeat(2, 1)  # two times 72 is the box
        np.testing.assert_array_equal(sheet[first : first + 144, left : left + 96], expected)
    original = sheet[first : first + round(60 * BOX_PX / 300), GAP_PX : GAP_PX + BOX_PX]
    for fit, colour in FRAMES.items():
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        columns = np.flatnonzero((original == rgb).all(2).any(0))
        frame = frame_of(arrays[0], size, fit)
        assert columns[0] == pytest.approx(frame.left * BOX_PX / 300, abs=4)
        assert columns[-1] == pytest.approx((frame.left + frame.width) * BOX_PX / 300, abs=4)
