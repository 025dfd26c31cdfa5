"""Files and folders that appear under their name when they are complete: who is killed leaves the old one or none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place beside ``path`` for what takes its name at the end; missing folders are made.

    After a failure there is nothing left of it, and an older file is as it was.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        settle(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def settle(temporary: Path, path: Path) -> None:
    """Give a written file its name in one move, once it is on the disk; a power cut leaves the old one or the new one.

    Raises:
        OSError: If the disk does not take it.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "nt":
        return
    with suppress(OSError):  # a file system that does not know how: the name is there all the same
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text, as UTF-8, or bytes to a file, in one move.

    Raises:
        OSError: If it cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder of the same name, in a hidden one beside ``path``, that takes its place at the end.

    Where there is a folder already, as the Hub's library makes one, it stays, and gets the new one's files in place of
    those of the same names, each in one move.

    Raises:
        OSError: If it cannot be written.
    """
    path = path.absolute()
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(hidden, ignore_errors=True)  # of a process that was killed, and had the same number
    new = hidden / path.name
    new.mkdir(parents=True)
    try:
        yield new
        if not path.exists():
            new.replace(path)
            return
        for file in sorted(file for file in new.rglob("*") if file.is_file()):
            place = path / file.relative_to(new)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
