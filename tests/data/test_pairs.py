"""The drawn set ``pairs``: what is fixed, what is free, and that a picture depends on seed and index alone."""

import hashlib
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagan.data import DataError, open_dataset, picture_size
from sagan.data import pairs as pairs_module
from sagan.data.named import NAMED_SIZES
from sagan.data.pairs import (
    AGREES_IN,
    BAR,
    CLASSES,
    COLOURS,
    DIAMETERS,
    TEXTURES,
    UNIT,
    Part,
    Scene,
    draw,
    pair_pictures,
    scene,
)
from sagan.data.sources import find_source

SEEDS = st.integers(0, 2**64 - 1)
STRUCTURED = st.integers(0, 10**6).flatmap(
    lambda turn: st.sampled_from(range(len(TEXTURES), len(CLASSES))).map(lambda label: turn * len(CLASSES) + label)
)


def in_common(what):
    """What both parts have, by the words of the documentation and not by the code that draws."""
    first, second = what.parts
    return {
        "same-colour": first.colour == second.colour,
        "same-shape": first.shape == second.shape,
        "same-size": first.size == second.size,
        "parallel": 30 * first.angle == 30 * second.angle,
        "mirrored": (30 * first.angle + 30 * second.angle) % 180 == 0,
        "twins": (first.colour, first.shape) == (second.colour, second.shape),
    }


@settings(max_examples=200, deadline=None)
@given(STRUCTURED, SEEDS)
def test_the_parts_agree_or_differ_as_asked_and_lie_far_apart_inside_the_picture(index, seed):
    name = CLASSES[index % 10]
    agreeing, differing = scene(index, seed), scene(index, seed, "differ")
    assert in_common(agreeing)[name] and not in_common(differing)[name]
    changed = sum(getattr(agreeing.parts[1], a) != getattr(differing.parts[1], a) for a in vars(agreeing.parts[1]))
    assert agreeing.parts[0] == differing.parts[0] and changed == 1
    for what in (agreeing, differing, scene(index, seed, "free")):
        (x1, y1), (x2, y2) = ((part.x / UNIT, part.y / UNIT) for part in what.parts)
        assert np.hypot(x1 - x2, y1 - y2) >= 0.45
        pixels = draw(what, 32).astype(int)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert np.ptp(border, axis=0).max() <= 24  # the ground's slope: no part reaches the border


def test_nothing_else_is_fixed():
    """Every value of every attribute that is free comes up in each part, and independently of the other part."""
    for label, name in enumerate(CLASSES):
        if name in TEXTURES:
            continue
        scenes = [scene(index) for index in range(label, 30_000, 10)]
        has_bars = name in ("parallel", "mirrored")
        free = {"colour": 6, "angle": 6} if has_bars else {"colour": 6, "shape": 4}
        if name == "same-size":
            free["size"] = 3
        for attribute, count in free.items():
            values = np.array([[getattr(part, attribute) for part in what.parts] for what in scenes])
            for part in range(2):
                shares = np.bincount(values[:, part], minlength=count) / len(values)
                assert len(shares) == count and abs(shares - 1 / count).max() < 0.04, (name, attribute)
            if attribute not in AGREES_IN[name]:
                assert abs((values[:, 0] == values[:, 1]).mean() - 1 / count) < 0.04, (name, attribute)
        fixed = {"shape", "angle", "size"} - set(free)
        for attribute in fixed:
            assert len({getattr(part, attribute) for what in scenes for part in what.parts}) == 1, (name, attribute)
        x = np.array([[part.x, part.y] for what in scenes for part in what.parts]) / UNIT
        assert abs(x.mean(0) - 0.5).max() < 0.01 and x.min() < 0.22 and x.max() > 0.78


def test_parts_drawn_freely_agree_by_chance():
    expected = {"same-colour": 1 / 6, "same-shape": 1 / 4, "same-size": 1 / 3, "parallel": 1 / 6, "twins": 1 / 24}
    for label, name in enumerate(CLASSES):
        if name not in TEXTURES:
            agree = np.mean([in_common(scene(index, 3, "free"))[name] for index in range(label, 30_000, 10)])
            chance = expected.get(name, 1 / 6)
            assert abs(agree - chance) < 4 * np.sqrt(chance * (1 - chance) / 3000), name


def test_a_picture_depends_on_seed_and_index_alone():
    few, many = pair_pictures(16, 20), pair_pictures(16, 1000)
    backwards = {index: many.decode(index).pixels for index in reversed(range(20))}
    for index in range(20):
        assert np.array_equal(few.decode(index).pixels, backwards[index])
        assert not np.array_equal(backwards[index], pair_pictures(16, 20, seed=1).decode(index).pixels)
    assert len({pixels.tobytes() for pixels in backwards.values()}) == 20


@pytest.mark.parametrize(
    ("size_px", "expected"),
    [(16, "f2c768bb277a6396"), (32, "cc0d5ea1a6dcbb78"), (48, "8e4e7d23010e3798"), (128, "c5c23641fa98aedb")],
)
def test_the_pixels_are_those_of_every_other_machine(size_px, expected):
    """Whole numbers all the way: a change of these sums means another data set and another DRAWING_VERSION."""
    pixels = np.stack([draw(scene(index), size_px) for index in range(100)])
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == expected


def test_the_classes_take_turns():
    pictures = pair_pictures(32)
    assert pictures.class_names == CLASSES and len(CLASSES) == 10
    assert set(Counter(pictures.labels.tolist()).values()) == {2000}
    assert (len(pictures.names), len(pictures.class_names)) == NAMED_SIZES["pairs"]
    assert all(scene(index).label == pictures.labels[index] for index in range(30))
    assert [bool(scene(index).parts) for index in range(10)] == [False] * 4 + [True] * 6


def test_colours_are_far_from_each_other_and_from_any_ground():
    colours = np.array(COLOURS)
    assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) >= 130
    pictures = np.stack([draw(scene(index), 16) for index in range(4, 4000, 10)])
    ground = pictures[:, ::15, ::15].reshape(-1, 3).astype(int)  # the corners
    assert ground.min() > 190 and np.linalg.norm(ground[:, None] - colours, axis=2).min() >= 130


def test_drawing_agrees_with_a_fine_rasterisation_of_the_shapes_in_floating_point():
    """Areas and outlines against geometry: points of a 256 px drawing in plain formulas, for every shape and angle."""
    y, x = (np.mgrid[:256, :256] + 0.5) / 256 - 0.5
    for shape, angle in [(0, 0), (1, 0), (2, 0), (3, 0), *((BAR, angle) for angle in range(6))]:
        part = Part(x=UNIT // 2, y=UNIT // 2, colour=4, shape=shape, size=2, angle=angle)
        what = Scene(label=9, ground=(225, 225, 225), slope=(0, 0), parts=(part,), ink=0, key=(0, 0))
        pixels = draw(what, 256)[:, :, 0].astype(float)
        covered = (225 - pixels) / (225 - COLOURS[4][0])
        area = np.pi / 4 * DIAMETERS[2] ** 2
        along, across = (
            x * np.cos(np.radians(30 * angle)) - y * np.sin(np.radians(30 * angle)),
            x * np.sin(np.radians(30 * angle)) + y * np.cos(np.radians(30 * angle)),
        )
        side = np.sqrt(4 * area / np.sqrt(3))
        cell = np.sqrt(area / 5)
        ideal = [
            np.hypot(x, y) <= DIAMETERS[2] / 2,
            np.maximum(abs(x), abs(y)) <= np.sqrt(area) / 2,
            (y <= side / np.sqrt(12)) & (np.sqrt(3) * abs(x) <= y + side / np.sqrt(3)),
            (np.minimum(abs(x), abs(y)) <= cell / 2) & (np.maximum(abs(x), abs(y)) <= 1.5 * cell),
            (abs(along) <= np.sqrt(3 * area) / 2) & (abs(across) <= np.sqrt(area / 3) / 2),
        ][shape]
        assert abs(covered.sum() / 256**2 / area - 1) < 0.01
        assert abs(covered - ideal).sum() / ideal.sum() < 0.05


@pytest.mark.parametrize("label", range(10))
def test_sizes_show_the_same_picture(label):
    """A large drawing averaged down is the small drawing, up to the steps of 1/16 in which a pixel is covered."""
    for index in range(label, 200, 10):
        large, small = draw(scene(index), 128).astype(float), draw(scene(index), 32).astype(float)
        assert abs(large.reshape(32, 4, 32, 4, 3).mean((1, 3)) - small).mean() < 4


def test_the_named_set_is_drawn_at_the_size_asked_for(config, monkeypatch, tmp_path):
    monkeypatch.setattr(pairs_module, "NUM_PICTURES", 40)
    monkeypatch.setattr(pairs_module.pair_pictures, "__defaults__", (40, 0))
    for size_px in (16, 40):
        image_set = open_dataset(config("pairs"), size_px, progress=False)
        assert image_set.images.shape == (40, size_px, size_px, 3) and image_set.class_names == CLASSES
        assert np.array_equal(image_set.images[7], draw(scene(7), size_px))
        assert not image_set.info.traits  # nothing was enlarged
    assert picture_size(config("pairs")) == 64
    assert len({find_source("pairs", tmp_path, size=(size_px, size_px)).key for size_px in (16, 32, 64)}) == 3


def test_sizes_that_are_not_drawn_are_refused(config):
    for size_px in (8, 257):
        with pytest.raises(DataError, match=f"pairs is drawn at 16 to 256 px, found {size_px}"):
            open_dataset(config("pairs"), size_px, progress=False)
