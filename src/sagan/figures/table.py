"""A table of words and numbers as a picture."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sagan.figures.canvas import INK, LABEL_SIZE, MUTED, PAPER, add_text, font, line_height, wrap

PADDING = 14
RULE = (206, 212, 218)
HEADER_WIDTH = 150
CELL_WIDTH = 420


def table_picture(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None, caption: str | None = None
) -> Image.Image:
    """Draw a table: the first column to the left, the others, which hold numbers, to the right.

    Args:
        columns: What stands above each column; long ones are wrapped.
        rows: The cells of each row, one per column.
        title: Written above.
        caption: Written below.

    Raises:
        ValueError: If there is no column, or a row has another number of cells.
    """
    if not columns or any(len(row) != len(columns) for row in rows):
        raise ValueError(f"each row needs one cell per column, {len(columns)} in all")
    measure, height = font(LABEL_SIZE).getlength, line_height(LABEL_SIZE)
    headers = [wrap(text, LABEL_SIZE, HEADER_WIDTH) for text in columns]
    cells = [[wrap(text, LABEL_SIZE, CELL_WIDTH) for text in row] for row in rows]
    widths = [
        max(int(np.ceil(measure(line))) for lines in (headers[i], *(row[i] for row in cells)) for line in lines or [""])
        for i in range(len(columns))
    ]
    tops = [0]
    for row in (headers, *cells):
        tops.append(tops[-1] + max(max(len(lines) for lines in row), 1) * height + PADDING // 2)
    body = Image.new("RGB", (sum(widths) + PADDING * (2 * len(columns) - 1), tops[-1] + 1), PAPER)
    draw = ImageDraw.Draw(body)
    for number, row in enumerate((headers, *cells)):
        left = 0
        for i, lines in enumerate(row):
            for k, line in enumerate(lines):
                x = left if i == 0 else left + widths[i]
                y = tops[number] + (k + 0.5) * height + PADDING // 4
                ink = MUTED if number == 0 else INK
                draw.text((x, y), line, font=font(LABEL_SIZE), fill=ink, anchor="lm" if i == 0 else "rm")
            left += widths[i] + 2 * PADDING
        draw.line((0, tops[number + 1], body.width, tops[number + 1]), fill=INK if number == 0 else RULE)
    return add_text(body, title=title, caption=caption)
