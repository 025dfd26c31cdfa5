"""One process at a time: whoever is to write a file waits until nobody else does."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sagan.data.config import DataError

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

OUT = "choose another --out"
"""What to do where nothing can be written to a place that was named."""


@contextmanager
def alone(file: Path, waiting: Callable[[], None] = lambda: None, otherwise: str = OUT) -> Iterator[None]:
    """Hold the right to write ``file``; the operating system takes it back when the process ends, however it ends.

    ``waiting`` is called once if another process has it; then this one waits. On file systems without locks nobody
    waits. ``otherwise`` says what to do where nothing can be written.

    Raises:
        DataError: If the place cannot be written.
    """
    lock = file.with_name(f".{file.name}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = _locked(lock, waiting)
    except OSError as error:
        raise DataError(f"cannot write {file} ({error.strerror or error}); {otherwise}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; then it stays, empty.
            lock.unlink()
        stream.close()


def _locked(lock: Path, waiting: Callable[[], None]) -> IO[str]:
    while True:
        stream = lock.open("a")
        try:
            if not _lock(stream, wait=False):
                waiting()
                waiting = _nothing
                _lock(stream, wait=True)
            # Whoever had it removes the file when it leaves; then another file may have the name by now.
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                return stream
        except FileNotFoundError:
            pass
        except BaseException:
            stream.close()
            raise
        stream.close()


def _nothing() -> None:
    pass


def _lock(stream: IO[str], *, wait: bool) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(stream.fileno(), 0, os.SEEK_SET)
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True
