"""What a glance at each picture tells, a thumbnail and how wide its edges are, and which pictures stand out by it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from sagan.data.decode import Pixels
from sagan.data.near import THUMB_PX, Bools, Floats, Indices
from sagan.data.pictures import Labels

ODD = {
    "plain": "one colour all over: nothing can be learnt from it",
    "dark": "nearly black",
    "bright": "nearly white",
    "harsh": "hardly anything between black, white and full colours: overexposed, or a drawing",
    "tiny": "less than half the size in one direction: enlarged, it is a blur",
    "long": "more than 2.5 times as wide as high, or as high as wide: a square crop loses most of it",
    "blurred": "edges are wider than 4 pixels of the training size: out of focus, or enlarged before",
    "alone": "unlike all others of its class: perhaps it is in the wrong folder",
}
"""Every way to stand out, and what it means."""

DARK, DARK_TOP, BRIGHT, BRIGHT_LOW = 12, 60, 244, 200
ONE_COLOUR = 1.5
HARSH_SHARE = 0.75
LONG = 2.5
WIDE_EDGE_PX = 4.0
"""Edges of sharp photographs measure 1 to 2.5 pixels, of those enlarged four times 5 to 13."""
ROWS = 64
"""At most about so many rows of a picture are looked at for edges."""
KEPT = 6 / 7
"""Seven of eight first differences are looked at, and six of eight second ones."""
ENOUGH, SAMPLE, NEIGHBOURS, FAR = 30, 400, 3, 2.0
"""A class needs so many pictures to tell what is unlike it; so many are compared with; a picture whose distance to
its nearest neighbours is FAR times the median of the class, and a clear step beyond the 99th percentile, is alone."""
HANDED_LEAST = 40


class Glance(NamedTuple):
    """What is kept of a picture."""

    thumb: bytes
    """uint8 (THUMB_PX, THUMB_PX, 3), the whole picture squeezed to a square"""
    edge_px: float
    """Width of its edges along rows, in its own pixels: 1 is as sharp as can be."""
    contrast: float
    """Root mean square of the differences between neighbours in a row, in levels."""


def glance(pixels: Pixels) -> Glance:
    """Look at a picture.

    The width of edges is 2 sum d^2 / sum e^2 over first and second differences d, e of neighbours in a row: a ramp of w
    pixels between two levels gives w; the strongest edges count most. Differences across the 8 x 8 blocks of JPEG are
    left out: they would look sharp in a blurred picture.

    Shape: pixels uint8 (H, W, 3).
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    small = image.resize((THUMB_PX, THUMB_PX), Image.Resampling.BILINEAR, reducing_gap=3.0)
    step = max(1, len(pixels) // ROWS)
    green = pixels[step // 2 :: step, :, 1].astype(np.float32)
    first = green[:, 1:] - green[:, :-1]
    second = first[:, 1:] - first[:, :-1]
    first[:, 7::8] = second[:, 6::8] = second[:, 7::8] = 0
    slope, bend = (float(part.ravel() @ part.ravel()) for part in (first, second))
    return Glance(small.tobytes(), KEPT * 2 * slope / bend if bend else 1.0, (slope / max(1, first.size)) ** 0.5)


class Glances(NamedTuple):
    """What is kept of N pictures, as arrays."""

    thumbs: Pixels
    """uint8 (N, THUMB_PX, THUMB_PX, 3)"""
    edges_px: Floats
    """float32 (N,)"""
    contrasts: Floats
    """float32 (N,)"""
    widths_px: Indices
    """int64 (N,)"""
    heights_px: Indices
    """int64 (N,)"""
    labels: Labels
    """int64 (N,)"""
    digests: Sequence[bytes] = ()
    """N hashes of their sizes and pixels."""
    traits: Sequence[frozenset[str]] = ()
    """What decoding said of each, N sets of keys of decode.TREATMENTS; () where nothing is known."""

    @property
    def sides_px(self) -> Indices:
        """The shorter side of each, int64 (N,)."""
        return np.minimum(self.widths_px, self.heights_px)


def odd_ones(seen: Glances, size_px: int) -> dict[str, Indices]:
    """Find pictures that stand out: indices for each key of ODD that has any, the most striking first.

    Args:
        seen: What was seen of all pictures.
        size_px: The size to train at.
    """
    if not len(seen.labels):
        return {}
    levels = seen.thumbs.reshape(len(seen.thumbs), -1)
    mean, low, high = levels.mean(axis=1), levels.min(axis=1), levels.max(axis=1)
    extreme = ((levels <= 2) | (levels >= 253)).mean(axis=1)
    sides, longer = seen.sides_px, np.maximum(seen.widths_px, seen.heights_px)
    edges = seen.edges_px * np.minimum(1, size_px / sides)
    spread = _spread_of_colours(seen.thumbs)
    plain = (spread < ONE_COLOUR) & (seen.contrasts < ONE_COLOUR) | _told(seen, "one colour")
    dark = (mean < DARK) & (high < DARK_TOP) | _told(seen, "nearly black")
    bright = (mean > BRIGHT) & (low > BRIGHT_LOW) | _told(seen, "nearly white")
    found: dict[str, tuple[Bools, Any]] = {
        "plain": (plain, -spread),
        "dark": (dark & ~plain, -mean),
        "bright": (bright & ~plain, mean),
        "harsh": ((extreme > HARSH_SHARE) & ~plain & ~dark & ~bright, extreme),
        "tiny": (2 * sides < size_px, -sides),
        "long": (longer > LONG * sides, longer / sides),
        "blurred": ((edges > WIDE_EDGE_PX) & ~plain & (2 * sides >= size_px), edges),
        "alone": _alone(seen, ~plain),
    }
    chosen = {kind: np.flatnonzero(which) for kind, (which, _) in found.items() if which.any()}
    return {kind: places[np.argsort(-found[kind][1][places], kind="stable")] for kind, places in chosen.items()}


def handedness(seen: Glances) -> float | None:
    """Tell how well left and right can be told apart: the share of pictures told from their mirror images.

    For each class half of the pictures say how they differ from their mirror images on average, and the other half are
    guessed by that; then the halves change roles. About 0.5 means that mirroring changes nothing that matters; letters,
    digits, or shoes that all point the same way give much more. None where there are too few pictures to say.
    """
    skew = seen.thumbs.reshape(len(seen.thumbs), THUMB_PX, THUMB_PX, 3).mean(axis=3, dtype=np.float32)
    skew = (skew - skew[:, :, ::-1]).reshape(len(skew), THUMB_PX**2)
    right = total = 0.0
    for label in np.unique(seen.labels):
        members = np.flatnonzero(seen.labels == label)
        for learnt, guessed in ((members[::2], members[1::2]), (members[1::2], members[::2])):
            if len(members) >= 2 * NEIGHBOURS:
                score = skew[guessed] @ skew[learnt].mean(axis=0)
                right += float((score > 0).sum() + 0.5 * (score == 0).sum())
                total += len(guessed)
    return right / total if total >= HANDED_LEAST else None


def _told(seen: Glances, trait: str) -> Bools:
    """Tell which pictures were said to have a trait when they were decoded, bool (N,)."""
    return np.array([trait in traits for traits in seen.traits] or [False] * len(seen.labels), bool)


def _spread_of_colours(thumbs: Pixels) -> Floats:
    """Give the largest standard deviation of any channel over a thumbnail, float32 (N,)."""
    flat = thumbs.reshape(len(thumbs), -1, 3).astype(np.float32)
    spread: Floats = flat.std(axis=1).max(axis=1)
    return spread


def _alone(seen: Glances, allowed: Bools) -> tuple[Bools, Floats]:
    """Find pictures that are far from all others of their class; with how many times as far as usual they are."""
    coarse = seen.thumbs.reshape(len(seen.thumbs), 4, THUMB_PX // 4, 4, THUMB_PX // 4, 3)
    points = coarse.mean(axis=(2, 4), dtype=np.float32).reshape(len(coarse), -1)
    times = np.zeros(len(points), np.float32)
    alone = np.zeros(len(points), bool)
    for label in np.unique(seen.labels):
        members = np.flatnonzero((seen.labels == label) & allowed)
        if len(members) < ENOUGH:
            continue
        others = points[members[np.linspace(0, len(members) - 1, min(len(members), SAMPLE)).astype(int)]]
        away = _to_neighbours(points[members], others)
        times[members] = away / max(float(np.median(away)), 1.0)
        alone[members] = times[members] > max(FAR, 1.1 * float(np.quantile(times[members], 0.99)))
    return alone, times


def _to_neighbours(points: Floats, others: Floats) -> Floats:
    """Give the distance from each point to its third nearest of the others, itself left out, float32 (N,)."""
    squares = np.einsum("ij,ij->i", others, others)
    away = np.empty(len(points), np.float32)
    for start in range(0, len(points), 1000):
        part = points[start : start + 1000]
        apart = squares - 2 * part @ others.T + np.einsum("ij,ij->i", part, part)[:, None]
        away[start : start + 1000] = np.partition(apart, NEIGHBOURS, axis=1)[:, NEIGHBOURS]
    return np.sqrt(np.maximum(away, 0))
