"""Decode a data set once into a packed file, and open it from there ever after."""

import dataclasses
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from sagan.data.config import DataConfig, DataError, cache_folder
from sagan.data.decode import TREATMENTS, Pixels, UnreadableError, require_size, square
from sagan.data.named import NAMES
from sagan.data.names import read_class_names, rename_classes
from sagan.data.packed import (
    FORMAT_VERSION,
    ImageSet,
    fingerprint,
    is_packed,
    packed_writer,
    read_packed,
    readable_bytes,
)
from sagan.data.parallel import map_in_order
from sagan.data.pictures import Labels, Pictures, Source, hash_lines
from sagan.data.sources import find_source

MIN_PICTURES = 2
SHOWN_NAMES = 5


def open_dataset(config: DataConfig, size_px: int, *, progress: bool = True) -> ImageSet:
    """Open a data set as decoded pictures of one size, packing it into the cache folder on first use.

    A packed file of that size is opened as it is. The cached file is found again by the paths, sizes and times of the
    files it was made from and by ``size_px``, so nothing is ever decoded twice; changed files are
    decoded anew. Classes without pictures are left out. Several processes may call this at once.

    Args:
        config: What to open.
        size_px: Height and width of the pictures.
        progress: Show what is done on standard error.

    Raises:
        DataError: If the data are not as expected, some file cannot be read as a picture and ``skip_unreadable`` is not
            set, or the disk is full.
    """
    require_size(size_px)
    if config.path not in NAMES and is_packed(given := Path(config.path).expanduser()):
        image_set = read_packed(given)
        if image_set.images.shape[1] == size_px:
            return _rename(image_set, config)
    cache = cache_folder(config.cache_dir)
    source = find_source(config.path, cache, progress=progress)
    file = _cached_file(source, size_px, cache)
    image_set = _open_cached(file) or _pack(source, size_px, file, keep_unreadable=True, progress=progress)
    if not config.skip_unreadable:
        _refuse_unreadable(image_set.info.unreadable, source.name)
    return _rename(image_set, config)


def picture_size(config: DataConfig) -> int:
    """Find the size in pixels of pictures that are all square and equal, as a generator makes them.

    A packed file says it; elsewhere up to 100 pictures, spread over all, are decoded to see.

    Raises:
        DataError: If a picture is not square, sizes differ, or nothing is found.
    """
    if config.path not in NAMES and is_packed(given := Path(config.path).expanduser()):
        return int(read_packed(given).images.shape[1])
    pictures = find_source(config.path, cache_folder(config.cache_dir)).load()
    chosen = sorted({round(i) for i in np.linspace(0, len(pictures.names) - 1, 100)}) if pictures.names else []
    sizes: dict[tuple[int, int], str] = {}
    for index in chosen:
        height, width = pictures.decode(index).pixels.shape[:2]
        sizes.setdefault((height, width), pictures.names[index])
    if not sizes:
        raise DataError(f"{config.path} holds no pictures")
    height, width = next(iter(sizes))
    if len(sizes) > 1 or height != width:
        found = "; ".join(f"{name}: {w}x{h}" for (h, w), name in list(sizes.items())[:3])
        raise DataError(
            f"generated pictures must be square and of one size, found {found}; bring them to one size first"
        )
    return height


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


def decode_square(pictures: Pictures, index: int, size_px: int) -> tuple[Pixels, frozenset[str]] | UnreadableError:
    """Decode the picture of an index to a square; give it with what was peculiar about it, or why it cannot be used.

    Raises:
        DataError: If the picture could not be read at all, which says nothing about the picture.
    """
    try:
        decoded = pictures.decode(index)
    except UnreadableError as error:
        return error
    except OSError as error:
        raise DataError(
            f"cannot read {pictures.names[index]} ({error.strerror or error}); make it readable or take it away"
        ) from error
    traits = decoded.traits | ({"enlarged"} if min(decoded.pixels.shape[:2]) < size_px else set())
    return square(decoded.pixels, size_px), traits


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
    total = len(pictures.names)
    if total < MIN_PICTURES:
        raise DataError(
            f"{source.name} holds {total} picture(s); training needs at least {MIN_PICTURES}, better thousands"
        )
    class_names = pictures.class_names if names is None else rename_classes(pictures.class_names, *names)
    readable = np.ones(total, bool)
    traits: Counter[str] = Counter()
    unreadable: list[tuple[str, str]] = []

    with packed_writer(file, size_px, total) as writer:
        if progress:
            _announce(source.name, total, size_px, file)

        def consume(results: list[tuple[Pixels, frozenset[str]] | UnreadableError]) -> None:
            for result in results:
                if isinstance(result, UnreadableError):
                    index = writer.count + len(unreadable)
                    readable[index] = False
                    unreadable.append((pictures.names[index], str(result)))
                else:
                    writer.add(result[0])
                    traits.update(result[1])

        map_in_order(
            lambda index: decode_square(pictures, index, size_px),
            range(total),
            consume,
            description="decoding",
            progress=progress,
        )
        if not keep_unreadable:
            _refuse_unreadable(unreadable, source.name)
        if writer.count < MIN_PICTURES:
            raise DataError(f"{source.name}: {writer.count} picture(s) can be read, but not {_listed(unreadable)}")
        labels, class_names = _without_empty_classes(pictures.labels[readable], class_names)
        writer.finish(labels, class_names, Path(source.name).name, dict(traits), tuple(unreadable))
    return read_packed(file)


def _announce(name: str, total: int, size_px: int, file: Path) -> None:
    needed, free = readable_bytes(total * size_px * size_px * 3), readable_bytes(shutil.disk_usage(file.parent).free)
    Console(stderr=True, highlight=False).print(
        f"packing {total:,} pictures of {name} at {size_px} px into {file}: {needed} needed, {free} free",
        markup=False,
        soft_wrap=True,
    )


def _without_empty_classes(labels: Labels, class_names: tuple[str, ...]) -> tuple[Labels, tuple[str, ...]]:
    if not class_names:
        return labels, ()
    present, dense = np.unique(labels, return_inverse=True)
    return dense.astype(np.int64), tuple(class_names[label] for label in present)


def _refuse_unreadable(unreadable: Sequence[tuple[str, str]], name: str) -> None:
    if unreadable:
        raise DataError(
            f"{name} holds files that cannot be read as pictures: {_listed(unreadable)}; repair or remove them, or "
            "leave them out with --data.skip-unreadable (`data pack`: --skip-unreadable; Python: skip_unreadable=True)"
        )


def _listed(unreadable: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name}: {reason}" for name, reason in unreadable[:SHOWN_NAMES])
    more = f" and {len(unreadable) - SHOWN_NAMES:,} more" if len(unreadable) > SHOWN_NAMES else ""
    return f"{len(unreadable):,} file(s) ({shown}{more})"


def _rename(image_set: ImageSet, config: DataConfig) -> ImageSet:
    """Give the classes the readable names that the configuration asks for."""
    if config.class_names is None or not image_set.class_names:
        return image_set
    mapping = read_class_names(config.class_names)
    class_names = rename_classes(image_set.class_names, mapping, config.class_names)
    return dataclasses.replace(
        image_set,
        class_names=class_names,
        fingerprint=fingerprint(image_set.info.pixels_sha256, image_set.labels, class_names),
    )
