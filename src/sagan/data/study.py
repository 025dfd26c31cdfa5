"""What all pictures of a set together show: copies, odd ones, what a crop loses, what is left out and held out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sagan.data.config import DataConfig
from sagan.data.heldout import split_labels
from sagan.data.looks import Glances, handedness, odd_ones
from sagan.data.names import readable
from sagan.data.near import NearCopies, near_copies
from sagan.data.pictures import Labels, Pictures

SIZES = (16, 32, 64, 128)
"""Sizes that presets train at."""
MOST_LOST = 12


class Named(NamedTuple):
    """Names and classes of pictures."""

    names: tuple[str, ...]
    """Fit to be shown."""
    labels: Labels
    """int64 (N,), indices into ``class_names``"""
    class_names: tuple[str, ...]
    """("",) when there are no classes."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The pictures that a run would keep out of training, and those among them that it trains on all the same."""

    seed: int
    """The seed of the run."""
    count: int
    """How many pictures are held out."""
    copied: tuple[int, ...]
    """Indices of those that have a copy, equal or near, among the pictures to train on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """What was found; pictures are given by their indices, which ``names`` and ``labels`` take."""

    names: tuple[str, ...]
    """A name of each picture, also of those that cannot be read, fit to be shown."""
    labels: Labels
    """int64 (N,), indices into ``class_names``"""
    class_names: tuple[str, ...]
    """("",) when there are no classes."""
    size_px: int
    """The size that was asked for, or else the largest one that nine of ten pictures fill."""
    side_px: int
    """The shorter side that nine of ten pictures have at least; 0 when nothing is readable."""
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    """Pictures of each width and height, the most frequent first."""
    equal: tuple[tuple[int, ...], ...] = ()
    """Groups of pictures whose pixels are equal."""
    near: tuple[NearCopies, ...] = ()
    """Groups of near copies; of pictures whose pixels are equal, the first alone."""
    odd: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Pictures that stand out, by keys of looks.ODD, the most striking first."""
    left_out: tuple[tuple[str, str, int], ...] = ()
    """Class or folder, reason and number of what is not used."""
    held_out: HeldOut | None = None
    """None when nothing would be held out."""
    handedness: float | None = None
    """The share of pictures that can be told from their mirror images; None when there are too few to say."""
    crop_loss: float = 0.0
    """The mean share of a picture's area that a crop to the shape of the size leaves out, a square without a size."""
    most_cropped: tuple[int, ...] = ()
    """Pictures that lose most, at least a tenth."""

    examples: tuple[tuple[int, ...], ...] = ()
    """Pictures of each of the first classes, evenly spread over it."""

    def class_of(self, index: int) -> str:
        """Give the name of a picture's class, "" when there are no classes."""
        return self.class_names[int(self.labels[index])]

    @property
    def in_two_classes(self) -> tuple[tuple[int, ...], ...]:
        """The groups of pictures, equal or nearly so, that lie in more than one class."""
        groups = [*self.equal, *(group.members for group in self.near)]
        return tuple(group for group in groups if len(set(self.labels[list(group)].tolist())) > 1)


def study(
    named: Named,
    readable_ones: Labels,
    seen: Glances,
    config: DataConfig,
    seed: int,
    size: tuple[int, int] | None,
) -> Study:
    """Look at all pictures of a set together; what could not be read is counted by :func:`left_out`.

    Args:
        named: Names and classes of all.
        readable_ones: Indices of pictures that could be read, int64 (N,).
        seen: What was seen of these.
        config: How much of the set a run would hold out.
        seed: Of that run.
        size: The size to train at, (height, width), if it is known.
    """
    side = int(np.quantile(seen.sides_px, 0.1)) if len(seen.labels) else 0
    size_px = min(size) if size else max([one for one in SIZES if one <= side], default=SIZES[0])
    equal = _equal(seen.digests)
    first = _first_of_each(len(seen.labels), equal)
    near = near_copies(seen.thumbs[first], seen.sides_px[first])
    near = [NearCopies(tuple(first[list(group.members)].tolist()), group.mirrored) for group in near]
    same = {group[0]: group for group in equal}
    wide = [tuple(one for index in group.members for one in same.get(index, (index,))) for group in near]
    sizes = Counter(zip(seen.widths_px.tolist(), seen.heights_px.tolist(), strict=True))
    height, width = size or (1, 1)
    shapes = seen.widths_px * height, seen.heights_px * width  # equal where a picture has the shape of the size
    lost = 1 - np.minimum(*shapes) / np.maximum(1, np.maximum(*shapes))
    most = np.argsort(-lost, kind="stable")[:MOST_LOST]
    place = readable_ones.tolist()
    return Study(
        **named._asdict(),
        size_px=size_px,
        side_px=side,
        sizes=dict(sizes.most_common()),
        equal=tuple(tuple(place[i] for i in group) for group in equal),
        near=tuple(NearCopies(tuple(place[i] for i in group.members), group.mirrored) for group in near),
        odd={kind: tuple(place[i] for i in some.tolist()) for kind, some in odd_ones(seen, size_px).items()},
        held_out=_held_out(seen.labels, [*equal, *wide], place, config, seed),
        handedness=handedness(seen),
        crop_loss=float(lost.mean()) if len(lost) else 0.0,
        most_cropped=tuple(place[i] for i in most.tolist() if lost[i] >= 0.1),
    )


def left_out(
    pictures: Pictures, class_names: tuple[str, ...], unreadable: Sequence[tuple[int, str]]
) -> tuple[tuple[str, str, int], ...]:
    """Count what is not used by class and reason, or by folder where that has pictures of no class or of several.

    Args:
        pictures: The set.
        class_names: What its classes are called.
        unreadable: Indices of pictures that could not be read, with reasons.
    """
    found = Counter((class_names[pictures.labels[index]], reason.split(" (")[0]) for index, reason in unreadable)
    classes: defaultdict[str, set[int]] = defaultdict(set)
    for name, label in zip(pictures.names, pictures.labels.tolist(), strict=True) if pictures.left_out else ():
        classes[name.rpartition("/")[0]].add(label)
    for name, reason in pictures.left_out:
        folder = name.rpartition("/")[0]
        inside = classes[folder]
        found[class_names[next(iter(inside))] if len(inside) == 1 else readable(folder), reason] += 1
    return tuple((where, reason, count) for (where, reason), count in found.most_common())


def _equal(digests: Sequence[bytes]) -> list[tuple[int, ...]]:
    copies: defaultdict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        copies[digest].append(index)
    return [tuple(group) for group in copies.values() if len(group) > 1]


def _first_of_each(count: int, equal: Sequence[tuple[int, ...]]) -> Labels:
    """Give the indices of all pictures, of equal ones the first alone."""
    keep = np.ones(count, bool)
    keep[[index for group in equal for index in group[1:]]] = False
    return np.flatnonzero(keep)


def _held_out(
    labels: Labels, groups: Sequence[tuple[int, ...]], place: Sequence[int], config: DataConfig, seed: int
) -> HeldOut | None:
    """Split as a run would, and see which groups of copies lie on both sides."""
    if not len(labels):
        return None
    packed = np.unique(labels, return_inverse=True)[1]  # classes without pictures are not packed
    held = split_labels(packed, config.holdout_fraction, config.holdout_max, seed)[1]
    out = np.zeros(len(labels), bool)
    out[held] = True
    mixed = [group for group in groups if 0 < out[list(group)].sum() < len(group)]
    copied = sorted({index for group in mixed for index in group if out[index]})
    return HeldOut(seed=seed, count=len(held), copied=tuple(place[i] for i in copied)) if len(held) else None
