"""The lock of a run's folder: one training process at a time."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sagan.regular import not_through_a_link
from sagan.runs.folder import LOCK, RunError

# The byte that is locked where locks are on bytes: far behind the text that says who holds it, which stays readable.
LOCK_BYTE = 1 << 20
HELD_BY = "process "
"""What the text begins with that says who holds it."""
MOST_BYTES = 1000
"""Of that text, at most."""


@contextmanager
def run_lock(folder: Path) -> Iterator[bool]:
    """Hold the run folder for this process; the operating system lets go of it when the process ends, however it ends.

    It gives whether a process held it before, as one that was killed did.

    Raises:
        RunError: If another process holds it, or there is a link in place of the lock, or a file that is none.
    """
    with _opened(folder) as file:
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            raise RunError(
                f"{folder} is in use by another training process ({_read(file).strip() or 'unknown'}); "
                "wait for it, stop it, or choose another --out"
            ) from error
        _check_there(file, folder)
        file.seek(0)
        said = _read(file)
        if said.strip("\0") and not said.startswith(HELD_BY):
            raise RunError(f"{folder / LOCK} is no lock of a run; move it away, or choose another folder")
        before = said.startswith(HELD_BY)
        text = f"{HELD_BY}{os.getpid()} on {platform.node()}".encode()
        file.seek(0)
        file.write(text)  # over what was there: who is killed here leaves a text that says that it was held
        file.truncate(len(text))
        yield before


def _opened(folder: Path) -> IO[bytes]:
    path = folder / LOCK
    try:
        return open(path, "r+b", buffering=0, opener=_made_if_missing)
    except FileNotFoundError as error:
        raise _gone(folder) from error
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise RunError(f"{path} is no file of a run (a link, a pipe or a folder); remove it") from error
        raise


def _made_if_missing(path: str, flags: int) -> int:
    return not_through_a_link(path, flags | os.O_CREAT)


def _read(file: IO[bytes]) -> str:
    return file.read(MOST_BYTES).decode("utf-8", "replace")


def _check_there(file: IO[bytes], folder: Path) -> None:
    """Check that the file that is locked is the one that others find."""
    try:
        same = os.path.samestat(os.fstat(file.fileno()), (folder / LOCK).stat())
    except FileNotFoundError:
        same = False
    if not same:
        raise _gone(folder)


def _gone(folder: Path) -> RunError:
    return RunError(f"{folder} was removed by another process that could not start there; give the command again")


def _lock(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        os.lseek(file.fileno(), LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
