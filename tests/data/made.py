"""Makes files of kinds that Pillow does not write, by their specifications."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def stored(image, format_name="PNG", **options):
    """Give the bytes of a picture in a format."""
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def chunk(kind, body):
    """Give a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(values, *, transparent=b""):
    """Write 16-bit values (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) as PNG, rows filtered by the left."""
    values = np.asarray(values)
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    rows = []
    for row in values.astype(">u2"):
        raw = np.frombuffer(row.tobytes(), np.uint8).astype(int)
        left = np.concatenate([np.zeros(2 * channels, int), raw[: -2 * channels]])
        rows.append(b"\1" + ((raw - left) % 256).astype(np.uint8).tobytes())
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    clear = chunk(b"tRNS", transparent) if transparent else b""
    body = chunk(b"IHDR", head) + clear + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(values, **options):
    """Write values of any type as TIFF with the library tifffile."""
    import tifffile

    buffer = io.BytesIO()
    values = np.asarray(values)
    photometric = "rgb" if values.ndim == 3 and values.shape[2] in (3, 4) else "minisblack"
    tifffile.imwrite(buffer, values, **{"photometric": photometric, **options})
    return buffer.getvalue()


def ramp(height=16, width=20):
    """Give numbers 0..1 that differ in every row and column."""
    return np.linspace(0, 1, height * width).reshape(height, width)


def drawing(colour, size=48):
    """Draw a ring on a transparent ground."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[np.abs(np.hypot(x, y) - size / 3) < 3] = (*colour, 255)
    return Image.fromarray(pixels)
