"""Frechet distance between two Gaussians."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Progress = Callable[[int, int], None]
"""Called with the work done and all the work, in units of the metric's own choice."""


class Gaussian(NamedTuple):
    """Mean (d,) and covariance (d, d) of features, float64; the covariance has N - 1 in its denominator."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def gaussian(features: NDArray[np.floating]) -> Gaussian:
    """Fit a Gaussian to features (N, d).

    Raises:
        ValueError: If there are fewer than 2 rows, or a number is not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be (N, d) with N at least 2, found {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features hold NaN or infinity; the images or the feature network are broken")
    features = features.astype(np.float64)
    return Gaussian(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(a: Gaussian, b: Gaussian, progress: Progress | None = None) -> float:
    """Compute |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), in squared feature units, finite and at least 0.

    Covariances may be singular. Time at 2048 features on one core: about 1.4 s where both have full rank, two to four
    times that where one has not. Memory: about eight arrays of (d, d).

    Args:
        a: One Gaussian.
        b: The other.
        progress: Called after each of the stages with the stages done and their number.

    Raises:
        ValueError: If the two have different widths, or a number is not finite.

    Source: Dowson and Landau 1982; Heusel et al. 2017, equation 6.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"the Gaussians have {len(a.mean)} and {len(b.mean)} features; they must be of one network")
    if not all(np.isfinite(part).all() for part in (*a, *b)):
        raise ValueError("a Gaussian holds NaN or infinity; compute its statistics again from finite features")
    difference = a.mean - b.mean
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    distance = (
        difference @ difference
        + traces
        - 2.0 * _trace_of_root(a.covariance, b.covariance, progress or (lambda *_: None))
    )
    return max(0.0, float(distance))


BLOCK = 256
STAGES = 4
EPSILON = float(np.finfo(np.float64).eps)
# The ratio of smallest to largest eigenvalue below which the root of a product of two such covariances loses digits.
NEARLY_SINGULAR = 1e-9


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread.

    Eigenvalue solvers wait for all threads many thousand times. Where another program uses the cores too, that made
    them 70 times slower with two threads than with one (17.9 s and 0.24 s, 1024 features, two busy cores).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trace_of_root(a: NDArray[np.float64], b: NDArray[np.float64], progress: Progress) -> float:
    """Compute tr (S_a S_b)^(1/2) of two covariances (d, d).

    With S_a = A A^T the product S_a S_b has the eigenvalues of the symmetric A^T S_b A, whose roots are summed. With
    S_b = B B^T these roots are also the singular values of A^T B, which take longer.
    """
    first, second = (torch.from_numpy(np.array(covariance, np.float64)) for covariance in (a, b))
    factor, sound = _factor(first)
    progress(1, STAGES)
    other, other_sound = _factor(second)
    progress(2, STAGES)
    if not sound and not other_sound:
        # Some eigenvalues are as small as the rounding of the largest, and their roots are not small.
        product = factor.T @ other
        progress(3, STAGES)
        with _one_thread():
            trace = float(torch.linalg.svdvals(product).sum())
        progress(4, STAGES)
        return trace
    if not other_sound:  # the smaller rank first: the other way round there are eigenvalues that are only rounding
        factor, second = other, first
    product = _congruence(factor, second)
    progress(3, STAGES)
    with _one_thread():
        trace = float(torch.linalg.eigvalsh(product).clamp(min=0.0).sqrt().sum())
    progress(4, STAGES)
    return trace


def _factor(covariance: Tensor) -> tuple[Tensor, bool]:
    """Give A (d, r) with A A^T = covariance (d, d), and whether it is far from singular.

    A is the Cholesky factor, or scaled eigenvectors where the rank r is below d.
    """
    factor, failed = torch.linalg.cholesky_ex(covariance)
    diagonal = factor.diagonal()
    ratio = float((diagonal.min() / diagonal.max()) ** 2)
    floor = len(covariance) * EPSILON
    if not failed and ratio > floor:
        return factor, ratio > NEARLY_SINGULAR
    with _one_thread():
        values, vectors = torch.linalg.eigh(covariance)
    kept = values > floor * values[-1]
    return vectors[:, kept] * values[kept].sqrt(), False


def _congruence(factor: Tensor, covariance: Tensor) -> Tensor:
    """Compute the lower triangle of A^T S A, (r, r), from A (d, r) and S (d, d).

    A Cholesky factor is zero above its diagonal; leaving these zeros out takes a third of the work of two products.
    """
    d, rank = factor.shape
    if rank < d:
        return factor.T @ covariance @ factor
    right = torch.empty_like(factor)
    product = torch.zeros_like(factor)
    for start in range(0, d, BLOCK):
        block = slice(start, start + BLOCK)
        right[:, block] = covariance[:, start:] @ factor[start:, block]
    for start in range(0, d, BLOCK):
        block, before = slice(start, start + BLOCK), slice(0, start + BLOCK)
        product[block, before] = factor[start:, block].T @ right[start:, before]
    return product
