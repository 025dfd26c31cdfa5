"""One stored picture to upright 8-bit RGB at its own size; :mod:`sagan.data.fit` brings it to the size of the set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sagan.data.colours import RGB, WHITE, lay_on, with_profile
from sagan.data.config import DataError
from sagan.data.deep import Bounds, Deep, bounds_of, deep_kind, in_planes, read_deep, to_8_bits
from sagan.data.fit import fitted
from sagan.data.formats import TRUNCATED, open_picture, pillow_allows, what_else
from sagan.data.formats import UnreadableError as UnreadableError  # what all decoding raises
from sagan.data.pixel_traits import pixel_traits
from sagan.data.tiffs import is_tiff, read_planes, read_tiff
from sagan.sizes import Size, size_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

TREATMENTS = {
    "grey": "the grey value is used for red, green and blue",
    "alpha": "transparent parts are laid on a background",
    "empty alpha": "all of it is transparent, so its transparency is ignored",
    "CMYK": "converted to RGB",
    "profile": "colours are converted from the embedded profile to sRGB",
    "16-bit": "scaled to 8 bits",
    "no numbers": "values that are no numbers are made black",
    "palette": "converted to RGB",
    "EXIF-rotated": "turned upright",
    "animated": "of several frames or pages the first is used; --data.frames all takes every one",
    "cut off": "the missing part is grey or black",
    "one colour": "all pixels are equal: nothing can be learnt from them",
    "nearly black": "if they should not be, see --data.range for more than 8 bits, --data.background for alpha",
    "nearly white": "if they should not be, see --data.range and --data.background",
    "equal channels": "stored as colours, but red, green and blue are equal",
    "saturated": "more than half of the pixels are pure black or white",
    "enlarged": "smaller than the target: enlarged, so they look blurred",
}
"""Every peculiarity of a picture that is reported, and what is done about it."""

MIN_SIDE_PX = 2
UPRIGHT = 1  # the orientation of EXIF that turns nothing
CLEAR_KINDS = ("8-bit", "12-bit", "16-bit")
"""Kinds of deep pictures whose type says what is black and white, unless something else was found out."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the pictures of a set are decoded: what the user chose, and what automatic choices came to."""

    background: RGB = WHITE
    """What transparent parts are laid on."""
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    """The values that become black and white, for kinds of deep pictures."""
    others: Bounds | str | None = None
    """The same for all other kinds: values, ``type`` or ``file``; None refuses those whose type does not say it."""
    all_frames: bool = False
    """Whether every frame is a picture of its own."""
    keep_truncated: bool = False
    """Whether what is there of a file that was cut off is used."""
    profiles: bool = True
    """Whether embedded colour profiles are applied."""
    max_pixels: int = 90_000_000
    """Larger pictures are refused."""


AS_USUAL = Plan()


class Decoded(NamedTuple):
    """An upright RGB picture and what was found in its file."""

    pixels: Pixels
    """uint8 (H, W, 3)"""
    format: str
    """Pillow's name of the file format, e.g. "JPEG"."""
    traits: frozenset[str]
    """Keys of TREATMENTS; "enlarged" is not among them, it depends on the target size."""


def decode_picture(data: bytes, plan: Plan = AS_USUAL, frame: int | None = None) -> Decoded:
    """Decode the bytes of one image file to upright 8-bit RGB at its own size.

    Grey and palette pictures become RGB, CMYK too; embedded profiles are converted to sRGB; alpha is composited on the
    plan's background; deep values are scaled by the plan's range, 16-bit ones without any by 255 / 65535 (Pillow's own
    conversion would clip them); the EXIF orientation is applied.

    Args:
        data: The file.
        plan: How pixels are read.
        frame: Which picture of an animation or stack, from 0; unset is the one that the file itself shows.

    Raises:
        UnreadableError: If the bytes are no picture, are cut off, hold more pixels than the plan allows, are less than
            2 pixels wide or high, hold values whose range is not known, or need a reader that is not installed.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        with TRUNCATED.refused(), pillow_allows(plan.max_pixels):
            return _decode(data, plan, frame)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError(what_else(data)) from error
    except Image.DecompressionBombError as error:
        raise UnreadableError(_bomb_reason(plan)) from error
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:  # Damaged files make decoders raise anything from OSError to struct.error and KeyError.
        if plan.keep_truncated:
            return _decode_rest(data, plan, frame)
        hint = "; --data.truncated keep takes what is there" if _has_a_rest(data, plan, frame) else ""
        raise UnreadableError(f"damaged or cut off ({error}){hint}") from error


def deep_of(image: Image.Image, data: bytes, frame: int | None, plan: Plan) -> Deep | None:
    """Read the values of an opened picture that has more than 8 bits; None for others."""
    if in_planes(image):
        return read_planes(image, data, frame or 0, plan.max_pixels)
    return read_deep(image, lambda: open_picture(data, frame))


def square(pixels: Pixels, size_px: int) -> Pixels:
    """Cut the centre square of a picture and resize it: uint8 (H, W, 3) -> uint8 (size_px, size_px, 3)."""
    return fitted(pixels, (size_px, size_px))


def array_to_rgb(pixels: Pixels, background: RGB = WHITE) -> Pixels:
    """Bring one picture of an array, grey (H, W), (H, W, 1), RGB or RGBA, to RGB uint8 (H, W, 3)."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        return np.asarray(lay_on(Image.fromarray(np.ascontiguousarray(pixels)), background))
    return pixels


def require_size(size_px: Size) -> tuple[int, int]:
    """Give the target size as (height, width), or raise DataError if it is none."""
    try:
        return size_of(size_px)
    except ValueError as error:
        raise DataError(str(error)) from None


def _decode(data: bytes, plan: Plan, frame: int | None) -> Decoded:
    try:
        opened = open_picture(data, frame)
    except UnidentifiedImageError:
        if not is_tiff(data):
            raise
        traits = set[str]()
        return _told(_from_deep(read_tiff(data, frame or 0, plan.max_pixels), plan, traits), "TIFF", traits)
    with opened as image:
        _check_size(image, plan)
        traits = _traits_of_file(image, plan)
        # Asking a PNG for its orientation decodes it, and decoding a TIFF turns it upright.
        turned = image.format == "TIFF" and _orientation(image) != UPRIGHT
        deep = deep_of(image, data, frame, plan)
        if deep is None:
            image.load()
        orientation = _orientation(image)
        if turned or orientation != UPRIGHT:
            traits.add("EXIF-rotated")
        if deep is None:
            rgb = _from_plain(_turned(image, orientation), plan, traits)
        else:
            made = _from_deep(deep, plan, traits)
            made.getexif()[ExifTags.Base.Orientation] = orientation
            rgb = _turned(made, orientation)
        return _told(rgb, image.format or "unknown", traits)


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    return int(found) if found in range(1, 9) else UPRIGHT


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    # For an upright picture Pillow would make a copy, which takes a small one a tenth of its time.
    return image if orientation == UPRIGHT else ImageOps.exif_transpose(image)


def _decode_rest(data: bytes, plan: Plan, frame: int | None) -> Decoded:
    """Decode what is there of a file that was cut off."""
    try:
        with TRUNCATED.kept(), pillow_allows(plan.max_pixels):
            decoded = _decode(data, plan, frame)
    except Exception as error:  # See decode_picture.
        raise UnreadableError(f"damaged or cut off, and nothing of it can be kept ({error})") from error
    if "one colour" in decoded.traits:
        raise UnreadableError("cut off, and nothing of it can be kept")
    return decoded._replace(traits=decoded.traits | {"cut off"})


def _has_a_rest(data: bytes, plan: Plan, frame: int | None) -> bool:
    """Tell whether something of a damaged file can be kept."""
    try:
        _decode_rest(data, plan, frame)
    except UnreadableError:
        return False
    return True


def _traits_of_file(image: Image.Image, plan: Plan) -> set[str]:
    """Name what the header of a file shows."""
    found = set()
    if getattr(image, "is_animated", False) and not plan.all_frames:
        found.add("animated")
    if deep_kind(image) is not None or in_planes(image):
        found.add("16-bit")
    if image.mode in ("P", "PA"):
        found.add("palette")
    if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I"):
        found.add("grey")
    if image.mode == "CMYK":
        found.add("CMYK")
    return found


def _from_plain(image: Image.Image, plan: Plan, traits: set[str]) -> Image.Image:
    """Bring a picture of 8 bits and less to RGB."""
    clear = image.has_transparency_data
    if clear and image.mode != "LA":
        image = image.convert("RGBA")
    elif image.mode in ("P", "PA", "1"):
        image = image.convert("RGB")
    if plan.profiles or image.mode == "LAB":
        image, converted = with_profile(image)
        if converted:
            traits.add("profile")
    if clear:
        return _on_background(image.convert("RGBA"), plan, traits)
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep(deep: Deep, plan: Plan, traits: set[str]) -> Image.Image:
    """Bring a deep picture to RGB."""
    if deep.values.dtype.kind == "f" and not np.isfinite(deep.values).all():
        traits.add("no numbers")
    rgb = Image.fromarray(to_8_bits(deep, _bounds(deep, plan))).convert("RGB")
    if deep.alpha is None:
        return rgb
    rgb.putalpha(Image.fromarray(deep.alpha))
    return _on_background(rgb, plan, traits)


def _bounds(deep: Deep, plan: Plan) -> Bounds:
    """Give the values of a deep picture that become black and white."""
    chosen = plan.ranges.get(deep.kind, plan.others)
    if chosen is None and deep.kind in CLEAR_KINDS:
        chosen = "type"
    if chosen is None:
        low, high = bounds_of(deep.values) or (0.0, 0.0)
        raise UnreadableError(
            f"it holds {deep.kind} values, here {low:.6g} to {high:.6g}, and nothing tells which are black and white; "
            "say it with --data.range (file, set, percentile, type, or LOW:HIGH)"
        )
    if chosen == "file":
        found = bounds_of(deep.values)
        if found is None:
            raise UnreadableError("none of its values is a number")
        return found
    return deep.full if isinstance(chosen, str) else chosen


def _on_background(image: Image.Image, plan: Plan, traits: set[str]) -> Image.Image:
    """Lay a picture with transparent parts on the background, if it has any."""
    low, high = image.getchannel("A").getextrema()
    if low == 255:
        return image.convert("RGB")
    rgb = image.convert("RGB")
    if high == 0 and any(isinstance(ends, tuple) and ends[0] != ends[1] for ends in rgb.getextrema()):
        traits.add("empty alpha")
        return rgb
    traits.add("alpha")
    return lay_on(image, plan.background)


def _told(rgb: Image.Image, format_name: str, traits: set[str]) -> Decoded:
    pixels = np.asarray(rgb)
    seen = pixel_traits(pixels)
    return Decoded(pixels, format_name, frozenset(traits) | (seen - {"equal channels"} if "grey" in traits else seen))


def _check_size(image: Image.Image, plan: Plan) -> None:
    if image.width * image.height > plan.max_pixels:
        raise UnreadableError(_bomb_reason(plan, f" ({image.width}x{image.height})"))
    if min(image.size) < MIN_SIDE_PX:
        raise UnreadableError(f"only {image.width}x{image.height} pixels, at least {MIN_SIDE_PX}x{MIN_SIDE_PX} needed")


def _bomb_reason(plan: Plan, size: str = "") -> str:
    return (
        f"too many pixels{size}, more than {plan.max_pixels / 1e6:g} million may be a decompression bomb; make it "
        "smaller, or raise --data.max-megapixels if you trust it"
    )
