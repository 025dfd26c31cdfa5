"""Does a generator relate regions far apart? Its samples of ``pairs``, read and compared with chance.

Structured classes: the share of consistent pairs among the pictures that can be read, beside the share that a generator
would reach that draws the two parts independently. Textures, the control: the share that is recognised.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from sagan.data.pairs import AGREES_IN, CLASSES, TEXTURES, draw, scene
from sagan.experiments.pair_decoder import Indices, read_pairs
from sagan.experiments.texture_decoder import recognise_textures
from sagan.generators.pretrained import TrainedGenerator

SAMPLES = 2000
SAMPLE_SEED = 1
REAL_SEED = 2**33
"""Real pictures to compare with are drawn with it: they are not those of the training set."""


@dataclass(frozen=True, kw_only=True)
class StructuredClass:
    """What came out for one class of pairs."""

    pictures: int
    """How many were looked at."""
    readable: float
    """Share of them in which two parts and all that the class is about could be read, 0 to 1."""
    consistent: float | None
    """Share of the readable ones whose parts agree, 0 to 1; None if none is readable."""
    standard_error: float | None
    """Of ``consistent``, with one agreeing and one differing picture more: a few equal ones do not look certain."""
    chance: float | None
    """How often the left part of one readable picture agrees with the right part of another; None below two pictures.
    It is what independent parts would reach, and 1 if all pictures show the same."""

    @property
    def above_chance(self) -> float | None:
        """Give ``consistent`` on a scale where chance is 0 and perfect is 1; None if chance is perfect already."""
        if self.consistent is None or self.chance is None or self.chance == 1.0:
            return None
        return (self.consistent - self.chance) / (1.0 - self.chance)


@dataclass(frozen=True, kw_only=True)
class TextureClass:
    """What came out for one texture."""

    pictures: int
    """How many were looked at."""
    recognised: float
    """Share of them that is recognised as this texture, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class PairsReport:
    """What came out for the classes of ``pairs``; ``str`` gives it as a table."""

    size_px: int
    """Of the pictures."""
    structured: dict[str, StructuredClass]
    """By class name."""
    textures: dict[str, TextureClass]
    """By class name."""

    def to_json(self) -> dict[str, object]:
        """Give all values and ``above_chance`` as plain objects."""
        record = asdict(self)
        for name, one in self.structured.items():
            record["structured"][name]["above_chance"] = one.above_chance
        return record

    def __str__(self) -> str:
        lines = [f"{'':12} {'pictures':>8}  readable  consistent (of readable)  chance  above chance"]
        for name, one in self.structured.items():
            share = "-" if one.consistent is None else f"{one.consistent:.1%} +- {one.standard_error:.1%}"
            lines.append(
                f"{name:12} {one.pictures:8,}  {one.readable:8.1%}  {share:>24}  {_text(one.chance, '.1%'):>6}  "
                f"{_text(one.above_chance, '.2f'):>12}"
            )
        lines.append(f"{'':12} {'pictures':>8}  recognised")
        lines += [f"{name:12} {one.pictures:8,}  {one.recognised:10.1%}" for name, one in self.textures.items()]
        return "\n".join(lines)


def measure_pairs(generator: TrainedGenerator, samples: int = SAMPLES, seed: int = SAMPLE_SEED) -> PairsReport:
    """Measure samples of a generator that was trained on ``pairs``, the classes in turn.

    Raises:
        ValueError: If it has other classes.
    """
    _require_classes(generator.class_names)
    images = generator.sample(samples, classes=range(len(generator.class_names)), seed=seed)
    return judge_pairs(images, np.arange(samples) % len(CLASSES), generator.class_names)


def measure_real_pairs(size_px: int, samples: int = SAMPLES, seed: int = REAL_SEED) -> PairsReport:
    """Measure real pictures that are in no training set: what a perfect generator would get."""
    images = np.stack([draw(scene(index, seed), size_px) for index in range(samples)])
    return judge_pairs(images, np.arange(samples) % len(CLASSES))


def judge_pairs(
    images: NDArray[np.uint8], labels: NDArray[np.integer], class_names: Sequence[str] = CLASSES
) -> PairsReport:
    """Measure pictures that are meant to be of the classes of ``pairs``.

    Shape: images uint8 (N, size_px, size_px, 3); labels (N,), indices into ``class_names``.

    Raises:
        ValueError: If the class names are others, shapes do not fit, or a class has no pictures.
    """
    _require_classes(class_names)
    if labels.shape != (len(images),) or _missing_classes(labels):
        raise ValueError(
            f"expected a label for each of the {len(images)} pictures, and every class among them; found labels of "
            f"shape {labels.shape} and none of {', '.join(_missing_classes(labels)) or 'no class'}"
        )
    members = {name: np.flatnonzero(labels == index) for index, name in enumerate(CLASSES)}
    readings = read_pairs(images)
    structured = {
        name: _structured_class(readings.readable(name)[members[name]], readings.values(name)[members[name]])
        for name in AGREES_IN
    }
    textures = {
        name: TextureClass(
            pictures=len(members[name]),
            recognised=float((recognise_textures(images[members[name]]) == index).mean()),
        )
        for index, name in enumerate(TEXTURES)
    }
    return PairsReport(size_px=images.shape[1], structured=structured, textures=textures)


def _missing_classes(labels: NDArray[np.integer]) -> list[str]:
    return [name for index, name in enumerate(CLASSES) if index not in labels]


def _require_classes(class_names: Sequence[str]) -> None:
    if tuple(class_names) != CLASSES:
        raise ValueError(f"the classes must be those of pairs ({', '.join(CLASSES)}), found {', '.join(class_names)}")


def _structured_class(readable: NDArray[np.bool_], values: Indices) -> StructuredClass:
    left, right = values[readable].T
    n, equal = len(left), int((left == right).sum())
    consistent = equal / n if n else None
    chance = None
    if n > 1:
        every = (left[:, None] == right).sum()  # each left part with each right one, its own among them
        chance = float(every - equal) / (n * (n - 1))
    return StructuredClass(
        pictures=len(readable),
        readable=float(readable.mean()),
        consistent=consistent,
        standard_error=_standard_error(equal, n) if n else None,
        chance=chance,
    )


def _standard_error(equal: int, n: int) -> float:
    share = (equal + 1) / (n + 2)
    return math.sqrt(share * (1.0 - share) / (n + 2))


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
