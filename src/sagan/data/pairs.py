"""Pictures with known structure: four textures, and six classes in which two parts far apart must agree.

A part has a colour, a shape, a size, an angle and a place, drawn uniformly; a structured class fixes nothing but what
the two parts have in common. So whether a generator relates regions far apart can be read off its samples
(``experiments/pair_decoder.py``) and compared with the chance level.

Picture i is a function of (seed, i) alone. A scene is a description in whole numbers, :data:`UNIT` to the side of the
picture, and it is drawn in whole numbers, at any size with the same antialiasing: the pictures are the same on every
machine, and none is resized.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sagan.data.config import DataError
from sagan.data.decode import Decoded, Pixels
from sagan.data.pictures import Pictures, Source, hash_lines
from sagan.randomness import keyed_generator

TEXTURES = ("stripes", "dots", "checks", "clouds")
AGREES_IN: dict[str, tuple[str, ...]] = {
    "same-colour": ("colour",),
    "same-shape": ("shape",),
    "same-size": ("size",),
    "parallel": ("angle",),
    "mirrored": ("angle",),
    "twins": ("colour", "shape"),
}
"""What the two parts of each structured class have in common. In ``mirrored`` one angle is the mirror image of the
other, left to right."""
CLASSES = (*TEXTURES, *AGREES_IN)

COLOURS = ((214, 48, 49), (245, 200, 30), (40, 160, 70), (40, 190, 215), (30, 60, 190), (170, 60, 180))
"""Red, yellow, green, cyan, blue, purple: at least 130 from each other and from any ground, as distances in RGB."""
SHAPES = ("disc", "square", "triangle", "cross", "bar")
"""Of equal area at equal size. Bars are the parts of ``parallel`` and ``mirrored`` and of no other class."""
BAR = SHAPES.index("bar")
DIAMETERS = (0.12, 0.17, 0.23)
"""Of the disc of each size, in pictures. ``same-size`` has all three, the other classes the largest."""
ANGLES = 6
"""A bar stands at 0, 30, ..., 150 degrees, anticlockwise from lying."""
MIN_DISTANCE = 0.45
"""Between the centres of the two parts, in pictures."""
MARGIN = 0.21
"""From the centre of a part to the border of the picture, at least, in pictures: a bar reaches 0.186."""

NUM_PICTURES = 20_000
SEED = 0
MIN_PX, MAX_PX, DEFAULT_PX = 16, 256, 64
DRAWING_VERSION = 1
"""Raised whenever the same scene would get other pixels, or the same index another scene."""

UNIT = 1 << 14
"""Whole-number length of the picture's side."""
SUBPIXELS = 4
"""A pixel is the mean of 4x4 points."""
# Cosine of 0, 15, ..., 345 degrees; rounding makes it the same whatever the platform's cosine is.
COSINES = tuple(round(UNIT * math.cos(math.radians(15 * step))) for step in range(24))

Coordinates = NDArray[np.int32]  # enough for every product of two of them below, and twice as fast as int64
Pairing = Literal["agree", "differ", "free"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the two parts of a structured picture."""

    x: int
    """Of its centre of mass, from the left, in UNITs."""
    y: int
    """Of its centre of mass, from the top, in UNITs."""
    colour: int
    """Index into COLOURS."""
    shape: int
    """Index into SHAPES."""
    size: int
    """Index into DIAMETERS."""
    angle: int
    """In steps of 30 degrees; 0 unless the part is a bar."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture before it is drawn."""

    label: int
    """Index into CLASSES."""
    ground: tuple[int, int, int]
    """Colour in the middle of the ground."""
    slope: tuple[int, int]
    """By how many levels the ground grows brighter from left to right and from top to bottom."""
    parts: tuple[Part, ...]
    """Two, or none in a texture."""
    ink: int
    """Colour of a texture: index into COLOURS."""
    key: tuple[int, ...]
    """Seed and index, from which a texture draws the rest."""


def scene(index: int, seed: int = SEED, pairing: Pairing = "agree") -> Scene:
    """Describe picture ``index`` of a seed. The classes take turns: its label is ``index % 10``.

    With ``pairing="differ"`` one thing that the parts should have in common is redrawn in the second until it differs;
    with ``"free"`` both parts are drawn independently. Those pictures are no members of the class: they test whoever
    claims to tell the difference.
    """
    label = index % len(CLASSES)
    random = keyed_generator(seed, "pairs", index)
    shade, tint = random.integers(212, 238), random.integers(-6, 7, 3)
    red, green, blue = (int(shade + one) for one in tint)
    right, down = (int(value) for value in random.integers(-12, 13, 2))
    parts = () if label < len(TEXTURES) else _parts(CLASSES[label], random, pairing)
    ink = int(random.integers(len(COLOURS)))
    return Scene(label=label, ground=(red, green, blue), slope=(right, down), parts=parts, ink=ink, key=(seed, index))


def draw(what: Scene, size_px: int) -> Pixels:
    """Draw a scene: uint8 (size_px, size_px, 3)."""
    points = (2 * np.arange(size_px * SUBPIXELS, dtype=np.int32) + 1) * UNIT // (2 * size_px * SUBPIXELS)
    centres = (2 * np.arange(size_px, dtype=np.int32) + 1) * UNIT // (2 * size_px) - UNIT // 2
    light = (what.slope[0] * centres + what.slope[1] * centres[:, None]) // UNIT
    pixels = light[:, :, None] + np.array(what.ground, np.int32)
    if not what.parts:
        random = keyed_generator(what.key[0], "pairs texture", what.key[1])
        share = _means(TEXTURE_DRAWERS[CLASSES[what.label]](random, points[None], points[:, None]))
        return _painted(pixels, COLOURS[what.ink], share).astype(np.uint8)
    for part in what.parts:
        reach = round(MARGIN * UNIT)
        rows, columns = (
            slice(max((at - reach) * size_px // UNIT, 0), min((at + reach) * size_px // UNIT + 1, size_px))
            for at in (part.y, part.x)
        )
        x, y = (
            points[window.start * SUBPIXELS : window.stop * SUBPIXELS] - at
            for window, at in ((columns, part.x), (rows, part.y))
        )
        inside = _means(_inside(part, x[None], y[:, None]))
        pixels[rows, columns] = _painted(pixels[rows, columns], COLOURS[part.colour], inside)
    return pixels.astype(np.uint8)


def pair_pictures(size_px: int, count: int = NUM_PICTURES, seed: int = SEED) -> Pictures:
    """Give pictures 0 to ``count - 1`` of a seed; each is drawn when it is decoded."""
    return Pictures(
        names=tuple(f"pairs {index}" for index in range(count)),
        labels=np.arange(count, dtype=np.int64) % len(CLASSES),
        class_names=CLASSES,
        decode=lambda index: Decoded(draw(scene(index, seed), size_px), "drawn", frozenset()),
    )


def pairs_source(size_px: int | None) -> Source:
    """Give the set ``pairs`` as ``--data`` means it: 20,000 pictures of seed 0, drawn at ``size_px`` (unset: 64).

    Raises:
        DataError: If the size is not from 16 to 256.
    """
    size_px = DEFAULT_PX if size_px is None else size_px
    if not MIN_PX <= size_px <= MAX_PX:
        raise DataError(f"pairs is drawn at {MIN_PX} to {MAX_PX} px, found {size_px}")
    key = hash_lines(["pairs", *map(str, (DRAWING_VERSION, SEED, NUM_PICTURES, size_px))])
    return Source(name="pairs", key=key, stamp=key, load=lambda: pair_pictures(size_px))


# ---------------------------------------------------------------------------------------------------------------- parts


def _parts(class_name: str, random: np.random.Generator, pairing: Pairing) -> tuple[Part, Part]:
    first, second = (_free_part(class_name, random) for _ in range(2))
    low, high = round(MARGIN * UNIT), UNIT - round(MARGIN * UNIT)
    while True:
        x1, y1, x2, y2 = (int(value) for value in random.integers(low, high + 1, 4))
        if (x1 - x2) ** 2 + (y1 - y2) ** 2 >= (MIN_DISTANCE * UNIT) ** 2:
            break
    first, second = replace(first, x=x1, y=y1), replace(second, x=x2, y=y2)
    if pairing == "free":
        return first, second
    common = AGREES_IN[class_name]
    values = {name: getattr(first, name) for name in common}
    if class_name == "mirrored":
        values["angle"] = -first.angle % ANGLES
    if pairing == "differ":
        name = common[int(random.integers(len(common)))]
        values[name] = _another(name, values[name], random)
    return first, replace(second, **values)


def _free_part(class_name: str, random: np.random.Generator) -> Part:
    has_bars = "angle" in AGREES_IN[class_name]
    return Part(
        x=0,
        y=0,
        colour=int(random.integers(len(COLOURS))),
        shape=BAR if has_bars else int(random.integers(BAR)),
        size=int(random.integers(len(DIAMETERS))) if class_name == "same-size" else len(DIAMETERS) - 1,
        angle=int(random.integers(ANGLES)) if has_bars else 0,
    )


def _another(name: str, value: int, random: np.random.Generator) -> int:
    """Draw a value of an attribute that differs from this one."""
    count = {"colour": len(COLOURS), "shape": BAR, "size": len(DIAMETERS), "angle": ANGLES}[name]
    return int(value + random.integers(1, count)) % count


def _inside(part: Part, x: Coordinates, y: Coordinates) -> NDArray[np.bool_]:
    """Tell which points, relative to the part's centre, lie in it; y runs downward."""
    radius = round(DIAMETERS[part.size] / 2 * UNIT)

    def length(factor: float) -> int:
        return round(factor * radius)  # the factors make all areas pi * radius**2

    if SHAPES[part.shape] == "disc":
        return x * x + y * y <= radius * radius
    if SHAPES[part.shape] == "square":
        half = length(0.8862)
        return (abs(x) <= half) & (abs(y) <= half)
    if SHAPES[part.shape] == "triangle":  # all sides equal, a corner up
        to_corner = length(1.5551)
        return (2 * y <= to_corner) & (1000 * (y + to_corner) >= 1732 * abs(x))
    if SHAPES[part.shape] == "cross":
        thick, arm = length(0.3963), length(1.1890)
        return ((abs(x) <= thick) & (abs(y) <= arm)) | ((abs(x) <= arm) & (abs(y) <= thick))
    thick, arm = length(0.5117), length(1.5350)
    cosine, sine = COSINES[2 * part.angle], COSINES[2 * part.angle - 6]
    return (abs(x * cosine - y * sine) <= arm * UNIT) & (abs(x * sine + y * cosine) <= thick * UNIT)


# ------------------------------------------------------------------------------------------------------------- textures


def _stripes(random: np.random.Generator, x: Coordinates, y: Coordinates) -> NDArray[np.bool_]:
    period, phase, turn = _whole(random, UNIT // 8, UNIT // 4), _whole(random, 0, UNIT), _whole(random, 0, 11)
    across = (x * COSINES[turn] + y * COSINES[turn - 6]) // UNIT
    return (across + phase) % period < period // 2


def _dots(random: np.random.Generator, x: Coordinates, y: Coordinates) -> NDArray[np.bool_]:
    period, right, down = _whole(random, UNIT // 6, UNIT // 4), _whole(random, 0, UNIT), _whole(random, 0, UNIT)
    x, y = (x + right) % period - period // 2, (y + down) % period - period // 2
    return (x * x + y * y) * 9 <= period * period  # a radius of a third of the period


def _checks(random: np.random.Generator, x: Coordinates, y: Coordinates) -> NDArray[np.bool_]:
    side, right, down = _whole(random, UNIT // 8, UNIT // 4), _whole(random, 0, UNIT), _whole(random, 0, UNIT)
    inked: NDArray[np.bool_] = ((x + right) // side + (y + down) // side) % 2 == 0
    return inked


def _clouds(random: np.random.Generator, x: Coordinates, y: Coordinates) -> Coordinates:
    """Interpolate the random values of a coarse grid; the result is clipped to 0..256."""
    grid = random.integers(-96, 353, (9, 9)).astype(np.int32)
    cell = UNIT // 8
    across = grid[:, x[0] // cell] * (cell - x % cell) + grid[:, x[0] // cell + 1] * (x % cell)
    smooth = across[y[:, 0] // cell] // cell * (cell - y % cell) + across[y[:, 0] // cell + 1] // cell * (y % cell)
    return (smooth // cell).clip(0, 256)


def _whole(random: np.random.Generator, low: int, high: int) -> int:
    """Draw a whole number from ``low`` to ``high``."""
    return int(random.integers(low, high + 1))


TEXTURE_DRAWERS = {"stripes": _stripes, "dots": _dots, "checks": _checks, "clouds": _clouds}


def _means(values: NDArray[Any]) -> Coordinates:
    """Average points over pixels: what is inside, or from 0 to 256, to int32 (H, W) from 0 to 256."""
    height, width = (length // SUBPIXELS for length in values.shape)
    sums: Coordinates = values.reshape(height, SUBPIXELS, width, SUBPIXELS).sum(axis=(1, 3), dtype=np.int32)
    return sums * (256 if values.dtype == np.bool_ else 1) // SUBPIXELS**2


def _painted(pixels: Coordinates, colour: tuple[int, int, int], share: Coordinates) -> Coordinates:
    """Lay a colour over pixels (H, W, 3) where ``share`` (H, W) is above 0 of 256."""
    share = share[:, :, None]
    return (pixels * (256 - share) + np.array(colour, np.int32) * share + 128) // 256
