"""Samples beside the real pictures nearest to them: does the generator copy?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sagan.data import ImageSet
from sagan.data.parallel import progress_bar
from sagan.evaluation.passes import BATCH_SIZE, Collected
from sagan.evaluation.reference import Reference, real_batches
from sagan.figures import sample_grid
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.features import FeatureNetwork, extract
from sagan.metrics.neighbours import nearest
from sagan.sampling import generate, sample_labels, sample_latents


class NearestPictures(NamedTuple):
    """Samples beside the real pictures nearest to them: do they copy?"""

    picture: Image.Image
    """A row for each sample: the sample, then the nearest, nearest first."""
    indices: NDArray[np.int64]
    """(rows, columns) of the real pictures in their data set."""
    distances: NDArray[np.float64]
    """(rows, columns), in feature units."""


def nearest_pictures(
    network: FeatureNetwork,
    drawn: Collected,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    rows: int,
    *,
    seed: int = 0,
    truncation: float | None = None,
    columns: int = 6,
    device: str = "cpu",
    progress: bool = True,
) -> NearestPictures:
    """Draw the first ``rows`` samples, each beside the pictures of the whole reference that are nearest to it.

    The features of the reference pass by once; the nearest so far are all that is kept.
    """
    shown = drawn.kept.indices()[:rows]
    asked = drawn.kept.features()[:rows]
    indices = np.empty((len(shown), 0), np.int64)
    distances = np.empty((len(shown), 0))
    with progress_bar(progress) as bar:
        task = bar.add_task("nearest real pictures", total=len(reference.indices))
        seen = 0
        for part in extract(network, real_batches(reference), device=device, batch_size=BATCH_SIZE):
            found = nearest(asked, part.features, min(columns, len(part.features)))
            indices = np.concatenate([indices, seen + found.indices], 1)
            distances = np.concatenate([distances, found.distances], 1)
            best = np.argsort(distances, axis=1, kind="stable")[:, :columns]
            indices = np.take_along_axis(indices, best, 1)
            distances = np.take_along_axis(distances, best, 1)
            seen += len(part.features)
            bar.update(task, completed=seen)
    near = reference.indices[indices]  # (rows, columns)
    if isinstance(generated, ImageSet):
        samples = np.asarray(generated.images[shown])
    else:
        picked = [int(index) for index in shown]
        z = sample_latents(seed, picked, generated.config.z_dim, truncation, stream="evaluation")
        y = sample_labels(seed, picked, generated.config.num_classes, stream="evaluation")
        samples = generate(generated.network, z, y)
    pictures = [
        np.concatenate([sample[None], np.asarray(reference.images.images[indices])])
        for sample, indices in zip(samples, near, strict=True)
    ]
    picture = sample_grid(
        np.concatenate(pictures),
        columns=1 + indices.shape[1],
        row_labels=[f"{distance:.3g}" for distance in distances[:, 0]],
        title="generated, then the nearest real pictures",
        caption=(
            f"features of {network.name}, {network.width}; nearest of {len(reference.indices):,} real pictures "
            f"({reference.split}); left: distance to the nearest"
        ),
    )
    return NearestPictures(picture, near, distances)
