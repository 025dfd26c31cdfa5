"""One pass of a feature network over pictures, and what it leaves: small, mergeable, and enough for every metric."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data.parallel import progress_bar
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.class_accuracy import ClassAccuracy, ClassLabels
from sagan.metrics.features import FeatureNetwork, Features, extract
from sagan.metrics.inception_score import ScoreSums
from sagan.metrics.statistics import KeptFeatures, Moments
from sagan.models.config import lasting_fields
from sagan.sampling import generate, sample_labels, sample_latents

Pixels = NDArray[np.uint8]

# Features that are kept for the kernel distance and for neighbours, of the generated and of the real pictures each.
KEPT = 10_000
# What float32 may take off a feature, as share of the largest, with room for sums.
KEPT_DIGITS = 1e-6
BATCH_SIZE = 50


def say(text: str, progress: bool) -> None:
    """Say on standard error, in one line, what was decided and why."""
    if progress:
        print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Collected:
    """What one pass of a feature network over pictures leaves."""

    moments: Moments
    """Of the features of all of them."""
    kept: KeptFeatures
    """Features of at most :data:`KEPT` of them."""
    scores: ScoreSums | None = None
    """For the Inception Score, if it was asked for."""
    accuracy: ClassAccuracy | None = None
    """How many are named as asked, if that was asked for."""

    def merge(self, other: Self) -> None:
        """Add the pictures of another part of the same set, for example of another process.

        Raises:
            ValueError: If the two were collected in different ways, or share a picture.
        """
        if (self.scores is None, self.accuracy is None) != (other.scores is None, other.accuracy is None):
            raise ValueError("cannot merge two parts of which one has scores or accuracies and the other has not")
        self.moments.merge(other.moments)
        self.kept.merge(other.kept)
        if self.scores is not None and other.scores is not None:
            self.scores.merge(other.scores)
        if self.accuracy is not None and other.accuracy is not None:
            self.accuracy.merge(other.accuracy)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all that it holds, to store it or to send it to another process."""
        parts = {"moments": self.moments.to_arrays(), "kept": self.kept.to_arrays()}
        if self.scores is not None:
            parts["scores"] = self.scores.to_arrays()
        if self.accuracy is not None:
            parts["accuracy"] = self.accuracy.to_arrays()
        return {f"{name}/{key}": array for name, part in parts.items() for key, array in part.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], class_labels: ClassLabels | None = None) -> Self:
        """Read what :meth:`to_arrays` gave; accuracies need their class labels again.

        Raises:
            ValueError: If an array is missing or broken.
        """

        def part(name: str) -> dict[str, NDArray[Any]]:
            return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}

        scores, accuracy, kept = part("scores"), part("accuracy"), KeptFeatures.from_arrays(part("kept"))
        moments = Moments.from_arrays(part("moments"))
        _check_kept(moments, kept)
        return cls(
            _as_they_came(moments, kept),
            kept,
            ScoreSums.from_arrays(scores) if scores else None,
            ClassAccuracy.from_arrays(accuracy, class_labels) if accuracy and class_labels is not None else None,
        )


def _check_kept(moments: Moments, kept: KeptFeatures) -> None:
    """Check that features can be some of those that moments are of: none is further from the mean than all together.

    Raises:
        ValueError: If they cannot.
    """
    if moments.count < 2 or not len(kept):
        return
    features, stored = kept.features(), moments.gaussian()
    if features.shape[1] != moments.width:
        raise ValueError(f"it has moments of {moments.width} features and keeps {features.shape[1]} of each picture")
    lowest, highest = features.min(0), features.max(0)
    room = np.sqrt(np.diagonal(stored.covariance) * (moments.count - 1))
    room += KEPT_DIGITS * max(highest.max(), -lowest.min())
    if (np.maximum(highest - stored.mean, stored.mean - lowest) > room).any():
        raise ValueError("its mean or its scatter is not that of the features beside it")


def _as_they_came(moments: Moments, kept: KeptFeatures) -> Moments:
    """Make moments of fewer pictures than features from the features, if all were kept: a distance takes less time.

    Not where they had more digits than those that were kept, which the mean shows.

    Raises:
        ValueError: If mean or scatter are not those of the features.
    """
    if not 2 <= moments.count == len(kept) < moments.width:
        return moments
    features, found = kept.features(), Moments(moments.width)
    found.update(features)
    stored, largest = moments.gaussian(), np.abs(features).max()
    apart = np.abs(found.gaussian().mean - stored.mean).max()
    spread = np.std(features, 0, dtype=np.float64, ddof=1) - np.sqrt(np.diagonal(stored.covariance))
    if max(apart, np.abs(spread).max()) > KEPT_DIGITS * largest:
        raise ValueError("its mean or its scatter is not that of the features beside it")
    return found if apart <= 1e-12 * largest else moments


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Which of all pictures a pass sees, and what it leaves beside features."""

    count: int | None = None
    """How many pictures there are; None counts them, which the Inception Score does not allow."""
    first: int = 0
    """Index of the first of them among all."""
    total: int | None = None
    """How many there are in all parts; unset is ``first + count``."""
    score_splits: int = 0
    """Splits of the Inception Score; 0 leaves it out."""
    class_labels: ClassLabels | None = None
    """With ``classes``, counts how many pictures are named as asked."""
    classes: NDArray[np.int64] | None = None
    """The class (count,) of each picture."""
    device: str = "cpu"
    """Where to compute."""
    description: str = "features"
    """What the progress bar says."""
    progress: bool = True
    """Show a progress bar with the time left on standard error."""

    def nothing_yet(self, network: FeatureNetwork) -> Collected:
        """Give what is collected before the first picture."""
        if self.score_splits and self.count is None:
            raise ValueError(
                "the Inception Score cuts the pictures into splits and must know how many there are: pass num, or "
                "leave `is` out of metrics"
            )
        scores = None
        if self.score_splits and self.count is not None:
            total = self.first + self.count if self.total is None else self.total
            scores = ScoreSums(self.score_splits, network.num_classes, total)
        accuracy = None if self.class_labels is None else ClassAccuracy(self.class_labels)
        return Collected(Moments(network.width), KeptFeatures(KEPT), scores, accuracy)


def collect(
    network: FeatureNetwork, batches: Iterable[Pixels | torch.Tensor], count: int | None = None, **fields: Any
) -> Collected:
    """Run a feature network once over pictures and keep what the metrics need.

    Memory does not grow with the number of pictures: d x d numbers of 8 bytes for d features, up to ten times as much
    while they are summed, at most KEPT x d of 4, and one batch.

    Several processes may each take a part of the pictures (``first``, ``count`` and ``total`` say which), and
    :meth:`Collected.merge` joins what they found: the same as from one process, but for rounding.

    Args:
        network: The feature network.
        batches: uint8 (n, H, W, 3), together ``count`` pictures in their order.
        count: How many pictures there are; None counts them, which the Inception Score does not allow.
        **fields: Those of :class:`Pass`.

    Raises:
        TypeError: If a field is none of :class:`Pass`.
        ValueError: If the batches are not as described, or hold another number of pictures.
    """
    how = Pass(count=count, **fields)
    found = how.nothing_yet(network)
    seen = 0
    with progress_bar(how.progress) as bar:
        task = bar.add_task(how.description, total=count)
        for part in extract(network, batches, device=how.device, batch_size=BATCH_SIZE):
            here = slice(seen, seen + len(part.features))
            seen = here.stop
            if count is not None and seen > count:
                break
            _add(found, part, how.first + np.arange(here.start, here.stop), how.classes, here)
            bar.update(task, completed=seen)
    if count is not None and seen != count:
        raise ValueError(f"{count:,} pictures were announced, found {'more' if seen > count else f'{seen:,}'}")
    return found


def _add(
    found: Collected,
    part: Features,
    indices: NDArray[np.int64],
    classes: NDArray[np.int64] | None,
    here: slice,
) -> None:
    found.moments.update(part.features)
    found.kept.update(part.features, indices)
    if found.scores is not None:
        found.scores.update(part.logits, indices)
    if found.accuracy is not None and classes is not None:
        found.accuracy.update(part.logits, classes[here])


def sampled_batches(
    generator: TrainedGenerator,
    num: int,
    seed: int,
    truncation: float | None = None,
    label: int | None = None,
    first: int = 0,
) -> Iterator[Pixels]:
    """Yield ``num`` samples in batches, uint8 (n, H, W, 3), of one class, or of classes drawn uniformly.

    Sample i depends on the seed, i and its class alone; the first one here has the index ``first``.
    """
    for start in range(first, first + num, BATCH_SIZE):
        part = range(start, min(start + BATCH_SIZE, first + num))
        z = sample_latents(seed, part, generator.config.z_dim, truncation, stream="evaluation")
        y = sample_labels(seed, part, generator.config.num_classes, stream="evaluation")
        if label is not None and y is not None:
            y = y.new_full((len(part),), label)
        yield generate(generator.network, z, y, BATCH_SIZE)


def weights_sha256(generator: TrainedGenerator) -> str:
    """Give the SHA-256 sum of a generator's configuration and of the names and numbers of its weights."""
    digest = hashlib.sha256(json.dumps(lasting_fields(generator.config), sort_keys=True).encode())
    for name, tensor in generator.network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sampled_classes(generator: TrainedGenerator, num: int, seed: int) -> NDArray[np.int64] | None:
    """Give the classes (num,) of the samples of :func:`sampled_batches`; None if the generator is unconditional."""
    y = sample_labels(seed, range(num), generator.config.num_classes, stream="evaluation")
    return None if y is None else y.numpy()
