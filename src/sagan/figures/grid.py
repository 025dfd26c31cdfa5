"""Sheets of samples: by class, along an interpolation, over training time."""

from collections.abc import Sequence

from PIL import Image

from sagan.figures.canvas import Pixels, Table, check_images, check_labels, choose_scale, draw_table, enlarge


def sample_grid(
    images: Pixels,
    *,
    columns: int,
    row_labels: Sequence[str] | None = None,
    title: str | None = None,
    caption: str | None = None,
    scale: int | None = None,
) -> Image.Image:
    """Draw images in rows, for example one class per row.

    Shape: images uint8 (N, H, W, 3), row-major: image ``r * columns + c`` stands in row r, column c.

    Args:
        images: The samples, 0 to 255.
        columns: Images per row; the last row may be short.
        row_labels: One per row, written left of it; long ones are wrapped, then shortened with an ellipsis.
        title: Written above the images.
        caption: Written below the images.
        scale: Whole factor by which each image is enlarged (nearest pixel); None makes the block about 960 px wide.

    Raises:
        ValueError: If images have another shape or type, columns or scale is below 1, or labels do not match the rows.
    """
    check_images(images)
    if columns < 1:
        raise ValueError(f"columns must be at least 1, found {columns}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    check_labels(row_labels, rows, "row_labels", "row")
    _, height, width, _ = images.shape
    return draw_table(
        Table(
            cells=_cells(images, choose_scale(rows * height, columns * width, scale)),
            columns=columns,
            row_labels=row_labels,
            title=title,
            caption=caption,
        )
    )


def strip(
    images: Pixels,
    *,
    labels: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    title: str | None = None,
    caption: str | None = None,
    scale: int | None = None,
) -> Image.Image:
    """Draw sequences that are read from left to right, for example interpolations, one per row.

    Shape: images uint8 (N, H, W, 3) for one sequence, (R, N, H, W, 3) for R of them.

    Args:
        images: The pictures, 0 to 255.
        labels: One per column, written above it; an empty string leaves a column without (e.g. only the ends named).
        row_labels: One per sequence, written left of it.
        title: Written above the images.
        caption: Written below the images.
        scale: Whole factor by which each image is enlarged (nearest pixel); None makes the block about 960 px wide.

    Raises:
        ValueError: If images have another shape or type, scale is below 1, or labels do not match.
    """
    if images.ndim == 4:
        images = images[None]
    check_images(images, "(R, N, H, W, 3)")
    rows, columns, height, width, _ = images.shape
    check_labels(labels, columns, "labels", "column")
    check_labels(row_labels, rows, "row_labels", "row")
    return draw_table(
        Table(
            cells=_cells(images.reshape(-1, height, width, 3), choose_scale(rows * height, columns * width, scale)),
            columns=columns,
            gap=2,
            row_labels=row_labels,
            column_labels=labels,
            title=title,
            caption=caption,
        )
    )


def timeline(
    images: Pixels,
    steps: Sequence[int],
    *,
    row_labels: Sequence[str] | None = None,
    title: str | None = None,
    caption: str | None = None,
    scale: int | None = None,
) -> Image.Image:
    """Draw the same samples at several steps of training: a column per step, a row per sample.

    Shape: images uint8 (S, R, H, W, 3): at step ``steps[s]`` sample r looked like ``images[s, r]``.

    Args:
        images: The samples, 0 to 255.
        steps: The step (G updates) of each of the S columns, written above it.
        row_labels: One per sample, for example its class.
        title: Written above the images.
        caption: Written below the images.
        scale: Whole factor by which each image is enlarged (nearest pixel); None makes the block about 960 px wide.

    Raises:
        ValueError: If images have another shape or type, scale is below 1, or steps or labels do not match.
    """
    check_images(images, "(S, R, H, W, 3)")
    if len(steps) != len(images):
        raise ValueError(f"steps needs one number per column, {len(images)} in all, found {len(steps)}")
    return strip(
        images.swapaxes(0, 1),
        labels=[f"{step:,}" for step in steps],
        row_labels=row_labels,
        title=title,
        caption=caption,
        scale=scale,
    )


def _cells(images: Pixels, scale: int) -> list[Image.Image]:
    return [Image.fromarray(enlarge(image, scale)) for image in images]
