"""Samples beside the real pictures nearest to them: does the generator copy?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sagan.data import ImageSet
from sagan.evaluation.passes import Collected
from sagan.evaluation.reference import Reference
from sagan.figures import sample_grid
from sagan.metrics.features import FeatureNetwork
from sagan.metrics.neighbours import nearest
from sagan.pretrained import TrainedGenerator
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
    real: Collected,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    rows: int,
    seed: int,
    truncation: float | None,
    columns: int = 6,
) -> NearestPictures:
    """Draw the first ``rows`` samples, each beside its nearest real pictures."""
    shown = drawn.kept.indices()[:rows]
    found = nearest(drawn.kept.features()[:rows], real.kept.features(), min(columns, len(real.kept)))
    if isinstance(generated, ImageSet):
        samples = np.asarray(generated.images[shown])
    else:
        picked = [int(index) for index in shown]
        z = sample_latents(seed, picked, generated.config.z_dim, truncation, stream="evaluation")
        y = sample_labels(seed, picked, generated.config.num_classes, stream="evaluation")
        samples = generate(generated.network, z, y)
    near = reference.indices[real.kept.indices()[found.indices]]  # (rows, columns)
    pictures = [
        np.concatenate([sample[None], np.asarray(reference.images.images[indices])])
        for sample, indices in zip(samples, near, strict=True)
    ]
    picture = sample_grid(
        np.concatenate(pictures),
        columns=1 + found.indices.shape[1],
        row_labels=[f"{distance:.3g}" for distance in found.distances[:, 0]],
        title="generated, then the nearest real pictures",
        caption=(
            f"features of {network.name}, {network.width}; nearest of {len(real.kept):,} real pictures "
            f"({reference.split}); left: distance to the nearest"
        ),
    )
    return NearestPictures(picture, near, found.distances)
