"""Where a network looks: attention maps over their images, in the manner of figures 1 and 5 of the SAGAN paper.

Zhang et al. 2018, "Self-Attention Generative Adversarial Networks" (arXiv v2). A map is one row of the attention
matrix: for one query position, how much it takes from every key position. The paper gives neither colour map nor
normalisation; here a map is enlarged bilinearly and divided by its largest value, so that panels show where a query
looks, not how sharply.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict, Unpack, get_args

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sagan.figures.canvas import (
    PALETTE,
    RGB,
    Pixels,
    Table,
    check_images,
    check_labels,
    choose_scale,
    draw_table,
    enlarge,
)

Maps = NDArray[np.floating]
Point = tuple[float, float]
Ground = Literal["heat", "grey"]

# Colours of the query points in order; red first, because the first query is the one that people look at.
QUERY_COLOURS: tuple[RGB, ...] = (PALETTE[1], PALETTE[0], PALETTE[2], PALETTE[3], PALETTE[6], PALETTE[5], PALETTE[4])
FRAME = 4
MIN_PANEL = 96
# Softmax rows in bfloat16 sum to 1 within about this much.
SUM_TOLERANCE = 2e-2
# Marks are drawn this many times larger and averaged down: smooth edges.
SUPERSAMPLING = 4


@dataclass(frozen=True, kw_only=True)
class AttentionStyle:
    """How an attention figure is drawn."""

    ground: Ground = "heat"
    """``"heat"`` lays the map in colours over the darkened grey image, ``"grey"`` shows the map alone."""
    arrows: bool = True
    """Draw an arrow from each query to what it attends to."""
    scale: int | None = None
    """Whole factor by which each image is enlarged (nearest pixel); None makes the figure about 960 px wide."""

    def __post_init__(self) -> None:
        if self.ground not in get_args(Ground):
            raise ValueError(f'style is "heat" or "grey", found {self.ground!r}')


class StyleChanges(TypedDict, total=False):
    """Fields of a style that are given by themselves."""

    arrows: bool
    scale: int | None


def attention_target(attention_map: Maps) -> tuple[float, float]:
    """Find the region that a query attends to most: the centroid of the largest patch above half of the maximum.

    A patch is a set of cells that touch along their sides. Among patches of equal size the one with more attention
    counts.

    Shape: attention_map (h, w), at least 0 -> (y, x) in cells; (0.0, 0.0) is the centre of the first cell.

    Raises:
        ValueError: If the map has another shape, or a value that is negative or not finite, or no positive value.
    """
    if attention_map.ndim != 2 or 0 in attention_map.shape:
        raise ValueError(f"an attention map has the shape (h, w), found {attention_map.shape}")
    _check_values(attention_map)
    largest = attention_map.max()
    if largest == 0:
        raise ValueError("the attention map is zero everywhere, so it points nowhere")
    patches = _patches(attention_map > 0.5 * largest)
    best = max(patches, key=lambda patch: (len(patch), float(sum(attention_map[cell] for cell in patch))))
    y, x = np.mean(best, axis=0)
    return float(y), float(x)


def attention_figure(
    images: Pixels,
    maps: Maps,
    queries: NDArray[np.integer],
    *,
    row_labels: Sequence[str] | None = None,
    title: str | None = None,
    caption: str | None = None,
    style: AttentionStyle | Ground = "heat",
    **changes: Unpack[StyleChanges],
) -> Image.Image:
    """Draw one row per image: the image with its query points, then for each query the map over the image.

    Each query has a colour: that of its dot (in its panel a ring), of its arrow, which points to
    :func:`attention_target`, and of the frame of its panel. An arrow that its dot would hide is left out: that query
    attends to its own surroundings.

    Shape:
        images uint8 (N, H, W, 3), 0 to 255.
        maps floating point (N, Q, h, w), at least 0, each summing to 1; h <= H, w <= W.
        queries integer (Q, 2) for all images or (N, Q, 2): pixels (y, x) of the image.

    Args:
        images: The pictures that were attended over.
        maps: What each query attends to, on the grid of the keys.
        queries: Where each query stands. At most seven, so that their colours differ clearly.
        row_labels: One per image, for example its class.
        title: Written above.
        caption: Written below: layer, form, gamma, seed. With gamma near 0 the maps hardly matter to the network.
        style: How to draw it, or the ground of the maps alone.
        **changes: Fields ``arrows`` and ``scale`` of the style, in place of what it says.

    Raises:
        ValueError: If a shape, type or range differs from the above, or a query lies outside the image.
        TypeError: If ``changes`` has another name.
    """
    check_images(images)
    n, height, width, _ = images.shape
    queries = _check_queries(queries, n, height, width)
    _check_maps(maps, n, queries.shape[1], height, width)
    check_labels(row_labels, n, "row_labels", "image")
    style = replace(AttentionStyle(ground=style) if isinstance(style, str) else style, **changes)
    columns = 1 + queries.shape[1]
    scale = choose_scale(n * height, columns * width, style.scale)
    if style.scale is None:
        scale = max(scale, math.ceil(MIN_PANEL / min(height, width)))
    cells = []
    for image, image_maps, points in zip(images, maps, queries, strict=True):
        cells += _row(image, image_maps, points, scale, style)
    return draw_table(Table(cells=cells, columns=columns, gap=6, row_labels=row_labels, title=title, caption=caption))


def _row(
    image: Pixels, maps: Maps, points: NDArray[np.integer], scale: int, style: AttentionStyle
) -> list[Image.Image]:
    """Draw the enlarged image with its query points, and a panel for each of its maps."""
    panels, dots, targets = [], [], []
    large = enlarge(image, scale)
    for colour, attention_map, point in zip(QUERY_COLOURS, maps, points, strict=False):
        dot = _to_panel(point, image.shape, large)
        dots.append((colour, dot))
        targets.append((colour, dot, _to_panel(attention_target(attention_map), attention_map.shape, large)))
        panel = Image.fromarray(_shade(large, attention_map, style.ground))
        panels.append(_framed(_draw_marks(panel, [(colour, dot)], [], hollow=True), colour))
    return [_framed(_draw_marks(Image.fromarray(large), dots, targets if style.arrows else []), None), *panels]


def resize_bilinear(values: Maps, height: int, width: int) -> NDArray[np.float64]:
    """Enlarge a map (h, w) to (height, width) bilinearly, with pixel centres at half integers and replicated edges."""
    return (
        _interpolation(values.shape[0], height) @ values.astype(np.float64) @ _interpolation(values.shape[1], width).T
    )


def _interpolation(old: int, new: int) -> NDArray[np.float64]:
    """Give the (new, old) matrix of linear interpolation along one axis."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    # The hat function around each old centre: 1 there, falling to 0 at its neighbours.
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(old)))


def _shade(large: Pixels, attention_map: Maps, style: str) -> Pixels:
    """Show a map at the size of the enlarged image, over it or alone."""
    strength = resize_bilinear(attention_map, *large.shape[:2])
    strength /= strength.max()
    if style == "grey":
        return np.rint(255 * np.stack([strength] * 3, axis=-1)).astype(np.uint8)
    # Luma of ITU-R BT.601, darkened so that the colours of the map stand out and the shapes stay visible below.
    grey = large @ np.array([0.299, 0.587, 0.114]) * 0.55
    heat = 255 * matplotlib.colormaps["inferno"](strength)[..., :3]
    opacity = 0.9 * strength[..., None]
    blended: NDArray[np.float64] = (1 - opacity) * grey[..., None] + opacity * heat
    return np.rint(blended).astype(np.uint8)


def _to_panel(cell: Sequence[float], grid: tuple[int, ...], large: Pixels) -> Point:
    """Map the centre of a cell (y, x) of a grid to a place (y, x) in the panel, in px from its upper left corner."""
    return (cell[0] + 0.5) * large.shape[0] / grid[0], (cell[1] + 0.5) * large.shape[1] / grid[1]


def _draw_marks(
    panel: Image.Image,
    dots: Sequence[tuple[RGB, Point]],
    arrows: Sequence[tuple[RGB, Point, Point]],
    *,
    hollow: bool = False,
) -> Image.Image:
    """Draw arrows from the first point to the second, then dots over them, all with a light rim for any ground.

    Hollow ones are rings: what a map has there, where a place looks at itself, is seen through them.
    """
    radius = min(10.0, max(4.0, min(panel.size) / 28))
    rim = max(1.0, radius / 3.5)
    size = (panel.width * SUPERSAMPLING, panel.height * SUPERSAMPLING)
    layer = Image.new("RGBA", size)
    draw = ImageDraw.Draw(layer)
    for colour, start, end in arrows:
        if math.dist(start, end) > 3 * radius:
            # The rim first, below the whole arrow.
            for fill, grow in (((255, 255, 255), rim), (colour, 0.0)):
                _draw_arrow(draw, start, end, radius, grow, fill)
    for colour, (y, x) in dots:
        for fill, reach in (((255, 255, 255), radius + rim), (colour, radius)):
            box = [SUPERSAMPLING * edge for edge in (x - reach, y - reach, x + reach, y + reach)]
            draw.ellipse(box, fill=fill)
        if hollow:
            reach = radius - rim
            draw.ellipse([SUPERSAMPLING * edge for edge in (x - reach, y - reach, x + reach, y + reach)], fill=(0,) * 4)
    return Image.alpha_composite(panel.convert("RGBA"), layer.reduce(SUPERSAMPLING)).convert("RGB")


def _draw_arrow(draw: ImageDraw.ImageDraw, start: Point, end: Point, radius: float, grow: float, fill: RGB) -> None:
    """Draw one arrow, every edge of it moved outwards by ``grow`` px."""
    (y0, x0), (y1, x1) = start, end
    length = math.dist(start, end)
    along_y, along_x = (y1 - y0) / length, (x1 - x0) / length
    head = min(2.6 * radius, length)
    half_line, half_head = 0.42 * radius + grow, 1.15 * radius + 1.4 * grow

    def place(along: float, across: float) -> tuple[float, float]:
        y, x = y0 + along * along_y + across * along_x, x0 + along * along_x - across * along_y
        return x * SUPERSAMPLING, y * SUPERSAMPLING

    neck = length - head
    outline = [(0, half_line), (neck, half_line), (neck - grow, half_head), (length + 1.6 * grow, 0)]
    draw.polygon([place(*p) for p in outline] + [place(a, -b) for a, b in reversed(outline)], fill=fill)


def _framed(panel: Image.Image, colour: RGB | None) -> Image.Image:
    """Put a frame around a panel, outside its pixels; None is a pale one."""
    page = Image.new("RGB", (panel.width + 2 * FRAME, panel.height + 2 * FRAME), colour or (222, 226, 230))
    page.paste(panel, (FRAME, FRAME))
    return page


def _patches(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """List the connected sets of true cells, each as a list of (y, x), in reading order of their first cells."""
    remaining = dict.fromkeys((int(y), int(x)) for y, x in np.argwhere(mask))
    patches = []
    while remaining:
        patch = [next(iter(remaining))]
        del remaining[patch[0]]
        for y, x in patch:  # The list grows while it is walked.
            for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if neighbour in remaining:
                    del remaining[neighbour]
                    patch.append(neighbour)
        patches.append(patch)
    return patches


def _check_values(maps: Maps) -> None:
    if not np.issubdtype(maps.dtype, np.floating):
        raise ValueError(f"attention maps are floating point, found {maps.dtype}")
    if not np.isfinite(maps).all() or (maps < 0).any():
        raise ValueError("attention maps hold finite values of at least 0; pass rows of the softmax, not its logits")


def _check_maps(maps: Maps, n: int, num_queries: int, height: int, width: int) -> None:
    if maps.ndim != 4 or maps.shape[:2] != (n, num_queries) or 0 in maps.shape:
        raise ValueError(
            f"maps have the shape (N, Q, h, w) with N = {n} images and Q = {num_queries} queries, found {maps.shape}"
        )
    if maps.shape[2] > height or maps.shape[3] > width:
        raise ValueError(f"maps of {maps.shape[2:]} cells are finer than their images of {(height, width)} pixels")
    _check_values(maps)
    sums = maps.sum(axis=(2, 3), dtype=np.float64)
    worst = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
    if abs(sums[worst] - 1) > SUM_TOLERANCE:
        raise ValueError(
            f"each map sums to 1 over its cells, found {sums[worst]:.4g} for image {worst[0]}, query {worst[1]}; "
            "pass whole rows of the attention matrix"
        )


def _check_queries(queries: NDArray[np.integer], n: int, height: int, width: int) -> NDArray[np.integer]:
    """Give the queries as (N, Q, 2)."""
    if not np.issubdtype(queries.dtype, np.integer):
        raise ValueError(f"queries are whole pixels (y, x), found {queries.dtype}")
    if queries.ndim == 2:
        queries = np.broadcast_to(queries, (n, *queries.shape))
    if queries.ndim != 3 or queries.shape[0] != n or queries.shape[2] != 2:
        raise ValueError(f"queries have the shape (Q, 2) or (N, Q, 2) with N = {n} images, found {queries.shape}")
    if not 1 <= queries.shape[1] <= len(QUERY_COLOURS):
        raise ValueError(f"a figure shows 1 to {len(QUERY_COLOURS)} queries, found {queries.shape[1]}")
    outside = ((queries < 0) | (queries >= (height, width))).any(axis=2)
    if outside.any():
        y, x = queries[outside][0]
        raise ValueError(
            f"the query ({y}, {x}) lies outside the image: y runs from 0 to {height - 1}, x from 0 to {width - 1}"
        )
    return queries
