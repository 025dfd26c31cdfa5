"""Metrics that ask which samples lie near which: precision and recall, density and coverage, nearest neighbours.

Distances are Euclidean and computed in float64, a block of pairs at a time. They are compared after rounding to
float32, so that equal distances compare as equal in whichever block they were computed. Memory: both sets once more in
float64, and 3 x 128 MiB for the pairs, whatever the number of samples. Time: proportional to N x M x d.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sagan.metrics.statistics import Progress, Rows, checked_rows

PAIRS = 2**24  # distances in a block: 128 MiB of float64


class PrecisionRecall(NamedTuple):
    """Fractions from 0 to 1."""

    precision: float
    """Of generated samples: those in the ball of a real one."""
    recall: float
    """Of real samples: those in the ball of a generated one."""


class DensityCoverage(NamedTuple):
    """How densely generated samples lie among real ones, and how many real ones they reach."""

    density: float
    """Number of real balls that a generated sample lies in, over k, on average: from 0, 1 for equal distributions."""
    coverage: float
    """Fraction of real samples whose ball holds a generated sample, from 0 to 1."""


class Nearest(NamedTuple):
    """The nearest reference samples of each query, nearest first."""

    indices: NDArray[np.int64]
    """(Q, k), rows of the reference."""
    distances: NDArray[np.float64]
    """(Q, k), Euclidean, in feature units."""


def precision_recall(generated: Rows, real: Rows, k: int = 3, *, progress: Progress | None = None) -> PrecisionRecall:
    """Compute improved precision and recall.

    The ball of a sample reaches to its k-th nearest neighbour in its own set, itself not counted, and the edge belongs
    to it: the paper's convention and torch-fidelity's. Compare only values of equal numbers of samples.

    Args:
        generated: (N, d), finite, N more than k.
        real: (M, d), finite, M more than k.
        k: Neighbours that set the balls, at least 1.
        progress: Called after each block with the distances computed and their number.

    Raises:
        TypeError: If features are not floating point.
        ValueError: If widths differ, numbers are not finite, or there are too few samples.

    Source: Kynkaanniemi et al. 2019, equations 1 and 2.
    """
    x, y = _checked(generated, real, k, "precision and recall")
    advance = _counter(progress, len(x) ** 2 + len(y) ** 2 + len(x) * len(y))
    fake_radii, real_radii = _radii(x, k, advance), _radii(y, k, advance)  # (N,), (M,)
    inside = 0
    reached = torch.zeros(len(y), dtype=torch.bool)
    for start, squares in _blocks(x, y):  # (n, M)
        inside += int((squares <= real_radii).any(1).sum())
        reached |= (squares <= fake_radii[start : start + len(squares), None]).any(0)
        advance(squares.numel())
    return PrecisionRecall(inside / len(x), float(reached.double().mean()))


def density_coverage(generated: Rows, real: Rows, k: int = 5, *, progress: Progress | None = None) -> DensityCoverage:
    """Compute density and coverage.

    The ball of a real sample reaches to its k-th nearest neighbour among the real ones, itself not counted, and the
    edge does not belong to it, as in the authors' code. Compare only values of equal numbers of samples.

    Args:
        generated: (N, d), finite, N more than k.
        real: (M, d), finite, M more than k.
        k: Neighbours that set the balls, at least 1.
        progress: Called after each block with the distances computed and their number.

    Raises:
        TypeError: If features are not floating point.
        ValueError: If widths differ, numbers are not finite, or there are too few samples.

    Source: Naeem et al. 2020, equations 3 and 4.
    """
    x, y = _checked(generated, real, k, "density and coverage")
    advance = _counter(progress, len(y) ** 2 + len(x) * len(y))
    real_radii = _radii(y, k, advance)  # (M,)
    balls = 0
    covered = torch.zeros(len(y), dtype=torch.bool)
    for _, squares in _blocks(x, y):  # (n, M)
        inside = squares < real_radii
        balls += int(inside.sum())
        covered |= inside.any(0)
        advance(squares.numel())
    return DensityCoverage(balls / (k * len(x)), float(covered.double().mean()))


def nearest(queries: Rows, reference: Rows, k: int = 1, *, progress: Progress | None = None) -> Nearest:
    """Find the k nearest reference samples of each query.

    Equal distances are given in the order of the reference; which of them are left out after the k-th is open.

    Args:
        queries: (Q, d), finite.
        reference: (M, d), finite, M at least k.
        k: Neighbours of each query, at least 1.
        progress: Called after each block with the distances computed and their number.

    Raises:
        TypeError: If features are not floating point.
        ValueError: If widths differ, numbers are not finite, or the reference has fewer than k samples.
    """
    asked = checked_rows(queries, "features of the queries")
    known = checked_rows(reference, "reference features", asked.shape[1])
    if not 1 <= k <= len(known):
        raise ValueError(f"k must be from 1 to the {len(known)} reference samples, found {k}")
    x, y = _centred(asked, known)
    indices = torch.empty(len(x), k, dtype=torch.int64)
    distances = torch.empty(len(x), k, dtype=torch.float64)
    advance = _counter(progress, len(x) * len(y))
    for start, squares in _blocks(x, y):
        found = squares.topk(k, largest=False).indices.sort().values  # (n, k), in the order of the reference
        for row, neighbours in enumerate(found, start):
            # Directly, since the blocks' way leaves rounding where a query is in the reference.
            exact, order = (x[row] - y[neighbours]).norm(dim=1).sort(stable=True)
            indices[row], distances[row] = neighbours[order], exact
        advance(squares.numel())
    return Nearest(indices.numpy(), distances.numpy())


def _checked(generated: Rows, real: Rows, k: int, metric: str) -> tuple[Tensor, Tensor]:
    fakes = checked_rows(generated, "generated features")
    reals = checked_rows(real, "real features", fakes.shape[1])
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    if min(len(fakes), len(reals)) <= k:
        raise ValueError(
            f"{metric} with k = {k} need at least {k + 1} samples of each set, found {len(fakes)} generated and "
            f"{len(reals)} real"
        )
    return _centred(fakes, reals)


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Give a function that adds to the work done and tells it."""
    done = 0

    def advance(pairs: int) -> None:
        nonlocal done
        done += pairs
        if progress is not None:
            progress(done, total)

    return advance


def _centred(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
    """Give both in float64 with the mean of y taken away: distances stay, and small ones keep their digits."""
    queries, reference = (torch.from_numpy(rows.astype(np.float64)) for rows in (x, y))
    mean = reference.mean(0)
    return queries.sub_(mean), reference.sub_(mean)


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Give squared distances from rows of x to all rows of y, as (first row, float32 (n, M)), until all are done."""
    x_squares, y_squares = x.square().sum(1), y.square().sum(1)
    step = max(1, PAIRS // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        products = x[rows] @ y.T
        squares = products.mul_(-2.0).add_(x_squares[rows, None]).add_(y_squares).clamp_(min=0.0)
        yield start, squares.float()


def _radii(x: Tensor, k: int, advance: Callable[[int], None]) -> Tensor:
    """Give the squared distance (N,) of each row of x (N, d) to its k-th nearest other row."""
    radii = []
    for start, squares in _blocks(x, x):
        rows = torch.arange(len(squares))
        squares[rows, start + rows] = torch.inf  # a sample is not its own neighbour
        radii.append(squares.kthvalue(k).values)
        advance(squares.numel())
    return torch.cat(radii)
