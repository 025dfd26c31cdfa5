"""Samples beside the real pictures nearest to them: does the generator copy?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sagan.data import ImageSet
from sagan.data.parallel import progress_bar
from sagan.evaluation.case import Case
from sagan.evaluation.passes import BATCH_SIZE, Pixels
from sagan.evaluation.reference import Reference, real_batches
from sagan.figures import sample_grid
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.features import extract
from sagan.metrics.neighbours import Nearest, nearest
from sagan.sampling import generate, sample_labels, sample_latents


class NearestPictures(NamedTuple):
    """Samples beside the real pictures nearest to them: do they copy?"""

    picture: Image.Image
    """A row for each sample: the sample, then the nearest, nearest first."""
    indices: NDArray[np.int64]
    """(rows, columns) of the real pictures in their data set."""
    distances: NDArray[np.float64]
    """(rows, columns), in feature units."""


COLUMNS = 6


def nearest_pictures(case: Case, rows: int) -> NearestPictures:
    """Draw the first ``rows`` samples, each beside the pictures of the whole reference that are nearest to it."""
    drawn, generated, reference = case.drawn, case.generated, case.reference
    assert drawn is not None
    assert generated is not None
    assert reference is not None
    shown = drawn.kept.indices()[:rows]
    found = _nearest(case, drawn.kept.features()[:rows], reference)
    near = reference.indices[found.indices]  # (rows, columns)
    pictures = [
        np.concatenate([sample[None], np.asarray(reference.images.images[indices])])
        for sample, indices in zip(_samples(case, generated, shown), near, strict=True)
    ]
    picture = sample_grid(
        np.concatenate(pictures),
        columns=1 + near.shape[1],
        row_labels=[f"{distance:.3g}" for distance in found.distances[:, 0]],
        title="generated, then the nearest real pictures",
        caption=(
            f"features of {case.network.name}, {case.network.width}; nearest of {len(reference.indices):,} real "
            f"pictures ({reference.split}); left: distance to the nearest"
        ),
    )
    return NearestPictures(picture, near, found.distances)


def _nearest(case: Case, asked: NDArray[np.float32], reference: Reference) -> Nearest:
    """Find the nearest pictures of the reference: its features pass by once, and the nearest so far are kept."""
    indices = np.empty((len(asked), 0), np.int64)
    distances = np.empty((len(asked), 0))
    with progress_bar(case.progress) as bar:
        task = bar.add_task("nearest real pictures", total=len(reference.indices))
        seen = 0
        for part in extract(case.network, real_batches(reference), device=case.device, batch_size=BATCH_SIZE):
            found = nearest(asked, part.features, min(COLUMNS, len(part.features)))
            indices = np.concatenate([indices, seen + found.indices], 1)
            distances = np.concatenate([distances, found.distances], 1)
            best = np.argsort(distances, axis=1, kind="stable")[:, :COLUMNS]
            indices = np.take_along_axis(indices, best, 1)
            distances = np.take_along_axis(distances, best, 1)
            seen += len(part.features)
            bar.update(task, completed=seen)
    return Nearest(indices, distances)


def _samples(case: Case, generated: TrainedGenerator | ImageSet, shown: NDArray[np.int64]) -> Pixels:
    """Give the generated pictures of these indices once more."""
    if isinstance(generated, ImageSet):
        return np.asarray(generated.images[shown])
    picked, seed, truncation = [int(index) for index in shown], case.config.seed, case.config.truncation
    z = sample_latents(seed, picked, generated.config.z_dim, truncation, stream="evaluation")
    y = sample_labels(seed, picked, generated.config.num_classes, stream="evaluation")
    return generate(generated.network, z, y)
