"""Over-fitting: what D knows of pictures that it never sees, and whether samples are copies.

Pure, as :mod:`sagan.training.health`, which judges these numbers. docs/collapse.md has the measurements behind them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHANCE = 2.0
"""So many standard errors of the gap are taken off it: what few held-out pictures can differ by without D's doing."""
LEAST_PICTURES = 20
"""Fewer pictures say nothing of how near pictures of a set lie to each other."""
MOST_PICTURES = 2000
"""Of more pictures than this copies are not looked for."""
QUANTILE = 0.05
"""A sample is a copy if it lies nearer to a training picture than all but this share of real pictures do."""


def learnt_by_heart(trained: float, heldout: float, fake: float, error: float = 0.0) -> float:
    """Say how far held-out pictures lie on D's way from pictures that it trains on to generated ones.

    (trained - heldout - 2 error) / (trained - fake), and at least 0: 0 where D does not tell pictures that it trains on
    from pictures that it never sees, 1 where those are generated ones to it. NaN where D does not tell real from
    generated pictures, or the error is not known.

    Args:
        trained: Mean logit of pictures that D trains on.
        heldout: That of pictures that it never sees.
        fake: That of generated pictures, as D sees them in training: augmented where it augments, in means of a log
            line. The other two are of pictures as they are, so with augmentation this is a little off the share of all
            three alike.
        error: Standard error of the difference of the first two.

    Source: r_v of Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", equation 1.
    """
    if not trained > fake or math.isnan(error):
        return math.nan
    return max(0.0, (trained - heldout - CHANCE * error) / (trained - fake))


def gap_error(trained: NDArray[np.float32], heldout: NDArray[np.float32]) -> float:
    """Give the standard error of the difference of two means of logits; NaN with fewer than two of either.

    Shape: (N,), (M,).
    """
    if min(len(trained), len(heldout)) < 2:
        return math.nan
    return math.sqrt(sum(float(some.var(ddof=1)) / len(some) for some in (trained, heldout)))


class Known(NamedTuple):
    """Training pictures that samples may be copies of."""

    pictures: tuple[Floats, ...]
    """Their points (M, d), and those of their mirror images where these are trained on, too."""
    distance: float
    """All real pictures but a share of QUANTILE lie farther than this from the nearest training picture."""
    ratio: float
    """The same of that distance over the one to the second nearest: where one picture alone is near, it is small."""


def known_pictures(training: Sequence[Floats], heldout: Floats) -> Known | None:
    """Learn how near real pictures lie to training pictures: held-out ones, and each of those to the others.

    Shape: training (M, d), of pictures and, if trained on, of their mirror images; heldout (H, d).

    Returns:
        None if there are fewer than LEAST_PICTURES, or more than MOST_PICTURES.
    """
    if not LEAST_PICTURES <= len(training[0]) <= MOST_PICTURES:
        return None
    others = distances(training[0], training)
    np.fill_diagonal(others, np.inf)
    near = np.concatenate([nearest_two(others), nearest_two(distances(heldout, training))])
    ratios = near[:, 0] / near[:, 1].clip(1e-12)
    return Known(tuple(training), float(np.quantile(near[:, 0], QUANTILE)), float(np.quantile(ratios, QUANTILE)))


def copied(samples: Floats, known: Known) -> float:
    """Give the share of samples that are copies: one training picture is near, and the others are not.

    Of real pictures that were never trained on, and of samples as varied as those, at most a share of about QUANTILE
    counts. That a single picture is near tells a copy from a blurred sample, which is near to many.

    Shape: samples (N, d).
    """
    near = nearest_two(distances(samples, known.pictures))
    # Strictly: where the set holds copies of its own pictures, the limits are 0.
    close = (near[:, 0] < known.distance) & (near[:, 0] < known.ratio * near[:, 1])
    return float(close.mean())


def distances(points: Floats, pictures: Sequence[Floats]) -> Floats:
    """Give the distance of each point to each picture, or to its mirror image if that is nearer: (N, M)."""
    found = np.full((len(points), len(pictures[0])), np.inf)
    for some in pictures:
        squares = (points**2).sum(1)[:, None] + (some**2).sum(1)[None] - 2.0 * points @ some.T
        found = np.minimum(found, np.sqrt(squares.clip(0.0)))
    return found


def nearest_two(found: Floats) -> Floats:
    """Sort out the two smallest distances of each row: (N, M) -> (N, 2)."""
    return np.sort(np.partition(found, 1, axis=1)[:, :2], axis=1)
