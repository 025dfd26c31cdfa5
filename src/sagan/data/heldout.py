"""Which pictures are kept out of training: a function of their classes and the seed."""

import numpy as np

from sagan.data.pictures import Labels
from sagan.randomness import keyed_generator


def count_held_out(pictures: int, classes: int, fraction: float, maximum: int) -> int:
    """Count the pictures that :func:`split_labels` holds out of so many, in so many classes that have any."""
    return min(maximum, int(fraction * pictures), pictures - classes)


def split_labels(labels: Labels, fraction: float, maximum: int, seed: int) -> tuple[Labels, Labels]:
    """Split pictures into those to train on and those held out: two ascending arrays of indices, int64.

    ``fraction`` of the pictures, rounded down, and at most ``maximum`` are held out. Each class gives its share of
    them, and keeps at least one picture to train on even if fewer are held out then. The same seed gives the same
    split.
    """
    present = np.unique(labels)
    counts = np.array([np.count_nonzero(labels == label) for label in present])
    total = count_held_out(len(labels), len(present), fraction, maximum)
    quota = total * counts / counts.sum()
    given = np.minimum(quota.astype(np.int64), counts - 1)
    # The largest remainders get the places that rounding down left, while their class has a picture to spare.
    while (left := total - given.sum()) > 0:
        order = np.argsort(given - quota, kind="stable")
        given[order[given[order] < counts[order] - 1][:left]] += 1
    held_out = np.zeros(len(labels), bool)
    for label, count in zip(present, given, strict=True):
        members = np.flatnonzero(labels == label)
        held_out[keyed_generator(seed, "holdout", int(label)).permutation(members)[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
