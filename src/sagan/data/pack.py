"""Decode a data set once into a packed file or a folder of them, and open it from there ever after."""

import dataclasses
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from sagan.data.config import DataConfig, DataError, cache_folder
from sagan.data.decode import TREATMENTS, UnreadableError, require_size, square
from sagan.data.lock import alone
from sagan.data.named import NAMED_SIZES, NAMES
from sagan.data.names import read_class_names, rename_classes
from sagan.data.packed import (
    FORMAT_VERSION,
    ImageSet,
    Looked,
    PackedWriter,
    fingerprint,
    is_packed_file,
    packed_writer,
    read_packed_file,
    readable_bytes,
    require_space,
    write_json,
)
from sagan.data.parallel import counted, map_in_order
from sagan.data.pictures import Labels, Pictures, Source, hash_lines
from sagan.data.shards import (
    INDEX,
    INDEX_VERSION,
    PLAN,
    Shard,
    check_pixels,
    hashed_bytes,
    is_packed,
    joint_labels,
    read_index,
    read_packed,
    read_shards,
)
from sagan.data.sources import find_source

MIN_PICTURES = 2
SHOWN_NAMES = 5
MAX_SHARDS = 200
"""Systems let a process have 256 or 1,024 files open."""


def open_dataset(config: DataConfig, size_px: int, *, progress: bool = True) -> ImageSet:
    """Open a data set as decoded pictures of one size, packing it into the cache folder on first use.

    A packed file or folder of that size is opened as it is. The cached file is found again by the paths, sizes and
    times of the files it was made from and by ``size_px``, so nothing is ever decoded twice; changed files are decoded
    anew, and an interrupted packing goes on. Classes without pictures are left out. Of several processes that call this
    at once, one decodes and the others wait for it.

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
    source = find_source(config.path, cache, size_px=size_px, progress=progress)
    file = _cached_file(source, size_px, cache)
    image_set = _open_cached(file) or _pack_cached(source, size_px, file, progress=progress)
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


class DataSize(NamedTuple):
    """What can be said about a data set before it is decoded."""

    num_images: int
    """Pictures, by their names: some may turn out to be unreadable."""
    num_classes: int
    """0 when there are no classes."""
    new_bytes: int
    """What packing will write to the cache folder; 0 if the pictures are packed at that size already."""


def data_size(config: DataConfig, size_px: int) -> DataSize:
    """Count the pictures that :func:`open_dataset` would open; nothing is decoded, downloaded or written.

    Raises:
        DataError: If nothing is found, or it is of no known kind.
    """
    require_size(size_px)
    if config.path not in NAMES and is_packed(given := Path(config.path).expanduser()):
        image_set = read_packed(given)
        if image_set.images.shape[1] == size_px:
            return DataSize(len(image_set.labels), len(image_set.class_names), 0)
    cache = cache_folder(config.cache_dir)
    source = find_source(config.path, cache, size_px=size_px)
    packed = _open_cached(_cached_file(source, size_px, cache))
    if packed is not None:
        return DataSize(len(packed.labels), len(packed.class_names), 0)
    if config.path in NAMED_SIZES:
        num_images, num_classes = NAMED_SIZES[config.path]
    else:
        pictures = source.load()
        num_images = len(pictures.names)
        num_classes = len(np.unique(pictures.labels)) if pictures.class_names else 0
    return DataSize(num_images, num_classes, num_images * size_px * size_px * 3)


def pack_dataset(
    config: DataConfig, size_px: int, out: str | Path, *, workers: int | None = None, progress: bool = True
) -> ImageSet:
    """Decode a data set into the packed file ``out``, which :func:`open_dataset` takes on any machine.

    An older packed file there is replaced when the new one is whole; any other file is left alone. After an
    interruption the same call goes on where it stopped.

    Args:
        config: What to pack.
        size_px: Height and width to decode to.
        out: The file to write.
        workers: Threads that decode; unset is one for each core.
        progress: Show what is done on standard error.

    Raises:
        DataError: As :func:`open_dataset`, and if ``out`` exists and is not a packed file.
    """
    require_size(size_px)
    file = Path(out).expanduser()
    if file.is_dir():
        raise DataError(f"{file} is a folder; name a file, or ask for shards (--shard-gb) to pack into a folder")
    if file.exists() and not file.is_file():
        raise DataError(f"{file} is not a regular file; give the name of a file to write")
    if file.is_file() and not is_packed_file(file):
        raise DataError(f"{file} exists and is not a packed file; choose another name, or remove it first")
    source = find_source(config.path, cache_folder(config.cache_dir), size_px=size_px, progress=progress)
    names = None if config.class_names is None else (read_class_names(config.class_names), config.class_names)
    with alone(file, lambda: _say(f"another process is packing into {file}; waiting for it")):
        return _pack(
            source,
            size_px,
            file,
            keep_unreadable=config.skip_unreadable,
            names=names,
            workers=workers,
            progress=progress,
        )


def pack_shards(
    config: DataConfig,
    size_px: int,
    out: str | Path,
    shard_gb: float,
    *,
    part: tuple[int, int] = (1, 1),
    workers: int | None = None,
    progress: bool = True,
) -> ImageSet | None:
    """Decode a data set into a folder of packed files and an index, which :func:`open_dataset` takes on any machine.

    After an interruption the same call goes on where it stopped. Several machines share the work when each packs
    another part into the same folder, or into folders that are copied together; whoever finds all shards there writes
    the index.

    Args:
        config: What to pack.
        size_px: Height and width to decode to.
        out: The folder to write.
        shard_gb: Largest size of a shard in 10^9 bytes.
        part: (i, n) packs only the i-th of n parts, i from 1: every n-th shard.
        workers: Threads that decode; unset is one for each core.
        progress: Show what is done on standard error.

    Returns:
        The set, or None while shards of other parts are missing.

    Raises:
        DataError: As :func:`open_dataset`, and if ``out`` holds something else or is packed from other pictures.
    """
    require_size(size_px)
    if not 1 <= part[0] <= part[1]:
        raise DataError(f"the part must be i of n with i from 1 to n, found {part[0]} of {part[1]}")
    folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; shards go into a folder: choose another name")
    source = find_source(config.path, cache_folder(config.cache_dir), size_px=size_px, progress=progress)
    pictures = _loaded(source)
    class_names = pictures.class_names
    if config.class_names is not None:
        class_names = rename_classes(class_names, read_class_names(config.class_names), config.class_names)
    total, count = len(pictures.names), _pictures_per_shard(shard_gb, size_px, class_names)
    stretches = [range(start, min(start + count, total)) for start in range(0, total, count)]
    if len(stretches) > MAX_SHARDS:
        raise DataError(
            f"{shard_gb:g} GB for a shard makes {len(stretches):,} of them, and each is an open file while training; "
            f"allow {1.01 * shard_gb * len(stretches) / MAX_SHARDS:.2g} GB or more, for at most {MAX_SHARDS} shards"
        )
    files = [folder / f"shard-{number:05}-of-{len(stretches):05}.npy" for number in range(len(stretches))]
    key = hash_lines([source.stamp, *map(str, (size_px, count, FORMAT_VERSION, INDEX_VERSION)), *class_names])
    if _plan(folder, key, files, source.name):
        return read_shards(folder)

    mine = range(part[0] - 1, len(files), part[1])
    missing = [number for number in mine if not files[number].exists()]
    done = sum(len(stretches[number]) for number in mine) - sum(len(stretches[number]) for number in missing)
    require_space(folder, sum(len(stretches[number]) for number in missing) * size_px * size_px * 3)
    if progress and missing:
        what = f"{len(files)} shards" + (f", part {part[0]} of {part[1]}: {len(mine)} shards" if part[1] > 1 else "")
        there = f", {len(mine) - len(missing)} of them are there" if done else ""
        _announce(source.name, total, size_px, folder, f" ({what}{there})")
    with counted("decoding", sum(len(stretches[number]) for number in mine), progress, done=done) as advance:
        for number in missing:
            stretch = stretches[number]
            with alone(files[number]):
                if files[number].exists():  # by another process meanwhile
                    advance(len(stretch))
                    continue
                with packed_writer(files[number], size_px, len(stretch), f"{key} {number}") as writer:
                    labels = _decode_into(writer, pictures, stretch, size_px, advance, workers)
                    writer.finish(labels, class_names, Path(source.name).name, pictures.names[stretch.start :])
    if not all(file.exists() for file in files):
        return None
    with alone(folder / INDEX):
        if not (folder / INDEX).exists():
            _write_index(folder, files, key, source.name, skip_unreadable=config.skip_unreadable, progress=progress)
    return read_shards(folder)


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


def _pack_cached(source: Source, size_px: int, file: Path, *, progress: bool) -> ImageSet:
    with alone(file, lambda: _say(f"another process is packing {source.name}; waiting for it")):
        # The other process may have made it while this one waited.
        return _open_cached(file) or _pack(source, size_px, file, keep_unreadable=True, progress=progress)


def _open_cached(file: Path) -> ImageSet | None:
    try:
        return read_packed_file(file) if file.exists() else None
    except DataError:  # Whatever happened to it, it can be made again.
        return None


def decode_square(pictures: Pictures, index: int, size_px: int) -> Looked:
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


def _loaded(source: Source) -> Pictures:
    pictures = source.load()
    if len(pictures.names) < MIN_PICTURES:
        raise DataError(
            f"{source.name} holds {len(pictures.names)} picture(s); training needs at least {MIN_PICTURES}, better "
            "thousands"
        )
    return pictures


def _pack(
    source: Source,
    size_px: int,
    file: Path,
    *,
    keep_unreadable: bool,
    progress: bool,
    names: tuple[dict[str, str], str] | None = None,
    workers: int | None = None,
) -> ImageSet:
    """Write ``file``. Unreadable pictures are left out and listed; without ``keep_unreadable`` they end it instead."""
    pictures = _loaded(source)
    total = len(pictures.names)
    class_names = pictures.class_names if names is None else rename_classes(pictures.class_names, *names)
    with packed_writer(file, size_px, total, hash_lines([source.key, str(size_px), str(FORMAT_VERSION)])) as writer:
        done = writer.progress.done
        if progress:
            _announce(source.name, total, size_px, file, f" (going on after {done:,} pictures)" if done else "")
        with counted("decoding", total, progress) as advance:
            labels = _decode_into(writer, pictures, range(total), size_px, advance, workers)
        unreadable = [(pictures.names[index], reason) for index, reason in writer.progress.unreadable]
        if not keep_unreadable:
            _refuse_unreadable(unreadable, source.name)
        if writer.progress.kept < MIN_PICTURES:
            writer.discard()
            raise _too_few(source.name, total - len(unreadable), unreadable)
        labels, class_names = _without_empty_classes(labels, class_names)
        writer.finish(labels, class_names, Path(source.name).name, pictures.names)
    return read_packed_file(file)


def _decode_into(
    writer: PackedWriter,
    pictures: Pictures,
    stretch: range,
    size_px: int,
    advance: Callable[[int], None],
    workers: int | None,
) -> Labels:
    """Decode those pictures of a stretch that are not in the file yet; give the labels of all that can be read."""
    advance(writer.progress.done)
    rest = stretch[writer.progress.done :]
    map_in_order(lambda index: decode_square(pictures, index, size_px), rest, writer.add, advance, workers=workers)
    readable = np.ones(len(stretch), bool)
    readable[[offset for offset, _ in writer.progress.unreadable]] = False
    return pictures.labels[stretch.start : stretch.stop][readable]


def _pictures_per_shard(shard_gb: float, size_px: int, class_names: tuple[str, ...]) -> int:
    """Give how many pictures a shard can hold with their labels, two array headers and the description."""
    spare = int(shard_gb * 1e9) - 4096 - len(json.dumps(class_names))
    count = spare // (size_px * size_px * 3 + 8)
    if count < 1:
        raise DataError(
            f"a shard of {shard_gb:g} GB holds no picture of {size_px} px and the class names; allow more, such as 1"
        )
    return count


def _plan(folder: Path, key: str, files: Sequence[Path], name: str) -> bool:
    """Make sure that the folder is for these shards; tell whether they are there with their index already."""
    try:
        if (folder / INDEX).exists():
            found, whole = read_index(folder)[0].get("job"), True
        elif (folder / PLAN).exists():
            found, whole = json.loads((folder / PLAN).read_text(encoding="utf-8"))["key"], False
        elif folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} is not empty and no packed folder; choose another name")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / PLAN, {"sagan_packing": INDEX_VERSION, "key": key, "shards": [f.name for f in files]})
            return False
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / PLAN} is damaged ({error}); remove the folder and pack again") from error
    except OSError as error:
        raise DataError(f"cannot write {folder} ({error.strerror or error}); choose another place") from error
    if found != key:
        raise DataError(
            f"{folder} was packed from other pictures than {name} has now, or with another size, shard size or class "
            "names (copies of a folder on other machines must keep the files' modification times); choose another "
            "folder, or remove this one"
        )
    return whole


def _write_index(
    folder: Path, files: Sequence[Path], key: str, name: str, *, skip_unreadable: bool, progress: bool
) -> None:
    """Read all shards once more, check them, and write the index over them."""
    opened = [read_packed_file(file) for file in files]
    unreadable = [pair for image_set in opened for pair in image_set.info.unreadable]
    if not skip_unreadable:
        _refuse_unreadable(unreadable, name)
    count = sum(len(image_set.labels) for image_set in opened)
    if count < MIN_PICTURES:
        raise _too_few(name, count, unreadable)
    digest = hashlib.sha256()
    with counted("checking hashes", sum(map(hashed_bytes, opened)), progress, in_bytes=True) as advance:
        for image_set in opened:
            check_pixels(image_set, advance, digest)
    class_names = opened[0].class_names
    labels, class_names = _without_empty_classes(joint_labels(opened, class_names), class_names)
    traits = Counter[str]()
    for image_set in opened:
        traits.update(image_set.info.traits)
    record = {
        "sagan_shards": INDEX_VERSION,
        "job": key,
        "source": Path(name).name,
        "size_px": opened[0].images.shape[1],
        "pictures": count,
        "fingerprint": fingerprint(digest.hexdigest(), labels, class_names),
        "pixels_sha256": digest.hexdigest(),
        "traits": dict(sorted(traits.items())),
        "class_names": class_names,
        "unreadable": unreadable,
        "shards": [
            asdict(
                Shard(
                    file=file.name,
                    bytes=file.stat().st_size,
                    pictures=len(image_set.labels),
                    pixels_sha256=image_set.info.pixels_sha256,
                )
            )
            for file, image_set in zip(files, opened, strict=True)
        ],
    }
    try:
        write_json(folder / INDEX, record)
        for leftover in (*folder.glob(f"{PLAN}*"), *folder.glob(".shard-*.lock")):  # the latter of killed processes
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {folder / INDEX} ({error.strerror or error}); make room and go on") from error


def _announce(name: str, total: int, size_px: int, place: Path, note: str) -> None:
    needed, free = readable_bytes(total * size_px * size_px * 3), readable_bytes(shutil.disk_usage(place.parent).free)
    _say(f"packing {total:,} pictures of {name} at {size_px} px into {place}: {needed} needed, {free} free{note}")


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


def _too_few(name: str, readable: int, unreadable: Sequence[tuple[str, str]]) -> DataError:
    return DataError(f"{name}: {readable} picture(s) can be read, but not {_listed(unreadable)}")


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
