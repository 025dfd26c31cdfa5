"""Kernel distance between two sets of features; with the Inception network it is called KID."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sagan.metrics.statistics import Progress, Rows, checked_rows


class KernelDistance(NamedTuple):
    """Mean and population standard deviation over subsets; the mean may lie slightly below 0, as it has no bias."""

    mean: float
    std: float
    subset_size: int
    """Samples in each subset; fewer than asked for where a set has fewer."""
    warnings: tuple[str, ...]
    """What a reader must know before quoting it."""


def kernel_distance(
    features: Rows,
    reference: Rows,
    *,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    progress: Progress | None = None,
) -> KernelDistance:
    """Compute the unbiased squared maximum mean discrepancy under the kernel (x . y / d + 1)^3, over random subsets.

    Subsets are drawn by row with ``numpy.random.RandomState(seed)``, first of ``features``, then of ``reference``, as
    torch-fidelity does: rows in another order give another draw. Computed in float64. Memory: 6 x subset_size x
    (subset_size + d) x 8 bytes at most beside the features, 140 MiB by default at 2048 features.

    Args:
        features: (N, d) of generated samples, N at least 2.
        reference: (M, d) of real samples, M at least 2.
        num_subsets: Number of subsets, at least 1.
        subset_size: Samples of each set in a subset, at least 2.
        seed: 0 to 2**32 - 1.
        progress: Called after each subset with the subsets done and their number.

    Raises:
        TypeError: If features are not floating point.
        ValueError: If widths differ, numbers are not finite, or there are too few samples.

    Source: Binkowski et al. 2018, equation 4 and section 4; Gretton et al. 2012, equation 3.
    """
    x = checked_rows(features)
    y = checked_rows(reference, "reference features", x.shape[1])
    if num_subsets < 1 or subset_size < 2:
        raise ValueError(f"num_subsets must be at least 1 and subset_size at least 2: {num_subsets}, {subset_size}")
    fewest = min(len(x), len(y))
    if fewest < 2:
        raise ValueError(f"the kernel distance needs at least 2 samples of each set, found {len(x)} and {len(y)}")
    warnings: tuple[str, ...] = ()
    if fewest < subset_size:
        warnings = (
            f"subsets of {fewest} samples instead of {subset_size}, as there are {len(x)} generated and {len(y)} real: "
            "subsets overlap and their spread is too small",
        )
        subset_size = fewest
    # The legacy generator on purpose: published values were made with its draws.
    random = np.random.RandomState(seed)
    distances = np.empty(num_subsets)
    for subset in range(num_subsets):
        some_x = x[random.choice(len(x), subset_size, replace=False)]
        some_y = y[random.choice(len(y), subset_size, replace=False)]
        distances[subset] = _squared_discrepancy(_float64(some_x), _float64(some_y))
        if progress is not None:
            progress(subset + 1, num_subsets)
    return KernelDistance(float(distances.mean()), float(distances.std()), subset_size, warnings)


def _float64(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows.astype(np.float64))


def _squared_discrepancy(x: Tensor, y: Tensor) -> float:
    """Compute the unbiased estimate of the squared maximum mean discrepancy of x (m, d) and y (m, d)."""
    m = len(x)
    within = sum(kernel.sum() - kernel.trace() for kernel in (_kernel(x, x), _kernel(y, y)))  # pairs i != j
    return float(within / (m * (m - 1)) - 2.0 * _kernel(x, y).mean())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """Compute (x . y / d + 1)^3 of each pair; (m, d), (n, d) -> (m, n)."""
    products = torch.mm(x, y.T).div_(x.shape[1]).add_(1.0)
    return products.square().mul_(products)
