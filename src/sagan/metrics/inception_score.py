"""Inception Score of samples that come in batches."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sagan.metrics.statistics import Arrays, Rows, checked_indices, checked_rows


class InceptionScore(NamedTuple):
    """Mean and population standard deviation over splits; each score lies from 1 to the number of classes."""

    mean: float
    std: float


class ScoreSums:
    """Sums from which the Inception Score follows: exp(mean KL(p(y|x) || p(y))) of each split, then mean and spread.

    The split of a sample follows from its index, the number of samples and the seed: samples are put in the order of
    ``numpy.random.RandomState(seed).permutation`` and cut into ``num_splits`` runs. That is torch-fidelity's rule, and
    its seed. Memory: num_splits x K numbers and 2 bytes a sample for its split (none with one split).

    Args:
        num_splits: Number of splits, from 1 to 32,767; 10 in most published scores.
        num_classes: Number K of logits, at least 2; 1008 for the Inception network of the score.
        num_samples: Number N of samples that will be given, at least ``num_splits``.
        seed: 0 to 2**32 - 1; it is of no effect with one split.
        shuffle: False cuts the samples in their own order, as older code does; it is wrong for samples sorted by class.

    Source: Salimans et al. 2016, section 4; torch-fidelity for the order.
    """

    def __init__(
        self, num_splits: int, num_classes: int, num_samples: int, seed: int = 2020, shuffle: bool = True
    ) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, found {num_classes}")
        if not 1 <= num_splits < 2**15:
            raise ValueError(f"num_splits must be from 1 to 32,767, found {num_splits}")
        if num_samples < num_splits:
            raise ValueError(
                f"the Inception Score with {num_splits} splits needs at least {num_splits} samples, found "
                f"{num_samples}; generate more, or ask for one split"
            )
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be from 0 to 2**32 - 1, found {seed}")
        self.num_samples = num_samples
        self.num_classes = num_classes
        self.num_splits = num_splits
        self.seed = seed
        self.shuffle = shuffle
        cuts = np.arange(num_splits + 1) * num_samples // num_splits
        self._expected = np.diff(cuts)  # samples of each split
        self._split_of: NDArray[np.int16] | None = None
        if num_splits > 1:
            in_order = np.repeat(np.arange(num_splits, dtype=np.int16), self._expected)
            # The legacy generator on purpose: published values were made with its permutation.
            order = np.random.RandomState(seed).permutation(num_samples) if shuffle else np.arange(num_samples)
            self._split_of = np.empty(num_samples, np.int16)
            self._split_of[order] = in_order
        self._count = np.zeros(num_splits, np.int64)
        self._p = np.zeros((num_splits, num_classes))  # sum of p(y|x)
        self._p_log_p = np.zeros(num_splits)  # sum of sum_y p(y|x) log p(y|x)

    def update(self, logits: Rows, indices: NDArray[np.integer]) -> None:
        """Add samples.

        Args:
            logits: (n, K), finite, before the softmax.
            indices: (n,) positions of the samples among all, 0 to N - 1, each given once.

        Raises:
            TypeError: If logits are not floating point.
            ValueError: If shapes do not fit, numbers are not finite, or an index is outside.
        """
        rows = checked_rows(logits, "logits", self.num_classes).astype(np.float64)
        indices = checked_indices(indices, len(rows))
        if len(indices) and indices.max() >= self.num_samples:
            raise ValueError(f"sample {indices.max()} is outside the {self.num_samples} samples that were announced")
        log_p = rows - rows.max(1, keepdims=True, initial=-np.inf)
        log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
        p = np.exp(log_p)
        p_log_p = (p * log_p).sum(1)
        splits = np.zeros(len(rows), np.int16) if self._split_of is None else self._split_of[indices]
        for split in np.unique(splits):
            mine = splits == split
            self._count[split] += mine.sum()
            self._p[split] += p[mine].sum(0)
            self._p_log_p[split] += p_log_p[mine].sum()

    def merge(self, other: Self) -> None:
        """Add the samples of another, for example of another process.

        Raises:
            ValueError: If the two were made with different arguments.
        """
        if other._arguments() != self._arguments():
            raise ValueError(f"cannot merge scores of {other._arguments()} into scores of {self._arguments()}")
        self._count += other._count
        self._p += other._p
        self._p_log_p += other._p_log_p

    def score(self) -> InceptionScore:
        """Compute the Inception Score; the logarithm is natural.

        Raises:
            ValueError: If not every announced sample was given exactly once, as far as counts tell.
        """
        if (self._count != self._expected).any():
            raise ValueError(
                f"the Inception Score was announced for {self.num_samples} samples and got {self._count.sum()}; give "
                "each sample once, with its own index"
            )
        q = self._p / self._count[:, None]  # p(y) of each split
        # mean_x sum_y p(y|x) (log p(y|x) - log p(y)); a class that never occurs adds 0.
        log_q = np.log(q, out=np.zeros_like(q), where=q > 0)
        scores = np.exp(self._p_log_p / self._count - (q * log_q).sum(1))
        return InceptionScore(float(scores.mean()), float(scores.std()))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all that it holds, to send it to another process."""
        return {
            "arguments": np.array(list(self._arguments().values()), np.int64),
            "count": self._count.copy(),
            "p": self._p.copy(),
            "p_log_p": self._p_log_p.copy(),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Read what :meth:`to_arrays` gave.

        Raises:
            ValueError: If an array is missing or has the wrong shape.
        """
        try:
            num_splits, num_classes, num_samples, seed, shuffle = (int(value) for value in arrays["arguments"])
            sums = cls(num_splits, num_classes, num_samples, seed, bool(shuffle))
            for name, target in (("count", sums._count), ("p", sums._p), ("p_log_p", sums._p_log_p)):
                if arrays[name].shape != target.shape:
                    raise ValueError(f"stored scores have {name} of shape {arrays[name].shape}, not {target.shape}")
                target[...] = arrays[name]
        except KeyError as error:
            raise ValueError(f"stored scores lack {error}, found {', '.join(arrays) or 'nothing'}") from None
        return sums

    def _arguments(self) -> dict[str, int]:
        return {
            "num_splits": self.num_splits,
            "num_classes": self.num_classes,
            "num_samples": self.num_samples,
            "seed": self.seed,
            "shuffle": int(self.shuffle),
        }
