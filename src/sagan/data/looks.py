"""What a glance at each picture tells, a thumbnail and how wide its edges are, and which pictures stand out by it."""

import math
from collections.abc import Sequence
from functools import cache
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
ROWS = 32
"""At most about so many rows of a picture are looked at for edges."""
SMALL_PX = 64
"""Pictures up to this size are looked at together."""
TOGETHER = 16 * 32 * 32 * 3
"""About so many values at once: memory for more comes anew from the system each time, which took twice as long."""
KEPT = 6 / 8
"""Of eight second differences in a row, those that are looked at."""
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
    left out of e: they would look sharp in a blurred picture.

    Shape: pixels uint8 (H, W, 3).
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    small = image.resize((THUMB_PX, THUMB_PX), Image.Resampling.BILINEAR, reducing_gap=3.0)
    step = max(1, len(pixels) // ROWS)
    green = np.array(pixels[step // 2 :: step, :, 1], np.float32)
    first = green[:, 1:] - green[:, :-1]
    second = first[:, 1:] - first[:, :-1]
    second[:, 6::8] = second[:, 7::8] = 0
    slope, bend = float(np.vdot(first, first)), float(np.vdot(second, second))
    return Glance(small.tobytes(), KEPT * 2 * slope / bend if bend else 1.0, (slope / max(1, first.size)) ** 0.5)


def glances(pictures: Sequence[Pixels]) -> list[Glance]:
    """Look at several pictures; small ones of one size are looked at together, which takes a third of the time.

    Shape: pictures uint8 (H, W, 3) each.
    """
    seen: dict[int, Glance] = {}
    together: dict[tuple[int, ...], list[int]] = {}
    for index, pixels in enumerate(pictures):
        if max(pixels.shape) <= SMALL_PX:
            together.setdefault(pixels.shape, []).append(index)
        else:
            seen[index] = glance(pixels)
    for shape, same in together.items():
        count = max(1, TOGETHER // math.prod(shape))
        for start in range(0, len(same), count):
            some = same[start : start + count]
            seen |= zip(some, _glance_together(np.stack([pictures[index] for index in some])), strict=True)
    return [seen[index] for index in range(len(pictures))]


def _glance_together(pictures: Pixels) -> list[Glance]:
    """Do for small pictures of one size what :func:`glance` does for one.

    Shape: uint8 (B, H, W, 3).
    """
    count, height, width, _ = pictures.shape
    levels = pictures.astype(np.float32)
    rows = np.matmul(_weights(height), levels.reshape(count, height, width * 3))  # (B, 16, W * 3)
    small = np.rint(rows.reshape(count * THUMB_PX, width * 3) @ _colour_weights(width)).astype(np.uint8)
    thumbs = small.reshape(count, -1)
    step = max(1, height // ROWS)
    green = np.ascontiguousarray(levels[:, step // 2 :: step, :, 1])
    first = green[:, :, 1:] - green[:, :, :-1]
    second = first[:, :, 1:] - first[:, :, :-1]
    second[:, :, 6::8] = second[:, :, 7::8] = 0
    slopes, bends = (np.einsum("ijk,ijk->i", part, part).tolist() for part in (first, second))
    values = max(1, first[0].size)
    return [
        Glance(thumb.tobytes(), KEPT * 2 * slope / bend if bend else 1.0, (slope / values) ** 0.5)
        for thumb, slope, bend in zip(thumbs, slopes, bends, strict=True)
    ]


@cache
def _weights(side: int) -> Floats:
    """Give the weights of Pillow's antialiased bilinear filter from ``side`` to THUMB_PX pixels, (THUMB_PX, side)."""
    scale = side / THUMB_PX
    middles = (np.arange(THUMB_PX) + 0.5) * scale
    apart = np.abs(np.arange(side) + 0.5 - middles[:, None]) / max(1.0, scale)
    weights = np.maximum(0, 1 - apart)
    made: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return made


@cache
def _colour_weights(side: int) -> Floats:
    """Give the same weights for rows of three colours a pixel, (side * 3, THUMB_PX * 3): no axis has to be moved."""
    return np.ascontiguousarray(np.kron(_weights(side), np.eye(3, dtype=np.float32)).T)


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
    plain = _plain(seen) | _told(seen, "one colour")
    dark = (mean < DARK) & (high < DARK_TOP) | _told(seen, "nearly black")
    bright = (mean > BRIGHT) & (low > BRIGHT_LOW) | _told(seen, "nearly white")
    found: dict[str, tuple[Bools, Any]] = {
        "plain": (plain, -seen.contrasts),
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
    skew = seen.thumbs[..., 1].astype(np.float32)
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


def _plain(seen: Glances) -> Bools:
    """Tell which pictures are of one colour, but for faint noise, bool (N,)."""
    plain = seen.contrasts < ONE_COLOUR
    some = seen.thumbs[plain].reshape(-1, THUMB_PX**2, 3)
    plain[plain] = np.ptp(some, axis=1).max(axis=1) <= 4 * ONE_COLOUR
    return plain


def _alone(seen: Glances, allowed: Bools) -> tuple[Bools, Floats]:
    """Find pictures that are far from all others of their class; with how many times as far as usual they are."""
    middles = [seen.thumbs[:, row::4, column::4].astype(np.float32) for row in (1, 2) for column in (1, 2)]
    points = (sum(middles[1:], middles[0]) * np.float32(0.25)).reshape(len(seen.thumbs), 48)
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
