"""Files opened where strangers may have made them: no pipe or device to read from, no link to write through."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


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
    raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, no file", str(path))


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
    raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, no file", path)
