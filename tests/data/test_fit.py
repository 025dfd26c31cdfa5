"""Pictures of any shape to one size, against Pillow by itself, and smart crops against pictures with a known place."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sagan.data.config import Fit
from sagan.data.decode import square
from sagan.data.fit import content, cut_size, fitted, frame_of, is_enlarged, shown_size

sides = st.integers(1, 200)
FITS = get_args(Fit)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def resized(pixels, height, width):
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BILINEAR))


def square_of_before(pixels, size_px):
    """The crop of version 0.1, as it was written there."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = pixels[top : top + side, left : left + side]
    return centre if side == size_px else resized(centre, size_px, size_px)


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.integers(1, 64))
def test_the_default_gives_squares_the_same_bytes_as_before(height, width, size_px):
    pixels = noise(height, width)
    expected = square_of_before(pixels, size_px)
    np.testing.assert_array_equal(fitted(pixels, (size_px, size_px)), expected)
    np.testing.assert_array_equal(square(pixels, size_px), expected)


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.tuples(st.integers(1, 64), st.integers(1, 64)), st.sampled_from(FITS))
def test_every_picture_comes_to_the_size(height, width, size, fit):
    pixels = noise(height, width)
    made = fitted(pixels, size, fit)
    assert (made.shape, made.dtype) == ((*size, 3), np.uint8)
    top, left, inner_height, inner_width = frame_of(pixels, size, fit)
    assert 0 <= top <= height - inner_height
    assert 0 <= left <= width - inner_width
    if fit in ("crop", "smart"):
        assert (inner_height, inner_width) == cut_size((height, width), size)
        wanted = [width * size[0] / size[1], height * size[1] / size[0]]
        cut = [
            (inner_width == width, inner_height, wanted[0]),
            (inner_height == height, inner_width, wanted[1]),
        ]
        assert any(whole and abs(side - max(1, exact)) <= 0.5 for whole, side, exact in cut)


def test_crop_takes_the_middle_of_the_shape_wanted():
    pixels = noise(100, 400)
    assert frame_of(pixels, (64, 96)) == (0, 125, 100, 150)
    np.testing.assert_array_equal(fitted(pixels, (64, 96)), resized(pixels[:, 125:275], 64, 96))
    assert frame_of(pixels, (96, 64)) == (0, 166, 100, 67)
    assert frame_of(noise(400, 100), (64, 96)) == (166, 0, 67, 100)
    assert frame_of(pixels, (64, 96)).share_of(pixels.shape) == 150 / 400


def test_what_has_the_size_is_copied():
    pixels = noise(64, 96)
    for fit in FITS:
        np.testing.assert_array_equal(fitted(pixels, (64, 96), fit), pixels)


def test_squeeze_takes_all_and_scales_each_side_by_itself():
    pixels = noise(100, 400)
    np.testing.assert_array_equal(fitted(pixels, (64, 96), "squeeze"), resized(pixels, 64, 96))


@pytest.mark.parametrize(("shape", "inner"), [((100, 400), (24, 96)), ((400, 100), (64, 16)), ((64, 96), (64, 96))])
def test_pad_shows_all_in_the_middle_with_borders(shape, inner):
    pixels = noise(*shape)
    assert shown_size(shape, (64, 96)) == inner
    made = fitted(pixels, (64, 96), "pad", "#0a1420")
    top, left = (64 - inner[0]) // 2, (96 - inner[1]) // 2
    middle = made[top : top + inner[0], left : left + inner[1]]
    np.testing.assert_array_equal(middle, resized(pixels, *inner))
    outside = np.ones((64, 96), bool)
    outside[top : top + inner[0], left : left + inner[1]] = False
    assert (made[outside] == (10, 20, 32)).all()


def test_borders_take_the_median_of_the_edges_that_they_touch():
    pixels = np.full((100, 400, 3), 200, np.uint8)
    pixels[[0, -1]] = (30, 60, 90)  # the long edges, all but a speck
    pixels[0, :40] = (255, 0, 0)
    pixels[:, [0, -1]] = (0, 255, 0)  # the short ones are not touched
    made = fitted(pixels, (100, 400), "pad")
    np.testing.assert_array_equal(made, pixels)
    made = fitted(pixels, (400, 400), "pad")
    assert (made[:150] == (30, 60, 90)).all()
    assert (made[250:] == (30, 60, 90)).all()


def test_enlarged_means_more_pixels_than_there_are():
    assert not is_enlarged((64, 400), (64, 96))
    assert is_enlarged((63, 400), (64, 96))
    assert is_enlarged((400, 64), (64, 96), "crop")  # 64 columns become 96
    assert not is_enlarged((400, 64), (64, 96), "pad")  # shown 10 pixels wide
    assert is_enlarged((400, 64), (64, 96), "squeeze")
    assert is_enlarged((30, 40), (64, 96), "pad")


def scene(ground, place, tall, seed):
    """A disk of many colours on a wide (or tall) ground, ``place`` (0 to 1) along it; also where it starts and ends."""
    random = np.random.default_rng(seed)
    height, width, side = 90, 270, 60
    first, second = random.integers(0, 256, (2, 3))
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., None]
    pixels = {
        "plain": first + 0 * down,
        "gradient": first * (1 - across) + second * across,
        "grain": first / 2 + 64 + random.normal(0, 25, (height, width, 3)),
        "horizon": np.where(down < 0.5, first, second) + 0 * across,
    }[ground]
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    left, top = round(place * (width - side)), int(random.integers(0, height - side))
    blocks = random.integers(0, 256, (6, 6, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    disk = np.hypot(*np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]) < 1
    pixels[top : top + side, left : left + side][disk] = blocks[disk]
    return (pixels.swapaxes(0, 1) if tall else pixels), left, left + side


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("ground", ["plain", "gradient", "grain", "horizon"])
def test_smart_keeps_what_the_middle_misses(ground, tall):
    kept = {"crop": [], "smart": []}
    for seed, place in enumerate(np.linspace(0, 1, 9)):
        pixels, start, end = scene(ground, place, tall, seed)
        for fit, found in kept.items():
            top, left, height, width = frame_of(pixels, (32, 32), fit)
            first, last = (top, top + height) if tall else (left, left + width)
            found.append(max(0, min(last, end) - max(first, start)) / (end - start))
    assert np.mean(kept["crop"]) < 0.6
    assert np.mean(kept["smart"]) > 0.95
    assert min(kept["smart"]) > 0.6


def test_smart_takes_the_middle_where_there_is_nothing_to_see():
    for shape in ((90, 270), (270, 90), (91, 270)):
        blank = np.full((*shape, 3), 7, np.uint8)
        assert frame_of(blank, (32, 32), "smart") == frame_of(blank, (32, 32), "crop")


def test_smart_of_the_mirrored_picture_is_mirrored():
    for seed in range(10):
        pixels, _, _ = scene("plain", seed / 9, False, seed)
        there, back = (frame_of(p, (32, 32), "smart") for p in (pixels, pixels[:, ::-1]))
        assert abs(there.left + back.left + 90 - 270) <= 3


def test_content_counts_edges_and_strange_colours_half_each():
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[2] = 90  # one bright row: edges above and below it, and far from the mean
    mean = 90 / 4
    distance = np.array([mean, mean, 90 - mean, mean])
    edges = np.array([0.0, 1.0, 2.0, 1.0])
    np.testing.assert_allclose(content(pixels), distance / distance.sum() / 2 + edges / edges.sum() / 2)
    assert not content(np.full((3, 3, 3), 9, np.uint8)).any()
