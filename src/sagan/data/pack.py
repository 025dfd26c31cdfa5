"""Decode a data set once into a packed file, and open it from there ever after."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console

from sagan.data.config import DataConfig, DataError, cache_folder
from sagan.data.decode import TREATMENTS, Pixels, UnreadableError, require_size, square
from sagan.data.names import read_class_names, rename_classes
from sagan.data.packed import (
    FORMAT_VERSION,
    ImageSet,
    PackedInfo,
    fingerprint,
    is_packed,
    packed_writer,
    read_packed,
    readable_bytes,
)
from sagan.data.parallel import map_in_order
from sagan.data.pictures import Pictures, Source, hash_lines
from sagan.data.sources import find_source

MIN_PICTURES = 2
SHOWN_NAMES = 5


def open_dataset(config: DataConfig, size_px: int, *, progress: bool = True) -> ImageSet:
    """Open a data set as decoded pictures of one size, packing it into the cache folder on first use.

    A packed file of that size is opened as it is. The cached file is found again by the paths, sizes and times of the
    files it was made from and by ``size_px``, so nothing is ever decoded twice. Several processes may call this at once.

    Args:
        config: What to open.
        size_px: Height and width of the pictures.
        progress: Show what is done on standard error.

    Raises:
        DataError: If the data are not as expected, some file cannot be read as a picture and ``skip_unreadable`` is not
            set, or the disk is full.
    """
    require_size(size_px)
    given = Path(config.path).expanduser()
    if is_packed(given) and (image_set := read_packed(given)).images.shape[1] == size_px:
        return _rename(image_set, config)
    cache = cache_folder(config.cache_dir)
    source = find_source(config.path, cache, progress=progress)
    file = _cached_file(source, size_px, cache)
    image_set = _open_cached(file) or _pack(source, size_px, file, keep_unreadable=True, progress=progress)
    _apply_policy(image_set.info.unreadable, source.name, config)
    return _rename(image_set, config)


def pack_dataset(config: DataConfig, size_px: int, out: str | Path, *, progress: bool = True) -> ImageSet:
    """Decode a data set into the packed file ``out``, which :func:`open_dataset` takes on any machine.

    An older packed file there is replaced when the new one is whole; any other file is left alone.

    Raises:
        DataError: As :func:`open_dataset`, and if ``out`` exists and is not a packed file.
    """
    require_size(size_px)
    file = Path(out).expanduser()
    if file.is_file() and not is_packed(file):
        raise DataError(f"{file} exists and is not a packed file; choose another name, or remove it first")
    source = find_source(config.path, cache_folder(config.cache_dir), progress=progress)
    names = None if config.class_names is None else (read_class_names(config.class_names), config.class_names)
    return _pack(source, size_px, file, keep_unreadable=config.skip_unreadable, names=names, progress=progress)


def notes(image_set: ImageSet) -> list[str]:
    """Say in sentences what a person should know about how the pictures were made, e.g. how many were enlarged."""
    total = len(image_set.images)
    said = [
        f"{image_set.info.traits[trait]:,} of {total:,} pictures: {trait} ({treatment})"
        for trait, treatment in TREATMENTS.items()
        if image_set.info.traits.get(trait)
    ]
    if image_set.info.unreadable:
        said.append(f"{len(image_set.info.unreadable):,} unreadable files were left out")
    if len(image_set.class_names) == 1:
        said.append(f"there is ONE class, {image_set.class_names[0]}; if there should be more, check the folders")
    return said


def _cached_file(source: Source, size_px: int, cache: Path) -> Path:
    key = hash_lines([source.key, str(size_px), str(FORMAT_VERSION)])
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", Path(source.name).stem)[:40] or "data"
    return cache / "packed" / f"{readable}-{size_px}px-{key[:16]}.npy"


def _open_cached(file: Path) -> ImageSet | None:
    try:
        return read_packed(file) if file.exists() else None
    except DataError:  # Whatever happened to it, it can be made again.
        return None


def _pack(
    source: Source,
    size_px: int,
    file: Path,
    *,
    keep_unreadable: bool,
    progress: bool,
    names: tuple[dict[str, str], str] | None = None,
) -> ImageSet:
    """Write ``file``. Unreadable pictures are left out and listed; without ``keep_unreadable`` they end it instead."""
    pictures = source.load()
    class_names = pictures.class_names if names is None else rename_classes(pictures.class_names, *names)
    _require_enough(len(pictures.names), source.name)
    labels: list[int] = []
    traits: Counter[str] = Counter()
    unreadable: list[tuple[str, str]] = []

    def decode(index: int) -> tuple[Pixels, frozenset[str]] | UnreadableError:
        return decode_square(pictures, index, size_px)

    with packed_writer(file, size_px, len(pictures.names)) as writer:
        _announce(len(pictures.names), size_px, file, progress)

        def consume(results: list[tuple[Pixels, frozenset[str]] | UnreadableError]) -> None:
            for result in results:
                index = len(labels) + len(unreadable)
                if isinstance(result, UnreadableError):
                    unreadable.append((pictures.names[index], str(result)))
                    continue
                writer.add(result[0])
                traits.update(result[1])
                labels.append(int(pictures.labels[index]))

        map_in_order(decode, range(len(pictures.names)), consume, description="decoding", progress=progress)
        if not keep_unreadable:
            _refuse_unreadable(tuple(unreadable), source.name)
        if not labels:
            raise DataError(f"none of {_listed(tuple(unreadable))} in {source.name} can be read as a picture")
        kept, kept_names = _drop_empty_classes(np.array(labels, np.int64), class_names)
        writer.finish(kept, kept_names, Path(source.name).name, dict(traits), tuple(unreadable))
    return read_packed(file)
