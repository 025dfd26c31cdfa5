"""Pictures with more than 8 bits a value: the values as they are stored, and those values brought to 0..255."""

import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Values = np.ndarray[Any, np.dtype[Any]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Bounds = tuple[float, float]

BITS, SAMPLE_FORMAT, PHOTOMETRIC = 258, 339, 262  # tags of TIFF
UNSIGNED, SIGNED = 1, 2  # values of SAMPLE_FORMAT
PLANAR = 284
WHITE_IS_ZERO, IN_PLANES = 0, 2
COLOURS = re.compile("(RGB|RGBX|RGBA|RGBa|LA);16([LBN])")
"""Pillow's names of 16-bit colours, from which it would keep 8 bits; others with ;16 in them have 16 bits a pixel."""
FULL_16 = (0.0, 65535.0)


class Deep(NamedTuple):
    """The values of a picture as its file holds them."""

    values: Values
    """(H, W) grey or (H, W, 3) colour; of floats some may be no numbers."""
    alpha: Bytes | None
    """uint8 (H, W), if the file has it."""
    kind: str
    """E.g. ``16-bit``, ``signed 16-bit`` or ``floating-point``: pictures of one kind share a range."""
    full: Bounds
    """What the type can hold; 0 and 1 for floating-point values."""
    inverted: bool = False
    """Whether the lowest value is white."""


def deep_kind(image: Image.Image) -> str | None:
    """Tell from the header of an opened picture which kind of deep one it is; None for 8 bits and less."""
    if image.mode == "F":
        return "floating-point"
    if image.mode.startswith("I"):
        return _integer_kind(image)[0]
    return "16-bit" if COLOURS.fullmatch(_raw_mode(image)) and not in_planes(image) else None


def in_planes(image: Image.Image) -> bool:
    """Tell whether an opened TIFF holds deep colours one after the other, which Pillow does not give in two halves."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(PLANAR) == IN_PLANES and len(tags.get(BITS, ())) > 1 and max(tags[BITS]) > 8


def read_deep(image: Image.Image, again: Callable[[], Image.Image]) -> Deep | None:
    """Read the values of an opened deep picture; None for 8 bits and less.

    Args:
        image: The picture, upright or not; the values are as it stores them.
        again: Opens the same picture once more: Pillow gives the values of deep colours in two halves.
    """
    kind = deep_kind(image)
    if kind is None:
        return None
    tags = getattr(image, "tag_v2", {})
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    if image.mode == "F":
        return Deep(np.asarray(image), None, kind, (0.0, 1.0), inverted)
    if image.mode.startswith("I"):
        _, dtype, full = _integer_kind(image)
        values = np.asarray(image)
        values = values.astype(np.int32).view(np.uint32) if dtype == np.uint32 else values.astype(dtype)
        clear = image.info.get("transparency")
        alpha = None if not isinstance(clear, int) else np.where(values == clear, 0, 255).astype(np.uint8)
        return Deep(values, alpha, kind, full, inverted)
    return _deep_colour(image, again)


def to_8_bits(deep: Deep, bounds: Bounds) -> Bytes:
    """Bring values to 0..255: the lower bound becomes 0, the upper 255, and what lies outside is clipped.

    What is no number becomes the lower bound. Shape: (H, W) or (H, W, 3), as the values.
    """
    low, high = bounds
    values = deep.values
    if bounds == FULL_16 and values.dtype == np.uint16:
        # Colours as Pillow brings them to 8 bits, grey rounded to the nearest.
        wide = values >> 8 if values.ndim == 3 else (values.astype(np.int64) * 255 + 32767) // 65535
        scaled = wide.astype(np.uint8)
    else:
        exact = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
        share = (exact - low) / (high - low) if high > low else np.zeros_like(exact)
        scaled = np.rint(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)
    return 255 - scaled if deep.inverted else scaled


def bounds_of(values: Values) -> Bounds | None:
    """Give the lowest and highest of the values that are numbers; None if there are none."""
    numbers = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(numbers.min()), float(numbers.max())) if numbers.size else None


def full_range(kind: str) -> Bounds:
    """Give what the values of a kind can be, as the type says; 0 and 1 for floating-point ones."""
    found = re.fullmatch(r"(signed )?(\d+)-bit", kind)
    if found is None:
        return 0.0, 1.0
    bits = int(found[2])
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if found[1] else (0.0, 2.0**bits - 1)


def _integer_kind(image: Image.Image) -> tuple[str, type[Any], Bounds]:
    """Give name, NumPy's type and what it can hold."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or BITS not in tags:  # PNG, PGM and JPEG 2000 have no others
        return "16-bit", np.uint16, FULL_16
    bits, form = int(tags[BITS][0]), int(tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0])
    if form == SIGNED:
        dtype: type[Any] = np.int16 if bits <= 16 else np.int32
        return (kind := f"signed {bits}-bit"), dtype, full_range(kind)
    return (kind := f"{bits}-bit"), np.uint16 if bits <= 16 else np.uint32, full_range(kind)


def _raw_mode(image: Image.Image) -> str:
    """Give Pillow's name for how the stored bytes make up pixels."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _deep_colour(image: Image.Image, again: Callable[[], Image.Image]) -> Deep:
    """Read 16-bit colours, of which Pillow keeps 8 bits: once for the upper, once for the lower ones."""
    raw = _raw_mode(image)
    if raw == "LA;16B":  # four bytes a pixel, which are taken as they are
        stored = _decoded_as(image, "RGBA").astype(np.uint16)
        grey, clear = stored[..., 0] << 8 | stored[..., 1], stored[..., 2]
        return Deep(grey, clear.astype(np.uint8), "16-bit", FULL_16)
    base, order = COLOURS.fullmatch(raw).groups()  # type: ignore[union-attr]  # see deep_kind
    order = {"N": "L" if sys.byteorder == "little" else "B"}.get(order, order)
    premultiplied = base == "RGBa"
    layout = "RGBA" if premultiplied else base
    upper = _decoded_as(image, f"{layout};16{order}").astype(np.uint16)
    values = upper << 8 | _decoded_as(again(), f"{layout};16{'B' if order == 'L' else 'L'}")
    colours, alpha = values[..., :3], (values[..., 3] if image.mode == "RGBA" else None)
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple):
        alpha = np.where((colours == transparent).all(axis=-1), 0, 65535).astype(np.uint16)
    if premultiplied and alpha is not None:
        whole = colours.astype(np.int64) * 65535 // np.maximum(alpha, 1)[..., None]
        colours = np.minimum(whole, 65535).astype(np.uint16)
    return Deep(colours, None if alpha is None else (alpha >> 8).astype(np.uint8), "16-bit", FULL_16)


def _decoded_as(image: Image.Image, raw: str) -> Bytes:
    """Decode a picture with the bytes of its pixels understood in another way of the same length."""
    tiles: list[Any] = image.tile  # type: ignore[attr-defined]
    for index, tile in enumerate(tiles):
        arguments = (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw
        tiles[index] = tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)
    return np.asarray(image)
