"""Pictures and animations to files: whole or not at all, with what made them written inside."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from sagan.figures import video
from sagan.figures.canvas import Pixels, check_images, choose_scale, enlarge
from sagan.whole import write_whole

# Longest side in px that each format can hold.
IMAGE_LIMITS = {".png": 2**31 - 1, ".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
# What small frames are enlarged to, longer side in px.
FRAME_SIZE = 256
ANIMATION_LIMITS = {".gif": 65_535, ".png": 2**31 - 1, ".webp": 16_383, ".mp4": 4_096, ".webm": 16_383}


def save_image(image: Image.Image, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a picture in the format that the suffix names: .png and .webp bit for bit, .jpg at quality 95.

    The file appears under its name only when it is complete; an older one of that name is replaced. Missing folders
    are made.

    Args:
        image: The picture; transparency is dropped.
        path: Where to write it.
        metadata: Written into the file, e.g. what the caption says and the command: as text entries of a PNG, in the
            image description of the others (one line ``key: value`` each), and, where letters are not ASCII, whole in
            their user comment, as UTF-16.

    Returns:
        The path written.

    Raises:
        ValueError: If the suffix is unknown, the picture too large for the format, or a key is no PNG keyword.
        OSError: If the file cannot be written there.
    """
    path = Path(path)
    suffix = _known_suffix(path, IMAGE_LIMITS, "picture", image.size)
    image = image.convert("RGB")
    file = BytesIO()
    if suffix == ".png":
        image.save(file, "PNG", pnginfo=_text_of(metadata or {}))
    else:
        exif = _exif_of(metadata or {})
        if suffix == ".webp":
            image.save(file, "WEBP", lossless=True, exif=exif)
        else:
            image.save(file, "JPEG", quality=95, subsampling=0, exif=exif)
    write_whole(path, file.getvalue())
    return path


def save_animation(
    frames: Pixels,
    path: str | Path,
    *,
    fps: float = 12,
    loop: bool = True,
    boomerang: bool = False,
    scale: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a moving picture: .gif (256 colours a frame), .webp or .png (animated PNG), these two bit for bit.

    Also .mp4 and .webm, which are much smaller, with the package ``av`` (the extra ``video``). Whether those play for
    ever is the player's choice.

    Equal neighbouring frames may be stored as one longer frame. A GIF counts time in 1/100 s: 12 frames per second
    become 12.5.

    Shape: frames uint8 (N, H, W, 3), 0 to 255.

    Args:
        frames: The frames in order.
        path: Where to write them; as in :func:`save_image` the file appears when it is complete.
        fps: Frames per second, above 0 and at most 50 (browsers slow faster GIFs down).
        loop: Play for ever instead of once.
        boomerang: Play forth and back: the inner frames follow once more in reverse order, so that a loop has no jump.
        scale: Whole factor by which each frame is enlarged (nearest pixel); None brings small ones to about 256 px.
        metadata: Written into the file, as in :func:`save_image`; in a GIF as its comment.

    Returns:
        The path written.

    Raises:
        ValueError: If frames have another shape or type, fps or scale is out of range, the suffix is unknown, or the
            frames are too large for the format, or a package for it is missing.
        OSError: If the file cannot be written there.
    """
    path = Path(path)
    check_images(frames)
    if not 0 < fps <= 50:
        raise ValueError(f"fps must be above 0 and at most 50, found {fps}")
    height, width = frames.shape[1:3]
    if scale is None:
        scale = max(1, FRAME_SIZE // max(height, width))
    frames = enlarge(frames, choose_scale(height, width, scale))
    suffix = _known_suffix(path, ANIMATION_LIMITS, "animation", (frames.shape[2], frames.shape[1]))
    if boomerang:
        frames = np.concatenate([frames, frames[-2:0:-1]])
    write_whole(path, _encode(frames, suffix, fps, loop, metadata or {}))
    return path


def _encode(frames: Pixels, suffix: str, fps: float, loop: bool, metadata: Mapping[str, str]) -> bytes:
    """Give the contents of an animation's file."""
    if suffix in video.FORMATS:
        return video.encode(frames, suffix, fps, metadata)
    first, *rest = [Image.fromarray(frame) for frame in frames]
    file = BytesIO()
    lines = "\n".join(f"{key}: {value}" for key, value in metadata.items())
    if suffix == ".gif":
        # A GIF without the loop entry plays once; 0 stands for ever.
        duration = max(20, round(100 / fps) * 10)
        repeat = {"loop": 0} if loop else {}
        comment = {"comment": lines.encode()} if lines else {}
        first.save(file, "GIF", save_all=True, append_images=rest, duration=duration, **repeat, **comment)
    elif suffix == ".png":
        info = _text_of(metadata)
        first.save(file, "PNG", save_all=True, append_images=rest, duration=1000 / fps, loop=not loop, pnginfo=info)
    else:
        first.save(
            file,
            "WEBP",
            save_all=True,
            append_images=rest,
            duration=round(1000 / fps),
            loop=0 if loop else 1,
            lossless=True,
            **({"exif": _exif_of(metadata)} if metadata else {}),
        )
    return file.getvalue()


def _text_of(metadata: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """Give the text entries of a PNG."""
    info = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        if not (1 <= len(key) <= 79 and key.isascii() and key.isprintable()):
            raise ValueError(f"a metadata key has 1 to 79 plain letters (a PNG keyword), found {key!r}")
        info.add_text(key, value)
    return info


def _exif_of(metadata: Mapping[str, str]) -> Image.Exif:
    """Give the image description of the other formats; it is plain letters, so others stand in the user comment."""
    exif = Image.Exif()
    if metadata:
        text = "\n".join(f"{key}: {value}" for key, value in metadata.items())
        exif[ExifTags.Base.ImageDescription] = text
        if not text.isascii():
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + text.encode("utf-16-be")
    return exif


def _known_suffix(path: Path, limits: Mapping[str, int], what: str, size: tuple[int, int]) -> str:
    suffix = path.suffix.lower()
    if suffix not in limits:
        found = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise ValueError(f"{path} has {found}; a file name for this {what} ends in {', '.join(limits)}")
    if max(size) > limits[suffix]:
        raise ValueError(
            f"a {suffix} file holds at most {limits[suffix]} px a side and this {what} has {size[0]} x {size[1]}; "
            "write a .png or use fewer or smaller images"
        )
    return suffix
