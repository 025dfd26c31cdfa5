"""Near copies: pictures that show the same, saved again, resized, recompressed, a little brighter or mirrored.

A picture is seen as a small thumbnail with its mean taken out, scaled to length 1; two are near copies where these lie
close together, for the picture itself or for its mirror image. Only pairs that agree in their coarsest cosine
coefficients are compared: each picture and its mirror image gets a cell of a coarse grid over these (a hash in
bands), several grids are shifted against each other, and in each cell only neighbours in a sorted order are looked at.
So the work grows with the number of pictures, not with its square, however alike they are.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sagan.data.decode import Pixels

Floats = np.ndarray[Any, np.dtype[np.float32]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

THUMB_PX = 16
"""Height and width of the thumbnails."""
NEAR, NEAR_OF_TINY = 0.15, 0.10
"""Closer than this, of at most 2, are near copies: re-saved JPEGs of 128 px lie at 0.01 to 0.1, those of 32 px up to
0.2; different photographs hardly ever below 0.25, but different drawn digits of 8 px from 0.11 on."""
TINY_PX = 24
"""Pictures with a shorter side below this are tiny: they have too little in them to tell more."""
PLAIN = 4.0
"""Thumbnails whose standard deviation is below this, in levels of 256, show too little to be compared."""
GRIDS, CELL, COORDINATES, NEIGHBOURS = 4, 0.25, 8, 12
CHUNK = 1000


class NearCopies(NamedTuple):
    """Pictures that show the same."""

    members: tuple[int, ...]
    """Their indices, ascending: two or more."""
    mirrored: bool
    """Whether some of them are mirror images of others."""


def near_copies(thumbs: Pixels, sides: Indices, only: Bools | None = None) -> list[NearCopies]:
    """Find groups of pictures that are nearly the same, or mirror images of each other.

    Pictures with equal pixels should be given once, or they crowd out others.

    Args:
        thumbs: Thumbnails of whole pictures, squeezed to a square.
        sides: The shorter side of each picture in pixels, int64 (N,).
        only: bool (N,): groups without such a picture are left out.

    Shape: thumbs uint8 (N, THUMB_PX, THUMB_PX, 3).
    """
    if len(thumbs) < 2:
        return []
    first, second, mirrored = _pairs(thumbs, np.where(sides < TINY_PX, NEAR_OF_TINY, NEAR).astype(np.float32))
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(thumbs), len(thumbs)))
    group = connected_components(graph, directed=False)[1]
    members: dict[int, list[int]] = {}
    for index in np.unique(np.concatenate([first, second])).tolist():
        members.setdefault(int(group[index]), []).append(index)
    turned = set(group[first[mirrored]].tolist())
    found = [NearCopies(tuple(indices), label in turned) for label, indices in members.items()]
    return [copies for copies in found if only is None or only[list(copies.members)].any()]


def _pairs(thumbs: Pixels, radius: Floats) -> tuple[Indices, Indices, Bools]:
    """Find pairs of near copies: indices of both, and whether the second is a mirror image of the first."""
    count = len(thumbs)
    basis, odd = _cosines()
    seen, spread = _coordinates(thumbs, basis)
    flips = np.where(odd, -1, 1).astype(np.float32)
    both = np.concatenate([seen, seen * flips])  # each picture, then each one's mirror image
    busy = np.tile(spread >= PLAIN, 2)
    low, high = np.concatenate([_in_grid(both, busy, grid) for grid in range(GRIDS)], axis=1)
    low, high = np.divmod(np.unique(low * (2 * count) + high), 2 * count)
    real = (low < count) & (high % count != low)  # two mirror images are as alike as what they are made from
    low, high = low[real], high[real]
    first, second, mirrored = low, high % count, high >= count
    close = np.zeros(len(first), bool)
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        away = _distance(thumbs[first[part]], thumbs[second[part]], mirrored[part])
        close[part] = away < np.minimum(radius[first[part]], radius[second[part]])
    return first[close], second[close], mirrored[close]


def _in_grid(both: Floats, busy: Bools, grid: int) -> Indices:
    """Give candidates, int64 (2, M), the smaller index first: neighbours in sorted order that share a cell."""
    cells = np.floor(both[:, :COORDINATES] / CELL + grid / GRIDS).astype(np.int64) + 32
    key = cells @ (64 ** np.arange(COORDINATES))
    order = np.lexsort((both[:, COORDINATES + grid], key))
    order = order[busy[order]]
    key, sorted_ = key[order], both[order]
    found = [np.zeros((2, 0), np.int64)]
    for step in range(1, NEIGHBOURS + 1):
        apart = sorted_[step:] - sorted_[:-step]
        close = (key[step:] == key[:-step]) & (np.einsum("ij,ij->i", apart, apart) < NEAR**2)
        place = np.flatnonzero(close)
        found.append(np.sort(np.stack([order[place], order[place + step]]), axis=0))
    return np.concatenate(found, axis=1)


def _coordinates(thumbs: Pixels, basis: Floats) -> tuple[Floats, Floats]:
    """Give the coordinates of scaled thumbnails, float32 (N, K), and the standard deviations of their levels, (N,)."""
    seen, spread = np.empty((len(thumbs), len(basis)), np.float32), np.empty(len(thumbs), np.float32)
    for start in range(0, len(thumbs), CHUNK):
        part = slice(start, start + CHUNK)
        scaled, spread[part] = _scaled(thumbs[part])
        seen[part] = scaled @ basis.T
    return seen, spread


def _scaled(thumbs: Pixels) -> tuple[Floats, Floats]:
    """Take the mean out and scale to length 1; give the standard deviations, too."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("ij,ij->i", flat, flat))
    flat /= np.maximum(length, 1e-6)[:, None]
    return flat, length / np.float32(np.sqrt(flat.shape[1]))


def _distance(first: Pixels, second: Pixels, mirrored: Bools) -> Floats:
    """Give the distances of pairs of thumbnails, the second ones mirrored where that is asked for."""
    turned = np.where(mirrored[:, None, None, None], second[:, :, ::-1], second)
    apart = _scaled(first)[0] - _scaled(turned)[0]
    away: Floats = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    return away


def _cosines() -> tuple[Floats, Bools]:
    """Give the coarsest cosine patterns in lightness and two colours, (K, THUMB_PX**2 * 3), and which are odd.

    An odd one changes its sign when a picture is mirrored. Those that tell most come first.
    """
    angle = (np.arange(THUMB_PX) + 0.5) / THUMB_PX * np.pi
    wave = [np.cos(k * angle) for k in range(4)]
    colours = ((3, (1, 1, 1)), (1, (1, 0, -1)), (1, (-1, 2, -1)))
    terms = [
        (down + across, colour, down, across)
        for colour, (most, _) in enumerate(colours)
        for down in range(4)
        for across in range(4)
        if down + across <= most and (colour or down + across)
    ]
    patterns = []
    for _, colour, down, across in sorted(terms):
        pattern = wave[down][:, None, None] * wave[across][None, :, None] * np.array(colours[colour][1])
        patterns.append(pattern.ravel() / np.linalg.norm(pattern))
    odd = np.array([across % 2 == 1 for *_, across in sorted(terms)])
    return np.array(patterns, np.float32), odd
