"""The packed file: decoded pictures in one file, of which any can be read at its place.

It is four NumPy arrays written one after the other, so NumPy alone can read it:

1. images, uint8 (N, H, W, 3): ``numpy.load(file, mmap_mode="r")`` gives them;
2. labels, int64 (N,), all 0 when there are no classes;
3. UTF-8 bytes of a JSON object, see :class:`PackedInfo`; it starts with ``{"sagan_packed": 2``, the format's version;
4. checksums, uint32 (N + 1,): the CRC-32 (``zlib.crc32``) of each picture, and at last that of everything else, which
   is the file's bytes before the first picture and those behind the last one but for the last four.

For 2 to 4 call ``numpy.load`` again on the opened file. The file holds nothing of the machine that wrote it. Version 1
lacks the fourth array, and ``decoding`` in the third.

While it is written it has another name, and a journal beside it says what is done, so that an interrupted writer can go
on. The finished file has the same bytes however often its writer was interrupted.
"""

import glob
import hashlib
import io
import json
import math
import os
import re
import shutil
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch import Tensor

from sagan.data.config import DataError
from sagan.data.decode import Pixels, UnreadableError
from sagan.data.formats import reads_now
from sagan.data.heldout import split_labels
from sagan.data.lock import OUT
from sagan.data.pictures import Labels, PixelStore
from sagan.data.stored import Checksums, PixelFile, StoredPixels
from sagan.places import in_bytes
from sagan.reading import object_of, read_bytes, whatever_happens
from sagan.regular import open_regular

FORMAT_VERSION = 2
JOURNAL_EVERY = 1024
"""Pictures after which what is done is made safe on the disk: what a killed writer decodes again at most."""
BLOCK_BYTES = 1 << 22
"""Bytes that are read at once to hash them."""
AGAIN = "delete it and pack the data again"
PIXELS = "|u1"
OWN, MAX_HEADER_BYTES = b'{"sagan_packed"', 1024
"""How the description of a packed file begins; what stands before an array has 128 bytes."""
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([|<][iu][148])', 'fortran_order': False, 'shape': \(([0-9, ]+)\), \} *\n",
    re.DOTALL,
)
"""What stands before an array."""

Looked = tuple[Pixels, frozenset[str]] | UnreadableError
"""A decoded picture with what was peculiar about it, or why it cannot be used."""


@dataclass(frozen=True, kw_only=True)
class PackedInfo:
    """What a packed file says about its pictures."""

    class_names: tuple[str, ...]
    """() when there are no classes."""
    source: str
    """What it was made from, for humans."""
    pixels_sha256: str
    """SHA-256 of all pixels in order, in hexadecimal."""
    traits: dict[str, int] = field(default_factory=dict)
    """How many pictures were grey, had alpha and so on: keys of decode.TREATMENTS."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Name and reason of every file that was left out because it could not be read as a picture."""
    decoding: dict[str, Any] = field(default_factory=dict)
    """Every decision that made the pixels what they are, see :class:`~sagan.data.pictures.Pictures`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Decoded pictures with their classes, in a packed file or a folder of them."""

    images: PixelStore
    """uint8 (N, H, W, 3), RGB; read when they are asked for."""
    labels: Labels
    """int64 (N,), indices into ``class_names``; all 0 when there are none."""
    class_names: tuple[str, ...]
    """() when there are no classes."""
    fingerprint: str
    """SHA-256 over pixels, labels and class names: equal exactly when the data are equal."""
    source: str
    """What it was made from, for humans."""
    file: Path
    """The packed file or folder. Another process opens this; sending the arrays to it would copy them."""
    info: PackedInfo
    """What was found when it was packed."""
    told: tuple[str, ...] = ()
    """What was found out about the tree of pictures when this was opened, in sentences."""
    resident: Tensor | None = None
    """The same pictures in the memory of the machine or of a device, where a run keeps them there."""

    def split(self, fraction: float, maximum: int, seed: int) -> tuple[Labels, Labels]:
        """Split the pictures into those to train on and those held out, as :func:`split_labels` does."""
        return split_labels(self.labels, fraction, maximum, seed)


def is_packed_file(file: Path) -> bool:
    """Tell whether a file was written by :class:`PackedWriter`; a cut-off one counts as packed, too."""
    try:
        with open_regular(file) as stream:
            dtype, shape, _ = _read_header(stream)
            if len(shape) != 4 or shape[3] != 3 or dtype != PIXELS:
                return False
            # A plain array ends here. Labels follow in a packed one; when it was cut off, less than the pixels is left.
            return file.stat().st_size != stream.tell() + math.prod(shape)
    except (OSError, ValueError, EOFError):  # also of a number with thousands of digits
        return False


def is_own_packed_file(file: Path) -> bool:
    """Tell whether a file is one that may be replaced: a packed one, as its description says, or a cut-off one.

    Arrays that NumPy alone wrote one after the other, pictures first, are somebody's own.
    """
    if not is_packed_file(file):
        return False
    try:
        with open_regular(file) as stream:
            _, shape, _ = _read_header(stream)
            end = stream.tell() + math.prod(shape)
            if os.fstat(stream.fileno()).st_size < end:
                return True
            stream.seek(end)  # the labels, the description behind them, and what stands before each
            return OWN in stream.read(8 * shape[0] + 2 * MAX_HEADER_BYTES)
    except (OSError, ValueError, EOFError):
        return False


def read_packed_file(file: Path) -> ImageSet:
    """Open a packed file. Everything but the pixels is read and checked; those are when they are asked for.

    Raises:
        DataError: If the file is cut off, damaged, of another version or cannot be read.
    """
    try:
        with whatever_happens(lambda why: DataError(f"{file} is no whole packed file ({why}); {AGAIN}")):
            images, labels, info = _read_arrays(file)
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror or error}); check its permissions") from error
    if len(labels) and (labels.min() < 0 or labels.max() >= max(1, len(info.class_names))):
        raise DataError(f"{file} holds labels beyond its {len(info.class_names)} class names; {AGAIN}")
    return ImageSet(
        images=images,
        labels=labels,
        class_names=info.class_names,
        fingerprint=fingerprint(info.pixels_sha256, labels, info.class_names, images.shape[1:3]),
        source=info.source,
        file=file,
        info=info,
    )


def _read_arrays(file: Path) -> tuple[StoredPixels, Labels, PackedInfo]:
    """Read what stands before and behind the pixels, whatever is in it."""
    with open_regular(file) as stream:
        dtype, shape, header = _read_header(stream)
        if dtype != PIXELS or len(shape) != 4:
            raise ValueError(f"it starts with an array {dtype} {shape}")
        offset, end = stream.tell(), os.fstat(stream.fileno()).st_size
        stream.seek(offset + math.prod(shape))
        labels, rest = _read_array(stream, "<i8", (shape[0],), end)
        text, more = _read_array(stream, "|u1", None, end)
        rest = header + rest + more
        checksums: Checksums | None = None
        if stream.tell() < end:  # else it is of version 1
            every, more = _read_array(stream, "<u4", (shape[0] + 1,), end)
            checksums = every[:-1]
            if stream.tell() < end or zlib.crc32(rest + more[:-4]) != every[-1]:
                raise ValueError("its header, labels, description or checksums are damaged")
        info = _info(object_of(text.tobytes()), file, 1 if checksums is None else FORMAT_VERSION)
        pixels = PixelFile(file, os.dup(stream.fileno()), offset, shape, checksums)
    return StoredPixels([pixels]), labels, info


def _info(record: dict[str, Any], file: Path, expected: int) -> PackedInfo:
    version = record.pop("sagan_packed")
    if type(version) is int and version > FORMAT_VERSION:
        raise DataError(
            f"{file} is a packed file of version {version}, this program reads up to {FORMAT_VERSION}: update "
            f"sagan-torch, or {AGAIN}"
        )
    if version != expected:
        raise ValueError("its checksums are missing")
    record["class_names"] = tuple(record["class_names"])
    record["unreadable"] = tuple((name, reason) for name, reason in record["unreadable"])
    info = PackedInfo(**record)
    check_info(info)
    return info


def check_info(info: PackedInfo) -> None:
    """Check that what a packed file or folder says of its pictures is of the types that are read.

    Raises:
        ValueError: If something is not; it is named.
    """
    texts = [text for pair in info.unreadable for text in pair]
    fine = {
        "source": isinstance(info.source, str),
        "pixels_sha256": isinstance(info.pixels_sha256, str),
        "traits": isinstance(info.traits, dict) and all(type(count) is int for count in info.traits.values()),
        "decoding": isinstance(info.decoding, dict) and all(_is_decision(*item) for item in info.decoding.items()),
        "class_names": all(isinstance(name, str) for name in info.class_names),
        "unreadable": all(isinstance(text, str) for text in texts),
    }
    for name, is_fine in fine.items():
        if not is_fine:
            raise ValueError(f"its {name} cannot be")


def _is_decision(name: str, value: object) -> bool:
    """Tell whether a decision on how pictures are read is of a type that such are."""
    if name == "why":
        return isinstance(value, list) and all(isinstance(sentence, str) for sentence in value)
    if name == "range" and isinstance(value, dict):
        return all(isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends)) for ends in value.values())
    return isinstance(value, str | bool) or _is_number(value)


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def fingerprint(pixels_sha256: str, labels: Labels, class_names: tuple[str, ...], size: tuple[int, ...]) -> str:
    """Hash the content of a data set, given the hash of its pixels and their (H, W), to a SHA-256 in hexadecimal."""
    height, width = size
    form = "" if height == width else f"{height}x{width}\n"  # squares had it before there was anything else
    digest = hashlib.sha256(f"{pixels_sha256}\n{json.dumps(class_names)}\n{form}".encode())
    digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a writer is. It is replaced as a whole, so that an interruption at any moment finds it whole."""

    done: int = 0
    """Pictures of the source that were looked at."""
    traits: dict[str, int] = field(default_factory=dict)
    """See :class:`PackedInfo`."""
    unreadable: tuple[tuple[int, str], ...] = ()
    """Which of the pictures looked at are left out, and why."""

    @property
    def kept(self) -> int:
        """Pictures that are in the file."""
        return self.done - len(self.unreadable)


class PackedWriter:
    """Write pictures one list at a time, then :meth:`finish`; see :func:`packed_writer`."""

    def __init__(self, stream: io.FileIO, journal: Path, key: str, size: tuple[int, int], expected: int) -> None:
        self._stream = stream
        self._journal = journal
        self._key = key
        self._shape = (*size, 3)
        self._picture_bytes = math.prod(self._shape)
        self._header_bytes = len(_header((expected, *self._shape)))
        self.progress = self._read_journal()
        self._noted = self.progress.done
        self._digest, self._checksums = hashlib.sha256(), array("I")
        stream.truncate(self._end)
        stream.seek(0)
        if self.progress.kept:
            stream.seek(self._header_bytes)
            for _ in range(self.progress.kept):
                self._hash(stream.read(self._picture_bytes))
        else:
            self._write(_header((expected, *self._shape)))

    def add(self, pictures: Sequence[Looked]) -> None:
        """Append the next pictures of the source, uint8 (H, W, 3); the unreadable ones are noted."""
        traits, unreadable = dict(self.progress.traits), list(self.progress.unreadable)
        for offset, picture in enumerate(pictures, self.progress.done):
            if isinstance(picture, UnreadableError):
                unreadable.append((offset, str(picture)))
                continue
            if picture[0].shape != self._shape:
                raise RuntimeError(f"a picture of shape {picture[0].shape} for a file of {self._shape}")
            data = np.ascontiguousarray(picture[0]).data.cast("B")
            self._hash(data)
            self._write(data)
            for trait in picture[1]:
                traits[trait] = traits.get(trait, 0) + 1
        self.progress = Progress(done=self.progress.done + len(pictures), traits=traits, unreadable=tuple(unreadable))
        if self.progress.done - self._noted >= JOURNAL_EVERY:
            self.note()

    def note(self) -> None:
        """Make safe what is done: first the pictures on the disk, then the journal that says so."""
        os.fsync(self._stream.fileno())
        write_json(self._journal, {"key": self._key} | asdict(self.progress))
        self._noted = self.progress.done

    def discard(self) -> None:
        """Forget what is done: there is nothing to go on with."""
        self.progress = Progress()
        self._journal.unlink(missing_ok=True)

    def finish(
        self,
        labels: Labels,
        class_names: tuple[str, ...],
        source: str,
        names: Sequence[str],
        decoding: Mapping[str, Any] | None = None,
    ) -> None:
        """Append labels, description and checksums, and correct the number of pictures at the start of the file.

        Args:
            labels: int64 (N,), of the pictures that are in the file.
            class_names: Names of the classes.
            source: What the pictures were made from, for humans.
            names: One for each picture of the source, to name those that were left out.
            decoding: Every decision that made the pixels.
        """
        info = PackedInfo(
            class_names=class_names,
            source=source,
            pixels_sha256=self._digest.hexdigest(),
            traits=dict(sorted(self.progress.traits.items())),
            unreadable=tuple((names[offset], reason) for offset, reason in self.progress.unreadable),
            decoding=dict(decoding or {}),
        )
        record = json.dumps({"sagan_packed": FORMAT_VERSION} | asdict(info)).encode()
        # NumPy pads the header so that the first axis may change later without moving the data.
        header = _header((self.progress.kept, *self._shape))
        if len(header) != self._header_bytes:
            raise RuntimeError("the header of the packed file changed its length")
        tail = io.BytesIO()
        checksums = np.array([*self._checksums, 0], "<u4")
        for part in (labels.astype("<i8"), np.frombuffer(record, np.uint8), checksums):
            np.lib.format.write_array(tail, part, version=(1, 0), allow_pickle=False)
        rest = tail.getvalue()[:-4]
        self._write(rest + zlib.crc32(header + rest).to_bytes(4, "little"))
        self._stream.seek(0)
        self._write(header)

    def _hash(self, picture: bytes | memoryview) -> None:
        self._digest.update(picture)
        self._checksums.append(zlib.crc32(picture))

    @property
    def _end(self) -> int:
        return self._header_bytes + self.progress.kept * self._picture_bytes

    def _read_journal(self) -> Progress:
        """Read how far an interrupted writer of the same pictures came, if what it wrote is there."""
        try:
            noted = object_of(read_bytes(self._journal))
            if noted.pop("key") == self._key:
                noted["unreadable"] = tuple((offset, reason) for offset, reason in noted["unreadable"])
                found = Progress(**noted)
                end = self._header_bytes + found.kept * self._picture_bytes
                there = end <= os.fstat(self._stream.fileno()).st_size
                if there and not any(reads_now(reason) for _, reason in found.unreadable):
                    return found
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # There is none, or it is of no use.
        self._journal.unlink(missing_ok=True)
        return Progress()

    def _write(self, data: bytes | memoryview) -> None:
        # Unbuffered, so that what counts as written has reached the file; such a write may stop half-way.
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]


@contextmanager
def packed_writer(
    file: Path, size: tuple[int, int], expected: int, key: str, otherwise: str = OUT
) -> Iterator[PackedWriter]:
    """Write a packed file under another name beside it; it takes its own name when the context ends well.

    Whatever goes wrong, ``file`` stays as it was. What was written stays too, with a journal, and the next writer of
    the same ``key`` goes on from there; one of another key starts anew. Only one process may do this to a file at a
    time: see :func:`sagan.data.lock.alone`.

    Args:
        file: The packed file.
        size: (H, W) of its pictures.
        expected: Number of pictures that will be looked at.
        key: Says which pictures these are.
        otherwise: What to do where there is no room, or nothing can be written.

    Raises:
        DataError: If the disk is full, or the place cannot be written.
    """
    needed = expected * math.prod(size) * 3
    partial = file.with_name(f".{file.name}.partial")
    journal = file.with_name(f".{file.name}.partial.json")
    try:
        with partial.open("r+b" if partial.exists() else "x+b", buffering=0) as stream:
            require_space(file.parent, needed - os.fstat(stream.fileno()).st_size, otherwise)
            writer = PackedWriter(stream, journal, key, size, expected)
            try:
                yield writer
                os.fsync(stream.fileno())
            except BaseException:
                if writer.progress.done:
                    with suppress(OSError):
                        writer.note()
                raise
        partial.replace(file)
        for leftover in file.parent.glob(glob.escape(journal.name) + "*"):  # a killed process leaves half a journal
            leftover.unlink(missing_ok=True)
    except OSError as error:
        kept = "; what is done is kept, the same command goes on from there" if journal.exists() else ""
        raise DataError(
            f"cannot write {file} ({error.strerror or error}; {in_bytes(needed)} needed); make room, or "
            f"{otherwise}{kept}"
        ) from error
    finally:
        if not journal.exists():
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def require_space(folder: Path, needed: int, otherwise: str = OUT) -> None:
    """Raise DataError, which says what to do ``otherwise``, unless so many bytes are free in a folder."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"packing needs {in_bytes(needed)} in {folder}, where {in_bytes(free)} are free; free some "
            f"space, take a smaller size, or {otherwise}"
        )


def write_json(file: Path, content: object) -> None:
    """Write a JSON file that is either whole or not there: under another name first, made safe, then renamed."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _read_header(stream: IO[bytes]) -> tuple[str, tuple[int, ...], bytes]:
    """Read the header of an array as :class:`PackedWriter` writes it, and no other: type, shape, and its bytes."""
    start = stream.read(10)
    if len(start) < 10:
        raise EOFError("it ends too early")
    header = start + stream.read(int.from_bytes(start[8:], "little"))
    found = HEADER.fullmatch(header)
    if found is None:
        raise ValueError(f"there is no array where one should be: {header[:10]!r}")
    dtype, shape = found.groups()
    return dtype.decode(), tuple(int(length) for length in shape.split(b",") if length.strip()), header


def _read_array(stream: IO[bytes], dtype: str, shape: tuple[int, ...] | None, end: int) -> tuple[Any, bytes]:
    """Read the next array, of a type, in one row, and of a length where that is known; give its bytes with it."""
    found, length, header = _read_header(stream)
    size = math.prod(length) * np.dtype(dtype).itemsize
    if found != dtype or len(length) != 1 or (shape is not None and length != shape):
        raise ValueError(f"it holds an array {found} {length} for {dtype} {shape or '(any)'}")
    if stream.tell() + size > end:
        raise EOFError("it ends too early")
    data = stream.read(size)
    return np.frombuffer(data, dtype).copy(), header + data
