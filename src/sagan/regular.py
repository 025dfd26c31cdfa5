"""Files opened where strangers may have made them: no pipe or device to read from, no link to write through."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

CHUNK = 2**20
"""Bytes that are read at a time of a file that is not as long as it said."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read its bytes; links are followed.

    Raises:
        FileNotFoundError: If it is not there.
        IsADirectoryError: If it is a folder.
        OSError: If it is a pipe, a socket or a device, or cannot be read.
    """
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - whoever asks closes it
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    raise _no_file(str(path))


def read_regular(path: str, check: Callable[[int], None]) -> bytes:
    """Read a file as a whole; links are followed. Small ones take less time than with a stream.

    Args:
        path: The file.
        check: Is called with the length of the file before it is read, and of what was read if that is more; what it
            raises ends the reading.

    Raises:
        FileNotFoundError: If it is not there.
        IsADirectoryError: If it is a folder.
        OSError: If it is a pipe, a socket or a device, or cannot be read.
    """
    number = _without_waiting(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(number)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(path)
        check(status.st_size)
        data = os.read(number, status.st_size + 1)
        return data if len(data) == status.st_size else _with_the_rest(number, data, check)
    finally:
        os.close(number)


def _with_the_rest(number: int, first: bytes, check: Callable[[int], None]) -> bytes:
    """Read on in a file that is not as long as it said, or that comes in parts."""
    parts, length = [first], len(first)
    while part := os.read(number, CHUNK):
        parts.append(part)
        length += len(part)
        check(length)
    return b"".join(parts)


def _no_file(path: str) -> OSError:
    return OSError(errno.EINVAL, "it is a pipe, a socket or a device, no file", path)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def not_through_a_link(path: str, flags: int) -> int:
    """Open a file that is written to: an ``opener`` for :func:`open`, which refuses a link in place of the file.

    Raises:
        OSError: If there is a link, a pipe, a socket or a device in its place, or it cannot be written.
    """
    if Path(path).is_symlink():
        raise OSError(errno.ELOOP, "it is a link, and nothing is written through it", path)
    number = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    if stat.S_ISREG(os.fstat(number).st_mode):
        return number
    os.close(number)
    raise _no_file(path)
