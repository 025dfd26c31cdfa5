"""Where results go: a name that nothing can be written under is refused before any work, a full disk is told plainly.

Without PyTorch.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def check_place(field: str, path: str | Path, suffixes: Sequence[str], *, folder: bool = False) -> None:
    """Check that a file can be written under a name.

    Args:
        field: What it is called in messages.
        path: The name.
        suffixes: The endings that say a format, in small letters.
        folder: Whether its folder must be there: what is written last shall not fail for the lack of it.

    Raises:
        ValueError: If it ends in another way, is a folder, or there is no such folder.
        OSError: As :func:`check_writable`.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        *first, last = suffixes
        known = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{field} must end in {known}, found {path}")
    if folder and not path.absolute().parent.is_dir():
        raise ValueError(f"{field} {path}: there is no folder {path.parent}; make it, or choose another place")
    check_writable(field, path, file=True)


def check_writable(field: str, path: str | Path, *, file: bool = False) -> None:
    """Check that a file or a folder can be made under a name, by making one beside it that vanishes at once.

    Folders on the way that are missing are not made: what counts is the last one that is there.

    Args:
        field: What it is called in messages.
        path: The name. Of a folder that is there already a file inside is tried.
        file: Whether it is to be a file.

    Raises:
        ValueError: If it is to be a file, and is a folder.
        OSError: If the folder takes no files, or is none.
    """
    path = Path(path)
    place = path.absolute()
    if file and place.is_dir():
        raise ValueError(f"{field} {path} is a folder; name a file")
    if not place.is_dir():  # a file there is replaced by another
        place = next(folder for folder in place.parents if os.path.lexists(folder))
    try:
        with tempfile.TemporaryFile(prefix=".sagan-", dir=place):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise could_not_write(path, error) from error
        said = f"nothing can be written in {place} ({error.strerror or error}); check its permissions, or"
        if not place.is_dir():
            said = f"{place} is a file and no folder;"
        raise OSError(error.errno, f"{field} {path}: {said} choose another place") from error


def check_name(field: str, path: str | Path) -> None:
    """Check that the name of a run, or of weights, is UTF-8: not all that reads and writes them can do with others.

    Args:
        field: What it is called in messages.
        path: The name.

    Raises:
        ValueError: If it cannot.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = ascii(str(path))[1:-1].replace("\\udc", "\\x")  # its bytes, as shells write them
        raise ValueError(f"{field} {shown}: the name has bytes that are no UTF-8; give it another one") from None


def check_file(field: str, path: str | Path) -> None:
    """Check that there is a file.

    Args:
        field: What it is called in messages.
        path: Where it should be.

    Raises:
        ValueError: If there is none.
    """
    place = Path(path).expanduser()
    if not place.exists() or place.is_dir():
        raise ValueError(f"{field} {path} is not a file")


AGAIN = ", then give the command again"
"""How an error ends whose cause can be mended; not where the command goes on by itself."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def could_not_write(path: Path, error: BaseException, needed: int | None = None) -> OSError:
    """Say in plain words that a file could not be written.

    Args:
        path: The file.
        error: What came of it: an ``OSError``, or a library's own.
        needed: The room that it takes, in bytes, where that is known.
    """
    number = error.errno if isinstance(error, OSError) else None
    try:
        free: int | None = shutil.disk_usage(path.absolute().parent).free
    except OSError:
        free = None
    room = "" if needed is None else f"{in_bytes(needed)} needed"
    room += "" if free is None else f"{', ' if room else ''}{in_bytes(free)} free in {path.parent}"
    if number in FULL or (number is None and None not in (needed, free) and free < needed):  # type: ignore[operator]
        what = {errno.EDQUOT: "your quota is used up", errno.EFBIG: "the file is larger than is allowed here"}
        said = f"{path} could not be written: {what.get(number or 0, 'the disk is full')} ({room})"
        return OSError(number or errno.ENOSPC, f"{said}; make room{AGAIN}")
    if not path.absolute().parent.is_dir():
        said = f"{path} could not be written: there is no folder {path.parent}; make it, or choose another place"
        return OSError(number or errno.ENOENT, said)
    why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return OSError(number or errno.EIO, f"{path} could not be written ({why}; {room}); check the disk and permissions")


def in_a_sentence(error: OSError) -> str:
    """Give what an error says without its number: a sentence of our own, or a file's name with the system's words."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if error.filename else words


def in_bytes(count: int) -> str:
    """Write a number of bytes for people: ``61.4 GB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
