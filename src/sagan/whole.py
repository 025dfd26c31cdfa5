"""Files and folders that appear under their name when they are complete: who is killed leaves the old one or none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sagan.places import could_not_write, in_a_sentence


@contextmanager
def whole_file(path: Path, needed: int | None = None) -> Iterator[Path]:
    """Give a place beside ``path`` for what takes its name at the end; missing folders are made.

    After a failure there is nothing left of it, and an older file is as it was.

    Args:
        path: The file.
        needed: The room that it takes, in bytes, where that is known.

    Raises:
        OSError: If it cannot be written, see :func:`sagan.places.could_not_write`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        settle(temporary, path)
    except OSError as error:
        if _is_of_another(error, temporary, path):
            raise
        raise could_not_write(path, error, needed) from error
    finally:
        with suppress(OSError):
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
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path, len(data)) as temporary:
        temporary.write_bytes(data)


def _is_of_another(error: OSError, temporary: Path, path: Path) -> bool:
    """Tell whether an error is about another file than those that are written, such as one that is read."""
    found = (error.filename, error.filename2)
    names = [Path(os.fsdecode(name)).absolute() for name in found if isinstance(name, (str, bytes, os.PathLike))]
    ours = (temporary.absolute(), path.absolute())
    return bool(names) and not any(a.is_relative_to(b) or b.is_relative_to(a) for a in names for b in ours)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder of the same name, in a hidden one beside ``path``, that takes its place at the end.

    Where there is a folder already, as the Hub's library makes one, it stays, and gets the new one's files in place of
    those of the same names, each in one move.

    Raises:
        OSError: If it cannot be written, see :func:`sagan.places.could_not_write`.
    """
    path = path.absolute()
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(hidden, ignore_errors=True)  # of a process that was killed, and had the same number
    new = hidden / path.name
    try:
        new.mkdir(parents=True)
        yield new
        if not path.exists():
            new.replace(path)
            return
        for file in sorted(file for file in new.rglob("*") if file.is_file()):
            place = path / file.relative_to(new)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    except OSError as error:
        if _is_of_another(error, hidden, path):
            raise
        words = in_a_sentence(error).replace(str(new), str(path))
        raise could_not_write(path, OSError(error.errno, words)) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
