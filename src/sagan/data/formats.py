"""Opening the bytes of a picture: readers that come with extras, frames, limits, and what is said of what is none."""

import importlib.util
import io
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache

from PIL import Image, ImageFile, features

from sagan.data.config import DataError
from sagan.data.extras import need
from sagan.data.sniff import HEAD_BYTES, kind_of

EXTRA = "formats"
READERS = {
    "HEIF": ("pillow_heif", "pillow-heif", "HEIC and HEIF pictures"),
    "JPEG XL": ("pillow_jxl", "pillow-jxl-plugin", "JPEG XL pictures"),
}
"""For formats that Pillow does not read: the module, its package, and the subject of a sentence."""
AVIF_NEEDS = "AVIF pictures need a newer Pillow; install it with: pip install -U pillow"
USUAL = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""What most pictures begin with: JPEG and PNG, which need nothing else."""
USUAL_FORMATS = ("JPEG", "PNG")
FORMATS = (
    *USUAL_FORMATS,
    *("BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF", "JPEG2000", "QOI", "AVIF", "HEIF", "JXL", "TGA"),
)
"""Pillow's names of what is opened, TGA last, which has no mark; others it may hand to another program, such as EPS."""
REDUCED_PAGE = 1  # of TIFF's tag 254: a small copy of another page, or a mask (4)
MASK_PAGE = 4


class UnreadableError(Exception):
    """One file cannot be used as a picture; the message is the reason, without the file's name."""


def open_picture(data: bytes, frame: int | None = None) -> Image.Image:
    """Open a picture without decoding it; its reader is loaded where it comes with an extra.

    None is the frame that the file itself shows, which in HEIC need not be the first one.

    Raises:
        UnreadableError: If it is something else, or its reader is not installed.
        Exception: Whatever Pillow raises for what it cannot open.
    """
    kind = None if data.startswith(USUAL) else kind_of("", data[:HEAD_BYTES])
    if kind is not None and not kind.is_picture:
        raise UnreadableError(f"not a picture: {kind.why_not}")
    if kind is not None and kind.name in READERS:
        _load_reader(kind.name)
        if kind.name == "JPEG XL":
            _refuse_jxl_bomb(data)
    if kind is not None and kind.name == "AVIF" and not features.check("avif"):
        raise UnreadableError(AVIF_NEEDS)
    image = Image.open(io.BytesIO(data), formats=USUAL_FORMATS if data.startswith(USUAL) else _known_formats())
    if frame is not None:
        image.seek(frame)
    return image


def reads_now(reason: str) -> bool:
    """Tell from the reason why a file could not be read whether a reader was missing that is there by now."""
    needed = re.search(r"need the library (\w+) \(", reason)
    if needed is not None:
        return importlib.util.find_spec(needed[1]) is not None
    return reason == AVIF_NEEDS and bool(features.check("avif"))


def _known_formats() -> list[str]:
    """Give those of :data:`FORMATS` that have a reader by now."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def frames_of(data: bytes) -> list[int]:
    """Give the numbers of the frames of a picture, from 0; small copies and masks among a TIFF's pages are left out.

    Raises:
        Exception: Whatever Pillow raises.
    """
    with open_picture(data) as image:
        count = int(getattr(image, "n_frames", 1))
        if count == 1 or image.format != "TIFF":
            return list(range(count))
        kept = []
        for frame in range(count):
            image.seek(frame)
            if not image.tag_v2.get(254, 0) & (REDUCED_PAGE | MASK_PAGE):  # type: ignore[attr-defined]
                kept.append(frame)
        return kept or [0]


def what_else(data: bytes) -> str:
    """Say what bytes are that cannot be opened as a picture: a damaged one, something else, or nothing known."""
    kind = kind_of("", data[:HEAD_BYTES])
    start = data[:HEAD_BYTES].lstrip().lower()
    if kind is not None and kind.is_picture:
        return f"damaged or cut off (nothing of this {kind.name} picture can be read)"
    if start.startswith((b"<!doctype html", b"<html")):
        return "not a picture: it is a web page, saved under a picture's name; download it again"
    if not any(data):
        return "damaged or cut off (it holds nothing but zeros)"
    return f"not a picture in a known format (it starts with {data[:12]!r})"


def pillow_allows(pixels: int) -> AbstractContextManager[None]:
    """Let Pillow open pictures of so many pixels while the context lasts.

    Its limit is one for the whole process: it is raised while somebody needs that, and set back by the last one.
    """
    if Image.MAX_IMAGE_PIXELS is None or pixels <= 2 * Image.MAX_IMAGE_PIXELS:  # up to which it only warns
        return nullcontext()
    return _raised_limit(pixels)


@contextmanager
def _raised_limit(pixels: int) -> Iterator[None]:
    with _LIMIT.lock:
        if not _LIMIT.users:
            _LIMIT.before = Image.MAX_IMAGE_PIXELS
        _LIMIT.users += 1
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, pixels)
    try:
        yield
    finally:
        with _LIMIT.lock:
            _LIMIT.users -= 1
            if not _LIMIT.users:
                Image.MAX_IMAGE_PIXELS = _LIMIT.before


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height in pixels from the head of a JPEG XL file, as ISO/IEC 18181-1 has it; None without one.

    The reader decodes a whole file when it opens it, before Pillow can ask whether it is too large.
    """
    box = 0 if data.startswith(b"\xff\x0a") else max(data.find(b"jxlc"), data.find(b"jxlp"))
    start = data.find(b"\xff\x0a", max(box, 0))
    if start < 0:
        return None
    bits, at = int.from_bytes(data[start + 2 : start + 18], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & ((1 << count) - 1)

    small = take(1)

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    above, below = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return (height * above // below if above else side()), height


def _refuse_jxl_bomb(data: bytes) -> None:
    size = jxl_size(data)
    if size and Image.MAX_IMAGE_PIXELS is not None and size[0] * size[1] > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{size[0]}x{size[1]} pixels")


class _Limit:
    """Who has raised Pillow's limit."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.before: int | None = None


class _Truncated:
    """Pillow's switch for files that were cut off, which is one for the whole process.

    Many threads may decode while such files are refused; one that keeps them works alone.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._refusing = self._waiting = 0

    def refused(self) -> "_Truncated":
        """Give the context in which such files are refused."""
        return self

    def __enter__(self) -> None:
        with self._changed:
            while self._waiting:
                self._changed.wait()
            self._refusing += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._refusing -= 1
            if self._waiting:
                self._changed.notify_all()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep such files while the context lasts."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._refusing)
            before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
            try:
                yield
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = before
                self._waiting -= 1
                self._changed.notify_all()


_LIMIT = _Limit()
TRUNCATED = _Truncated()


@cache
def _load_reader(name: str) -> None:
    module, package, what = READERS[name]
    try:
        reader = need(module, EXTRA, what)
    except DataError as error:
        raise UnreadableError(str(error).replace(f"library {module}", f"library {package}")) from error
    if name == "HEIF":
        reader.register_heif_opener()
