"""The samples that a run draws while it trains: how many, in which files, from which weights."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sagan.generators.pretrained import PREVIEW_BATCH_SIZE, PREVIEW_BATCHES, sampling_norm_of
from sagan.npy import read_npy
from sagan.reading import whatever_happens
from sagan.recipes.config import RunConfig
from sagan.runs.folder import RunError, step_of
from sagan.whole import whole_file

GRID_CLASSES, GRID_COLUMNS = 10, 10


def weights_caption(config: RunConfig) -> str:
    """Say which weights are looked at while a run trains, and with which statistics."""
    weights = "moving average" if config.train.ema_decay else "weights as trained"
    return f"{weights}; batch norm: {sampling_norm_of(config.generator, PREVIEW_BATCHES, PREVIEW_BATCH_SIZE)}"


def kept_samples(folder: Path, step: int) -> list[tuple[int, Path]]:
    """Give the samples that previews up to a step left, one of each row, as (step, file of uint8 (rows, H, W, 3))."""
    found = ((step_of(path), path) for path in sorted(folder.glob("step-*.npy")))
    return [(k, path) for k, path in found if k <= step]


def write_samples(path: Path, images: NDArray[np.uint8]) -> None:
    """Write samples, uint8 (rows, H, W, 3), in one move."""
    with whole_file(path, images.nbytes) as temporary, temporary.open("wb") as file:
        np.save(file, images)


def read_samples(path: Path) -> NDArray[np.uint8]:
    """Read what :func:`write_samples` wrote.

    Raises:
        RunError: If the file holds something else, or is damaged.
        FileNotFoundError: If there is none.
    """
    with whatever_happens(lambda why: RunError(f"{path} holds no samples of a run ({why}); remove it")):
        with path.open("rb") as file:
            images: NDArray[np.uint8] = read_npy(file, path.stat().st_size)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise ValueError(f"an array of {images.dtype} {images.shape}")
    return images
