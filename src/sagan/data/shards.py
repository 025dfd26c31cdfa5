"""A packed data set in a folder: packed files, the shards, and a small index that makes them one set.

``index.json`` is written last, so a folder that has it is whole. It is a JSON object that starts with
``{"sagan_shards": 1``, the format's version, and holds what :class:`~sagan.data.packed.PackedInfo` does for all shards
together, the fingerprint, and for each shard its file, bytes, pictures and hash. Every shard is a packed file of its
own. The fingerprint is that of the same pictures in one file.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sagan.data.config import DataError
from sagan.data.decode import Pixels
from sagan.data.packed import (
    BLOCK_BYTES,
    ImageSet,
    PackedInfo,
    fingerprint,
    is_packed_file,
    read_packed_file,
)
from sagan.data.parallel import counted
from sagan.data.pictures import Labels, PixelStore

INDEX_VERSION = 1
INDEX = "index.json"
PLAN = "packing.json"
"""What a folder is being packed to; it goes when the index comes."""


class ShardedPixels:
    """Pictures of several arrays in a row, read like those of one: by an index, a slice or an array of indices.

    Args:
        shards: uint8 (N_i, size_px, size_px, 3) each.
    """

    ndim = 4

    def __init__(self, shards: Sequence[Pixels]) -> None:
        # Plain arrays: indexing a memmap costs more than copying a small picture.
        self._shards = [shard.view(np.ndarray) for shard in shards]
        self._ends = np.cumsum([len(shard) for shard in shards])
        self._starts = self._ends - [len(shard) for shard in shards]
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *shards[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Pixels:
        """Give one picture (H, W, 3), or copies of several (n, H, W, 3) in the order asked for."""
        chosen = self._chosen(index)
        numbers = np.searchsorted(self._ends, chosen, side="right")
        within = chosen - self._starts[numbers]
        if chosen.ndim == 0:
            picture: Pixels = self._shards[int(numbers)][int(within)]
            return picture
        out = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        # In the order of the files, so that a disk moves in one direction.
        order = np.argsort(chosen, kind="stable")
        for slot, number, at in zip(order.tolist(), numbers[order].tolist(), within[order].tolist(), strict=True):
            out[slot] = self._shards[number][at]
        return out

    def _chosen(self, index: Any) -> Labels:
        """Give the places asked for, from 0, one number or an array of them."""
        if isinstance(index, slice):
            return np.arange(*index.indices(len(self)))
        chosen = np.asarray(index)
        if chosen.dtype == bool and chosen.shape == (len(self),):
            return np.flatnonzero(chosen)
        if chosen.ndim > 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise IndexError(f"pictures are chosen by an integer, a slice, a mask or integers in a row, not {index!r}")
        if chosen.size and not (-len(self) <= chosen.min() and chosen.max() < len(self)):
            raise IndexError(f"there are {len(self):,} pictures, asked for {chosen.min()} to {chosen.max()}")
        return np.where(chosen < 0, chosen + len(self), chosen)


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
    """Open a packed file or a folder of shards; the pixels are mapped, not read.

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
        if not file.exists():
            plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            there = sum((folder / name).exists() for name in plan["shards"])
            raise DataError(
                f"{folder} is not packed to the end ({there} of {len(plan['shards'])} shards are there); run the same "
                "`sagan data pack` command again, it goes on from there"
            )
        record = json.loads(file.read_text(encoding="utf-8"))
        version = record.pop("sagan_shards")
        if version != INDEX_VERSION:
            raise DataError(
                f"{file} is of version {version}, expected {INDEX_VERSION}; use the version of sagan that wrote it, or "
                "pack the data again"
            )
        return record, [Shard(**shard) for shard in record.pop("shards")]
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder} has no whole index ({error}); pack the data again") from error
    except OSError as error:
        raise DataError(f"cannot read {folder} ({error.strerror or error}); check its permissions") from error


def read_shards(folder: Path) -> ImageSet:
    """Open a folder of shards.

    Raises:
        DataError: As :func:`read_index`, and if a shard is missing or is not the one that the index means.
    """
    record, shards = read_index(folder)
    opened = [_open_shard(folder / shard.file, shard) for shard in shards]
    try:
        info = PackedInfo(
            class_names=tuple(record["class_names"]),
            source=record["source"],
            pixels_sha256=record["pixels_sha256"],
            traits=record["traits"],
            unreadable=tuple((name, reason) for name, reason in record["unreadable"]),
        )
        expected = record["fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder} has no whole index ({error}); pack the data again") from error
    labels = joint_labels(opened, info.class_names)
    found = fingerprint(info.pixels_sha256, labels, info.class_names)
    if found != expected:
        raise DataError(
            f"{folder}: labels or class names are not those that its index was written for; bring the shards back, or "
            "pack the data again"
        )
    return ImageSet(
        images=ShardedPixels([_mapped(image_set.images) for image_set in opened]),
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
    flat = _mapped(image_set.images).reshape(-1)
    for start in range(0, len(flat), BLOCK_BYTES):
        block = np.ascontiguousarray(flat[start : start + BLOCK_BYTES]).data
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
    if not file.exists():
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


def _mapped(images: PixelStore) -> Pixels:
    assert isinstance(images, np.ndarray)  # of one file
    return images
