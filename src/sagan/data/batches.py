"""Batches of stored pictures as a function of the seed and the batch's position in the run: nothing to save or resume.

Every picture is shown once per epoch in an order drawn for that epoch; batches are cut from that endless stream, so
they may span two epochs.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sagan.data.config import DataError
from sagan.data.packed import ImageSet
from sagan.data.pictures import Labels
from sagan.randomness import keyed_generator


class Batch(NamedTuple):
    """Stored pictures as they are, to be scaled and flipped on the device."""

    images: Tensor
    """uint8 (B, H, W, 3), on the device where the set is kept"""
    labels: Tensor
    """int64 (B,)"""
    flip: Tensor
    """bool (B,): True where the picture is to be mirrored left to right."""


def refuse_too_few(source: str, total: int, to_train: int, batch_size: int, parts: int = 1) -> None:
    """Refuse fewer pictures than one batch has, and say what helps.

    Args:
        source: What the set is called.
        total: All its pictures.
        to_train: Those that are not held out.
        batch_size: Pictures in a batch.
        parts: What a batch is cut into, each of at least two pictures.

    Raises:
        DataError: If they are fewer.
    """
    if to_train >= batch_size:
        return
    largest = to_train // parts * parts
    ways = [f"take --batch-size {largest} or less"] if largest >= 2 * parts else []
    if total >= batch_size:
        most = total - batch_size
        ways.append(f"hold {'none' if not most else f'at most {most:,}'} out with --data.holdout-max {most}")
    ways.append("add pictures")
    said = f"{', '.join(ways[:-1])}{',' if len(ways) > 2 else ''} or {ways[-1]}" if len(ways) > 1 else ways[0]
    raise DataError(f"{source} has {to_train:,} pictures to train on, fewer than one batch of {batch_size:,}; {said}")


class Batches:
    """The batches of a run: ``batches(position)`` gives the position-th one, 0 first, in any order of calls.

    With ``balanced``, classes take turns in a random order drawn anew for each turn, so that all are shown equally
    often, and each class walks through its own pictures once per epoch of its own.

    Args:
        dataset: Where the pictures are.
        indices: Which pictures of it to show, int64 (N,).
        batch_size: Pictures in a global batch.
        seed: The run's seed; order, classes and flips follow from it.
        balanced: Show all classes equally often.
        flip: Mirror each picture with probability 1/2.
        rows: Places in the global batch that this process takes, int64; unset takes all.

    Raises:
        DataError: If there are fewer pictures than one batch has.
    """

    def __init__(
        self,
        dataset: ImageSet,
        indices: Labels,
        batch_size: int,
        seed: int,
        *,
        balanced: bool = False,
        flip: bool = False,
        rows: Tensor | None = None,
    ) -> None:
        if batch_size < 1:
            raise DataError(f"the batch size must be at least 1, found {batch_size}")
        refuse_too_few(dataset.source, len(dataset.labels), len(indices), batch_size)
        self.dataset = dataset
        self.indices = indices
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self.rows = rows
        self._members = [indices]
        if balanced:
            labels = dataset.labels[indices]
            self._members = [indices[labels == label] for label in np.unique(labels)]
        # The permutation in use of each class (or of all pictures), with its epoch. Only a shortcut: it can be redrawn.
        self._orders: dict[int, tuple[int, Labels]] = {}

    def __call__(self, position: int, rows: Tensor | None = None) -> Batch:
        """Give the position-th global batch of the run, or the pictures at other places of it than its own."""
        rows = self.rows if rows is None else rows
        places = slice(None) if rows is None else rows.numpy()
        chosen = self.picture_indices(position)[places]
        flip = np.zeros(self.batch_size, bool)
        if self.flip:
            flip = keyed_generator(self.seed, "flips", position).random(self.batch_size) < 0.5
        return Batch(
            self._images(chosen),
            torch.from_numpy(self.dataset.labels[chosen]),
            torch.from_numpy(flip[places]),
        )

    def _images(self, chosen: Labels) -> Tensor:
        resident = self.dataset.resident
        if resident is None:
            return torch.from_numpy(self.dataset.images[chosen])
        places = torch.from_numpy(chosen)
        if resident.device.type == "cuda":  # else the copy would wait for all that the GPU has still to do
            return resident.index_select(0, places.pin_memory().to(resident.device, non_blocking=True))
        return resident.index_select(0, places.to(resident.device))

    def picture_indices(self, position: int) -> Labels:
        """Give the indices into the data set of the position-th global batch, int64 (batch_size,)."""
        if position < 0:
            raise ValueError(f"position must be at least 0, found {position}")
        slots = np.arange(position * self.batch_size, (position + 1) * self.batch_size)
        if len(self._members) == 1:
            return self._walk(0, slots)
        # Turn t of all classes fills the slots from t * num_classes; each class then shows its t-th picture.
        num_classes = len(self._members)
        turns = slots // num_classes
        classes = np.concatenate(
            [
                keyed_generator(self.seed, "class order", int(turn)).permutation(num_classes)
                for turn in range(turns[0], turns[-1] + 1)
            ]
        )[slots - turns[0] * num_classes]
        chosen = np.empty_like(slots)
        for which in np.unique(classes):
            here = classes == which
            chosen[here] = self._walk(int(which), turns[here])
        return chosen

    def _walk(self, which: int, steps: Labels) -> Labels:
        """Give the pictures at ascending places of the endless stream of permutations of one class."""
        members = self._members[which]
        epochs, offsets = np.divmod(steps, len(members))
        chosen = np.empty_like(steps)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            chosen[here] = members[self._order(which, int(epoch))[offsets[here]]]
        return chosen

    def _order(self, which: int, epoch: int) -> Labels:
        held = self._orders.get(which)
        if held is None or held[0] != epoch:
            generator = keyed_generator(self.seed, "data order", epoch, which)
            held = epoch, generator.permutation(len(self._members[which]))
            self._orders[which] = held
        return held[1]
