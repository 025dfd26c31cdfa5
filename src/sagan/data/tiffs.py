"""TIFF files that Pillow does not read, or reads wrongly, by the library ``tifffile`` where it is installed."""

import io
import logging
import lzma
import math
import zlib
from typing import Any

import numpy as np
from PIL import Image

from sagan.data.config import DataError
from sagan.data.deep import FULL_16, Bounds, Deep, Values
from sagan.data.extras import need
from sagan.data.formats import EXTRA, UnreadableError
from sagan.data.sniff import kind_of

ORIENTATION = 274  # a tag of TIFF
KINDS = {
    "u1": "8-bit",
    "u2": "16-bit",
    "u4": "32-bit",
    "i1": "signed 8-bit",
    "i2": "signed 16-bit",
    "i4": "signed 32-bit",
}
UPRIGHT = 1
MOST_SAMPLES = 4  # values a pixel
DEFLATE, LZMA = (8, 32946), (34925,)  # values of TIFF's tag 259
BOUNDED = (1, 5, 32773, 50000)
"""Raw, LZW, PackBits, Zstandard: unpacked to what a part should come to and no further."""
DEFLATE_TIMES = 1032
SMALL_BYTES = 2**26
"""A strip that cannot come to more is decoded without looking what it comes to."""
SPARE_BYTES = 2**16
BLOCK_BYTES = 2**20


class _TooLongError(UnreadableError):
    """Strips or tiles come to far more than the picture."""


def is_tiff(data: bytes) -> bool:
    """Tell by its first bytes whether a file is a TIFF."""
    kind = kind_of("", data[:512])
    return kind is not None and kind.name == "TIFF"


def read_planes(image: Image.Image, data: bytes, page: int, max_pixels: int) -> Deep | None:
    """Read deep colours that lie one after the other, see :func:`sagan.data.deep.in_planes`.

    None means that Pillow reads them rightly, with 8 bits: those that are compressed, where ``tifffile`` does not.

    Raises:
        UnreadableError: As :func:`read_tiff`, for those that are not compressed, or come to more than they should.
        Exception: See :func:`read_tiff`.
    """
    compressed = image.tile[0][0] != "raw"  # type: ignore[attr-defined]
    try:
        return read_tiff(data, page, max_pixels)
    except _TooLongError:
        raise
    except Exception:  # Whatever the library says of a compression that it does not know.
        if compressed:
            return None
        raise


def read_tiff(data: bytes, page: int, max_pixels: int) -> Deep:
    """Read a page of a TIFF.

    Raises:
        UnreadableError: If ``tifffile`` is not installed, or the page is none of grey, RGB or RGBA, or too large, or
            a part of it comes to more than it should.
        Exception: Whatever ``tifffile`` raises for damaged files.
    """
    try:
        library = need("tifffile", EXTRA, "TIFF files of this kind, or damaged ones,")
    except DataError as error:
        raise UnreadableError(str(error)) from error
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of damaged files is raised as well
    with library.TiffFile(io.BytesIO(data)) as file:
        found = file.pages[page]
        if found.imagewidth * found.imagelength > max_pixels:
            raise UnreadableError(
                f"too many pixels ({found.imagewidth}x{found.imagelength}); see --data.max-megapixels"
            )
        photometric = getattr(found.photometric, "name", str(found.photometric))
        if found.samplesperpixel * found.imagedepth > MOST_SAMPLES:
            raise _uncommon(found.axes, found.samplesperpixel * found.imagedepth, photometric)
        _check_parts(found, data)
        values, axes = found.asarray(), found.axes
        turned = ORIENTATION in found.tags and found.tags[ORIENTATION].value != UPRIGHT
        premultiplied = any(int(extra) == 1 for extra in found.extrasamples)
    if axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    samples = 1 if values.ndim == 2 else values.shape[2]
    known = photometric in ("MINISBLACK", "MINISWHITE", "RGB") and values.ndim <= 3 and samples <= 4
    if not known or turned or premultiplied or axes not in ("YX", "YXS", "SYX"):
        raise _uncommon(axes, samples, photometric)
    return _deep(values, samples, photometric == "MINISWHITE")


def _uncommon(axes: str, samples: int, photometric: str) -> UnreadableError:
    return UnreadableError(
        f"a TIFF of an uncommon kind (axes {axes}, {samples} values a pixel, {photometric}); save it as PNG or a "
        "plain TIFF"
    )


def _check_parts(page: Any, data: bytes) -> None:
    """Check what the compressed strips or tiles of a page come to: ``tifffile`` unpacks each as a whole.

    Raises:
        UnreadableError: If that is far more than they should, or if they are pictures of their own (JPEG 2000, WebP),
            whose sizes nothing bounds.
    """
    if page.compression in BOUNDED:
        return
    if page.compression not in (*DEFLATE, *LZMA):
        name = getattr(page.compression, "name", page.compression)
        raise UnreadableError(f"a TIFF of an uncommon kind (compressed by {name}); save it as PNG or a plain TIFF")
    limit = 2 * min(math.prod(page.chunks) * page.dtype.itemsize, page.nbytes) + SPARE_BYTES
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if page.compression in DEFLATE and count * DEFLATE_TIMES <= max(limit, SMALL_BYTES):
            continue
        if _comes_to_more(memoryview(data)[offset : offset + count], page.compression in LZMA, limit):
            raise _TooLongError(f"a part of this TIFF comes to more than {limit >> 10:,} KiB, far more than it shows")


def _comes_to_more(part: memoryview, is_lzma: bool, limit: int) -> bool:
    """Tell whether compressed bytes come to more; damaged ones do not."""
    unpacker: Any = lzma.LZMADecompressor() if is_lzma else zlib.decompressobj()
    total, rest = 0, bytes(part)
    try:
        while total <= limit and not unpacker.eof:
            block = unpacker.decompress(rest, BLOCK_BYTES)
            total += len(block)
            rest = b"" if is_lzma else unpacker.unconsumed_tail
            if not block:
                break
    except (zlib.error, lzma.LZMAError, EOFError):
        pass
    return total > limit


def _deep(values: Values, samples: int, inverted: bool) -> Deep:
    kind = values.dtype.kind
    if kind == "f":
        name, full = "floating-point", (0.0, 1.0)
        values = values.astype(np.float32) if values.dtype.itemsize < 4 else values
    elif values.dtype.str[1:] in KINDS:
        name, limits = KINDS[values.dtype.str[1:]], np.iinfo(values.dtype)
        full = (float(limits.min), float(limits.max))
    else:
        raise UnreadableError(f"a TIFF with values of the type {values.dtype}; save it as PNG or as a plain TIFF")
    alpha = None
    if samples in (2, 4):
        alpha = _alpha(values[..., -1], full)
        values = values[..., :-1]
    return Deep(values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values, alpha, name, full, inverted)


def _alpha(values: Values, full: Bounds) -> Values:
    if full == FULL_16:
        return (values >> 8).astype(np.uint8)
    return np.rint(np.clip((values - full[0]) / (full[1] - full[0]), 0, 1) * 255).astype(np.uint8)
