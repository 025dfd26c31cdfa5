"""The lock of a run's folder: one training process at a time."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sagan.runs.folder import LOCK, RunError

# The byte that is locked where locks are on bytes: far behind the text that says who holds it, which stays readable.
LOCK_BYTE = 1 << 20


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; the operating system lets go of it when the process ends, however it ends.

    Raises:
        RunError: If another process holds it.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            raise RunError(
                f"{folder} is in use by another training process ({file.read().strip() or 'unknown'}); "
                "wait for it, stop it, or choose another --out"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt

        os.lseek(file.fileno(), LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
