"""The training pictures nearest to a sample, where they are at hand."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sagan.data import DataConfig, ImageSet, open_alike
from sagan.evaluation.reference import real_batches, reference_of
from sagan.metrics.features import extract
from sagan.metrics.neighbours import nearest
from sagan.metrics.pixels import PixelNetwork
from sagan.reading import object_of, read_bytes
from sagan.recipes.config import config_of_file
from sagan.sizes import Size

COLUMNS = 6
# Names of data that need no file.
DRAWN = ("digits", "pairs")


class Neighbours(NamedTuple):
    """What lies nearest, nearest first."""

    images: NDArray[np.uint8]
    """(k, H, W, 3)."""
    distances: NDArray[np.float64]
    """(k,), between the colours of 8x8 cells, each from 0 to 1."""
    names: list[str]
    """The class of each; empty without classes."""


class TrainingPictures:
    """Training pictures of one size with their features, read when they are first asked for.

    Args:
        config: Where they are.
        size_px: The size of the samples.
        trained_on: What the generator says of its pictures: these are read alike.
    """

    def __init__(self, config: DataConfig, size_px: Size, trained_on: object = None) -> None:
        self.config, self.size_px, self.trained_on = config, size_px, trained_on
        self._guard = threading.Lock()
        self._found: tuple[ImageSet, NDArray[np.float32]] | None = None

    def near(self, sample: NDArray[np.uint8]) -> Neighbours:
        """Find the pictures nearest to a sample, uint8 (H, W, 3).

        Raises:
            ValueError: If the pictures cannot be opened.
        """
        images, features = self._read()
        asked = next(extract(PixelNetwork(), [sample[None]])).features
        found = nearest(asked, features, min(COLUMNS, len(features)))
        indices = found.indices[0]
        names = [images.class_names[int(images.labels[i])] for i in indices] if images.class_names else []
        return Neighbours(np.asarray(images.images[indices]), found.distances[0], names)

    def differ_from(self, provenance: dict[str, object]) -> bool:
        """Tell whether a generator was trained on other pictures, as far as that is known."""
        told = provenance.get("data")
        known = told.get("fingerprint") if isinstance(told, dict) else None
        return known is not None and known != self._read()[0].fingerprint

    def __len__(self) -> int:
        """Give their number."""
        return len(self._read()[1])

    def _read(self) -> tuple[ImageSet, NDArray[np.float32]]:
        with self._guard:
            if self._found is None:
                images = open_alike(self.config, self.size_px, self.trained_on)
                parts = extract(PixelNetwork(), real_batches(reference_of(images)))
                self._found = images, np.concatenate([part.features.numpy() for part in parts])
            return self._found


def data_of_run(folder: Path) -> DataConfig | None:
    """Give the pictures that a run was trained on, if they are still where its configuration says.

    None where it does not say which, as that of imported networks: those that a new run would take are others.
    """
    file = folder / "config.json"
    try:
        config = config_of_file(file).data
        said = object_of(read_bytes(file)).get("data")
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or "path" not in said:
        return None
    if config.path in DRAWN or Path(config.path).expanduser().exists():
        return replace(config, skip_unreadable=True)
    return None
