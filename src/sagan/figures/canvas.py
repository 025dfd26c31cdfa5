"""What every picture of this room shares: colours, lettering, and one layout - a table of equal cells with labels.

The cells are pasted as they are, so image pixels reach the file bit for bit (enlarged by whole factors, nearest).
Labels, title and caption are laid out around them and never over them. All sizes here are in pixels of the picture.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
RGB = tuple[int, int, int]

PAPER: RGB = (255, 255, 255)
INK: RGB = (33, 37, 41)
MUTED: RGB = (95, 102, 109)
# Okabe and Ito's palette (2008), which people with the common colour blindnesses tell apart; in order of use.
PALETTE: tuple[RGB, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (110, 110, 110),
)

MARGIN = 20
TITLE_SIZE = 22
LABEL_SIZE = 15
CAPTION_SIZE = 14
# Bounds of what labels may take: wider ones are wrapped, then shortened.
ROW_LABEL_WIDTH = 220
COLUMN_LABEL_WIDTH = 84
LABEL_LINES = 3
# A title or a caption beside one tiny image still gets lines of a readable length.
MIN_TEXT_WIDTH = 360
LINE_SPACING = 1.3


def font(size: int) -> ImageFont.FreeTypeFont:
    """Give the lettering of all pictures at ``size`` pixels.

    DejaVu Sans, which comes with matplotlib, so that curves and grids agree; Pillow's built-in font has no Greek
    letters, arrows or accents.
    """
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)  # Pillow 10.1 takes no Path.


def line_height(size: int) -> int:
    """Give the distance between two lines of text of ``size`` pixels."""
    return round(size * LINE_SPACING)


def wrap(text: str, size: int, width: int, max_lines: int | None = None) -> list[str]:
    """Break a text into lines of at most ``width`` pixels; what exceeds ``max_lines`` is cut with an ellipsis.

    Lines break after spaces, hyphens, underscores, slashes and commas (but those within a number), and inside a word
    only when the word alone is wider than a line. Line breaks in the text are kept when the number of lines is free.
    """
    if max_lines is not None:
        text = " ".join(text.split())
    measure = font(size).getlength
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for piece in filter(None, re.findall(r"(?:[^\s\-_/,]|(?<=\d),(?=\d))*[\-_/,]*\s*", paragraph)):
            while measure((line + piece).rstrip()) > width:
                if not line:
                    fits = next((n for n in range(len(piece) - 1, 1, -1) if measure(piece[:n]) <= width), 1)
                    if fits == len(piece):
                        break  # One character wider than the line: there is nothing left to break.
                    line, piece = piece[:fits], piece[fits:]
                lines.append(line.rstrip())
                line = ""
            line += piece
        lines.append(line.rstrip())
    if max_lines is not None and len(lines) > max_lines:
        rest = " ".join(lines[max_lines - 1 :])
        fits = next((n for n in range(len(rest), 0, -1) if measure(rest[:n].rstrip() + "…") <= width), 0)
        lines = [*lines[: max_lines - 1], rest[:fits].rstrip(" ,-_/") + "…"]
    return lines


def enlarge(pixels: Pixels, scale: int) -> Pixels:
    """Repeat every pixel ``scale`` times in both directions. Shape: (..., H, W, 3) -> (..., H*scale, W*scale, 3)."""
    return pixels.repeat(scale, axis=-3).repeat(scale, axis=-2)


def choose_scale(height: int, width: int, scale: int | None = None) -> int:
    """Give ``scale`` if set, else the whole factor that brings a block of ``height`` x ``width`` near 960 px wide.

    A block of up to 640 px becomes 640 to 1280 px wide, unless it would then be more than 1600 px high.

    Raises:
        ValueError: If a given scale is less than 1.
    """
    if scale is None:
        return max(1, min(round(960 / width), 1600 // height))
    if scale < 1:
        raise ValueError(f"scale is a whole factor of at least 1, found {scale}")
    return scale


def check_images(images: Pixels, shape: str = "(N, H, W, 3)") -> None:
    """Refuse what is not a uint8 array of colour images of the named ``shape``.

    Raises:
        ValueError: If type, number of axes or channels differ, or there is no image or no pixel.
    """
    if images.dtype != np.uint8:
        raise ValueError(f"images are uint8 from 0 to 255, found {images.dtype}; quantise them first")
    if images.ndim != shape.count(",") + 1 or images.shape[-1] != 3:
        raise ValueError(f"images have the shape {shape}, channels last, found {images.shape}")
    if 0 in images.shape:
        raise ValueError(f"there is no image to draw: the shape is {images.shape}")


def check_labels(labels: Sequence[str] | None, count: int, name: str, what: str) -> None:
    """Refuse labels that are one string or not ``count`` strings.

    Raises:
        ValueError: Saying how many labels ``name`` needs, one for each ``what``.
    """
    if isinstance(labels, str):
        raise ValueError(f"{name} is a list with one label per {what}, found the single string {labels!r}")
    if labels is not None and len(labels) != count:
        raise ValueError(f"{name} needs one label per {what}, {count} in all, found {len(labels)}")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of one size in rows and columns, with what is written around them."""

    cells: Sequence[Image.Image]
    """The cells in row-major order; the last row may be short."""
    columns: int
    """Cells per row."""
    gap: int = 4
    """Distance between neighbouring cells in px; labels that need more get more."""
    row_labels: Sequence[str] | None = None
    """Written left of each row; an empty string writes nothing."""
    column_labels: Sequence[str] | None = None
    """Written above each column; an empty string writes nothing."""
    title: str | None = None
    """Written above all."""
    caption: str | None = None
    """Written below all."""


def draw_table(table: Table) -> Image.Image:
    """Lay out a table on white paper; the last column of cells ends one margin from the right edge of the block."""
    cell_width, cell_height = table.cells[0].size
    rows = -(-len(table.cells) // table.columns)
    row_labels, column_labels = table.row_labels or [], table.column_labels or []
    pitch_x, pitch_y = _pitch(table)
    fitting_lines = min(LABEL_LINES, max(1, pitch_y // line_height(LABEL_SIZE)))
    row_lines = [wrap(label, LABEL_SIZE, ROW_LABEL_WIDTH, fitting_lines) for label in row_labels]
    column_lines = [wrap(label, LABEL_SIZE, pitch_x - LABEL_SIZE // 2, LABEL_LINES) for label in column_labels]

    left = max((_text_width(lines) for lines in row_lines), default=0)
    left += LABEL_SIZE if left else 0
    top = max((len(lines) for lines in column_lines), default=0) * line_height(LABEL_SIZE)
    top += LABEL_SIZE // 2 if top else 0
    # With a pitch wider than the cells, each cell and its label are centred in their share of the width.
    inset = (pitch_x - table.gap - cell_width) // 2
    body = Image.new(
        "RGB", (left + table.columns * pitch_x - table.gap, top + (rows - 1) * pitch_y + cell_height), PAPER
    )
    draw = ImageDraw.Draw(body)
    for index, cell in enumerate(table.cells):
        row, column = divmod(index, table.columns)
        body.paste(cell, (left + column * pitch_x + inset, top + row * pitch_y))
    for row, lines in enumerate(row_lines):
        centre = top + row * pitch_y + cell_height / 2
        _write(draw, lines, LABEL_SIZE, INK, x=left - LABEL_SIZE, y=centre, anchor="r", centred=True)
    for column, lines in enumerate(column_lines):
        x = left + column * pitch_x + inset + cell_width / 2
        y = top - LABEL_SIZE // 2 - len(lines) * line_height(LABEL_SIZE)
        _write(draw, lines, LABEL_SIZE, INK, x=x, y=y, anchor="m")
    return add_text(body, title=table.title, caption=table.caption)


def _pitch(table: Table) -> tuple[int, int]:
    """Give the distance from one cell to the next across and down."""
    pitch_x, pitch_y = (side + table.gap for side in table.cells[0].size)
    if any(table.row_labels or []):
        pitch_y = max(pitch_y, line_height(LABEL_SIZE))
    if table.column_labels and any(table.column_labels):
        # Neighbouring labels keep a letter's distance.
        widest = max(_text_width([label]) for label in table.column_labels)
        pitch_x = max(pitch_x, min(COLUMN_LABEL_WIDTH, widest) + LABEL_SIZE // 2)
    return pitch_x, pitch_y


def add_text(body: Image.Image, *, title: str | None, caption: str | None) -> Image.Image:
    """Put a picture on white paper with even margins, its title above and its caption below, both wrapped."""
    width = max(body.width, MIN_TEXT_WIDTH) if title or caption else body.width
    title_lines = wrap(title or "", TITLE_SIZE, width)
    caption_lines = wrap(caption or "", CAPTION_SIZE, width)
    above = len(title_lines) * line_height(TITLE_SIZE) + (MARGIN // 2 if title_lines else 0)
    below = len(caption_lines) * line_height(CAPTION_SIZE) + (MARGIN // 2 if caption_lines else 0)
    page = Image.new("RGB", (width + 2 * MARGIN, body.height + above + below + 2 * MARGIN), PAPER)
    page.paste(body, (MARGIN, MARGIN + above))
    draw = ImageDraw.Draw(page)
    _write(draw, title_lines, TITLE_SIZE, INK, x=MARGIN, y=MARGIN, anchor="l")
    y = MARGIN + above + body.height + MARGIN // 2
    _write(draw, caption_lines, CAPTION_SIZE, MUTED, x=MARGIN, y=y, anchor="l")
    return page


def _text_width(lines: Sequence[str]) -> int:
    measure = font(LABEL_SIZE).getlength
    return max((int(np.ceil(measure(line))) for line in lines), default=0)


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    size: int,
    colour: RGB,
    *,
    x: float,
    y: float,
    anchor: str,
    centred: bool = False,
) -> None:
    """Write lines below ``y``, or around it when ``centred``; x is their ``anchor``: l(eft), m(iddle) or r(ight)."""
    lettering = font(size)
    if centred:
        y -= len(lines) * line_height(size) / 2
    for number, line in enumerate(lines):
        draw.text((x, y + (number + 0.5) * line_height(size)), line, font=lettering, fill=colour, anchor=anchor + "m")
