"""Folders and zip files of image files: what is in them, and which class each picture belongs to.

Pictures directly inside are a set without classes; pictures one sub-folder down belong to the class that the sub-folder
is named after, classes sorted by name. Anything else is explained to the user, not guessed.
"""

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from sagan.data.config import DataError
from sagan.data.decode import UnreadableError, decode_picture
from sagan.data.pictures import Labels, Pictures, Source, hash_lines

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".avif",
        ".heic",
        ".heif",
        ".jp2",
    ]
)
CLUTTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
MAX_DEPTH = 6  # Deep enough to explain a wrong folder; ends loops of links.
MAX_FILE_BYTES = 2**29


class _Entry(NamedTuple):
    name: str
    size: int
    modified_ns: int


def folder_source(folder: Path) -> Source:
    """Find the pictures of a folder.

    Raises:
        DataError: If the folder cannot be read, holds no pictures, or holds them at more than one level or too deep.
    """
    entries: list[_Entry] = []
    empty: list[str] = []
    _walk(folder, "", entries, empty)
    entries.sort()
    names = [entry.name for entry in entries if _is_picture(entry.name)]
    ignored = [entry.name for entry in entries if not _is_picture(entry.name)] + empty
    labels, class_names = _arrange(str(folder), names, ignored, in_zip=False)

    def read(name: str) -> bytes:
        path = folder / name
        refuse_huge(path.stat().st_size)
        return path.read_bytes()

    # The names of other files change nothing in the pictures, so they are not part of the key.
    lines = [f"{name}\0{size}\0{modified}" for name, size, modified in entries if _is_picture(name)]
    pictures = _file_pictures(names, labels, class_names, ignored, read)
    key = hash_lines(["folder", str(folder.resolve()), *lines])
    return Source(name=str(folder), key=key, stamp=hash_lines(["folder", *lines]), load=lambda: pictures)


def zip_pictures(file: Path) -> Pictures:
    """Find the pictures of a zip file; one folder around everything is looked through.

    Raises:
        DataError: If it is damaged, has unsafe member names, or holds no pictures where they are expected.
    """
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DataError(f"{file} is not a whole zip file ({error}); copy or download it again") from error
    try:
        members = _members(archive, file)
        names = sorted(name for name in members if _is_picture(name))
        ignored = sorted(name for name in members if not _is_picture(name))
        labels, class_names = _arrange(str(file), names, ignored, in_zip=True)
    except DataError:
        archive.close()
        raise

    def read(name: str) -> bytes:
        info = members[name]
        refuse_huge(info.file_size)
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise UnreadableError(f"cannot be unpacked ({error})") from error

    return _file_pictures(names, labels, class_names, ignored, read)


def _members(archive: zipfile.ZipFile, file: Path) -> dict[str, zipfile.ZipInfo]:
    """Give the files of an archive by their names without clutter and without one folder around everything."""
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for name in members:
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name.split("/")[0]:
            raise DataError(
                f"{file} holds a member named {name!r}, which points outside the archive; do not trust it, "
                "or pack the pictures again with relative names"
            )
    # Some programs for Windows write backslashes.
    inner = {name.replace("\\", "/"): info for name, info in members.items()}
    inner = {short: info for short, info in inner.items() if not any(map(_is_clutter, short.split("/")))}
    wrappers = {short.split("/")[0] if "/" in short else "" for short in inner if _is_picture(short)}
    if len(wrappers) == 1 and (wrapper := wrappers.pop()):
        inner = {short.removeprefix(f"{wrapper}/"): info for short, info in inner.items()}
    return inner


def refuse_huge(size: int) -> None:
    """Raise UnreadableError for a file that is too large to be a picture to train on."""
    if size > MAX_FILE_BYTES:
        raise UnreadableError(f"the file has {size / 2**20:,.0f} MiB, more than the {MAX_FILE_BYTES >> 20} allowed")


def _walk(folder: Path, prefix: str, entries: list[_Entry], empty: list[str]) -> None:
    try:
        children = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder} ({error.strerror}); check its permissions") from error
    before = len(entries)
    for child in children:
        name = prefix + child.name
        if _is_clutter(child.name):
            continue
        if child.is_dir():
            if name.count("/") < MAX_DEPTH:
                _walk(folder / child.name, f"{name}/", entries, empty)
            continue
        try:
            status = child.stat()
        except OSError:  # A link that leads nowhere: reading it will say so.
            entries.append(_Entry(name, 0, 0))
            continue
        if stat.S_ISREG(status.st_mode):
            entries.append(_Entry(name, status.st_size, status.st_mtime_ns))
    if prefix and len(entries) == before:
        empty.append(prefix)


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _is_clutter(part: str) -> bool:
    return part.startswith(".") or part in CLUTTER


def _arrange(
    where: str, names: Sequence[str], ignored: Sequence[str], *, in_zip: bool
) -> tuple[Labels, tuple[str, ...]]:
    """Give labels and class names of relative picture names, or explain why there are none."""
    if not names:
        others = f"{len(ignored)} other entries such as {ignored[0]}" if ignored else "nothing"
        raise DataError(
            f"{where} holds no pictures ({others} found); expected image files, or a sub-folder of them for each class"
        )
    depths = Counter(name.count("/") for name in names)
    if set(depths) == {0}:
        return np.zeros(len(names), np.int64), ()
    if set(depths) == {1}:
        folders = [name.split("/")[0] for name in names]
        class_names = tuple(sorted(set(folders)))
        index = {name: label for label, name in enumerate(class_names)}
        return np.array([index[folder] for folder in folders], np.int64), class_names
    found = ", ".join(
        f"{'directly inside' if depth == 0 else f'{depth} folder(s) deep'}: {count:,} "
        f"(such as {next(name for name in names if name.count('/') == depth)})"
        for depth, count in sorted(depths.items())
    )
    expected = "expected either pictures directly inside, or one level of sub-folders that are the classes"
    tops = sorted({name.split("/")[0] for name in names if name.count("/") >= 2})
    if not tops:
        advice = "move the pictures that lie outside the class folders into one, or away"
    elif in_zip:
        advice = f"pack only what is inside one folder, such as {tops[0]}"
    else:
        advice = "give the folder that holds the class folders: " + " or ".join(f"{where}/{top}" for top in tops[:3])
    raise DataError(f"{where} holds pictures {found}; {expected}; {advice}")


def _file_pictures(
    names: Sequence[str],
    labels: Labels,
    class_names: tuple[str, ...],
    ignored: Sequence[str],
    read: Callable[[str], bytes],
) -> Pictures:
    return Pictures(
        names=tuple(names),
        labels=labels,
        class_names=class_names,
        decode=lambda index: decode_picture(read(names[index])),
        ignored=tuple(ignored),
    )
