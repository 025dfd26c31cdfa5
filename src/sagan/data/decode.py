"""One stored picture to one uint8 RGB square: upright, centre-cropped to its shorter side, resized with antialiasing.

The crop comes before the resize, so the aspect ratio is kept. Resizing is Pillow's bilinear filter, whose support grows
with the reduction (the official pipeline's choice; SAGAN's networks see x / 127.5 - 1 of the result).
"""

import io
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sagan.data.config import DataError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

TREATMENTS = {
    "grey": "the grey value is used for red, green and blue",
    "alpha": "transparent parts are laid on white",
    "CMYK": "converted to RGB, ink profiles are ignored",
    "16-bit": "scaled to 8 bits",
    "palette": "converted to RGB",
    "EXIF-rotated": "turned upright",
    "animated": "the first frame is used",
    "enlarged": "smaller than the target: enlarged, so they look blurred",
}
"""Every peculiarity of a picture that is reported, and what is done about it."""

MIN_SIDE_PX = 2
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_BIT_DEPTH_OFFSET = 24


class UnreadableError(Exception):
    """One file cannot be used as a picture; the message is the reason, without the file's name."""


class Decoded(NamedTuple):
    """An upright RGB picture and what was found in its file."""

    pixels: Pixels
    """uint8 (H, W, 3)"""
    format: str
    """Pillow's name of the file format, e.g. "JPEG"."""
    traits: frozenset[str]
    """Keys of TREATMENTS; "enlarged" is not among them, it depends on the target size."""


def decode_picture(data: bytes) -> Decoded:
    """Decode the bytes of one image file to upright 8-bit RGB at its own size.

    Grey and palette pictures become RGB, CMYK too; alpha is composited on white; 16-bit grey is scaled by 255 / 65535
    (Pillow's own conversion would clip it); the EXIF orientation is applied; of an animation the first frame is taken.

    Raises:
        UnreadableError: If the bytes are no picture, are cut off, hold more pixels than Pillow considers safe, or are
            less than 2 pixels wide or high.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_size(image)
            return _decode_opened(image, data)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError(f"not a picture in a known format (it starts with {data[:12]!r})") from error
    except Image.DecompressionBombError as error:
        raise UnreadableError(_bomb_reason()) from error
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:  # Damaged files make decoders raise anything from OSError to struct.error and KeyError.
        raise UnreadableError(f"damaged or cut off ({error})") from error


def square(pixels: Pixels, size_px: int) -> Pixels:
    """Cut the centre square of a picture and resize it with Pillow's antialiased bilinear filter.

    Shape: uint8 (H, W, 3) -> uint8 (size_px, size_px, 3). Pixels are copied unchanged where the side fits already.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    centre = pixels[top : top + side, left : left + side]
    if side == size_px:
        return centre
    image = Image.fromarray(np.ascontiguousarray(centre))
    return np.asarray(image.resize((size_px, size_px), Image.Resampling.BILINEAR))


def array_to_rgb(pixels: Pixels) -> Pixels:
    """Bring one picture of an array, grey (H, W), (H, W, 1), RGB or RGBA, to RGB uint8 (H, W, 3); alpha on white."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        return np.asarray(_on_white(Image.fromarray(np.ascontiguousarray(pixels))))
    return pixels


def require_size(size_px: int) -> None:
    """Raise DataError unless the target size is at least 1."""
    if size_px < 1:
        raise DataError(f"the picture size must be at least 1 pixel, found {size_px}")


def _decode_opened(image: Image.Image, data: bytes) -> Decoded:
    traits = set()
    if getattr(image, "is_animated", False):
        traits.add("animated")
        image.seek(0)
    if image.mode.startswith(("I", "F")) or _is_16_bit_png(data):
        traits.add("16-bit")
    if image.mode in ("P", "PA"):
        traits.add("palette")
    if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I"):
        traits.add("grey")
    if image.mode == "CMYK":
        traits.add("CMYK")
    if image.has_transparency_data:
        traits.add("alpha")
    if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
        traits.add("EXIF-rotated")
    upright = ImageOps.exif_transpose(image)
    return Decoded(np.asarray(_to_rgb(upright)), image.format or "unknown", frozenset(traits))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableError("it holds floating-point pixels, whose range is unknown; convert it to 8 bits")
    if image.mode.startswith("I"):
        # Mode "I" is how Pillow opens some 16-bit files: they hold 0..65535.
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise UnreadableError("it holds 32-bit pixels, whose range is unknown; convert it to 8 bits")
        return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _check_size(image: Image.Image) -> None:
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise UnreadableError(_bomb_reason(f" ({image.width}x{image.height})"))
    if min(image.size) < MIN_SIDE_PX:
        raise UnreadableError(f"only {image.width}x{image.height} pixels, at least {MIN_SIDE_PX}x{MIN_SIDE_PX} needed")


def _bomb_reason(size: str = "") -> str:
    limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    return f"too many pixels{size}, more than {limit:.0f} million may be a decompression bomb; make it smaller"


def _is_16_bit_png(data: bytes) -> bool:
    return data.startswith(PNG_SIGNATURE) and data[PNG_BIT_DEPTH_OFFSET : PNG_BIT_DEPTH_OFFSET + 1] == b"\x10"
