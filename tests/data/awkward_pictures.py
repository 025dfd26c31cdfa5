"""Pictures whose colour in the middle is known, in every format that is read here, whole and cut off."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from made import deep_png, stored, tiff
from PIL import ExifTags, Image, features

Colour = tuple[int, int, int]
Array = np.ndarray[Any, np.dtype[Any]]

COLOURS = ((0, 0, 0), (255, 255, 255), (200, 40, 40), (40, 160, 60), (50, 70, 200), (220, 200, 40), (170, 50, 170))
LEVELS = (0, 255, 40, 65, 90, 175, 215)
"""A colour and a grey for each class: none vanishes on white, black and grey, all can be told apart."""
MARKS: tuple[Colour, ...] = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
"""Colours of the upper left corner of frames, which tell them apart."""
LYING = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Values of EXIF's orientation, and what makes such a picture of one that is upright."""
EXACT, LOSSY, BLEEDING = 2, 16, 60
"""Levels by which a colour may be off: of formats that keep it, of those that do not, and in a corner of these."""


@dataclass(frozen=True)
class Ink:
    """What a picture has to show, and how deep values are written in its tree."""

    colour: Colour
    level: int
    bits: int = 16
    """Values of 16-bit files go up to 2**bits - 1."""
    top: float = 1.0
    """White of floating-point values."""


@dataclass(frozen=True)
class Made:
    """A file."""

    kind: str
    data: bytes
    suffix: str
    middle: Colour
    """What is to be seen in its middle, in every frame."""
    tolerance: int = EXACT
    corners: tuple[Colour, ...] = ()
    """What is to be seen in the upper left corner of each frame."""
    frames: int = 1
    drawn: bool = False
    """Whether the middle lies on a transparent ground, which has to differ from it."""
    named: bool = False
    """Whether only the suffix tells the format."""


def grey(level: int) -> Colour:
    return (level, level, level)


def plain(colour: Colour, rng: random.Random) -> Image.Image:
    """One colour all over."""
    return Image.new("RGB", (rng.randint(16, 40), rng.randint(16, 40)), colour)


def grainy(colour: Colour, rng: random.Random, size: int = 48) -> Image.Image:
    """A colour with grain, so that its file is mostly pixels."""
    grain = np.random.default_rng(rng.randrange(2**32)).integers(-8, 9, (size, size, 3))
    return Image.fromarray(np.clip(grain + colour, 0, 255).astype(np.uint8))


def inside(height: int, width: int) -> Array:
    """Tell which pixels of a drawing are drawn: those around the middle."""
    y, x = np.mgrid[:height, :width]
    side = min(height, width)
    return (abs(y - (height - 1) / 2) < 0.3 * side) & (abs(x - (width - 1) / 2) < 0.3 * side)


def drawing(colour: Colour, rng: random.Random) -> Image.Image:
    """Something in the middle of a transparent ground, RGBA; what is transparent is black, or has the colour."""
    height, width = rng.randint(16, 40), rng.randint(16, 40)
    ground = rng.choice(((0, 0, 0), colour))
    pixels = np.full((height, width, 4), (*ground, 0), np.uint8)
    pixels[inside(height, width)] = (*colour, 255)
    return Image.fromarray(pixels)


def deep(colour: Colour | int, rng: random.Random, top: float) -> Array:
    """A colour 0..255 as values 0..top, the first row of which is white: so the range is known."""
    shape = (rng.randint(16, 40), rng.randint(16, 40), *((3,) if isinstance(colour, tuple) else ()))
    values = np.broadcast_to(np.asarray(colour) / 255 * top, shape).copy()
    values[0] = top
    return values


def frames(colour: Colour, rng: random.Random) -> list[Image.Image]:
    """Several squares that differ in a corner."""
    images = []
    for mark in MARKS[: rng.randint(2, 4)]:
        image = Image.new("RGB", (32, 32), colour)
        image.paste(mark, (0, 0, 10, 10))
        images.append(image)
    return images


# -------------------------------------------------------------------------------------------------------------- formats


def _plain(kind: str, suffix: str, tolerance: int = EXACT, **options: Any) -> Callable[[Ink, random.Random], Made]:
    def make(ink: Ink, rng: random.Random) -> Made:
        image = rng.choice((plain, grainy))(ink.colour, rng)
        grained = tolerance if tolerance > EXACT else LOSSY
        return Made(kind, stored(image, kind, **options), suffix, ink.colour, grained)

    return make


def _mode(kind: str, suffix: str, mode: str, tolerance: int = EXACT) -> Callable[[Ink, random.Random], Made]:
    def make(ink: Ink, rng: random.Random) -> Made:
        colour = grey(ink.level) if mode == "L" else grey(255 * (ink.level > 127)) if mode == "1" else ink.colour
        image = plain(colour, rng)
        image = image.quantize(4) if mode == "P" else image.convert(mode)
        return Made(f"{kind} {mode}", stored(image, kind), suffix, colour, tolerance)

    return make


def _drawn(kind: str, suffix: str, mode: str, **options: Any) -> Callable[[Ink, random.Random], Made]:
    def make(ink: Ink, rng: random.Random) -> Made:
        colour = grey(ink.level) if mode == "LA" else ink.colour
        data, exact = stored(drawing(colour, rng).convert(mode), kind, **options), kind in ("PNG", "TIFF")
        return Made(f"{kind} drawing {mode}", data, suffix, colour, EXACT if exact else LOSSY, drawn=True)

    return make


def _palette_drawing(kind: str, suffix: str) -> Callable[[Ink, random.Random], Made]:
    def make(ink: Ink, rng: random.Random) -> Made:
        height, width = rng.randint(16, 40), rng.randint(16, 40)
        image = Image.fromarray(inside(height, width).astype(np.uint8))
        image.putpalette([*rng.choice(((0, 0, 0), ink.colour)), *ink.colour])
        data = stored(image, kind, transparency=0)
        return Made(f"{kind} palette with transparency", data, suffix, ink.colour, drawn=True)

    return make


def _moving(kind: str, suffix: str, tolerance: int = EXACT, **options: Any) -> Callable[[Ink, random.Random], Made]:
    def make(ink: Ink, rng: random.Random) -> Made:
        images = frames(ink.colour, rng)[: 2 if kind == "MPO" else None]  # Pillow misplaces the fourth one
        data = stored(images[0], kind, save_all=True, append_images=images[1:], **options)
        corners = MARKS[: len(images)]
        return Made(f"{kind} frames", data, suffix, ink.colour, tolerance, corners, len(images))

    return make


def _turned(kind: str, suffix: str, tolerance: int) -> Callable[[Ink, random.Random], Made]:
    """A picture that lies on its side, and says so."""

    def make(ink: Ink, rng: random.Random) -> Made:
        orientation = rng.choice(list(LYING))
        image = frames(ink.colour, rng)[0].transpose(LYING[orientation])
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        data = stored(image, kind, exif=exif.tobytes())
        return Made(f"{kind} turned", data, suffix, ink.colour, tolerance, MARKS[:1])

    return make


def _moving_drawing(kind: str, suffix: str, **options: Any) -> Callable[[Ink, random.Random], Made]:
    """Frames that are transparent but for their middle and their corner."""

    def make(ink: Ink, rng: random.Random) -> Made:
        images = []
        for image in frames(ink.colour, rng):
            pixels = np.asarray(image.convert("RGBA")).copy()
            shown = inside(32, 32)
            shown[:10, :10] = True
            pixels[..., 3] = shown * 255
            images.append(Image.fromarray(pixels))
        data = stored(images[0], kind, save_all=True, append_images=images[1:], **options)
        return Made(f"{kind} moving drawing", data, suffix, ink.colour, EXACT, MARKS[: len(images)], len(images))

    return make


def _deep_grey(kind: str, suffix: str, **options: Any) -> Callable[[Ink, random.Random], Made]:
    def make(ink: Ink, rng: random.Random) -> Made:
        values = np.rint(deep(ink.level, rng, float(2**ink.bits - 1))).astype(np.uint16)
        return Made(f"{kind} 16-bit", stored(Image.fromarray(values), kind, **options), suffix, grey(ink.level))

    return make


def _uncommon_tiff(ink: Ink, rng: random.Random) -> Made:
    options: dict[str, Any] = rng.choice(
        (
            *({"bigtiff": True}, {"byteorder": ">"}, {"tile": (16, 16)}, {"rowsperstrip": 3}),
            {"compression": "zlib", "predictor": True},
        )
    )
    if rng.random() < 0.5:
        values = np.rint(deep(ink.level, rng, float(2**ink.bits - 1))).astype(np.uint16)
        if rng.random() < 0.4:  # white is zero
            values = 2**ink.bits - 1 - values
            values[1] = 2**ink.bits - 1  # the range is known by what is black here
            data = tiff(values, photometric="miniswhite", **options)
            return Made(f"TIFF inverted {next(iter(options))}", data, ".tif", grey(ink.level))
        return Made(f"TIFF 16-bit {next(iter(options))}", tiff(values, **options), ".tif", grey(ink.level))
    data = tiff(np.asarray(plain(ink.colour, rng)), **options)
    return Made(f"TIFF {next(iter(options))}", data, ".tif", ink.colour)


def _deep_png(ink: Ink, rng: random.Random) -> Made:
    top = float(2**ink.bits - 1)
    if rng.random() < 0.4:
        return Made("PNG 16-bit grey", deep_png(np.rint(deep(ink.level, rng, top))), ".png", grey(ink.level))
    values = np.rint(deep(ink.colour, rng, top))
    if rng.random() < 0.5:
        return Made("PNG 16-bit colours", deep_png(values), ".png", ink.colour)
    alpha = inside(*values.shape[:2])[..., None] * 65535.0
    data = deep_png(np.concatenate([values, alpha], axis=2))
    return Made("PNG 16-bit drawing", data, ".png", ink.colour, drawn=True)


def _deep_tiff(ink: Ink, rng: random.Random) -> Made:
    top = float(2**ink.bits - 1)
    values = np.rint(deep(ink.level, rng, top)).astype(np.uint16)
    stack = [Image.fromarray(np.roll(values, i, axis=0)) for i in range(rng.randint(1, 3))]
    data = stored(stack[0], "TIFF", save_all=True, append_images=stack[1:])
    return Made("TIFF 16-bit pages", data, ".tif", grey(ink.level), frames=len(stack))


def _deep_tiff_colours(ink: Ink, rng: random.Random) -> Made:
    planes = rng.random() < 0.5
    values = np.rint(deep(ink.colour, rng, float(2**ink.bits - 1))).astype(np.uint16)
    data = tiff(np.moveaxis(values, 2, 0), planarconfig="separate", photometric="rgb") if planes else tiff(values)
    return Made(f"TIFF 16-bit colours{' in planes' if planes else ''}", data, ".tiff", ink.colour)


def _float_tiff(ink: Ink, rng: random.Random) -> Made:
    if rng.random() < 0.5:
        values = deep(ink.level, rng, ink.top).astype(np.float32)
        return Made("TIFF float", stored(Image.fromarray(values), "TIFF"), ".tif", grey(ink.level))
    values = deep(ink.colour, rng, ink.top).astype(np.float32)
    return Made("TIFF float colours", tiff(values), ".tif", ink.colour)


def _signed_tiff(ink: Ink, rng: random.Random) -> Made:
    values = np.rint(deep(ink.level, rng, float(2 ** min(ink.bits, 14) - 1))).astype(np.int16)
    return Made("TIFF signed 16-bit", tiff(values), ".tif", grey(ink.level))


def _tga(ink: Ink, rng: random.Random) -> Made:
    return Made("TGA", stored(plain(ink.colour, rng), "TGA"), ".tga", ink.colour, named=True)


FORMATS: list[Callable[[Ink, random.Random], Made]] = [
    *(_plain("JPEG", ".jpg", LOSSY), _plain("PNG", ".png"), _plain("BMP", ".bmp"), _plain("TIFF", ".tif")),
    *(_plain("PPM", ".ppm"), _plain("WEBP", ".webp", LOSSY), _plain("QOI", ".qoi"), _plain("JPEG2000", ".jp2", LOSSY)),
    *(_mode("PNG", ".png", "P"), _mode("PNG", ".png", "L"), _mode("PNG", ".png", "1"), _mode("GIF", ".gif", "P")),
    *(_mode("JPEG", ".jpg", "CMYK", LOSSY), _mode("TIFF", ".tif", "CMYK"), _mode("JPEG", ".jpg", "L", LOSSY)),
    *(_mode("TIFF", ".tif", "1"), _mode("BMP", ".bmp", "P"), _mode("PPM", ".pgm", "L"), _tga),
    *(_drawn("PNG", ".png", "RGBA"), _drawn("PNG", ".png", "LA"), _drawn("TIFF", ".tif", "RGBA")),
    *(_drawn("WEBP", ".webp", "RGBA", lossless=True), _palette_drawing("PNG", ".png"), _palette_drawing("GIF", ".gif")),
    *(_moving("GIF", ".gif"), _moving("PNG", ".apng"), _moving("WEBP", ".webp", LOSSY), _moving("TIFF", ".tiff")),
    *(_moving("MPO", ".mpo", LOSSY), _deep_png, _deep_tiff),
    *(_turned("JPEG", ".jpg", LOSSY), _turned("PNG", ".png", EXACT), _turned("WEBP", ".webp", LOSSY)),
    *(_turned("TIFF", ".tif", EXACT), _moving_drawing("GIF", ".gif"), _moving_drawing("PNG", ".png")),
    *(_moving_drawing("WEBP", ".webp", lossless=True), _moving_drawing("TIFF", ".tif")),
    *(_deep_grey("PPM", ".pgm"), _deep_grey("JPEG2000", ".jp2"), _deep_grey("TIFF", ".tif", compression="tiff_lzw")),
    *(_plain("TIFF", ".tif", compression="tiff_lzw"), _plain("TIFF", ".tif", LOSSY, compression="jpeg")),
    *(_plain("JPEG", ".jpg", LOSSY, progressive=True), _drawn("JPEG2000", ".jp2", "RGBA")),
]
if features.check("avif"):
    FORMATS += [_plain("AVIF", ".avif", LOSSY), _moving("AVIF", ".avif", LOSSY), _drawn("AVIF", ".avif", "RGBA")]
    FORMATS += [_turned("AVIF", ".avif", LOSSY)]
if find_spec("pillow_heif"):
    from pillow_heif import register_heif_opener

    register_heif_opener()  # it writes, too
    FORMATS += [_plain("HEIF", ".heic", LOSSY), _moving("HEIF", ".heic", LOSSY), _drawn("HEIF", ".heic", "RGBA")]
    FORMATS += [_turned("HEIF", ".heic", LOSSY)]
if find_spec("pillow_jxl"):
    import pillow_jxl  # noqa: F401  # it writes, too

    FORMATS += [_plain("JXL", ".jxl", LOSSY), _drawn("JXL", ".jxl", "RGBA")]
if find_spec("tifffile"):
    FORMATS += [_deep_tiff_colours, _float_tiff, _signed_tiff, _uncommon_tiff]


def picture(ink: Ink, rng: random.Random) -> Made:
    """Make a picture in some format."""
    return rng.choice(FORMATS)(ink, rng)


def cut_off(ink: Ink, rng: random.Random) -> tuple[Made, bool]:
    """Cut a file off; tell with it whether much of its pixels is certainly gone, and much certainly there.

    Elsewhere nobody knows: the last bytes of many formats say nothing, and the first ones everything.
    """
    if rng.random() < 0.5:
        kind, suffix, options = rng.choice((("JPEG", ".jpg", {"quality": 95}), ("PNG", ".png", {})))
        data = stored(grainy(ink.colour, rng, 96), kind, **options)
        data = data[: int(len(data) * rng.uniform(0.6, 0.9))]
        return Made(f"{kind} cut off", data, suffix, ink.colour, LOSSY), True
    made = picture(ink, rng)
    cut = rng.randrange(len(made.data))
    return replace(made, kind=f"{made.kind.split()[0]} cut anywhere", data=made.data[:cut]), False
