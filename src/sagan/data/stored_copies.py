"""Copies among the decoded pictures of a run, looked for when it starts: quick, for it is asked each time."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from sagan.data.decode import Pixels
from sagan.data.near import THUMB_PX, near_copies
from sagan.data.packed import ImageSet
from sagan.data.pictures import Labels

MOST_BYTES = 4 << 30
"""Sets with more pixels than this are not looked through at a start; `sagan data check` does."""
CHUNK = 512


class StoredCopies(NamedTuple):
    """What was found, as indices into the set."""

    two_classes: list[tuple[int, int]]
    """Pictures with equal pixels in two classes: the first of each class."""
    held_out: list[int]
    """Held-out pictures that have a copy, equal or near, among those to train on."""


def stored_copies(image_set: ImageSet, heldout_indices: Labels) -> StoredCopies | None:
    """Look for pictures that lie in two classes, and for held-out ones that are trained on all the same.

    Args:
        image_set: The pictures.
        heldout_indices: Which are held out, int64.

    Returns:
        What was found; None where the set is too large to look through in a few seconds.
    """
    images, labels = image_set.images, image_set.labels
    if np.prod(images.shape, dtype=np.int64) > MOST_BYTES:
        return None
    thumbs, corners = _thumbs(image_set)
    equal = _equal(image_set, corners)
    out = np.zeros(len(labels), bool)
    out[heldout_indices] = True
    first = np.ones(len(labels), bool)
    for group in equal:  # of those to train on the first stands for all; those that are held out stay
        first[[index for index in group if not out[index]][1:]] = False
    place = np.flatnonzero(first)
    near = near_copies(thumbs[place], np.full(len(place), min(images.shape[1:3])), out[place])
    groups = [*equal, *(tuple(place[list(group.members)].tolist()) for group in near)]
    mixed = [group for group in groups if 0 < out[list(group)].sum() < len(group)]
    return StoredCopies(
        [pair for group in equal if (pair := _two_labels(group, labels))],
        sorted({index for group in mixed for index in group if out[index]}),
    )


def _thumbs(image_set: ImageSet) -> tuple[Pixels, Pixels]:
    """Give thumbnails of the whole pictures, the mean of four pixels of each cell, and one of these pixels alone.

    Shape: uint8 (N, THUMB_PX, THUMB_PX, 3) both.
    """
    images = image_set.images
    (top, bottom), (left, right) = map(_grid, images.shape[1:3])
    thumbs = np.empty((len(images), THUMB_PX, THUMB_PX, 3), np.uint8)
    corners = np.empty_like(thumbs)
    for start in range(0, len(images), CHUNK):
        block = np.asarray(images[start : start + CHUNK])
        above, below = block[:, top], block[:, bottom]
        corners[start : start + CHUNK] = above[:, :, left]
        total = above[:, :, left].astype(np.uint16)
        for part in (above[:, :, right], below[:, :, left], below[:, :, right]):
            total += part
        thumbs[start : start + CHUNK] = total >> 2
    return thumbs, corners


def _grid(side: int) -> tuple[Labels, Labels]:
    """Give two pixels of each of THUMB_PX cells along a side, at a quarter and three quarters of it."""
    low, high = ((np.arange(THUMB_PX) + part) * side // THUMB_PX for part in (0.25, 0.75))
    return low.astype(np.int64), high.astype(np.int64)


def _equal(image_set: ImageSet, corners: Pixels) -> list[tuple[int, ...]]:
    """Find groups of equal pictures: those that agree in some pixels are compared in all."""
    alike: defaultdict[bytes, list[int]] = defaultdict(list)
    for index, corner in enumerate(corners):
        alike[corner.tobytes()].append(index)
    groups: list[tuple[int, ...]] = []
    for indices in alike.values():
        if len(indices) > 1:
            equal: defaultdict[bytes, list[int]] = defaultdict(list)
            for index in indices:
                equal[np.asarray(image_set.images[index]).tobytes()].append(index)
            groups += [tuple(group) for group in equal.values() if len(group) > 1]
    return groups


def _two_labels(group: tuple[int, ...], labels: Labels) -> tuple[int, int] | None:
    other = [index for index in group if labels[index] != labels[group[0]]]
    return (group[0], other[0]) if other else None
