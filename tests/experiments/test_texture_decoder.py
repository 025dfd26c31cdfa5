"""Textures are recognised at every size, and nothing else is recognised as one."""

import numpy as np
import pytest

from sagan.data.pairs import CLASSES, TEXTURES, draw, scene
from sagan.experiments.texture_decoder import recognise_textures

SEED = np.iinfo(np.int64).max


@pytest.mark.parametrize("size_px", [16, 32, 64])
def test_real_textures_are_recognised(size_px):
    labels = np.arange(600) % len(TEXTURES)
    places = [10 * turn + label for turn in range(150) for label in range(len(TEXTURES))]
    images = np.stack([draw(scene(index, SEED), size_px) for index in places])
    found = recognise_textures(images)
    for label, name in enumerate(TEXTURES):
        assert (found[labels == label] == label).mean() >= 0.98, name
        assert not ((found[labels == label] >= 0) & (found[labels == label] != label)).any(), name


def test_nothing_else_is_recognised():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    grey_noise = noise[..., :1].repeat(3, 3)
    blank = np.full((3, 32, 32, 3), 225, np.uint8)
    faint = (220 + random.integers(0, 10, (50, 32, 32, 3))).astype(np.uint8)
    pairs = np.stack([draw(scene(index, SEED), 32) for index in range(500) if CLASSES[index % 10] not in TEXTURES])
    for images in (noise, grey_noise, blank, faint, pairs):
        assert (recognise_textures(images) == -1).all()


def test_two_textures_over_each_other_are_hardly_recognised():
    images = np.stack([draw(scene(index, SEED), 32) for index in range(1000) if index % 10 < 4]).astype(float)
    mixed = np.rint((images + np.roll(images, 1, axis=0)) / 2).astype(np.uint8)
    assert (recognise_textures(mixed) >= 0).mean() < 0.3
