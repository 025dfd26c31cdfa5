"""The demonstration: train on the embedded digits, then measure what came out."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sagan.data import DataConfig, open_dataset
from sagan.generators.pretrained import TrainedGenerator, load
from sagan.recipes.choose import preset
from sagan.recipes.config import RunConfig
from sagan.runs.folder import next_folder, write_text
from sagan.runs.train import TrainResult, train

SAMPLES = 1000
SAMPLE_SEED = 1


@dataclass(frozen=True)
class DigitsReport:
    """How good samples of digits are."""

    accuracy: float
    """Share of samples that a classifier trained on the real digits names as the class asked for, 0 to 1."""
    accuracy_real: float
    """The same classifier's accuracy on real digits that it was not trained on, 0 to 1."""
    variety: float
    """Mean pixel distance between samples of a class over that between the real pictures of the class, both at the size
    of training, averaged over the classes; 1 is as varied."""
    samples: int
    """How many samples were measured."""

    def __str__(self) -> str:
        return (
            f"an SVC trained on the real digits names {self.accuracy:.1%} of {self.samples:,} samples as the class "
            f"asked for ({self.accuracy_real:.1%} of real digits held out from it); variety within a class is "
            f"{self.variety:.2f} of the real set's (mean pixel distance at the size of training; seed {SAMPLE_SEED})"
        )


def run_demo(
    out: Path | None = None, config: RunConfig | None = None, *, steps: int | None = None, seed: int = 0
) -> tuple[TrainResult, DigitsReport | None]:
    """Train on the digits and, if all steps were done, measure and write ``report.json`` into the run folder.

    Args:
        out: The run folder; None is runs/demo-NUMBER.
        config: What to train; None is the preset `demo` with ``steps`` and ``seed``.
        steps: Generator updates; None is the preset's.
        seed: Seed of everything.
    """
    config = config or replace(preset("demo", steps=steps), seed=seed)
    result = train(config, out=out or next_folder("demo"))
    if not result.finished:
        return result, None
    report = measure_digits(load(result.out))
    write_text(result.out / "report.json", json.dumps(vars(report), indent=2) + "\n")
    return result, report


def measure_digits(generator: TrainedGenerator, samples: int = SAMPLES) -> DigitsReport:
    """Measure a generator of scikit-learn's digits.

    Raises:
        ValueError: If the generator has not the ten digits as its classes.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.svm import SVC

    if generator.config.num_classes != 10:
        raise ValueError(f"the digits have 10 classes, this generator has {generator.config.num_classes}")
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0  # (1797, 64) in [0, 1]
    asked = np.arange(samples) % 10
    drawn = generator.sample(samples, classes=list(range(10)), seed=SAMPLE_SEED)
    real = open_dataset(DataConfig(path="digits"), generator.config.size_px)
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    held_out = float(SVC(gamma="scale").fit(x_train, y_train).score(x_test, y_test))
    classifier = SVC(gamma="scale").fit(images, labels)
    accuracy = float((classifier.predict(to_8x8(drawn)) == asked).mean())
    spread = [mean_distance(drawn[asked == c]) / mean_distance(real.images[real.labels == c]) for c in range(10)]
    return DigitsReport(accuracy, held_out, float(np.mean(spread)), samples)


def to_8x8(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Average uint8 (N, H, W, 3) down to grey 8x8 pixels in [0, 1]: (N, 64)."""
    n, height, width, _ = images.shape
    cells = images.reshape(n, 8, height // 8, 8, width // 8, 3).mean(axis=(2, 4, 5), dtype=np.float64)
    points: NDArray[np.float64] = cells.reshape(n, 64) / 255.0
    return points


def mean_distance(images: NDArray[np.uint8]) -> float:
    """Average the Euclidean distance in grey levels over all pairs of different images of (N, H, W, 3)."""
    points = images.reshape(len(images), -1).astype(np.float64)
    squares = (points**2).sum(1)
    distances = np.sqrt((squares[:, None] + squares[None] - 2.0 * points @ points.T).clip(0.0))
    n = len(points)
    return float(distances.sum() / (n * (n - 1)))
