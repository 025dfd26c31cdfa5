"""What is kept of features while they stream by: their mean and scatter, or the features of chosen samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sagan.metrics.frechet import ASYMMETRY, LARGEST, AnyGaussian, Gaussian, SampledGaussian, origin_of_the_rest
from sagan.metrics.frechet import Progress as Progress

Rows = NDArray[np.floating] | Tensor
"""One row of features or logits for each sample, (N, d)."""

Arrays = Mapping[str, NDArray[Any]]
"""What an accumulator holds, to store it or to send it to another process."""


def checked_rows(rows: Rows, name: str = "features", width: int | None = None) -> NDArray[np.floating]:
    """Give rows as an array after checking them.

    Shape: (N, d) -> (N, d), N may be 0.

    Raises:
        TypeError: If they are not floating point.
        ValueError: If they are not (N, d), have another width than ``width``, or hold NaN or infinity.
    """
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu()
        rows = (rows.float() if rows.dtype == torch.bfloat16 else rows).numpy()  # NumPy has no bfloat16
    if not np.issubdtype(rows.dtype, np.floating):
        raise TypeError(f"{name} must be floating point, found {rows.dtype}; pass the output of a feature network")
    if rows.ndim != 2 or (width is not None and rows.shape[1] != width):
        expected = "d" if width is None else width
        raise ValueError(f"{name} must be (N, {expected}), found {rows.shape}; all must come from one network")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} hold NaN or infinity; the images or the feature network are broken")
    return rows


def checked_indices(indices: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Give sample indices (N,) as int64 after checking them.

    Raises:
        ValueError: If there are not ``count`` of them, or they are not whole numbers of at least 0.
    """
    indices = np.asarray(indices)
    if indices.shape != (count,):
        raise ValueError(f"expected one sample index for each of the {count} rows, found shape {indices.shape}")
    if count and (not np.issubdtype(indices.dtype, np.integer) or indices.min() < 0):
        raise ValueError("sample indices must be whole numbers from 0 on: the position of a sample among all samples")
    return indices.astype(np.int64)


# Of so many times the features samples are kept, before they are summed; and columns that are summed at a time.
DEFERRED, BLOCK = 5, 512


@dataclass(frozen=True)
class _Sums:
    """Count, mean (d,), and scatter (d, d) = the sum of (x - mean) (x - mean)^T of samples, float64."""

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]


class Moments:
    """Mean and covariance of features that come in batches; any cut and any order gives the same but for rounding.

    It works in float64 on deviations from a mean, so that a large mean costs no digits. Memory: the first samples
    themselves, from which a distance to few samples is faster, at most DEFERRED * d of them (80 MiB of float32 at 2048
    features); then one (d, d) array of float64, 32 MiB, whatever the number of samples, and at most d samples.

    Args:
        width: Number of features d, at least 1.

    Source: Chan, Golub and LeVeque 1979, equation 2.1, for the union of two samples.
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, found {width}")
        self.width = width
        self._sums: _Sums | None = None
        self._rows: list[NDArray[np.floating]] = []  # of samples that are not in the sums; never changed in place

    @property
    def count(self) -> int:
        """The number of samples so far."""
        return (self._sums.count if self._sums else 0) + self._num_rows

    def update(self, features: Rows) -> None:
        """Add samples.

        Args:
            features: (N, d), finite; N may be 0.

        Raises:
            TypeError: If they are not floating point.
            ValueError: If they are not (N, d), or hold NaN or infinity; nothing is then added.
        """
        rows = np.array(checked_rows(features, width=self.width))
        if len(rows):
            self._add([rows])

    def merge(self, other: Self) -> None:
        """Add the samples of another, for example of another process.

        Raises:
            ValueError: If the widths differ.
        """
        if other.width != self.width:
            raise ValueError(f"cannot merge features of width {other.width} into width {self.width}")
        self._sums = _united(self._sums, other._sums)
        self._add(other._rows)

    def gaussian(self) -> AnyGaussian:
        """Give the mean (d,) and the covariance (d, d) with N - 1 in its denominator, float64; of few as rows.

        The covariance has rank N - 1 at most: distances between such Gaussians mean little unless N is well above d.

        Raises:
            ValueError: If there were fewer than 2 samples.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 samples, found {self.count}; evaluate more images")
        if self._sums is None:
            mean, first = _mean(self._rows), self._rows[0]
            rest = [first[1:], *self._rows[1:]]
            origin = origin_of_the_rest(first[0], mean, self.count)
            return SampledGaussian(mean, _deviations(rest, origin, (self.count - 1) ** -0.5))
        sums = self._all()
        return Gaussian(sums.mean.copy(), sums.scatter / (sums.count - 1))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all that it holds: ``count`` (), ``mean`` (d,) and ``scatter`` (d, d)."""
        sums = self._all()
        return {"count": np.array(sums.count, np.int64), "mean": sums.mean.copy(), "scatter": sums.scatter.copy()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Read what :meth:`to_arrays` gave.

        Raises:
            ValueError: If an array is missing, has the wrong shape or kind, or holds NaN, infinity, or what no samples
                have.
        """
        count, mean, scatter = _parts(arrays, "count", "mean", "scatter")
        if (count.dtype.kind, mean.dtype.kind, scatter.dtype.kind) not in (("i", "f", "f"), ("u", "f", "f")):
            raise ValueError("stored moments hold numbers of another kind; make them again")
        if mean.ndim != 1 or not len(mean) or scatter.shape != (len(mean), len(mean)) or count.shape != ():
            raise ValueError(f"stored moments have a mean {mean.shape} and a scatter {scatter.shape}; make them again")
        if int(count) < 0 or not (np.isfinite(mean).all() and np.isfinite(scatter).all()):
            raise ValueError("stored moments hold NaN, infinity or a negative count; make them again")
        _check_sums(int(count), mean, scatter)
        moments = cls(len(mean))
        if int(count):
            moments._sums = _Sums(int(count), np.array(mean, np.float64), np.array(scatter, np.float64))
        return moments

    @property
    def _num_rows(self) -> int:
        return sum(map(len, self._rows))

    def _add(self, rows: list[NDArray[np.floating]]) -> None:
        """Add samples: they are kept while they are few, and many are summed at a time."""
        self._rows += rows
        if self._num_rows >= self.width * (DEFERRED if self._sums is None else 1):
            self._sums, self._rows = self._all(), []

    def _all(self) -> _Sums:
        """Give the sums with the samples that are not in them yet, which are not changed."""
        united = _united(self._sums, _summed(self._rows) if self._rows else None)
        return united or _Sums(0, np.zeros(self.width), np.zeros((self.width, self.width)))


def _check_sums(count: int, mean: NDArray[Any], scatter: NDArray[Any]) -> None:
    """Check that samples can have such a mean (d,) and such a scatter (d, d), both finite.

    Raises:
        ValueError: If a number is larger than features give, or the scatter is not symmetric, or its diagonal is below
            0 or too small for what stands beside it.
    """
    sizes, diagonal = np.abs(scatter), np.diagonal(scatter)
    rounding = ASYMMETRY * sizes.max()
    if np.abs(mean).max() > LARGEST or sizes.max() > 2.0 * count * LARGEST**2:
        wrong = "numbers larger than features give"
    elif np.abs(scatter - scatter.T).max() > rounding:
        wrong = "a scatter that is not symmetric"
    elif diagonal.min() < 0.0:
        wrong = "a scatter below 0 on its diagonal"
    elif (sizes - np.outer(np.sqrt(diagonal), np.sqrt(diagonal))).max() > rounding:
        wrong = "a scatter whose diagonal is too small for the rest of it"
    else:
        return
    raise ValueError(f"stored moments have {wrong}; make them again")


def _mean(rows: list[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Give the mean (d,) of samples."""
    sums = [part.sum(0, dtype=np.float64) for part in rows]
    mean: NDArray[np.float64] = np.sum(sums, 0) / sum(map(len, rows))
    return mean


def _deviations(rows: list[NDArray[np.floating]], mean: NDArray[np.float64], scale: float = 1.0) -> NDArray[np.float64]:
    """Give (x - mean) * scale of all samples, (N, d), float64; part by part, while a part is in the cache."""
    deviations = np.empty((sum(map(len, rows)), len(mean)))
    start = 0
    for part in rows:
        found = deviations[start : start + len(part)]
        np.subtract(part, mean, out=found)
        found *= scale
        start += len(part)
    return deviations


def _summed(rows: list[NDArray[np.floating]]) -> _Sums:
    """Sum up samples. Only what is on and below the diagonal of the scatter is multiplied."""
    mean = _mean(rows)
    deviations = torch.from_numpy(_deviations(rows, mean))
    d = len(mean)
    scatter = torch.empty(d, d, dtype=torch.float64)
    for start in range(0, d, BLOCK):
        block = slice(start, min(start + BLOCK, d))
        product = deviations[:, start:].T @ deviations[:, block]
        scatter[start:, block] = product
        scatter[block, block.stop :] = product[block.stop - start :].T
    return _Sums(len(deviations), mean, scatter.numpy())


def _united(a: _Sums | None, b: _Sums | None) -> _Sums | None:
    """Give the sums of two samples together; None is no samples."""
    if a is None or b is None:
        return a or b
    count = a.count + b.count
    step = b.mean - a.mean
    row = step * (a.count * b.count / count) ** 0.5  # of deviations; its product with itself is symmetric to the bit
    scatter = a.scatter + b.scatter
    scatter += np.outer(row, row)
    return _Sums(count, a.mean + step * (b.count / count), scatter)


class KeptFeatures:
    """The features of at most ``limit`` samples, chosen by sample index and seed alone.

    Each index has a pseudo-random rank, and the lowest ranks are kept. So the choice is uniform, and it depends neither
    on the order or the size of batches nor on the number of processes. Memory: ``limit`` x d x 4 bytes, and as much
    again for what :meth:`features` gives; 78 MiB each at 10,000 samples of 2048 features.

    Args:
        limit: Most samples to keep, at least 1.
        seed: 0 to 2**64 - 1.
    """

    def __init__(self, limit: int, seed: int = 0) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, found {limit}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed must be from 0 to 2**64 - 1, found {seed}")
        self.limit = limit
        self.seed = seed
        self._indices = np.empty(0, np.int64)
        self._ranks = np.empty(0, np.uint64)
        self._rows: NDArray[np.float32] | None = None  # (limit, d) once d is known; the first n places are in use

    def __len__(self) -> int:
        """Give the number of samples kept."""
        return len(self._indices)

    def update(self, features: Rows, indices: NDArray[np.integer]) -> None:
        """Offer samples.

        Args:
            features: (N, d), finite; kept as float32.
            indices: (N,) positions of the samples among all samples, from 0 on, each given once.

        Raises:
            TypeError: If features are not floating point.
            ValueError: If shapes do not fit, numbers are not finite, or a sample that is kept comes a second time.
        """
        rows = checked_rows(features, width=None if self._rows is None else self._rows.shape[1])
        indices = checked_indices(indices, len(rows))
        if self._rows is None:
            # Pages that are not written to take no memory, so few samples are cheap under a high limit.
            self._rows = np.empty((self.limit, rows.shape[1]), np.float32)
        all_indices = np.concatenate([self._indices, indices])
        all_ranks = np.concatenate([self._ranks, _ranks(indices, self.seed)])
        chosen = np.argsort(all_ranks, kind="stable")[: self.limit]
        twice = np.flatnonzero(np.diff(all_ranks[chosen]) == 0)
        if len(twice):
            raise ValueError(f"sample {all_indices[chosen[twice[0]]]} was given twice; each index is one sample")
        held = len(self)
        new = chosen[chosen >= held]
        # New rows take the places of those that fall out, then the places behind the last.
        fallen = np.setdiff1d(np.arange(held), chosen[chosen < held])
        places = np.concatenate([fallen, np.arange(held, held + len(new) - len(fallen))])
        self._rows[places] = rows[new - held]
        count = min(self.limit, len(all_ranks))
        self._indices, self._ranks = np.resize(self._indices, count), np.resize(self._ranks, count)
        self._indices[places], self._ranks[places] = all_indices[new], all_ranks[new]

    def merge(self, other: Self) -> None:
        """Add what another keeps, for example one of another process.

        Raises:
            ValueError: If limit, seed or width differ, or both keep the same sample.
        """
        if (other.limit, other.seed) != (self.limit, self.seed):
            raise ValueError(
                f"cannot merge features kept with limit {other.limit}, seed {other.seed} into those kept with limit "
                f"{self.limit}, seed {self.seed}"
            )
        if other._rows is not None:
            self.update(other._rows[: len(other)], other._indices)

    def indices(self) -> NDArray[np.int64]:
        """Give the indices (n,) of the samples kept, rising."""
        return np.sort(self._indices)

    def features(self) -> NDArray[np.float32]:
        """Give the features (n, d) of the samples kept, in order of their indices.

        Raises:
            ValueError: If no sample was ever offered.
        """
        if self._rows is None:
            raise ValueError("no features are kept, as no sample was given; evaluate at least one image")
        return self._rows[np.argsort(self._indices)]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all that it holds: ``limit`` (), ``seed`` (), ``indices`` (n,) and ``features`` (n, d)."""
        return {
            "limit": np.array(self.limit, np.int64),
            "seed": np.array(self.seed, np.uint64),
            "indices": self.indices(),
            "features": self.features() if len(self) else np.empty((0, 0), np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Read what :meth:`to_arrays` gave.

        Raises:
            ValueError: If an array is missing or broken.
        """
        limit, seed, indices, features = _parts(arrays, "limit", "seed", "indices", "features")
        if features.ndim != 2 or limit.shape != () or len(features) > int(limit):
            raise ValueError(f"stored features have shape {features.shape} under a limit of {limit}; make them again")
        kept = cls(int(limit), int(seed))
        if len(features):
            kept.update(features, indices)
        return kept


def _parts(arrays: Arrays, *names: str) -> list[NDArray[Any]]:
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"stored statistics lack {', '.join(missing)}, found {', '.join(arrays) or 'nothing'}")
    return [np.asarray(arrays[name]) for name in names]


def _ranks(indices: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Give each index (N,) its pseudo-random rank; different indices have different ranks.

    Source: Steele, Lea and Flood 2014, SplitMix64, figure 19: the seed is scrambled once, then each index with it.
    """

    def scramble(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
        x = x + np.uint64(0x9E3779B97F4A7C15)  # arrays wrap around silently, as wanted
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))

    return scramble(indices.astype(np.uint64) + scramble(np.array([seed], np.uint64)))
