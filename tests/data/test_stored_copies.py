"""Copies among the decoded pictures of a run: in two classes, and on both sides of what is held out."""

import numpy as np
import pytest

from sagan.data import open_dataset, stored_copies


def opened(tmp_path, config, images, labels):
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    return open_dataset(config(tmp_path / "a.npz"), images.shape[1:3], progress=False)


def drawn(count, px, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8).repeat(px // 4, 1).repeat(px // 4, 2)


@pytest.mark.parametrize("px", [8, 32, 40])
def test_pictures_in_two_classes_are_found_and_copies_within_one_are_not(tmp_path, config, px):
    images = drawn(40, px)
    images[30], images[7] = images[3], images[6]
    labels = np.arange(40) // 20
    found = stored_copies.stored_copies(opened(tmp_path, config, images, labels), np.array([], np.int64))
    assert found == ([(3, 30)], [])


def test_held_out_pictures_that_are_trained_on_all_the_same_are_found(tmp_path, config):
    images = drawn(60, 32)
    images[50] = images[4]  # equal
    images[51] = np.clip(images[5, :, ::-1] * 0.95 + 5, 0, 255)  # mirrored, a little brighter
    images[52] = images[53]  # both held out: nothing is trained on
    images[54], images[55] = images[6], images[6]
    found = stored_copies.stored_copies(opened(tmp_path, config, images, np.zeros(60, int)), np.arange(50, 60))
    assert found == ([], [50, 51, 54, 55])


def test_a_near_copy_of_one_whose_equal_is_held_out_is_found(tmp_path, config):
    images = drawn(30, 32)
    images[1] = images[0]  # the first is held out, its equal is trained on
    images[2] = np.clip(images[0] * 0.95 + 5, 0, 255)
    found = stored_copies.stored_copies(opened(tmp_path, config, images, np.zeros(30, int)), np.array([0, 2]))
    assert found == ([], [0, 2])


@pytest.mark.parametrize("size", [(48, 32), (32, 48), (20, 80)])
def test_all_of_a_rectangle_is_looked_at(tmp_path, config, size):
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (40, size[0] // 4, size[1] // 4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    images[30] = np.clip(images[4, :, ::-1] * 0.95 + 5, 0, 255)  # nearly a copy
    half = size[0] // 2, size[1] // 2
    images[31] = images[5]
    images[31, half[0] :, half[1] :] = images[6, half[0] :, half[1] :]  # a quarter, the far one, is another
    found = stored_copies.stored_copies(opened(tmp_path, config, images, np.zeros(40, int)), np.arange(30, 40))
    assert found == ([], [30])


def test_pixels_that_agree_only_where_they_are_looked_at_first_are_not_equal(tmp_path, config):
    images = drawn(20, 32)
    images[15] = images[2]
    images[15, 31, 31] ^= 255
    found = stored_copies.stored_copies(opened(tmp_path, config, images, np.arange(20) // 10), np.array([], np.int64))
    assert found.two_classes == []


def test_a_set_that_is_too_large_is_not_looked_through(tmp_path, config, monkeypatch):
    image_set = opened(tmp_path, config, drawn(20, 8), np.zeros(20, int))
    monkeypatch.setattr(stored_copies, "MOST_BYTES", 20 * 8 * 8 * 3 - 1)
    assert stored_copies.stored_copies(image_set, np.array([], np.int64)) is None
