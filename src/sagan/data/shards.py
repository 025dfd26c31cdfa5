"""A packed data set in a folder: packed files, the shards, and a small index that makes them one set.

``index.json`` is written last, so a folder that has it is whole. It is a JSON object that starts with
``{"sagan_shards": 2``, the format's version, and holds what :class:`~sagan.data.packed.PackedInfo` does for all shards
together, the fingerprint, for each shard its file, bytes, pictures and hash, and at last a checksum of all this, see
:func:`checked_index`. Every shard is a packed file of its own. The fingerprint is that of the same pictures in one
file. Version 1 lacks the checksum and ``decoding``.
"""

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sagan.data.config import DataError
from sagan.data.packed import (
    BLOCK_BYTES,
    ImageSet,
    PackedInfo,
    check_info,
    fingerprint,
    is_packed_file,
    read_packed_file,
)
from sagan.data.parallel import counted
from sagan.data.pictures import Labels
from sagan.data.stored import StoredPixels
from sagan.reading import object_of, read_bytes, whatever_happens

INDEX_VERSION = 2
INDEX = "index.json"
CHECKSUM = "checksum"
PLAN = "packing.json"
"""What a folder is being packed to; it goes when the index comes."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What the index says of a shard."""

    file: str
    """Its name in the folder."""
    bytes: int
    """Length of the file."""
    pictures: int
    """How many it holds."""
    pixels_sha256: str
    """SHA-256 of its pixels in order, in hexadecimal."""


def is_packed(place: Path) -> bool:
    """Tell whether a place is a packed file or a folder of shards; cut-off and unfinished ones count, too."""
    return any((place / name).is_file() for name in (INDEX, PLAN)) if place.is_dir() else is_packed_file(place)


def read_packed(place: Path) -> ImageSet:
    """Open a packed file or a folder of shards; the pixels are read when they are asked for.

    Raises:
        DataError: If it is not whole, damaged, of another version or cannot be read.
    """
    return read_shards(place) if place.is_dir() else read_packed_file(place)


def read_index(folder: Path) -> tuple[dict[str, Any], list[Shard]]:
    """Read the index of a folder of shards: the record, and what it says of the shards.

    Raises:
        DataError: If there is none yet, it is of another version or damaged.
    """
    file = folder / INDEX
    try:
        with whatever_happens(lambda why: DataError(f"{folder} has no whole index ({why}); pack the data again")):
            if not file.is_file():
                raise _unfinished(folder)
            record = object_of(read_bytes(file))
            version = record["sagan_shards"]
            if type(version) is not int or not 1 <= version <= INDEX_VERSION:
                raise DataError(
                    f"{file} is of version {version!r}, this program reads up to {INDEX_VERSION}; use the version of "
                    "sagan that wrote it, or pack the data again"
                )
            if version > 1 and record != checked_index({key: record[key] for key in record if key != CHECKSUM}):
                raise ValueError("its checksum is not that of the rest")
            shards = [Shard(**shard) for shard in record.pop("shards")]
            if not shards or not all(_is_shard(shard) for shard in shards):
                raise ValueError("its shards cannot be")
            return record, shards
    except OSError as error:
        raise DataError(f"cannot read {folder} ({error.strerror or error}); check its permissions") from error


def _unfinished(folder: Path) -> DataError:
    names = [str(name) for name in object_of(read_bytes(folder / PLAN))["shards"]]
    there = sum((folder / name).exists() for name in names)
    return DataError(
        f"{folder} is not packed to the end ({there} of {len(names)} shards are there); run the same "
        "`sagan data pack` command again, it goes on from there"
    )


def _is_shard(shard: Shard) -> bool:
    plain = type(shard.bytes) is int and type(shard.pictures) is int and isinstance(shard.pixels_sha256, str)
    return plain and isinstance(shard.file, str) and shard.file not in ("", ".", "..") and not {*"/\\"} & {*shard.file}


def checked_index(record: dict[str, Any]) -> dict[str, Any]:
    """Give an index with its checksum at the end: the CRC-32 of the JSON text of the rest, in hexadecimal."""
    return record | {CHECKSUM: f"{zlib.crc32(json.dumps(record).encode()):08x}"}


def read_shards(folder: Path) -> ImageSet:
    """Open a folder of shards.

    Raises:
        DataError: As :func:`read_index`, and if a shard is missing or is not the one that the index means.
    """
    record, shards = read_index(folder)
    opened = [_open_shard(folder / shard.file, shard) for shard in shards]
    with whatever_happens(lambda why: DataError(f"{folder} has no whole index ({why}); pack the data again")):
        info = PackedInfo(
            class_names=tuple(record["class_names"]),
            source=record["source"],
            pixels_sha256=record["pixels_sha256"],
            traits=record["traits"],
            unreadable=tuple((name, reason) for name, reason in record["unreadable"]),
            decoding=record.get("decoding", {}),
        )
        expected = record["fingerprint"]
        check_info(info)
    labels = joint_labels(opened, info.class_names)
    sizes = {image_set.images.shape[1:3] for image_set in opened}
    if len(sizes) > 1:
        raise DataError(f"{folder} holds shards of several sizes ({sizes}); pack the data again")
    found = fingerprint(info.pixels_sha256, labels, info.class_names, sizes.pop())
    if found != expected:
        raise DataError(
            f"{folder}: labels or class names are not those that its index was written for; bring the shards back, or "
            "pack the data again"
        )
    return ImageSet(
        images=StoredPixels([file for image_set in opened for file in _stored(image_set).files]),
        labels=labels,
        class_names=info.class_names,
        fingerprint=found,
        source=info.source,
        file=folder,
        info=info,
    )


def joint_labels(shards: Sequence[ImageSet], class_names: tuple[str, ...]) -> Labels:
    """Give the labels of all shards as indices into ``class_names``, which may lack classes that no picture has."""
    position = {name: index for index, name in enumerate(class_names)}
    parts = [np.empty(0, np.int64)]
    for shard in shards:
        # -1 marks a class that is not there; it can only be met when the files do not belong together.
        table = np.array([position.get(name, -1) for name in shard.class_names] or [0], np.int64)
        parts.append(table[shard.labels])
    return np.concatenate(parts)


def verify(image_set: ImageSet, *, progress: bool) -> None:
    """Read all pixels of a packed file or folder and compare their hashes with those that were written.

    Raises:
        DataError: If a file's pixels have changed; it is named.
    """
    files = [image_set.file]
    if image_set.file.is_dir():
        files = [image_set.file / shard.file for shard in read_index(image_set.file)[1]]
    with counted("checking hashes", hashed_bytes(image_set), progress, in_bytes=True) as advance:
        for file in files:
            check_pixels(read_packed_file(file), advance)


def hashed_bytes(image_set: ImageSet) -> int:
    """Give the number of bytes that the pixels of a set have."""
    return int(np.prod(image_set.images.shape, dtype=np.int64))


def check_pixels(image_set: ImageSet, advance: Callable[[int], None], digest: "hashlib._Hash | None" = None) -> None:
    """Hash the pixels of one packed file, into ``digest`` too, and compare with what was written beside them.

    Raises:
        DataError: If they have changed.
    """
    own = hashlib.sha256()
    images = image_set.images
    count = max(1, BLOCK_BYTES // math.prod(images.shape[1:]))
    for start in range(0, len(images), count):
        block = np.ascontiguousarray(images[start : start + count]).data.cast("B")
        own.update(block)
        if digest is not None:
            digest.update(block)
        advance(len(block))
    if own.hexdigest() != image_set.info.pixels_sha256:
        raise DataError(
            f"the pixels in {image_set.file} are not those that were written; delete this file and pack again (a shard "
            "alone is made anew), or bring a good copy"
        )


def _open_shard(file: Path, shard: Shard) -> ImageSet:
    if not file.is_file():
        raise DataError(f"{file.parent} lacks the shard {file.name}; bring it back, or pack the data again")
    length = file.stat().st_size
    if length != shard.bytes:
        raise DataError(
            f"the shard {file} has {length:,} bytes, the index says {shard.bytes:,}; it was cut off or changed: "
            "bring a good copy, or pack the data again"
        )
    image_set = read_packed_file(file)
    if image_set.info.pixels_sha256 != shard.pixels_sha256 or len(image_set.labels) != shard.pictures:
        raise DataError(
            f"the shard {file} holds other pictures than the index says; bring the right one back, or pack the data "
            "again"
        )
    return image_set


def _stored(image_set: ImageSet) -> StoredPixels:
    assert isinstance(image_set.images, StoredPixels)  # as a packed file is opened
    return image_set.images
