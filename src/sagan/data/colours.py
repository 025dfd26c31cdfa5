"""Colours as screens show them: embedded profiles and inks to sRGB, transparent parts on a background."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

RGB = tuple[int, int, int]

WHITE: RGB = (255, 255, 255)
BLACK: RGB = (0, 0, 0)
GREY: RGB = (128, 128, 128)
SAME_LEVELS = 2
"""A profile that changes no colour by more than this is sRGB by another name, and is not applied."""
_SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "L": "GRAY", "LA": "GRAY", "CMYK": "CMYK"}


def colour_of(name: str) -> RGB:
    """Read white, black or #rrggbb."""
    named = {"white": WHITE, "black": BLACK}
    return named[name] if name in named else (int(name[1:3], 16), int(name[3:5], 16), int(name[5:7], 16))


def written(colour: RGB) -> str:
    """Write a colour as :func:`colour_of` reads it."""
    return {WHITE: "white", BLACK: "black"}.get(colour) or "#{:02x}{:02x}{:02x}".format(*colour)


def lay_on(image: Image.Image, colour: RGB) -> Image.Image:
    """Lay a picture with transparent parts (RGBA) on a colour: RGB."""
    ground = Image.new("RGBA", image.size, (*colour, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def with_profile(image: Image.Image) -> tuple[Image.Image, bool]:
    """Bring the colours of a picture from its embedded profile to sRGB, and of a Lab picture to RGB.

    Returns:
        The picture, RGB or RGBA if anything was done, else as it was; and whether anything was done. A profile that
        cannot be read, or belongs to other kinds of colours than the picture has, is passed over.
    """
    if image.mode == "LAB":
        return _applied(_lab(), image), True
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in _SPACES:
        return image, False
    base = {"RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)
    transform = _transform(profile, base)
    if transform is None:
        return image, False
    made = _applied(transform, image if image.mode == base else image.convert(base))
    if image.mode != base:
        made.putalpha(image.getchannel("A"))
    return made, True


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    made = ImageCms.applyTransform(image, transform)
    assert made is not None  # it is not done in place
    return made


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Make the transform to sRGB; None where it would change nothing, or cannot be made."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space != _SPACES[mode]:
            return None
        transform = _to_srgb(opened, mode)
        if mode == "CMYK":
            return transform
        steps = np.linspace(0, 255, 18).round().astype(np.uint8)
        colours = (
            np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(18, -1, 3) if mode == "RGB" else steps[None]
        )
        plain = Image.fromarray(np.ascontiguousarray(colours))
        changed = np.asarray(_applied(transform, plain)).astype(int) - np.asarray(plain.convert("RGB")).astype(int)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(changed).max() > SAME_LEVELS else None


@lru_cache(maxsize=1)
def _lab() -> ImageCms.ImageCmsTransform:
    return _to_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _to_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
