"""What a glance tells, against pictures whose answer is known by construction."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sagan.data.looks import SMALL_PX, Glances, glance, glances, handedness, odd_ones
from sagan.data.near import THUMB_PX


def see(pictures, labels=None):
    seen = [glance(np.asarray(p)) for p in pictures]
    return Glances(
        thumbs=np.frombuffer(b"".join(g.thumb for g in seen), np.uint8).reshape(-1, THUMB_PX, THUMB_PX, 3),
        edges_px=np.array([g.edge_px for g in seen], np.float32),
        contrasts=np.array([g.contrast for g in seen], np.float32),
        widths_px=np.array([np.asarray(p).shape[1] for p in pictures]),
        heights_px=np.array([np.asarray(p).shape[0] for p in pictures]),
        labels=np.zeros(len(pictures), np.int64) if labels is None else np.array(labels),
    )


def texture(seed, width=64, height=64):
    """Noise, whose thumbnail is nearly plain."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("width", [1, 3, 6, 12])
def test_the_width_of_a_ramp_is_measured(width):
    rows = [np.interp(np.arange(64), [20 + row % 16, 20 + row % 16 + width], [20, 220]) for row in range(64)]
    picture = np.repeat(np.array(rows)[:, :, None], 3, 2).astype(np.uint8)
    assert glance(picture).edge_px == pytest.approx(width, rel=0.25)


def test_blurred_and_enlarged_pictures_are_told_from_sharp_ones():
    sharp = [texture(seed, 24, 24).resize((96, 96), 0) for seed in range(5)]
    blurred = [picture.filter(ImageFilter.GaussianBlur(6)) for picture in sharp]
    enlarged = [texture(seed, 12, 12).resize((96, 96), Image.Resampling.BICUBIC) for seed in range(5)]
    found = odd_ones(see([*sharp, *blurred, *enlarged]), 96)
    assert sorted(found["blurred"].tolist()) == list(range(5, 15))
    assert "blurred" not in odd_ones(see(enlarged), 12)  # at this size it does not show


def test_each_kind_is_found_and_the_most_striking_comes_first():
    pictures = [
        texture(0),
        Image.new("RGB", (64, 64), (90, 120, 30)),
        Image.fromarray((np.asarray(texture(1)) // 16).astype(np.uint8)),
        Image.fromarray(255 - np.asarray(texture(2)) // 16),
        texture(3, 20, 20),
        texture(4, 400, 64),
        texture(5, 64, 900),
        Image.fromarray(
            np.where(np.add.outer(np.arange(64) // 32, np.arange(64) // 32) % 2, 255, 0).astype(np.uint8)
        ).convert("RGB"),
    ]
    found = {kind: some.tolist() for kind, some in odd_ones(see(pictures), 64).items()}
    assert found == {"plain": [1], "dark": [2], "bright": [3], "tiny": [4], "long": [6, 5], "harsh": [7]}


def test_a_picture_of_another_kind_is_alone_in_its_class():
    random = np.random.default_rng(0)

    def ground(colour):
        return Image.fromarray((np.array(colour) + random.integers(-15, 16, (32, 32, 3))).clip(0, 255).astype(np.uint8))

    reds, blues = [ground((200, 40, 40)) for _ in range(40)], [ground((40, 40, 200)) for _ in range(40)]
    astray = see([*reds, ground((40, 40, 200)), *blues], [0] * 41 + [1] * 40)
    assert odd_ones(astray, 32)["alone"].tolist() == [40]
    assert "alone" not in odd_ones(see([*reds, *blues], [0] * 40 + [1] * 40), 32)


def test_left_and_right_are_told_apart_where_they_differ():
    random = np.random.default_rng(0)
    arrow = np.tril(np.ones((32, 32)))[:, :, None] * 120 + 40
    noisy = [(arrow + random.integers(-40, 41, (32, 32, 3))).clip(0, 255).astype(np.uint8) for _ in range(60)]
    either = [picture if index % 3 else picture[:, ::-1] for index, picture in enumerate(noisy)]
    even = [np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8) for seed in range(400)]
    assert handedness(see(noisy)) == 1.0
    assert 0.6 < handedness(see(either)) < 0.75
    assert 0.4 < handedness(see(even)) < 0.6
    assert handedness(see(noisy[:10])) is None


def test_pictures_are_seen_together_as_they_are_seen_alone():
    sizes = [(32, 32), (9, 9), (64, 40), (32, 32), (16, 16), (SMALL_PX + 1, 20), (3, 50), (2, 2), *[(64, 40)] * 12]
    pictures = [np.asarray(texture(seed, *size)) for seed, size in enumerate(sizes)]
    for together, alone in zip(glances(pictures), map(glance, pictures), strict=True):
        left, right = (np.frombuffer(seen.thumb, np.uint8).astype(int) for seen in (together, alone))
        assert np.abs(left - right).max() <= 1  # Pillow rounds after rows, too
        assert together[1:] == pytest.approx(alone[1:], rel=1e-4)
    assert glances([]) == []


def test_nothing_to_look_at():
    none = Glances(np.zeros((0, 16, 16, 3), np.uint8), *(np.zeros(0, np.int64) for _ in range(5)))
    assert odd_ones(none, 32) == {} and handedness(none) is None
