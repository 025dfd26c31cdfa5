"""Pictures in the WebDataset layout: tar files whose members KEY.jpg and KEY.cls (or .json, .txt) make up a sample.

The library ``webdataset`` expands the names of tar files and groups members to samples. Only the headers and labels are
read to find the pictures; each is then read from its place in the tar, so any of them can be decoded first, as the
packer needs to go on in the middle, and to use several threads and machines.
"""

import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from sagan.data.arrays import classes
from sagan.data.config import DataConfig, DataError
from sagan.data.decode import UnreadableError
from sagan.data.encoded import decoding_lines, encoded_pictures
from sagan.data.extras import need
from sagan.data.files import IMAGE_SUFFIXES, choices, refuse_huge
from sagan.data.names import in_a_line, readable
from sagan.data.parallel import counted
from sagan.data.pictures import Labels, Pictures, Source, hash_lines
from sagan.data.there import PATTERN, NotThereError, is_pattern
from sagan.reading import value_of, whatever_happens
from sagan.regular import open_regular

LABEL_SUFFIXES = ("cls", "json", "txt")
LABEL_KEYS = ("label", "cls", "class", "class_id", "class_name")
MAX_LABEL_BYTES = 2**20
MAX_DIGITS = 18
"""Labels that are longer numbers are names."""
LABELLED = 'a label beside each picture: KEY.cls, KEY.json with "label" in it, or KEY.txt'
META = re.compile(r"__[^/]*__($|/)")  # names that the layout sets aside

Label = int | str | None


class _Place(NamedTuple):
    """Where the bytes of a picture are."""

    offset: int
    size: int
    """-1 where they do not lie in a row, as of a sparse member."""


class _Found(NamedTuple):
    """A picture in one of the tars."""

    name: str
    label: Label
    place: tuple[int, int, int]
    """Number of the tar file, offset and size."""


def tar_source(config: DataConfig, *, progress: bool) -> Source:
    """Find the tar files of a configuration's path: a file, a folder of them or a pattern with braces or stars.

    Raises:
        DataError: If there are none or one cannot be read, if ``webdataset`` is not installed, if classes are asked for
            that tar files do not have, and on loading, if a tar is damaged, labels are missing, or there are no
            pictures.
    """
    if idle := choices(config):
        name = idle[0].partition("=")[0].replace("_", "-")
        raise DataError(f"{config.path}: in tar files classes are {LABELLED}; leave --data.{name} away")
    library = need("webdataset", "webdataset", "tar files in the WebDataset layout")
    path = config.path
    files = _expand(path, library)
    try:
        stats = [file.stat() for file in files]
    except FileNotFoundError as error:
        raise NotThereError(f"{path} means {len(files):,} tar files, but there is no {error.filename}") from error
    if strange := next((f for f, s in zip(files, stats, strict=True) if not stat.S_ISREG(s.st_mode)), None):
        raise DataError(f"{strange} is no regular file; tar files are read from a disk")
    lines = [f"{f.name}\0{s.st_size}\0{s.st_mtime_ns}" for f, s in zip(files, stats, strict=True)]
    lines += decoding_lines(config)
    return Source(
        name=path,
        key=hash_lines(["tars", *(str(file.resolve()) for file in files), *lines]),
        stamp=hash_lines(["tars", *lines]),
        load=lambda: tar_pictures(files, config, library, progress=progress),
    )


def tar_pictures(files: Sequence[Path], config: DataConfig, library: Any, *, progress: bool) -> Pictures:
    """Find the pictures and labels of tar files, in the order of the files and of their members.

    Raises:
        DataError: See :func:`tar_source`.
    """
    name = config.path
    found, ignored = _find(files, library, progress)
    if not found:
        raise DataError(f"{name} holds no pictures ({len(ignored):,} samples without one); expected KEY.jpg or KEY.png")
    names = tuple(picture.name for picture in found)
    labels, class_names = arranged([picture.label for picture in found], names, name)
    places = np.array([picture.place for picture in found], np.int64)

    def read(index: int) -> bytes:
        number, offset, size = places[index].tolist()
        if size < 0:
            raise UnreadableError("it is stored as a sparse file; make the tar file again without -S (--sparse)")
        refuse_huge(size)
        with files[number].open("rb") as stream:
            stream.seek(offset)
            data: bytes = stream.read(size)
        if len(data) < size:
            raise UnreadableError("the tar file ends within it")
        return data

    pictures = encoded_pictures(name, names, labels, class_names, read, config)
    return replace(pictures, ignored=tuple(ignored))


def _find(files: Sequence[Path], library: Any, progress: bool) -> tuple[list[_Found], list[str]]:
    """Read the headers: the pictures with their labels, and the samples without a picture."""
    found: list[_Found] = []
    ignored: list[str] = []
    with counted("reading tar headers", len(files), progress) as advance:
        for number, file in enumerate(files):
            keys = set[str]()
            for sample in _samples(file, library):
                if sample["__key__"] in keys:
                    raise DataError(
                        f"{file.name} has files of {in_a_line(sample['__key__'])} in several places; those of a "
                        "sample must follow each other: make the tar file again with names in order (tar --sort=name)"
                    )
                keys.add(sample["__key__"])
                suffix = _picture_suffix(sample, file)
                if suffix is None:
                    ignored.append(f"{file.name}/{sample['__key__']}")
                    continue
                name = f"{file.name}/{sample['__key__']}.{suffix}"
                found.append(_Found(name, _label(sample, name), (number, *sample[suffix])))
            advance(1)
    return found, ignored


def arranged(found: Sequence[Label], names: Sequence[str], source: str) -> tuple[Labels, tuple[str, ...]]:
    """Give labels as indices and the classes' names: numbers in their order, names sorted; no label at all, no classes.

    Raises:
        DataError: If some pictures have a label and others do not, or almost every label is another one.
    """
    lacking = [index for index, label in enumerate(found) if label is None]
    if len(lacking) == len(found):
        return np.zeros(len(found), np.int64), ()
    if lacking:
        raise DataError(
            f"{source}: {len(lacking):,} of {len(found):,} pictures have no label, such as "
            f"{in_a_line(names[lacking[0]])}; expected {LABELLED}"
        )
    if all(isinstance(label, int) for label in found):
        return classes(np.array(found, np.int64), None, len(found), f"labels in {source}")
    texts = [str(label) for label in found]
    if 2 * len(set(texts)) > len(texts):
        raise DataError(
            f"{source}: {len(set(texts)):,} different labels for {len(texts):,} pictures, such as {texts[0][:60]!r}: "
            f"these are captions, not classes; expected {LABELLED}"
        )
    return classes(np.array(texts), None, len(texts), f"labels in {source}")


def _expand(path: str, library: Any) -> list[Path]:
    place = Path(path).expanduser()
    if place.is_dir():
        return sorted(file for file in place.glob("*.tar") if file.is_file())
    if not is_pattern(path):
        return [place]
    files = []
    for name in library.shardlists.expand_urls(str(place)):
        files += sorted(map(Path, glob(name))) if PATTERN.search(name) else [Path(name)]  # noqa: PTH207 - has a root
    if not files:
        raise NotThereError(f"no file has a name like {path}; check the pattern")
    return files


def _samples(file: Path, library: Any) -> Iterator[dict[str, Any]]:
    """Give the samples of a tar file as the library groups them, with a :class:`_Place` for every picture's bytes."""
    try:
        yield from library.tariterators.group_by_keys(_members(file))
    except DataError:
        raise
    except ValueError as error:  # the library's own words on names
        raise DataError(f"{file}: {readable(str(error.args[0]))}; every name may be there once") from error


def _members(file: Path) -> Iterable[dict[str, Any]]:
    damaged = f"{file} cannot be read as a whole, uncompressed tar"
    with whatever_happens(
        lambda why: DataError(f"{damaged} ({why}); copy or download it again, or unpack its compression first")
    ):
        yield from _read_members(file)


def _read_members(file: Path) -> Iterable[dict[str, Any]]:
    headers = open_regular(file)
    with headers, tarfile.open(fileobj=_Headers(headers), mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            suffix = member.name.rsplit(".", 1)[-1].lower()
            if not member.isreg() or META.match(member.name):
                continue
            data: _Place | bytes = _Place(member.offset_data, -1 if member.issparse() else member.size)
            if suffix in LABEL_SUFFIXES and (label := archive.extractfile(member)) is not None:
                if member.size > MAX_LABEL_BYTES:  # also of a sparse one, which says so in a few bytes
                    raise ValueError(f"the label {in_a_line(member.name)} has {member.size:,} bytes")
                data = label.read()
            yield {"fname": member.name, "data": data, "__url__": str(file)}
    with file.open("rb") as raw:
        raw.seek(max(0, file.stat().st_size - tarfile.BLOCKSIZE))
        if raw.read().strip(b"\0"):
            raise tarfile.ReadError("it ends without the mark of an end")


class _Headers:
    """A tar file to read headers and labels from, of which no more is read at once than they may have.

    Args:
        stream: The file.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, count: int) -> bytes:
        """Read so many bytes.

        Raises:
            ValueError: If that is more than a header or a label has.
        """
        if count > MAX_LABEL_BYTES + tarfile.BLOCKSIZE:
            raise ValueError(f"a header in it has {count:,} bytes, for a name or the like")
        return self._stream.read(count)


def _picture_suffix(sample: dict[str, Any], file: Path) -> str | None:
    pictures = [key for key in sample if f".{key.rsplit('.', 1)[-1]}" in IMAGE_SUFFIXES]
    plain = [key for key in pictures if "." not in key]
    chosen = plain or pictures
    if len(chosen) > 1:
        raise DataError(
            f"{file}: the sample {in_a_line(sample['__key__'])} holds {len(chosen)} pictures (.{in_a_line(chosen[0])}, "
            f".{in_a_line(chosen[1])}); "
            "expected one. A sample's key is its name up to the first dot"
        )
    return chosen[0] if chosen else None


def _label(sample: dict[str, Any], name: str) -> Label:
    suffix = next((suffix for suffix in LABEL_SUFFIXES if suffix in sample), None)
    if suffix is None:
        return None
    try:
        text = sample[suffix].decode("utf-8").strip()
        value = value_of(text) if suffix == "json" else text
    except ValueError as error:
        raise DataError(
            f"the label of {in_a_line(name)} (.{suffix}) cannot be read ({error}); expected {LABELLED}"
        ) from error
    if isinstance(value, dict):
        value = next((value[key] for key in LABEL_KEYS if key in value), None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, dict)) or (isinstance(value, str) and "\n" in value and suffix == "cls"):
        raise DataError(
            f"{in_a_line(name)} has several labels ({str(value)[:60]!r} in .{suffix}); a class-conditional network "
            "takes one a picture: write one into KEY.cls, which is read first"
        )
    if isinstance(value, str) and re.fullmatch(rf"-?\d{{1,{MAX_DIGITS}}}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise DataError(f"the label of {in_a_line(name)} (.{suffix}) is {value!r}; expected one number or one name")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        return str(value)
    return value or None if isinstance(value, str) else value
