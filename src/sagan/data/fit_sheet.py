"""What each way to bring pictures to one size loses: a sheet of the pictures it matters most for, and an advice."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sagan.data.config import Fit
from sagan.data.fit import Frame, Pixels, fitted, frame_of
from sagan.data.pictures import Pictures
from sagan.sizes import longhand

Shape = tuple[int, int]
Floats = NDArray[np.float64]
Shapes = Sequence[Shape] | Floats
"""(height, width) of each picture."""

EXTREMES = 3
"""The sheet shows so many of the widest pictures, and as many of the tallest."""
BOX_PX = 144
"""About the longer side of each picture on the sheet."""
GAP_PX, TEXT_PX, HEAD_PX = 12, 16, 22
FRAMES: dict[str, str] = {"crop": "#e8590c", "smart": "#1971c2"}
"""Colours of the frames that are drawn into the original."""
FITS: tuple[Fit, ...] = get_args(Fit)

LITTLE = 0.1
"""Losing at most this share of a picture is called little."""
BETTER = 0.05
"""Another size is proposed if it saves at least this share of the pictures."""
STEPS, LONGEST = 4, 4.0
"""The longer side of a network's images is a multiple of a quarter of the shorter, and at most four times as long."""


class Losses(NamedTuple):
    """What it costs to bring pictures to one size, as shares from 0 to 1.

    A crop cuts off the share that a padded picture has of border, and squeezing stretches by 1 / (1 - share).
    """

    typical: float
    """Of the median picture."""
    worst_tenth: float
    """Of one picture in ten, at least."""
    mean: float
    """On average."""
    spread: float
    """How many times wider the shape (width / height) of one in ten pictures is than that of another in ten."""


class FitAdvice(NamedTuple):
    """Which way to take."""

    fit: Fit
    """The way that is advised at this size."""
    other_size: Shape | None
    """(height, width) that would lose less, if one would."""
    sentences: tuple[str, ...]
    """Why, with numbers."""


def losses(shapes: Shapes, size: Shape) -> Losses:
    """Count what it costs to bring pictures of these shapes, (height, width) each, at least one, to a size."""
    ratios, lost = _lost(shapes, size)
    low, high = np.quantile(ratios, [0.1, 0.9])
    return Losses(float(np.median(lost)), float(np.quantile(lost, 0.9)), float(lost.mean()), float(high / low))


def _lost(shapes: Shapes, size: Shape) -> tuple[Floats, Floats]:
    """Give for each picture how many times wider than the size its shape is, and the share that a crop loses."""
    heights, widths = np.asarray(shapes, np.float64).T
    ratios = widths / heights * (size[0] / size[1])
    return ratios, 1.0 - np.minimum(ratios, 1.0 / ratios)


def fit_advice(shapes: Shapes, size: Shape) -> FitAdvice:
    """Advise a way to bring pictures of these shapes, (height, width) each, to a size, and say why."""
    shapes = np.asarray(shapes, np.float64)
    found = losses(shapes, size)
    other = _better_size(shapes, size, found)
    cost = f"{found.typical:.0%} of a typical picture is cut off, {found.worst_tenth:.0%} or more of one in ten"
    if found.worst_tenth <= LITTLE:
        fit: Fit = "crop"
        why = f"fit: crop (the default) loses little at {longhand(size)}: {cost}"
    else:
        fit = "smart"
        alike = "are alike, but not that one" if found.spread <= 1 + LITTLE else "differ"
        why = (
            f"fit: --data.fit smart is advised at {longhand(size)}, because the shapes of the pictures {alike}: {cost} "
            "by any crop, and this one keeps the part with most to see; where the whole picture counts, --data.fit pad "
            f"shows it with borders ({found.typical:.0%} of the area), --data.fit squeeze distorts it "
            f"({1 / (1 - found.typical):.2f} times)"
        )
    said = [why]
    if other is not None:
        there = losses(shapes, other)
        said.append(
            f"size: --size {longhand(other)} (height x width) is nearer to their shape: crops there cut off "
            f"{there.typical:.0%} of a typical picture, {there.worst_tenth:.0%} or more of one in ten"
        )
    return FitAdvice(fit, other, tuple(said))


def _better_size(shapes: Shapes, size: Shape, found: Losses) -> Shape | None:
    """Find the size of that shorter side at which crops lose least, if it saves enough and no tenth loses more."""
    shorter = min(size)
    if shorter % STEPS:
        return None
    longer = [shorter * step // STEPS for step in range(STEPS, int(STEPS * LONGEST) + 1)]
    sizes = {(shorter, side) for side in longer} | {(side, shorter) for side in longer}
    best = min(sorted(sizes), key=lambda one: float(_lost(shapes, one)[1].mean()))
    there = losses(shapes, best)
    return best if there.mean <= found.mean - BETTER and there.worst_tenth <= found.worst_tenth else None


def fit_sheet(pictures: Pictures, shapes: Mapping[int, Shape], size: Shape, border: str = "auto") -> Image.Image:
    """Draw the widest and the tallest pictures: the original with the frames of both crops, and the four results.

    Args:
        pictures: The set; those that are shown are decoded once more.
        shapes: (height, width) of each picture that can be read, by its index, at least one.
        size: (height, width) to bring them to.
        border: Colour of borders, as :func:`sagan.data.fit.fitted` takes it.
    """
    rows = [_row(pictures, index, size, border) for index in extremes(shapes, size)]
    widths = [max(BOX_PX, *(row[column][0].width for row in rows)) for column in range(1 + len(FITS))]
    heights = [max(image.height for image, _ in row) + 2 * TEXT_PX for row in rows]
    lefts = [GAP_PX + sum(widths[:column]) + GAP_PX * column for column in range(len(widths))]
    tops = [HEAD_PX + sum(heights[:row]) + GAP_PX * row for row in range(len(heights))]
    page = Image.new("RGB", (lefts[-1] + widths[-1] + GAP_PX, tops[-1] + heights[-1] + GAP_PX), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for left, title in zip(lefts, ("original", *FITS), strict=True):
        draw.text((left, 4), title, fill=FRAMES.get(title, "black"), font=font)
    for top, row in zip(tops, rows, strict=True):
        for left, (image, text) in zip(lefts, row, strict=True):
            page.paste(image, (left, top))
            draw.multiline_text((left, top + image.height + 1), text, fill="black", font=font, spacing=2)
    return page


def extremes(shapes: Mapping[int, Shape], size: Shape) -> list[int]:
    """Choose the widest and the tallest pictures against a size, first those of the shape that is farther away."""
    order = sorted(shapes, key=lambda index: (shapes[index][1] / shapes[index][0], index))
    wanted = size[1] / size[0]
    tall = [index for index in order[:EXTREMES] if shapes[index][1] / shapes[index][0] < wanted]
    wide = [index for index in order[::-1][:EXTREMES] if shapes[index][1] / shapes[index][0] > wanted]
    return [*wide, *tall] or order[:1]


def _row(pictures: Pictures, index: int, size: Shape, border: str) -> list[tuple[Image.Image, str]]:
    """Draw a picture and what each way makes of it, each with a text below."""
    pixels = pictures.decode(index).pixels
    shape = (pixels.shape[0], pixels.shape[1])
    name = "".join(letter if letter.isprintable() else "?" for letter in pictures.names[index])
    name = name if len(name) <= 24 else f"...{name[-21:]}"
    frames: dict[str, Frame] = {fit: frame_of(pixels, size, fit) for fit in FITS if fit in FRAMES}
    shown = [(_with_frames(pixels, frames), f"{name}\n{longhand(shape)}")]
    lost = losses([shape], size).mean
    texts = {"pad": f"{lost:.0%} border", "squeeze": f"{1 / (1 - lost):.2f} times distorted"}
    scale = max(1, round(BOX_PX / max(size)))
    for fit in FITS:
        made = fitted(pixels, size, fit, border).repeat(scale, 0).repeat(scale, 1)
        shown.append((Image.fromarray(made), texts.get(fit, f"{lost:.0%} cut off")))
    return shown


def _with_frames(pixels: Pixels, frames: Mapping[str, Frame]) -> Image.Image:
    """Draw a picture into its box, with a frame around what each crop takes."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    scale = BOX_PX / max(image.size)
    image = image.resize(tuple(max(1, round(side * scale)) for side in image.size))  # type: ignore[arg-type]
    draw = ImageDraw.Draw(image)
    for inset, (fit, frame) in enumerate(frames.items()):
        left, top = frame.left * scale, frame.top * scale
        right, bottom = left + frame.width * scale, top + frame.height * scale
        room = 2 * inset
        box = (left + room, top + room, max(left + room, right - 1 - room), max(top + room, bottom - 1 - room))
        draw.rectangle(box, outline=FRAMES[fit], width=2)
    return image
