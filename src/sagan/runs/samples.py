"""The samples that a run draws while it trains: how many, in which files, from which weights."""

from pathlib import Path

from sagan.generators.pretrained import PREVIEW_BATCH_SIZE, PREVIEW_BATCHES, sampling_norm_of
from sagan.recipes.config import RunConfig
from sagan.runs.folder import step_of

GRID_CLASSES, GRID_COLUMNS = 10, 10


def weights_caption(config: RunConfig) -> str:
    """Say which weights are looked at while a run trains, and with which statistics."""
    weights = "moving average" if config.train.ema_decay else "weights as trained"
    return f"{weights}; batch norm: {sampling_norm_of(config.generator, PREVIEW_BATCHES, PREVIEW_BATCH_SIZE)}"


def kept_samples(folder: Path, step: int) -> list[tuple[int, Path]]:
    """Give the samples that previews up to a step left, one of each row, as (step, file of uint8 (rows, H, W, 3))."""
    found = ((step_of(path), path) for path in sorted(folder.glob("step-*.npy")))
    return [(k, path) for k, path in found if k <= step]
