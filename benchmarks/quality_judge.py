"""How `benchmarks/quality.py` judges: one half of the pictures against samples of the same classes, by two networks.

The first judge is EfficientNet-Lite0 with 320 features, which arms are chosen by. The second, MobileNetV1
(:mod:`mobilenet`), is asked once, after the winner is fixed. Both distances are Frechet distances; neither is FID.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from quality_arms import SETS

import sagan
from sagan.data import ImageSet, open_dataset
from sagan.data.config import DataConfig
from sagan.evaluation.config import EvaluateConfig
from sagan.evaluation.reference import Reference, real_batches, reference_of
from sagan.figures.grid import sample_grid
from sagan.generators.trained import TrainedGenerator
from sagan.metrics.efficientnet import load_efficientnet
from sagan.metrics.features import FeatureNetwork

HALF_SEED = 17
SAMPLE_SEED = 0
SHEET_COLUMNS = 4
Pixels = NDArray[np.uint8]


def halves(name: str, data: str, size_px: int, cache: str) -> tuple[Reference, Reference]:
    """Give the fixed half of a set that all are judged by, and the other half, classes in the same shares."""
    images: ImageSet = open_dataset(DataConfig(path=data, cache_dir=cache), size_px)
    count = SETS[name].half
    asked: dict[str, Any] = {"fraction": 0.5, "maximum": count, "seed": HALF_SEED}
    judges = reference_of(images, "heldout", **asked)
    others = reference_of(images, "train", **asked, at_most=count)
    return judges, others


def labels_of(reference: Reference) -> NDArray[np.int64]:
    """Give the classes of the pictures of a half, in a fixed mixed order."""
    labels = reference.images.labels[reference.indices]
    return np.random.default_rng(HALF_SEED).permutation(labels)


def first_judge() -> FeatureNetwork:
    """Load EfficientNet-Lite0 with 320 features."""
    return load_efficientnet(width=320)


def values(pictures: Any, half: Reference, network: FeatureNetwork) -> dict[str, Any]:
    """Measure pictures, an array or batches, against a half: Frechet distance, precision, recall, density, coverage."""
    config = EvaluateConfig(metrics=("fd", "prdc"), num=None)
    found = sagan.evaluate(pictures, half, config, network=network, progress=False)
    return {value.metric.split("(")[0].lower(): round(float(value.value), 4) for value in found.report.values}


def protocol(half: Reference, network: FeatureNetwork) -> dict[str, Any]:
    """Say how a value is made."""
    return {
        "network": network.name,
        "weights_sha256": network.weights_sha256,
        "features": network.width,
        "resize": network.resize,
        "reference_sha256": half.images.fingerprint,
        "reference": f"{len(half.indices):,} pictures, split seed {HALF_SEED}",
        "size_px": half.images.images.shape[1],
        "samples": f"{len(half.indices):,} of the same classes, seed {SAMPLE_SEED}",
    }


def floor(name: str, data: str, size_px: int, cache: str, network: FeatureNetwork) -> dict[str, Any]:
    """Measure the other half of the pictures against the half that samples are judged by."""
    half, other = halves(name, data, size_px, cache)
    return values(real_batches(other), half, network)


def judge(generator: TrainedGenerator, half: Reference, network: FeatureNetwork) -> dict[str, Any]:
    """Measure as many samples as there are pictures in a half, of the same classes."""
    labels = labels_of(half)
    samples = generator.sample(len(labels), classes=[int(label) for label in labels], seed=SAMPLE_SEED)
    return values(enlarged(samples, half.images.images.shape[1]), half, network)


def enlarged(pictures: Pixels, size_px: int) -> Pixels:
    """Enlarge samples of a stage of growing to the size of the pictures that they are compared with, bicubic."""
    if pictures.shape[1] == size_px:
        return pictures
    return np.stack(
        [np.asarray(Image.fromarray(p).resize((size_px, size_px), Image.Resampling.BICUBIC)) for p in pictures]
    )


def sheet(generator: TrainedGenerator, title: str, caption: str) -> Image.Image:
    """Draw samples of each class: the same noise and classes for every arm."""
    rows = list(range(max(1, len(generator.class_names))))
    wanted = [label for label in rows for _ in range(SHEET_COLUMNS)]
    classes = wanted if generator.class_names else None
    images = generator.sample(len(wanted), classes=classes, seed=SAMPLE_SEED)
    names = list(generator.class_names) or None
    return sample_grid(images, columns=SHEET_COLUMNS, row_labels=names, title=title, caption=caption, scale=1)


def save_sheet(image: Image.Image, file: Path) -> None:
    """Write a sheet, small."""
    image.save(file, quality=55, method=6)
