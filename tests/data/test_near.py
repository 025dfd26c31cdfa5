"""Near copies: what is saved again, resized or mirrored is found; what only looks alike is not."""

import io

import numpy as np
import pytest
from PIL import Image

from sagan.data import DataConfig
from sagan.data.decode import array_to_rgb
from sagan.data.looks import glance
from sagan.data.near import PLAIN, THUMB_PX, NearCopies, near_copies
from sagan.data.sources import find_source


def scene(seed, px=96):
    """Draw a picture with shapes of several sizes, as photographs have."""
    random = np.random.default_rng(seed)
    total = np.zeros((px, px, 3))
    for cells in (3, 6, 12, 24):
        layer = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize((px, px), 3)
        total += (np.asarray(layer) - 128.0) * (1.5 if cells < 12 else 0.7)
    return (total / 2 + 128).clip(0, 255).astype(np.uint8)


def thumbs_of(pictures):
    return np.stack([np.frombuffer(glance(p).thumb, np.uint8).reshape(THUMB_PX, THUMB_PX, 3) for p in pictures])


def groups(pictures):
    return near_copies(thumbs_of(pictures), np.array([min(p.shape[:2]) for p in pictures]))


def jpeg(quality):
    def change(picture):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return change


def resized(factor):
    def change(picture):
        size = round(picture.shape[1] * factor), round(picture.shape[0] * factor)
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))

    return change


CHANGES = {
    "jpeg 90": jpeg(90),
    "jpeg 40": jpeg(40),
    "half": resized(0.5),
    "0.8": resized(0.8),
    "larger": resized(1.7),
    "brighter": lambda picture: (picture * 1.1 + 6).clip(0, 255).astype(np.uint8),
    "stretched": lambda picture: np.asarray(Image.fromarray(picture).resize((120, 96))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_changed_copies_are_found_and_nothing_else(change, mirrored):
    pictures = [scene(seed) for seed in range(60)]
    copies = [change(np.ascontiguousarray(p[:, ::-1]) if mirrored else p) for p in pictures[:20]]
    found = groups([*pictures, *copies])
    assert found == [NearCopies((index, 60 + index), mirrored) for index in range(20)]


@pytest.mark.long("the digits come with a large library")
def test_different_digits_are_no_copies():
    images = find_source(DataConfig(path="digits"), None).load()
    pictures = [images.decode(index).pixels for index in range(len(images.names))]
    assert len(pictures) == 1797 and groups(pictures) == []


@pytest.mark.long("decodes 3,781 pictures")
def test_different_photographs_are_no_copies(shared_data, tmp_path):
    images = find_source(DataConfig(path=str(shared_data / "clothing-128.zip")), tmp_path).load()
    names = [[images.names[index] for index in group.members] for group in groups(all_of(images))]
    assert names == [["shorts/00088.jpg", "skirt/00041.jpg"]]  # which are the same photograph


def all_of(images):
    return [images.decode(index).pixels for index in range(len(images.names))]


def test_plain_pictures_show_too_little_to_be_compared():
    random = np.random.default_rng(0)
    skies = [
        (np.full((40, 40, 3), level) + random.normal(0, PLAIN / 2, (40, 40, 3))).clip(0, 255).astype(np.uint8)
        for level in range(0, 250, 5)
    ]
    assert groups(skies) == []


def test_a_symmetric_picture_is_no_copy_of_itself():
    half = scene(1)[:, :48]
    symmetric = np.concatenate([half, half[:, ::-1]], axis=1)
    assert groups([symmetric, scene(2)]) == []
    assert groups([symmetric, jpeg(70)(symmetric)])[0].members == (0, 1)


def test_copies_of_copies_are_one_group():
    picture = scene(3)
    found = groups([scene(4), picture, jpeg(60)(picture), resized(0.6)(picture), jpeg(60)(picture[:, ::-1].copy())])
    assert found == [NearCopies((1, 2, 3, 4), True)]


def test_only_groups_with_a_picture_that_is_asked_for_are_given():
    pictures = [scene(0), scene(1), jpeg(60)(scene(0)), jpeg(60)(scene(1))]
    only = np.array([False, True, False, False])
    assert near_copies(thumbs_of(pictures), np.full(4, 96), only) == [NearCopies((1, 3), False)]


def test_a_camera_that_does_not_move_is_one_group():
    """All pictures lie in one cell: each is compared with a few neighbours, and yet they all hang together."""
    random = np.random.default_rng(0)
    frames = thumbs_of([scene(5)])[0].astype(int) + random.integers(-4, 5, (500, THUMB_PX, THUMB_PX, 3))
    found = near_copies(frames.clip(0, 255).astype(np.uint8), np.full(500, 96))
    assert [len(group.members) for group in found] == [500]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count):
    assert near_copies(np.zeros((count, THUMB_PX, THUMB_PX, 3), np.uint8), np.zeros(count, np.int64)) == []


def test_copies_among_very_many_are_found():
    """As many pictures as fill cells: 20,000, with 300 copies among them, of which hardly one is lost."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (20_000, 4, 4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2).astype(np.int16)
    thumbs = (coarse + random.integers(-30, 31, coarse.shape)).clip(0, 255)
    copies = (thumbs[:300] + random.integers(-8, 9, thumbs[:300].shape)).clip(0, 255)
    found = near_copies(np.concatenate([thumbs, copies]).astype(np.uint8), np.full(20_300, 64))
    assert {group.members for group in found} <= {(index, 20_000 + index) for index in range(300)}
    assert len(found) >= 294


def test_grey_pictures_are_compared_too():
    grey = scene(6)[:, :, 0]
    assert len(groups([array_to_rgb(grey), jpeg(60)(array_to_rgb(grey)), scene(7)])) == 1
