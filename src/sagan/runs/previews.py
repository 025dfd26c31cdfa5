"""Pictures of samples while a run trains: the same noise and classes each time, and how varied they are."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data import ImageSet
from sagan.figures import sample_grid, save_image
from sagan.models.generator import Generator
from sagan.recipes.config import RunConfig
from sagan.runs.due import draws
from sagan.runs.folder import take_back
from sagan.runs.samples import GRID_CLASSES, GRID_COLUMNS, weights_caption, write_samples
from sagan.sampling import generate, sample_latents
from sagan.training.health import REAL_PER_CLASS, RealPictures, cells, real_pictures, variety
from sagan.training.hooks import Hook, Line, Record
from sagan.training.overfitting import MOST_PICTURES, Known, copied, known_pictures


class Previews(Hook):
    """Draws a grid of samples where one is due, and compares its variety with that of the training pictures.

    Args:
        config: The run.
        folder: The run's folder ``samples``.
        dataset: Its pictures.
        train_indices: Those that it trains on.
        heldout_indices: Those that it never sees.
    """

    may_fail = True

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        dataset: ImageSet,
        train_indices: NDArray[np.int64],
        heldout_indices: NDArray[np.int64],
    ) -> None:
        self.config, self.folder = config, folder
        self.dataset, self.train_indices, self.heldout_indices = dataset, train_indices, heldout_indices
        self.class_names = dataset.class_names
        self.rows = list(range(min(GRID_CLASSES, len(self.class_names)))) or [0] * 4
        self.real: RealPictures | None = None
        self.known: list[Known | None] = []
        """The training pictures that samples may be copies of, once they were looked at."""

    def on_start(self, record: Record) -> None:
        """Remove the pictures of steps that will be done again."""
        take_back(self.folder, record.step)

    def on_step(self, record: Record) -> None:
        """Draw and compare, if it is due."""
        if record.sampler is None or not draws(self.config.train, record.step):
            return
        with record.aside():
            labels = torch.tensor([row for row in self.rows for _ in range(GRID_COLUMNS)])
            images = self._samples(record.sampler, labels)
            found = variety(images, labels.numpy(), self._real())
            line: Line = {f"variety/{kind}": value for kind, value in found.items()}
            known = self._known()
            line |= {} if known is None else {"overfitting/copies": copied(cells(images), known)}
            if line:
                record.add({"step": record.step} | line)
            names = [self.class_names[row] for row in self.rows] if self.class_names else None
            title, caption = f"step {record.step:,}", weights_caption(self.config)
            grid = sample_grid(images, columns=GRID_COLUMNS, row_labels=names, title=title, caption=caption)
            record.pictures["samples"] = np.asarray(grid.convert("RGB"))
            save_image(grid, self.folder / f"step-{record.step:08d}.png")
            write_samples(self.folder / f"step-{record.step:08d}.npy", images[::GRID_COLUMNS])  # for the timeline

    def _samples(self, sampler: Generator, labels: torch.Tensor) -> NDArray[np.uint8]:
        z = sample_latents(0, range(len(labels)), sampler.config.z_dim)
        return generate(sampler, z, labels if self.class_names else None)

    def _real(self) -> RealPictures:
        """Measure, once, the training pictures of the classes that are drawn."""
        if self.real is None:
            labels, kinds = self.dataset.labels[self.train_indices], {*self.rows}
            members = [self.train_indices[labels == k] if self.class_names else self.train_indices for k in kinds]
            chosen = np.concatenate([some[:REAL_PER_CLASS] for some in members])
            self.real = real_pictures(
                self.dataset.images[chosen], self.dataset.labels[chosen], len(self.rows) * GRID_COLUMNS // len(kinds)
            )
        return self.real

    def _known(self) -> Known | None:
        """Learn, once, how near the pictures lie to each other; None where there are too few or too many."""
        if not self.known:
            few = len(self.train_indices) <= MOST_PICTURES
            images, flip = self.dataset.images, self.config.data.flip
            self.known.append(learnt(images[self.train_indices], images[self.heldout_indices], flip) if few else None)
        return self.known[0]


def learnt(trained: NDArray[np.uint8], heldout: NDArray[np.uint8], flip: bool) -> Known | None:
    """Learn how near pictures (N, H, W, 3) lie to each other, their mirror images counted if a run sees them."""
    mirrored = (np.ascontiguousarray(trained[:, :, ::-1]),) if flip else ()
    return known_pictures([cells(some) for some in (trained, *mirrored)], cells(heldout))
