"""Folders and zip files of pictures: what is in them, by their first bytes, and what they mean (layout.py)."""

import errno
import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sagan.bombs import check_directory, check_member, read_member
from sagan.data.config import DataConfig, DataError
from sagan.data.decode import UnreadableError
from sagan.data.encoded import decoding_lines, encoded_pictures
from sagan.data.layout import Layout, arrange
from sagan.data.losses import SHOWN, refuse_lost_folders
from sagan.data.names import in_a_line, readable
from sagan.data.pictures import Pictures, Source, hash_lines
from sagan.data.sniff import HEAD_BYTES, kind_of
from sagan.data.tables import find_table, labelled_by
from sagan.reading import BytesError, read_bytes, whatever_happens
from sagan.regular import open_regular, read_regular

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
        ".apng",
        ".mpo",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
        ".jp2",
        ".jxl",
        ".qoi",
    ]
)
CLUTTER = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"})
TWICE = "the archive holds another file of the same name further on, which is used"
UTF_8 = 0x800
"""The mark of a member of a zip file whose name is UTF-8."""
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z")
MAX_DEPTH = 16
MAX_FILE_BYTES = 2**29


class _Entry(NamedTuple):
    name: str
    size: int
    modified_ns: int


class _Sorted(NamedTuple):
    """Files by what they are."""

    pictures: list[str]
    others: list[str]
    """Files that are no pictures, and empty folders."""
    shown: list[tuple[str, str]]
    """Files that show something but are no pictures to train on, and what to do."""


def folder_source(folder: Path, config: DataConfig) -> Source:
    """Find the pictures of a folder.

    Raises:
        DataError: If the folder cannot be read, holds no pictures, or what it means is not clear.
    """
    entries: list[_Entry] = []
    others: list[str] = []
    _walk(folder, "", entries, others, ())
    entries.sort()
    found = _sorted_out((entry.name for entry in entries), lambda name: _head(folder / name))
    found.others.extend(others)

    def read(name: str) -> bytes:
        try:
            return read_regular(f"{folder}/{name}", refuse_huge)
        except OSError as error:
            if _leads_nowhere(folder / name):
                raise UnreadableError(f"a link that leads nowhere ({error.strerror})") from error
            raise

    layout = _layout(str(folder), found, config, read)
    refuse_lost_folders(str(folder), layout, found.shown, config.may_lose)
    # The names of other files change nothing in the pictures, so they are not part of the key.
    used = set(layout.names)
    lines = [f"{name}\0{size}\0{modified}" for name, size, modified in entries if name in used]
    lines += _reading(config, layout) + decoding_lines(config)
    return Source(
        name=str(folder),
        key=hash_lines(["folder", str(folder.resolve()), *lines]),
        stamp=hash_lines(["folder", *lines]),
        load=cache(lambda: _file_pictures(str(folder), layout, found, read, config)),
        told=lambda: told(layout, found),
    )


def zip_source(file: Path, config: DataConfig, key: str, stamp: str) -> Source:
    """Find the pictures of a zip file; it is opened when they are loaded, or told of.

    Raises:
        DataError: Then, if it is damaged, has unsafe member names, holds no pictures, or what it means is not clear.
    """
    opened = cache(lambda: _opened_zip(file, config))
    return Source(
        name=str(file),
        key=key,
        stamp=stamp,
        load=cache(lambda: _file_pictures(str(file), *opened(), config)),
        told=lambda: told(*opened()[:2]),
    )


def _opened_zip(file: Path, config: DataConfig) -> tuple[Layout, _Sorted, Callable[[str], bytes]]:
    """Open a zip file: what it means, its files, and how one of them is read."""
    with whatever_happens(lambda why: DataError(f"{file} is not a whole zip file ({why}); copy or download it again")):
        check_directory(file)
        archive = zipfile.ZipFile(file)

    def read(name: str) -> bytes:
        info = members[name]
        refuse_huge(info.file_size)
        with _unpacking():
            return read_member(archive, info)

    def head(name: str) -> bytes:
        with suppress(UnreadableError), _unpacking():
            check_member(members[name])
            with archive.open(members[name]) as stream:
                return stream.read(HEAD_BYTES)
        return b""

    try:
        members, twice = _members(archive, file)
        found = _sorted_out(sorted(members), head)
        layout = _layout(str(file), found, config, read)
        layout = replace(layout, left_out=(*layout.left_out, *((name, TWICE) for name in twice)))
        refuse_lost_folders(str(file), layout, found.shown, config.may_lose)
    except DataError as error:
        archive.close()
        if str(file) in str(error):
            raise
        raise DataError(f"{file}: {error}") from error  # of a table in it
    return layout, found, read


@contextmanager
def _unpacking() -> Iterator[None]:
    """Say that a member cannot be unpacked, whatever its bytes or a damaged directory lead to.

    Raises:
        UnreadableError: If it cannot.
        OSError: If it is the disk that fails.
    """
    try:
        with whatever_happens(lambda why: UnreadableError(f"cannot be unpacked ({why})")):
            yield
    except UnreadableError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno not in (None, errno.EINVAL):
            raise cause from None
        raise


def _members(archive: zipfile.ZipFile, file: Path) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """Give the files of an archive by their names, without clutter, and the names of those that later ones replace."""
    members = [(_member_name(info), info) for info in archive.infolist() if info.filename and not info.is_dir()]
    for name, _ in members:
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name.split("/")[0]:
            raise DataError(
                f"{file} holds a member named {name!r}, which points outside the archive; do not trust it, "
                "or pack the pictures again with relative names"
            )
    # Some programs for Windows write backslashes.
    named = [(name.replace("\\", "/"), info) for name, info in members]
    named = [(short, info) for short, info in named if not any(map(is_clutter, short.split("/")))]
    inner = dict(named)
    replaced = list((Counter(short for short, _ in named) - Counter(list(inner))).elements())
    # Below a folder that is around everything, names are as in the folder itself.
    wrappers = {short.split("/")[0] if "/" in short else "" for short in inner}
    if len(wrappers) == 1 and (wrapper := wrappers.pop()):
        inner = {short.removeprefix(f"{wrapper}/"): info for short, info in inner.items()}
        replaced = [short.removeprefix(f"{wrapper}/") for short in replaced]
    return inner, replaced


def _member_name(info: zipfile.ZipInfo) -> str:
    """Give the name of a member, each part of which is read as UTF-8 where it is that, whatever the archive says.

    Programs of several systems store UTF-8 without the mark for it; ``zipfile`` reads that as code page 437.
    """
    if info.flag_bits & UTF_8:
        return info.filename
    parts = re.split(r"([/\\])", info.filename)
    for i, part in enumerate(parts):
        with suppress(UnicodeError):
            parts[i] = part.encode("cp437").decode("utf-8")
    return "".join(parts)


def _leads_nowhere(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return path.is_symlink()
    return False


def refuse_huge(size: int) -> None:
    """Raise UnreadableError for a file that is too large to be a picture to train on."""
    if size > MAX_FILE_BYTES:
        raise UnreadableError(f"the file has {size / 2**20:,.0f} MiB, more than the {MAX_FILE_BYTES >> 20} allowed")


def _walk(
    folder: Path,
    prefix: str,
    entries: list[_Entry],
    others: list[str],
    above: tuple[tuple[int, int], ...],
    linked: set[tuple[int, int]] | None = None,
) -> None:
    """Find the files below a folder; of several links to one folder the first by name is followed."""
    try:
        status = folder.stat()
        children = sorted(os.scandir(folder), key=lambda child: child.name)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder} ({error.strerror}); check its permissions") from error
    place = (status.st_dev, status.st_ino)
    linked = set() if linked is None else linked
    is_link = bool(prefix) and folder.is_symlink()
    if place in above or (is_link and place in linked):  # a link to a folder that it lies in, or another link to one
        others.append(prefix)
        return
    if is_link:
        linked.add(place)
    before = len(entries)
    for child in children:
        name = prefix + child.name
        if is_clutter(child.name):
            continue
        if _is_folder(child):
            if name.count("/") >= MAX_DEPTH:
                raise DataError(f"{folder / child.name} lies deeper than {MAX_DEPTH} folders; give one further inside")
            _walk(folder / child.name, f"{name}/", entries, others, (*above, place), linked)
            continue
        if (entry := _file_entry(child, name)) is not None:
            entries.append(entry)
        else:
            others.append(name)
    if prefix and len(entries) == before:
        others.append(prefix)


def _file_entry(child: os.DirEntry[str], name: str) -> _Entry | None:
    """Give the entry of a file; None for a pipe, a socket or a device, which is not opened."""
    try:
        found = child.stat()
    except OSError:  # A link that leads nowhere: reading it will say so.
        return _Entry(name, 0, 0)
    return _Entry(name, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _head(file: Path) -> bytes:
    try:
        with open_regular(file) as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""


def _sorted_out(names: Iterable[str], head: Callable[[str], bytes]) -> _Sorted:
    """Tell pictures from other files: by their bytes, except that a usual suffix of pictures is believed.

    What such a file really holds is seen when it is decoded, and told by name if it is no picture.
    """
    found = _Sorted([], [], [])
    for name in names:
        if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
            found.pictures.append(name)
            continue
        kind = kind_of(name, head(name))
        if kind is None:
            found.others.append(name)
        elif kind.is_picture:
            found.pictures.append(name)
        else:
            found.shown.append((name, kind.why_not))
    return found


def is_clutter(part: str) -> bool:
    """Tell whether a name is that of a hidden file or folder, or one that systems leave behind."""
    return part.startswith(".") or part in CLUTTER


def _layout(where: str, found: _Sorted, config: DataConfig, read: Callable[[str], bytes]) -> Layout:
    if not found.pictures:
        raise _no_pictures(where, found)
    layout = _classes(where, found, config, read)
    tables = [name for name in found.others if name.lower().endswith((".csv", ".tsv", ".jsonl")) and "/" not in name]
    if not layout.class_names and config.classes != "none" and tables:
        name = in_a_line(tables[0])
        unused = f"the table {name} is not used; --data.labels {name} takes the classes from it"
        return replace(layout, said=(*layout.said, unused))
    return layout


def _no_pictures(where: str, found: _Sorted) -> DataError:
    if found.shown:
        name, why = found.shown[0]
        return DataError(f"{where} holds no pictures: {len(found.shown):,} file(s) such as {in_a_line(name)}: {why}")
    others = f"{len(found.others)} other entries such as {in_a_line(found.others[0])}" if found.others else "nothing"
    packed = any(name.lower().endswith(PACKED) for name in found.others)
    return DataError(
        f"{where} holds no pictures ({others} found); expected image files, or a sub-folder of them for each class"
        + ("; unpack archives first, each into a folder, or give one of them" if packed else "")
    )


def _classes(where: str, found: _Sorted, config: DataConfig, read: Callable[[str], bytes]) -> Layout:
    if config.labels is not None:
        return _by_own_table(where, found, config, read)
    known = find_table(found.others, found.pictures)
    try:
        layout = arrange(where, found.pictures, config)
    except DataError:
        if known is None:
            raise
        layout = arrange(where, found.pictures, replace(config, classes="none"))
    table = find_table(found.others, layout.names)
    if table is None or config.classes != "auto" or config.class_pattern is not None:
        return layout
    if not layout.class_names:
        return labelled_by(layout, table, None, read)
    return _by_table_or_folders(where, layout, table, read)


def _by_table_or_folders(where: str, layout: Layout, table: str, read: Callable[[str], bytes]) -> Layout:
    """Take the classes of the folders, where a table above them says the same, or no classes.

    Raises:
        DataError: If it says others.
    """
    try:
        labelled = labelled_by(layout, table, None, read)
    except DataError:  # It says something else, such as captions.
        return layout
    by_table = dict(zip(labelled.names, labelled.labels.tolist(), strict=True))
    pairs = {
        (label, by_table[name])
        for name, label in zip(layout.names, layout.labels.tolist(), strict=True)
        if name in by_table
    }
    folders, classes = ({pair[i] for pair in pairs} for i in (0, 1))
    one_each = 2 * len(classes) > len(by_table)
    if labelled is layout or len(folders) == len(classes) == len(pairs) or one_each:
        return layout
    if len(layout.class_names) == 1:
        return labelled
    raise DataError(
        f"{where} has classes in folders ({', '.join(layout.class_names[:3])}, ...) and others in {table} "
        f"({', '.join(labelled.class_names[:3])}, ...): --data.labels {table} takes those of the table, "
        "--data.classes first those of the folders"
    )


def _by_own_table(where: str, found: _Sorted, config: DataConfig, read: Callable[[str], bytes]) -> Layout:
    """Take the classes from the table that the user names: a file in the set, or anywhere."""
    table, column = _table_and_column(config)
    layout = arrange(where, found.pictures, replace(config, classes="none"))
    if table in found.others:
        return labelled_by(layout, table, column or None, read)
    file = Path(table).expanduser()
    if not file.is_file():
        raise DataError(f"there is no table {table} in {where} or as a file; --data.labels takes FILE or FILE:COLUMN")
    return labelled_by(layout, table, column or None, lambda _: _bounded(file), folder="")


def _bounded(file: Path) -> bytes:
    try:
        return read_bytes(file)
    except BytesError as error:
        raise UnreadableError(str(error)) from error


def _table_and_column(config: DataConfig) -> tuple[str, str]:
    """Read FILE or FILE:COLUMN, where FILE may begin with a drive and its colon."""
    assert config.labels is not None
    table, colon, column = config.labels.rpartition(":")
    return (table, column) if colon and not Path(config.labels).expanduser().exists() else (config.labels, "")


def own_table(config: DataConfig) -> list[str]:
    """Give size and time of the table of classes, where the user keeps one beside the set; nothing without."""
    file = None if config.labels is None else Path(_table_and_column(config)[0]).expanduser()
    if file is None or not file.is_file():
        return []
    status = file.stat()
    return [f"table {status.st_size} {status.st_mtime_ns}"]


def choices(config: DataConfig) -> list[str]:
    """Give what the user chose of the reading of a tree; nothing where nothing was chosen."""
    default = DataConfig()
    chosen = ("split", "classes", "class_pattern", "labels")
    return [f"{name}={getattr(config, name)}" for name in chosen if getattr(config, name) != getattr(default, name)]


def told(layout: Layout, found: _Sorted) -> tuple[str, ...]:
    """Say what a person should know about the tree: its reading, and what was left out and why."""
    reasons = Counter(reason for _, reason in (*layout.left_out, *found.shown))
    counted = [f"{count:,} file(s) left out: {reason}" for reason, count in reasons.most_common()]
    return (*layout.said, *counted, *_empty_folders(found))


def _empty_folders(found: _Sorted) -> list[str]:
    """Name folders without pictures in a sentence; none where there are none."""
    empty = _without_pictures(found)
    shown = ", ".join(readable(f"{name}/") for name in empty[:SHOWN])
    more = f" and {len(empty) - SHOWN:,} more" if len(empty) > SHOWN else ""
    return [f"folders without pictures of their own: {shown}{more}"] if empty else []


def _without_pictures(found: _Sorted) -> list[str]:
    """Give the folders that have nothing in them that shows something, nor lie in such a folder, outermost first."""
    if not found.others:
        return []
    holding = {name.rpartition("/")[0] for name in (*found.pictures, *(name for name, _ in found.shown))}
    used = {"", *(folder for inner in holding for folder in _above(f"{inner}/"))}
    empty = {next((folder for folder in _above(name) if folder not in used), "") for name in found.others}
    return sorted(empty - used, key=lambda folder: (folder.count("/"), folder))


def _above(name: str) -> list[str]:
    """Give the folders that something lies in, outermost first; of a folder itself, too."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _reading(config: DataConfig, layout: Layout) -> list[str]:
    """Give what decides about classes besides the names of the pictures; nothing where they are one folder each."""
    if not (layout.said or layout.left_out or choices(config)):
        return []
    return [f"label\0{layout.class_names[label] if layout.class_names else ''}" for label in layout.labels.tolist()]


def _file_pictures(
    where: str, layout: Layout, found: _Sorted, read: Callable[[str], bytes], config: DataConfig
) -> Pictures:
    names: Sequence[str] = layout.names
    pictures = encoded_pictures(
        where, names, layout.labels, layout.class_names, lambda index: read(names[index]), config
    )
    return replace(
        pictures,
        ignored=tuple(found.others),
        said=(*layout.said, *_empty_folders(found)),
        left_out=(*layout.left_out, *found.shown),
    )
