"""The decoder of pairs against the descriptions that the pictures were drawn from, and against what is no pair."""

from functools import lru_cache, partial

import numpy as np
import pytest
from scipy import ndimage

from sagan.data.pairs import AGREES_IN, BAR, CLASSES, UNIT, Part, Scene, draw, scene
from sagan.experiments.pair_decoder import PROBLEMS, UNREAD, read_pairs

PER_CLASS = 150
ANYTHING = np.iinfo(np.int64).max  # a seed that nothing else draws with


@lru_cache
def pictures(name, size_px, pairing="agree"):
    """Scenes and uint8 pictures of a class from a fresh seed."""
    label = CLASSES.index(name)
    scenes = [scene(10 * turn + label, ANYTHING, pairing) for turn in range(PER_CLASS)]
    return scenes, np.stack([draw(what, size_px) for what in scenes])


def as_uint8(images):
    return np.rint(images).clip(0, 255).astype(np.uint8)


def blurred(images, sigma_px):
    return as_uint8(ndimage.gaussian_filter(images.astype(float), (0, sigma_px, sigma_px, 0)))


def noisy(images, sigma):
    return as_uint8(images + np.random.default_rng(0).normal(0, sigma, images.shape))


def wrong_values(readings, scenes, attribute):
    """Count attributes that were read as something else than what was drawn."""
    drawn = [[getattr(part, attribute) for part in sorted(what.parts, key=lambda part: part.x)] for what in scenes]
    read = getattr(readings, attribute)
    distinct = np.array([abs(what.parts[0].x - what.parts[1].x) > UNIT // 50 for what in scenes])  # left is clear
    return int(((read != UNREAD) & (read != drawn) & distinct[:, None]).sum())


@pytest.mark.parametrize("size_px", [32, 64])
@pytest.mark.parametrize("name", AGREES_IN)
def test_real_pictures_are_readable_and_consistent(name, size_px):
    scenes, images = pictures(name, size_px)
    readings = read_pairs(images)
    assert readings.readable(name).mean() >= 0.99
    assert readings.consistent(name).mean() >= 0.99
    for attribute in ("colour", "shape", "size", "angle"):
        if attribute != "angle" or scenes[0].parts[0].shape == BAR:
            assert wrong_values(readings, scenes, attribute) <= 0.01 * 2 * len(scenes)


@pytest.mark.parametrize("size_px", [32, 64])
@pytest.mark.parametrize("name", AGREES_IN)
def test_pictures_with_one_attribute_of_one_part_redrawn_are_readable_and_inconsistent(name, size_px):
    readings = read_pairs(pictures(name, size_px, "differ")[1])
    assert (readings.readable(name) & ~readings.consistent(name)).mean() >= 0.99


def test_at_16_px_colours_and_angles_are_right_and_nothing_is_guessed():
    for name in AGREES_IN:
        readings = read_pairs(pictures(name, 16)[1])
        assert readings.readable(name).mean() >= (0.99 if name in ("same-colour", "parallel", "mirrored") else 0.2)
        assert readings.consistent(name).sum() >= 0.99 * readings.readable(name).sum()
        assert not read_pairs(pictures(name, 16, "differ")[1]).consistent(name).any()


@pytest.mark.parametrize("size_px", [32, 64])
@pytest.mark.parametrize("name", AGREES_IN)
@pytest.mark.parametrize(
    "spoil",
    [*(partial(blurred, sigma_px=s) for s in (1, 1.5, 2, 2.5, 3)), partial(noisy, sigma=20)],
    ids=["1 px", "1.5 px", "2 px", "2.5 px", "3 px", "noise"],
)
def test_blurred_and_noisy_pictures_are_read_rightly_or_not_at_all(name, spoil, size_px):
    """A blurred cross that resembles a disc agrees with another one: so what was read is compared, too."""
    for pairing in ("agree", "differ"):
        scenes, images = pictures(name, size_px, pairing)
        readings = read_pairs(spoil(images))
        right = readings.consistent(name) if pairing == "agree" else ~readings.consistent(name)
        readable = readings.readable(name)
        assert (readable & ~right).sum() <= 0.01 * len(scenes)
        for attribute in AGREES_IN[name]:
            assert wrong_values(readings, scenes, attribute) <= 0.01 * 2 * len(scenes)


def test_the_readable_share_falls_with_blur():
    images = np.concatenate([pictures(name, 32)[1] for name in AGREES_IN])
    shares = [read_pairs(blurred(images, sigma)).readable("twins").mean() for sigma in (0.01, 1.5, 2)]
    assert shares[0] > shares[1] + 0.1 > shares[2] + 0.2 and shares[2] < 0.05
    assert not read_pairs(noisy(images, 60)).readable("same-colour").any()


def test_what_is_no_pair_is_not_read_as_one():
    random = np.random.default_rng(0)
    blank = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 128, 225, 255)])
    slope = np.broadcast_to(np.linspace(150, 255, 32).astype(np.uint8)[:, None], (2, 32, 32, 3))
    noise = random.integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
    faint = noisy(blank[2:3].repeat(50, 0), 15)
    textures = np.stack([draw(scene(index), 32) for index in range(200) if index % 10 < 4])
    for images in (blank, slope, noise, faint, textures):
        readings = read_pairs(images)
        assert (readings.problem != 0).all()
        assert all((getattr(readings, name) == UNREAD).all() for name in ("colour", "shape", "size", "angle"))
        assert not any(readings.readable(name).any() or readings.consistent(name).any() for name in AGREES_IN)


def one_scene(*places, **attributes):
    parts = tuple(
        Part(**{"colour": 0, "shape": 0, "size": 2, "angle": 0} | attributes, x=round(x * UNIT), y=round(y * UNIT))
        for x, y in places
    )
    return Scene(label=4, ground=(225, 225, 225), slope=(0, 0), parts=parts, ink=0, key=(0, 0))


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ([(0.5, 0.5)], "not two parts"),
        ([(0.25, 0.25), (0.75, 0.25), (0.5, 0.75)], "not two parts"),
        ([(0.35, 0.5), (0.65, 0.5)], "parts too near"),
        ([(0.25, 0.5), (0.75, 0.5)], ""),
    ],
)
def test_the_problem_is_named(places, problem):
    readings = read_pairs(draw(one_scene(*places), 64)[None])
    assert PROBLEMS[int(readings.problem[0])] == problem


def test_parts_of_two_colours_or_of_none_of_the_colours_have_no_colour():
    two = draw(one_scene((0.25, 0.5), (0.75, 0.5)), 64)
    halves, grey = two.copy(), two.copy()
    red = (two[:, :, 1] < 100).nonzero()
    halves[:, 48:][two[:, 48:, 1] < 100] = (30, 60, 190)  # the right half of the right disc is blue
    grey[red] = (110, 110, 110)
    readings = read_pairs(np.stack([two, halves, grey]))
    assert readings.colour.tolist() == [[0, 0], [0, UNREAD], [UNREAD, UNREAD]]
    assert readings.readable("same-colour").tolist() == [True, False, False]


def test_rings_and_angles_between_the_values_are_not_read():
    y, x = (np.mgrid[:64, :64] + 0.5) / 64
    picture = np.full((64, 64, 3), 225, np.uint8)
    for centre, turn in ((0.25, 15), (0.75, 45)):  # bars half-way between two of the angles
        right, down = x - centre, y - 0.5
        along = right * np.cos(np.radians(turn)) - down * np.sin(np.radians(turn))
        across = right * np.sin(np.radians(turn)) + down * np.cos(np.radians(turn))
        picture[(abs(along) < 0.176) & (abs(across) < 0.059)] = (214, 48, 49)
    ring = np.full((64, 64, 3), 225, np.uint8)
    for centre in (0.25, 0.75):
        distance = np.hypot(x - centre, y - 0.5)
        ring[(distance > 0.08) & (distance < 0.14)] = (214, 48, 49)
    readings = read_pairs(np.stack([picture, ring]))
    assert readings.problem.tolist() == [0, 0]
    assert readings.shape.tolist() == [[BAR, BAR], [UNREAD, UNREAD]]
    assert (readings.angle == UNREAD).all() and not readings.readable("mirrored").any()


def test_readings_do_not_depend_on_the_other_pictures():
    images = np.concatenate([pictures(name, 32)[1][:20] for name in AGREES_IN])
    together, alone = read_pairs(images), [read_pairs(image[None]) for image in images]
    for field in vars(together):
        assert np.array_equal(getattr(together, field), np.concatenate([getattr(one, field) for one in alone]))


@pytest.mark.parametrize(
    "images", [np.zeros((2, 32, 32), np.uint8), np.zeros((2, 32, 32, 3)), np.zeros((2, 16, 32, 3), np.uint8)]
)
def test_other_arrays_are_refused(images):
    with pytest.raises(ValueError, match=r"expected uint8 \(N, size, size, 3\), found"):
        read_pairs(images)


def test_no_pictures_and_small_ones():
    assert len(read_pairs(np.zeros((0, 32, 32, 3), np.uint8)).problem) == 0
    with pytest.raises(ValueError, match="from 16 px on, found 8"):
        read_pairs(np.zeros((1, 8, 8, 3), np.uint8))
