"""Read the two parts off a picture of ``pairs`` (``data/pairs.py``): colours, shapes, sizes, angles, or nothing.

The ground is what the border shows; parts are connected regions whose colour is far from it. Every attribute is read
with a gap between its values, in which nothing is read: a blurred or half-finished part counts as unreadable and is
never guessed.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sagan.data.pairs import AGREES_IN, ANGLES, BAR, COLOURS, DIAMETERS, UNIT, Part, Scene, draw

PROBLEMS = ("", "no plain ground", "not two parts", "parts too near")
ATTRIBUTES = ("colour", "shape", "size", "angle")
UNREAD = -1

GROUND_LEVELS, GROUND_SHARE = 60.0, 0.9
"""A point of the border is ground if its colour is that near, in RGB of 0..255, to the border's median; at least this
share of them must be."""
PART_LEVELS = 70.0
"""A pixel belongs to a part if its colour is at least that far from the ground's."""
COLOUR_LEVELS = 60.0
"""A part has one of the colours if it is that near; they are 130 apart."""
UNEVEN_LEVELS = 45.0
"""A part whose pixels lie farther than that from the mixtures of its colour and the ground has more than one colour."""
LEAST_AREA, MOST_AREA = 0.5, 1.6
"""A part has at least that many times the area of the smallest, at most that many times the area of the largest."""
SPECK_AREA = 0.25
"""Regions of less than that many times the area of the smallest part are overlooked: noise."""
SIZE_RATIO = 1.25
"""A part has one of the sizes if the areas differ at most by this factor; the sizes themselves are 1.8 apart."""
UPRIGHT_RATIO, BAR_RATIO = 2.0, 3.5
"""Largest variance over smallest of the places in a part: at most that of the upright shapes, at least that of bars."""
ANGLE_DEGREES = 11.0
"""A bar has one of the angles if it is that near; they are 30 apart."""
SHAPE_DIFFERENCE, SHAPE_GAP = 0.12, 1.4
"""An upright shape is read if its outline differs by at most this from the ideal one (root mean square of coverage),
and from any other by at least so many times more."""
LEAST_DISTANCE = 0.4
"""Between the centres of two parts, in pictures; those of real pictures are 0.45 apart or more."""

BLURS_PX = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Standard deviations of the blurs that outlines are compared under. What resembles the last one most is not read."""
IDEAL_GROUND = (225, 225, 225)
PATCH_REACH, PATCH_POINTS = 0.95, 11
"""Outlines are compared on a grid of points around the centre; it reaches this many square roots of the area."""
BATCH = 1000

Images = NDArray[np.uint8]
Rows = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """What was read off N pictures. The part whose centre is farther left comes first."""

    problem: Indices
    """(N,): index into PROBLEMS; where it is not 0 nothing is read."""
    colour: Indices
    """(N, 2): index into the data set's COLOURS, or UNREAD."""
    shape: Indices
    """(N, 2): index into its SHAPES, or UNREAD."""
    size: Indices
    """(N, 2): index into its DIAMETERS, or UNREAD."""
    angle: Indices
    """(N, 2): steps of 30 degrees; UNREAD also where the part is no bar."""

    def readable(self, class_name: str) -> NDArray[np.bool_]:
        """Tell where all that a class is about could be read: (N,)."""
        read = [(getattr(self, name) != UNREAD).all(1) for name in AGREES_IN[class_name]]
        readable: NDArray[np.bool_] = np.logical_and.reduce([self.problem == 0, *read])
        return readable

    def consistent(self, class_name: str) -> NDArray[np.bool_]:
        """Tell where the two parts agree as the class demands; False where they cannot be read: (N,)."""
        values = self.values(class_name)
        agree: NDArray[np.bool_] = values[:, 0] == values[:, 1]
        return self.readable(class_name) & agree

    def values(self, class_name: str) -> Indices:
        """Give what must be equal in both parts as one number for each: (N, 2); right only where it is readable."""
        values = np.zeros_like(self.colour)
        for name in AGREES_IN[class_name]:
            values = values * max(len(COLOURS), ANGLES) + getattr(self, name)
        if class_name == "mirrored":
            values[:, 1] = -values[:, 1] % ANGLES
        return values


def read_pairs(images: Images) -> Readings:
    """Read the parts of pictures of ``pairs``, real or generated.

    Shape: uint8 (N, size_px, size_px, 3).

    Raises:
        ValueError: If the images are anything else, or smaller than 16 px.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(f"expected uint8 (N, size, size, 3), found {images.dtype} {images.shape}")
    size_px = images.shape[1]
    if size_px < 16:
        raise ValueError(f"parts can be read from 16 px on, found {size_px}")
    problem, read = np.zeros(len(images), np.int64), np.full((len(images), 2, len(ATTRIBUTES)), UNREAD)
    for start in range(0, len(images), BATCH):
        batch = slice(start, start + BATCH)
        problem[batch], read[batch] = _read_batch(images[batch])
    colour, shape, size, angle = np.moveaxis(read, 2, 0)
    return Readings(problem=problem, colour=colour, shape=shape, size=size, angle=angle)


def _read_batch(images: Images) -> tuple[Indices, Indices]:
    n, size_px = images.shape[:2]
    problem, read = np.zeros(n, np.int64), np.full((n, 2, len(ATTRIBUTES)), UNREAD)
    pixels = images.astype(np.float64)
    ground, plain = _grounds(pixels)
    problem[~plain] = PROBLEMS.index("no plain ground")
    regions = _regions(pixels - ground[:, None, None])
    area = regions.area / size_px**2
    parts, two = _parts(regions.picture, area, n)
    problem[plain & ~two] = PROBLEMS.index("not two parts")

    chosen = np.flatnonzero(parts & (problem == 0)[regions.picture])
    chosen = chosen[np.lexsort((regions.x[chosen], regions.picture[chosen]))]  # two for each picture, left to right
    values = np.stack(
        [
            _colours(regions.colour[chosen] + ground[regions.picture[chosen]], regions.uneven[chosen]),
            _shapes(regions, chosen, _ideal_patches(size_px)),
            _sizes(area[chosen]),
            _angles(regions.moments[chosen]),
        ],
        axis=1,
    )
    colour, shape, size, angle = values.T  # views
    # Without one of the colours in its middle a part may be pale from blur: its area and outline are then uncertain.
    size[colour == UNREAD] = UNREAD
    shape[(colour == UNREAD) & (shape != BAR)] = UNREAD
    angle[shape != BAR] = UNREAD
    first, second = chosen[::2], chosen[1::2]
    distance = np.hypot(regions.x[first] - regions.x[second], regions.y[first] - regions.y[second]) / size_px
    near = distance < LEAST_DISTANCE
    pictures = regions.picture[first]
    problem[pictures[near]] = PROBLEMS.index("parts too near")
    read[pictures[~near]] = values.reshape(-1, 2, len(ATTRIBUTES))[~near]
    return problem, read


def _parts(picture: Indices, area: Rows, n: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which regions have the area of a part, (R,), and which pictures two of them and hardly anything else, (n,).

    Shape: picture (R,); area (R,), in pictures.
    """
    smallest, largest = (math.pi / 4 * DIAMETERS[index] ** 2 for index in (0, -1))
    parts = (area >= LEAST_AREA * smallest) & (area <= MOST_AREA * largest)
    clutter = np.bincount(picture[~parts], area[~parts] * (area[~parts] >= SPECK_AREA * smallest), n)
    two = (np.bincount(picture[parts], minlength=n) == 2) & (clutter <= LEAST_AREA * smallest)
    return parts, two


def _grounds(pixels: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """Give the colour of each picture's ground, (N, 3), and whether its border shows one."""
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, 1:-1, 0], pixels[:, 1:-1, -1]], axis=1)
    ground = np.median(border, axis=1)
    near = np.linalg.norm(border - ground[:, None], axis=2) <= GROUND_LEVELS
    return ground, near.mean(1) >= GROUND_SHARE


@dataclass(frozen=True, kw_only=True, eq=False)
class _Regions:
    """Connected regions of all pictures of a batch."""

    picture: Indices
    """(R,)"""
    area: Rows
    """(R,) in pixels, edge pixels by the share that is covered."""
    x: Rows
    """(R,) of the centre of mass in pixels."""
    y: Rows
    """(R,)"""
    moments: Rows
    """(R, 3): mean of x*x, x*y and y*y about the centre."""
    colour: Rows
    """(R, 3): of the region's middle, less the ground's."""
    uneven: Rows
    """(R,): root mean square distance of its pixels from the mixtures of its colour and the ground's."""
    coverage: NDArray[np.float64]
    """(N, H, W): the share of each pixel that its region covers."""


def _regions(offsets: Rows) -> _Regions:
    """Find regions in pictures less their ground's colour, (N, H, W, 3)."""
    distance = np.linalg.norm(offsets, axis=3)
    labels, count = _labelled(distance)
    picture, row, column = np.nonzero(labels)
    region = labels[picture, row, column] - 1
    colours, strength = offsets[picture, row, column], distance[picture, row, column]

    def total(values: Rows) -> Rows:
        return np.bincount(region, values, count).astype(np.float64)

    strongest = np.zeros(count)
    np.maximum.at(strongest, region, strength)
    middle = (strength >= 0.8 * strongest[region]).astype(np.float64)
    colour = np.stack([total(middle * channel) for channel in colours.T], 1) / total(middle)[:, None]
    # The colours of a region of noise may cancel each other out; it then covers nothing.
    share = ((colours * colour[region]).sum(1) / np.maximum((colour**2).sum(1), 1e-9)[region]).clip(0.0, 1.0)
    off = ((colours - share[:, None] * colour[region]) ** 2).sum(1)
    area = np.maximum(total(share), 1e-9)
    x, y = total(share * column) / area, total(share * row) / area
    right, down = column - x[region], row - y[region]
    moments = np.stack([total(share * right * right), total(share * right * down), total(share * down * down)], 1)
    coverage = np.zeros(distance.shape)
    coverage[picture, row, column] = share
    first = np.zeros(count, np.int64)
    first[region] = picture
    return _Regions(
        picture=first,
        area=area,
        x=x,
        y=y,
        moments=moments / area[:, None],
        colour=colour,
        uneven=np.sqrt(total(share * off) / area),
        coverage=coverage,
    )


def _labelled(distance: Rows) -> tuple[Indices, int]:
    """Number the connected regions of each picture that are far from the ground, from 1: (N, H, W), and their count."""
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(distance >= PART_LEVELS, in_plane)
    # The edge pixels that a region covers too little to be counted in belong to it as well.
    return np.where(labels, labels, ndimage.maximum_filter(labels, size=(1, 3, 3))), count


def _colours(colours: Rows, uneven: Rows) -> Indices:
    distance = np.linalg.norm(colours[:, None] - np.array(COLOURS), axis=2)
    clear = (distance.min(1, initial=np.inf) <= COLOUR_LEVELS) & (uneven <= UNEVEN_LEVELS)
    return np.where(clear, distance.argmin(1), UNREAD)


def _sizes(areas: Rows) -> Indices:
    ideal = math.pi / 4 * np.array(DIAMETERS) ** 2
    factor = abs(np.log(areas[:, None] / ideal))
    return np.where(factor.min(1, initial=np.inf) <= math.log(SIZE_RATIO), factor.argmin(1), UNREAD)


def _angles(moments: Rows) -> Indices:
    """Read the direction of the longest extent, anticlockwise from lying, rows run downward."""
    xx, xy, yy = moments.T
    steps = np.degrees(np.arctan2(-2.0 * xy, xx - yy)) / 2.0 / (180.0 / ANGLES)
    clear = abs(steps - np.rint(steps)) * (180.0 / ANGLES) <= ANGLE_DEGREES
    return np.where(clear, np.rint(steps).astype(np.int64) % ANGLES, UNREAD)


def _shapes(regions: _Regions, chosen: Indices, ideals: Rows) -> Indices:
    """Read shapes: bars by their extents, the upright ones by comparing outlines with ideal ones (K, BLURS, P, P)."""
    xx, xy, yy = regions.moments[chosen].T
    spread = np.hypot(xx - yy, 2.0 * xy)
    ratio = (xx + yy + spread) / np.maximum(xx + yy - spread, 1e-9)
    patches = _patches(regions, chosen)
    differences = np.sqrt(((patches[:, None, None] - ideals) ** 2).mean((3, 4)))  # (C, K, BLURS)
    sharp = differences.min(1).argmin(1) < len(BLURS_PX) - 1
    differences = differences.min(2)
    best, second = np.sort(differences, axis=1)[:, :2].T
    clear = sharp & (ratio <= UPRIGHT_RATIO) & (best <= SHAPE_DIFFERENCE) & (second >= SHAPE_GAP * best)
    return np.where(ratio >= BAR_RATIO, BAR, np.where(clear, differences.argmin(1), UNREAD))


def _patches(regions: _Regions, chosen: Indices) -> Rows:
    """Sample the coverage around regions at places relative to centre and area: (len(chosen), P, P)."""
    steps = np.linspace(-PATCH_REACH, PATCH_REACH, PATCH_POINTS)
    scale = np.sqrt(regions.area[chosen])[:, None]
    rows, columns = (at[chosen][:, None] + scale * steps for at in (regions.y, regions.x))
    shape = (len(chosen), PATCH_POINTS, PATCH_POINTS)
    places = [
        np.broadcast_to(values, shape)
        for values in (regions.picture[chosen][:, None, None], rows[:, :, None], columns[:, None, :])
    ]
    patches: Rows = ndimage.map_coordinates(regions.coverage, places, order=1)
    return patches


@lru_cache(maxsize=8)
def _ideal_patches(size_px: int) -> Rows:
    """Give the patches of the upright shapes as they are drawn at this size, each with every blur: (K, BLURS, P, P).

    A blurred cross resembles a disc more than a sharp cross: only a comparison with blurred crosses shows the doubt.
    They are averages over places between pixels.
    """
    places = [UNIT // 2 + shift * UNIT // (4 * size_px) for shift in range(4)]
    ideals = []
    for shape in range(BAR):
        parts = [
            Part(x=x, y=y, colour=0, shape=shape, size=len(DIAMETERS) - 1, angle=0) for x in places for y in places
        ]
        scenes = [Scene(label=0, ground=IDEAL_GROUND, slope=(0, 0), parts=(part,), ink=0, key=(0, 0)) for part in parts]
        offsets = np.stack([draw(what, size_px) for what in scenes]) - np.array(IDEAL_GROUND, np.float64)
        for sigma_px in BLURS_PX:
            regions = _regions(ndimage.gaussian_filter(offsets, (0, sigma_px, sigma_px, 0)))
            ideals.append(_patches(regions, np.arange(len(scenes))).mean(0))
    return np.stack(ideals).reshape(BAR, len(BLURS_PX), PATCH_POINTS, PATCH_POINTS)
