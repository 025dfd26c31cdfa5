"""The packed file: decoded pictures in one file, memory-mapped when read.

It is three NumPy arrays written one after the other, so NumPy alone can read it:

1. images, uint8 (N, size_px, size_px, 3): ``numpy.load(file, mmap_mode="r")`` gives them;
2. labels, int64 (N,), all 0 when there are no classes;
3. UTF-8 bytes of a JSON object, see :class:`PackedInfo`; it starts with ``{"sagan_packed": 1``, the format's version.

For 2 and 3 call ``numpy.load`` again on the opened file. The file holds nothing of the machine that wrote it.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from sagan.data.config import DataError
from sagan.data.decode import Pixels
from sagan.data.pictures import Labels
from sagan.randomness import keyed_generator

FORMAT_VERSION = 1


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


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Decoded pictures with their classes, memory-mapped from a packed file."""

    images: Pixels
    """uint8 (N, size_px, size_px, 3), RGB, read only."""
    labels: Labels
    """int64 (N,), indices into ``class_names``; all 0 when there are none."""
    class_names: tuple[str, ...]
    """() when there are no classes."""
    fingerprint: str
    """SHA-256 over pixels, labels and class names: equal exactly when the data are equal."""
    source: str
    """What it was made from, for humans."""
    file: Path
    """The packed file. Another process opens this; sending the arrays to it would copy them."""
    info: PackedInfo
    """What was found when it was packed."""

    def split(self, fraction: float, maximum: int, seed: int) -> tuple[Labels, Labels]:
        """Split the pictures into those to train on and those held out: two ascending arrays of indices, int64.

        ``fraction`` of the pictures, rounded down, and at most ``maximum`` are held out. Each class gives its share of
        them, and keeps at least one picture to train on even if fewer are held out then. The same seed gives the same
        split.
        """
        present = np.unique(self.labels)
        counts = np.array([np.count_nonzero(self.labels == label) for label in present])
        total = min(maximum, int(fraction * len(self.labels)), len(self.labels) - len(present))
        quota = total * counts / counts.sum()
        given = np.minimum(quota.astype(np.int64), counts - 1)
        # The largest remainders get the places that rounding down left, while their class has a picture to spare.
        while (left := total - given.sum()) > 0:
            order = np.argsort(given - quota, kind="stable")
            given[order[given[order] < counts[order] - 1][:left]] += 1
        held_out = np.zeros(len(self.labels), bool)
        for label, count in zip(present, given, strict=True):
            members = np.flatnonzero(self.labels == label)
            held_out[keyed_generator(seed, "holdout", int(label)).permutation(members)[:count]] = True
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def is_packed(file: Path) -> bool:
    """Tell whether a file was written by :class:`PackedWriter`; a cut-off one counts as packed, too."""
    try:
        with file.open("rb") as stream:
            shape, dtype = _read_header(stream)
            if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or dtype != np.uint8:
                return False
            # A plain array ends here. Labels follow in a packed one; when it was cut off, less than the pixels is left.
            return file.stat().st_size != stream.tell() + int(np.prod(shape, dtype=np.int64))
    except (OSError, ValueError, EOFError):
        return False


def read_packed(file: Path) -> ImageSet:
    """Open a packed file; the pixels are mapped, not read.

    Raises:
        DataError: If the file is cut off, damaged, of another version or cannot be read.
    """
    again = "delete it and pack the data again"
    try:
        with file.open("rb") as stream:
            shape, _ = _read_header(stream)
            offset = stream.tell()
            stream.seek(offset + int(np.prod(shape, dtype=np.int64)))
            labels = np.lib.format.read_array(stream, allow_pickle=False)
            record = json.loads(np.lib.format.read_array(stream, allow_pickle=False).tobytes())
        version = record.pop("sagan_packed")
        if version != FORMAT_VERSION:
            raise DataError(f"{file} is a packed file of version {version}, expected {FORMAT_VERSION}; {again}")
        record["class_names"] = tuple(record["class_names"])
        record["unreadable"] = tuple((name, reason) for name, reason in record["unreadable"])
        info = PackedInfo(**record)
        images = np.memmap(file, np.uint8, mode="r", offset=offset, shape=shape)
    except DataError:
        raise
    except (ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no whole packed file ({error}); {again}") from error
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror or error}); check its permissions") from error
    if labels.dtype != np.int64 or labels.shape != shape[:1]:
        raise DataError(f"{file} holds labels {labels.dtype} {labels.shape} for {shape[0]} pictures; {again}")
    if labels.min() < 0 or labels.max() >= max(1, len(info.class_names)):
        raise DataError(f"{file} holds labels beyond its {len(info.class_names)} class names; {again}")
    return ImageSet(
        images=images,
        labels=labels,
        class_names=info.class_names,
        fingerprint=fingerprint(info.pixels_sha256, labels, info.class_names),
        source=info.source,
        file=file,
        info=info,
    )


def fingerprint(pixels_sha256: str, labels: Labels, class_names: tuple[str, ...]) -> str:
    """Hash the content of a data set, given the hash of its pixels, to a SHA-256 in hexadecimal."""
    digest = hashlib.sha256(f"{pixels_sha256}\n{json.dumps(class_names)}\n".encode())
    digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


class PackedWriter:
    """Write pictures one list at a time, then :meth:`finish`; see :func:`packed_writer`."""

    def __init__(self, stream: IO[bytes], size_px: int, expected: int) -> None:
        self._stream = stream
        self._size_px = size_px
        self._digest = hashlib.sha256()
        self.count = 0
        self._header_bytes = self._write_header(expected)

    def add(self, image: Pixels) -> None:
        """Append one picture, uint8 (size_px, size_px, 3)."""
        data = np.ascontiguousarray(image).data
        self._digest.update(data)
        self._stream.write(data)
        self.count += 1

    def finish(
        self,
        labels: Labels,
        class_names: tuple[str, ...],
        source: str,
        traits: dict[str, int],
        unreadable: tuple[tuple[str, str], ...],
    ) -> None:
        """Append labels and description, and correct the number of pictures at the start of the file."""
        info = PackedInfo(
            class_names=class_names,
            source=source,
            pixels_sha256=self._digest.hexdigest(),
            traits=traits,
            unreadable=unreadable,
        )
        record = json.dumps({"sagan_packed": FORMAT_VERSION} | asdict(info)).encode()
        np.lib.format.write_array(self._stream, labels, version=(1, 0), allow_pickle=False)
        np.lib.format.write_array(self._stream, np.frombuffer(record, np.uint8), version=(1, 0), allow_pickle=False)
        self._stream.seek(0)
        if self._write_header(self.count) != self._header_bytes:
            raise RuntimeError("the header of the packed file changed its length")

    def _write_header(self, count: int) -> int:
        # NumPy pads the header so that the first axis may change later without moving the data.
        shape = (count, self._size_px, self._size_px, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)
        return self._stream.tell()


@contextmanager
def packed_writer(file: Path, size_px: int, expected: int) -> Iterator[PackedWriter]:
    """Write a packed file to a temporary name beside it; it takes its own name when the context ends well.

    Whatever goes wrong, ``file`` stays as it was and nothing half-written is left. Writers at the same time do not
    disturb each other: each has its own temporary name, and the last one to finish stays.

    Raises:
        DataError: If the disk is full, or the place cannot be written.
    """
    needed = expected * size_px * size_px * 3
    temporary = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        if file.exists() and not file.is_file():
            raise DataError(f"{file} is not a regular file; give the name of a file to write")
        file.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(file.parent).free
        if free < needed:
            raise DataError(
                f"packing needs {readable_bytes(needed)} in {file.parent}, where {readable_bytes(free)} are free; free "
                "some space, choose another place or a smaller size"
            )
        with temporary.open("xb") as stream:
            yield PackedWriter(stream, size_px, expected)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError as error:
        raise DataError(
            f"cannot write {file} ({error.strerror or error}; {readable_bytes(needed)} needed); make room or choose "
            "another place"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def readable_bytes(count: int) -> str:
    """Say a number of bytes with a decimal unit, e.g. ``61.4 GB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if (version := np.lib.format.read_magic(stream)) != (1, 0):
        raise ValueError(f"array format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, dtype
