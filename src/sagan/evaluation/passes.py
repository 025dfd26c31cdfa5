"""One pass of a feature network over pictures, and what it leaves: small, mergeable, and enough for every metric."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data.parallel import progress_bar
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.class_accuracy import ClassAccuracy, ClassLabels
from sagan.metrics.features import FeatureNetwork, extract
from sagan.metrics.inception_score import ScoreSums
from sagan.metrics.statistics import KeptFeatures, Moments
from sagan.sampling import generate, sample_labels, sample_latents

Pixels = NDArray[np.uint8]

# Features that are kept for the kernel distance and for neighbours, of the generated and of the real pictures each.
KEPT = 10_000
BATCH_SIZE = 50


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

        scores, accuracy = part("scores"), part("accuracy")
        return cls(
            Moments.from_arrays(part("moments")),
            KeptFeatures.from_arrays(part("kept")),
            ScoreSums.from_arrays(scores) if scores else None,
            ClassAccuracy.from_arrays(accuracy, class_labels) if accuracy and class_labels is not None else None,
        )


def collect(
    network: FeatureNetwork,
    batches: Iterable[Pixels | torch.Tensor],
    count: int | None = None,
    *,
    first: int = 0,
    total: int | None = None,
    score_splits: int = 0,
    class_labels: ClassLabels | None = None,
    classes: NDArray[np.int64] | None = None,
    device: str = "cpu",
    description: str = "features",
    progress: bool = True,
) -> Collected:
    """Run a feature network once over pictures and keep what the metrics need.

    Memory does not grow with the number of pictures: d x d numbers of 8 bytes for d features, at most KEPT x d of 4,
    and one batch.

    Several processes may each take a part of the pictures (``first``, ``count`` and ``total`` say which), and
    :meth:`Collected.merge` joins what they found: the same as from one process, but for rounding.

    Args:
        network: The feature network.
        batches: uint8 (n, H, W, 3), together ``count`` pictures in their order.
        count: How many pictures there are; None counts them, which the Inception Score does not allow.
        first: Index of the first of them among all.
        total: How many there are in all parts; default ``first + count``.
        score_splits: Splits of the Inception Score; 0 leaves it out.
        class_labels: With ``classes``, counts how many pictures are named as asked.
        classes: The class (count,) of each picture.
        device: Where to compute.
        description: What the progress bar says.
        progress: Show a progress bar with the time left on standard error.

    Raises:
        ValueError: If the batches are not as described, or hold another number of pictures.
    """
    if score_splits and count is None:
        raise ValueError(
            "the Inception Score cuts the pictures into splits and must know how many there are: pass num, or leave "
            "`is` out of metrics"
        )
    moments, kept = Moments(network.width), KeptFeatures(KEPT)
    scores = None
    if score_splits and count is not None:
        scores = ScoreSums(score_splits, network.num_classes, first + count if total is None else total)
    accuracy = None if class_labels is None else ClassAccuracy(class_labels)
    seen = 0
    with progress_bar(progress) as bar:
        task = bar.add_task(description, total=count)
        for part in extract(network, batches, device=device, batch_size=BATCH_SIZE):
            here = slice(seen, seen + len(part.features))
            seen = here.stop
            if count is not None and seen > count:
                break
            indices = first + np.arange(here.start, here.stop)
            moments.update(part.features)
            kept.update(part.features, indices)
            if scores is not None:
                scores.update(part.logits, indices)
            if accuracy is not None and classes is not None:
                accuracy.update(part.logits, classes[here])
            bar.update(task, completed=seen)
    if count is not None and seen != count:
        raise ValueError(f"{count:,} pictures were announced, found {'more' if seen > count else f'{seen:,}'}")
    return Collected(moments, kept, scores, accuracy)


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
    digest = hashlib.sha256(json.dumps(asdict(generator.config), sort_keys=True).encode())
    for name, tensor in generator.network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sampled_classes(generator: TrainedGenerator, num: int, seed: int) -> NDArray[np.int64] | None:
    """Give the classes (num,) of the samples of :func:`sampled_batches`; None if the generator is unconditional."""
    y = sample_labels(seed, range(num), generator.config.num_classes, stream="evaluation")
    return None if y is None else y.numpy()
