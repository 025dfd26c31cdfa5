"""Frechet distance between two Gaussians, each with its covariance or with the deviations of its samples."""

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


class SampledGaussian(NamedTuple):
    """A Gaussian with what its covariance is made of: mean (d,) and rows (n, d), float64.

    The rows are deviations of N samples over the root of N - 1, as N - 1 rows (:func:`origin_of_the_rest`), so that
    rows^T rows is the covariance. Where n is below d they are smaller than it, and no digit of a small eigenvalue was
    lost in squaring them.
    """

    mean: NDArray[np.float64]
    rows: NDArray[np.float64]

    @property
    def thin(self) -> bool:
        """Whether there are fewer rows than features."""
        return len(self.rows) < len(self.mean)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance (d, d); computed at each call."""
        return self.rows.T @ self.rows


AnyGaussian = Gaussian | SampledGaussian

LARGEST = float(np.finfo(np.float32).max)
"""No feature of a network that computes in float32 is larger; up to there no distance leaves float64."""
ASYMMETRY = 1e-6
"""What rounding may leave of the difference between a covariance and its transpose, as share of its largest entry."""


def gaussian(features: NDArray[np.floating]) -> AnyGaussian:
    """Fit a Gaussian to features (N, d); one with its rows if N is below d.

    Raises:
        ValueError: If there are fewer than 2 rows, or a number is not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be (N, d) with N at least 2, found {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features hold NaN or infinity; the images or the feature network are broken")
    features = features.astype(np.float64)
    count, width = features.shape
    mean = features.mean(0)
    if count < width:
        rows = features[1:] - origin_of_the_rest(features[0], mean, count)
        return SampledGaussian(mean, rows / (count - 1) ** 0.5)
    return Gaussian(mean, np.atleast_2d(np.cov(features, rowvar=False)))


def origin_of_the_rest(first: NDArray[np.floating], mean: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Give what to take from all samples but the first, so that their scatter is that of all samples about their mean.

    Deviations x_i from the mean sum up to 0: one of N rows is superfluous, and costs their products full rank. The
    reflection that takes (1, ..., 1) to an axis makes the first row 0, and x_i + x_1 / (sqrt(N) - 1) of the others.

    Shape: first (d,), mean (d,) -> (d,). ``count`` is N, at least 2.

    Source: Householder 1958.
    """
    origin: NDArray[np.float64] = mean - (first - mean) / (count**0.5 - 1.0)
    return origin


def frechet_distance(a: AnyGaussian, b: AnyGaussian, progress: Progress | None = None) -> float:
    """Compute ``|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))``, in squared feature units, finite and at least 0.

    Covariances may be singular. Time at 2048 features on one core: about 1.6 s where both have full rank, less where
    one has fewer rows than features, two to four times as much where a covariance (d, d) is singular. Memory: about
    eight arrays of (d, d).

    Args:
        a: One Gaussian.
        b: The other.
        progress: Called after each of the stages with the stages done and their number.

    Raises:
        ValueError: If the two have different widths, a mean and its covariance do not fit, a number is not finite or
            larger than features are, or a covariance is not symmetric or has an eigenvalue that is clearly negative.

    Source: Dowson and Landau 1982; Heusel et al. 2017, equation 6.
    """
    for name, side in (("first", a), ("second", b)):
        _check(name, side)
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"the Gaussians have {len(a.mean)} and {len(b.mean)} features; they must be of one network")
    a, b = _smallest_form(a, b)
    difference = a.mean - b.mean
    traces = _trace(a) + _trace(b)
    distance = difference @ difference + traces - 2.0 * _trace_of_root(a, b, progress or (lambda *_: None))
    return max(0.0, float(distance))


def _smallest_form(a: AnyGaussian, b: AnyGaussian) -> tuple[AnyGaussian, AnyGaussian]:
    """Keep rows where a product of both sides' rows is small, which takes one thin side; else take the covariance."""
    rows = [side for side in (a, b) if isinstance(side, SampledGaussian)]
    if len(rows) == 2 and any(side.thin for side in rows):
        return a, b
    first, second = (
        Gaussian(side.mean, side.covariance) if isinstance(side, SampledGaussian) and not side.thin else side
        for side in (a, b)
    )
    return first, second


def _check(name: str, side: AnyGaussian) -> None:
    """Refuse what is no Gaussian, before anything is computed from it."""
    again = "compute its statistics again from finite features"
    spread, what = (side.rows, "rows") if isinstance(side, SampledGaussian) else (side.covariance, "covariance")
    d = len(side.mean)
    article = "rows" if what == "rows" else "a covariance"
    if side.mean.ndim != 1 or spread.ndim != 2 or spread.shape[1] != d or (what == "covariance" and len(spread) != d):
        raise ValueError(
            f"the {name} Gaussian has a mean of shape {side.mean.shape} and {article} of shape {spread.shape}, which "
            "do not fit together; it was put together from parts of different features"
        )
    if not (np.isfinite(side.mean).all() and np.isfinite(spread).all()):
        raise ValueError(f"the {name} Gaussian holds NaN or infinity; {again}")
    for numbers, most in ((side.mean, LARGEST), (spread, 2.0 * LARGEST if what == "rows" else 4.0 * LARGEST**2)):
        if (largest := np.abs(numbers).max(initial=0.0)) > most:
            raise ValueError(f"the {name} Gaussian holds {largest:.3g}, larger than what features give; {again}")
    if what == "covariance" and np.abs(spread - spread.T).max() > ASYMMETRY * np.abs(spread).max():
        raise ValueError(f"the {name} covariance is not symmetric, so it is none; {again}")


def _trace(side: AnyGaussian) -> float:
    return float(np.vdot(side.rows, side.rows) if isinstance(side, SampledGaussian) else np.trace(side.covariance))


BLOCK = 256
STAGES = 4
EPSILON = float(np.finfo(np.float64).eps)
# The ratio of smallest to largest eigenvalue below which the root of a product of two such covariances loses digits.
NEARLY_SINGULAR = 1e-9
# What rounding may leave below 0 in the eigenvalues of a covariance, as share of the largest; more is a mistake.
NEGATIVE = 1e-6
# Share of the sum of singular values that may be lost to rounding where they are found as roots of eigenvalues.
SOUND = 1e-10


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


class _Root(NamedTuple):
    """A factor (d, r) of a covariance S = A A^T."""

    factor: Tensor
    sound: bool
    """Whether S has full rank and is far from singular."""
    covariance: Tensor | None
    """S itself (d, d), unless it came as rows."""


def _trace_of_root(a: AnyGaussian, b: AnyGaussian, progress: Progress) -> float:
    """Compute tr (S_a S_b)^(1/2) of two covariances (d, d).

    With S_a = A A^T the product S_a S_b has the eigenvalues of the symmetric A^T S_b A, whose roots are summed. With
    S_b = B B^T these roots are also the singular values of A^T B, which take longer but keep their digits where some
    eigenvalues are as small as the rounding of the largest.
    """
    first = _root("first", a)
    progress(1, STAGES)
    second = _root("second", b)
    progress(2, STAGES)
    if not second.sound:  # the smaller rank first: the other way round there are eigenvalues that are only rounding
        first, second = second, first
    if first.covariance is not None and second.covariance is not None and second.sound:
        product, roots = _congruence(first.factor, second.covariance), _roots_of_eigenvalues
    else:
        product, roots = first.factor.T @ second.factor, _singular_values
    progress(3, STAGES)
    with _one_thread():
        trace = float(roots(product).sum())
    progress(4, STAGES)
    return trace


def _roots_of_eigenvalues(product: Tensor) -> Tensor:
    """Give the roots of the eigenvalues of a symmetric matrix of which the lower triangle is given."""
    roots: Tensor = torch.linalg.eigvalsh(product).clamp(min=0.0).sqrt()
    return roots


def _singular_values(product: Tensor) -> Tensor:
    """Give the singular values of a matrix.

    Those of a long one (m, n) are the roots of the eigenvalues of the small (n, n) that its columns' products are,
    where these are sound enough; else it is brought to a square with the same singular values first.
    """
    long = product if len(product) > product.shape[1] else product.T
    if len(long) > 1.1 * long.shape[1]:
        values = _roots_of_eigenvalues(_gram(long))
        # What rounding leaves of an eigenvalue, for each, by the root's slope; ten times for sums of many products.
        error = 10.0 * EPSILON * values.max() ** 2 * (0.5 / values).sum()
        if error <= SOUND * values.sum():
            return values
        long = torch.linalg.qr(long, mode="r")[1]
    singular: Tensor = torch.linalg.svdvals(long)
    return singular


def _gram(long: Tensor) -> Tensor:
    """Compute the lower triangle of A^T A, (n, n), from A (m, n)."""
    n = long.shape[1]
    gram = long.new_zeros(n, n)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        gram[start:, block] = long[:, start:].T @ long[:, block]
    return gram


def _root(name: str, side: AnyGaussian) -> _Root:
    """Take a root of a covariance: its rows, else the Cholesky factor, else scaled eigenvectors.

    Raises:
        ValueError: If an eigenvalue is clearly below 0.
    """
    if isinstance(side, SampledGaussian):
        rows = np.require(side.rows, np.float64, ["C", "W"])  # a copy only where PyTorch needs one
        return _Root(torch.from_numpy(rows).T, sound=False, covariance=None)
    covariance = torch.from_numpy(np.array(side.covariance, np.float64))
    factor, failed = torch.linalg.cholesky_ex(covariance)
    diagonal = factor.diagonal()
    ratio = float((diagonal.min() / diagonal.max()) ** 2)
    floor = len(covariance) * EPSILON
    if not failed and ratio > floor:
        return _Root(factor, ratio > NEARLY_SINGULAR, covariance)
    with _one_thread():
        values, vectors = torch.linalg.eigh(covariance)
    if values[0] < -NEGATIVE * values[-1].abs():
        raise ValueError(
            f"the {name} covariance has the eigenvalue {float(values[0]):.3g} beside {float(values[-1]):.3g}, so it is "
            "none; compute its statistics again from finite features"
        )
    kept = values > floor * values[-1]
    return _Root(vectors[:, kept] * values[kept].sqrt(), False, covariance)


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
