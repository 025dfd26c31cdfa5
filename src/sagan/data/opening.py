"""Open a data set as decoded pictures of one size: packed into the cache folder on first use, ever after from there."""

import dataclasses
import re
from collections.abc import Callable
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sagan.data.choosing import chosen, in_words
from sagan.data.config import GIVEN, OTHER_CACHE, DataConfig, DataError, cache_folder
from sagan.data.decisions import agree, words
from sagan.data.decode import TREATMENTS, UnreadableError, require_size
from sagan.data.formats import reads_now
from sagan.data.given import given_source
from sagan.data.lock import alone
from sagan.data.losses import refuse_lost_classes
from sagan.data.named import NAMED_SIZES
from sagan.data.names import in_a_line, read_class_names, rename_classes
from sagan.data.pack import Found, Terms, found_of, pack_file, refuse_unreadable, say, unreadable_among
from sagan.data.packed import FORMAT_VERSION, ImageSet, fingerprint, read_packed_file
from sagan.data.pictures import Source, hash_lines
from sagan.data.pixel_traits import COMMON
from sagan.data.shards import is_packed, read_packed
from sagan.data.sources import find_source, refuse_idle, to_be_fitted
from sagan.data.stored import DAMAGED
from sagan.data.there import NAMES
from sagan.sizes import Size, longhand, written

FITTING = ("fit", "border")
ELSEWHERE = (
    f"{OTHER_CACHE}, or pack the pictures elsewhere with `sagan data pack --out` and give --data what that makes"
)
"""What to do where pictures cannot be packed into the cache."""


def open_dataset(
    config: DataConfig, size_px: Size, *, progress: bool = True, look: Callable[[Found], object] | None = None
) -> ImageSet:
    """Open a data set as decoded pictures of one size, packing it into the cache folder on first use.

    A packed file or folder of that size is opened as it is. The cached file is found again by the paths, sizes and
    times of the files it was made from and by ``size_px``, so nothing is ever decoded twice; changed files are decoded
    anew, and an interrupted packing goes on. Classes without pictures are left out. Of several processes that call this
    at once, one decodes and the others wait for it.

    Args:
        config: What to open.
        size_px: Size of the pictures: 64, "64x96" or (64, 96), height first.
        progress: Show what is done on standard error.
        look: Is given what was found before any picture is decoded, where they have to be; it may raise what speaks
            against them.

    Raises:
        DataError: If the data are not as expected, some file cannot be read as a picture and ``skip_unreadable`` is not
            set, or the disk is full.
    """
    return with_unused(open_silently(config, size_px, progress=progress, look=look), config)


def open_silently(
    config: DataConfig, size_px: Size, *, progress: bool, look: Callable[[Found], object] | None = None
) -> ImageSet:
    """Open a data set as :func:`open_dataset`, and do not say which choices change nothing."""
    size = require_size(size_px)
    if (packed := _packed_already(config, size)) is not None:
        return _rename(packed, config)
    cache = cache_folder(config.cache_dir)
    source = find_source(config, cache, size=size, progress=progress)
    file = _cached_file(source, size, cache)
    image_set = _open_cached(file) or _pack_cached(source, size, file, _terms(config, look), progress=progress)
    if not config.skip_unreadable and any(reads_now(reason) for _, reason in image_set.info.unreadable):
        file.unlink(missing_ok=True)  # who leaves such pictures out goes on without them, as before
        image_set = _pack_cached(source, size, file, _terms(config, look), progress=progress)
    for stored in getattr(image_set.images, "files", ()):
        stored.cached = not config.path.startswith(GIVEN)  # the cache may have the only copy of pictures from Python
    if not config.skip_unreadable:
        refuse_unreadable(image_set.info.unreadable, source.name)
    elif image_set.info.unreadable:
        refuse_lost_classes(source.name, source.load(), image_set.info.unreadable, config.may_lose)
    return dataclasses.replace(_rename(image_set, config), told=source.told())


def decoding_of(
    config: DataConfig, size_px: Size, *, packed_only: bool = False, progress: bool = False
) -> dict[str, Any] | None:
    """Give the record of how :func:`open_dataset` would read pictures; some are looked at if they are not packed yet.

    Args:
        config: What would be opened.
        size_px: As :func:`open_dataset`.
        packed_only: Give None if they are not in the cache.
        progress: As :func:`open_dataset`.

    Raises:
        DataError: As :func:`open_dataset`, of what can be seen without decoding them all.
    """
    size = require_size(size_px)
    cache = cache_folder(config.cache_dir)
    source = find_source(config, cache, size=size, progress=progress)
    there = _open_cached(_cached_file(source, size, cache))
    if there is not None:
        return there.info.decoding
    return None if packed_only else source.load().decoding


def hand_over(
    data: Any,
    config: DataConfig,
    size_px: Size,
    *,
    progress: bool = True,
    look: Callable[[Found], object] | None = None,
) -> DataConfig:
    """Pack pictures that are given in Python into the cache folder; give the configuration with a path that names them.

    A path is taken as it is.

    Args:
        data: As :func:`sagan.data.given.as_given` takes them.
        config: What else there is to say.
        size_px: Size to decode to: 64, "64x96" or (64, 96), height first.
        progress: Show what is done on standard error.
        look: As :func:`open_dataset`.

    Raises:
        DataError: As :func:`open_dataset`, and if they are no pictures with at most one label each.
    """
    size = require_size(size_px)
    if isinstance(data, (str, Path)):
        return dataclasses.replace(config, path=str(data))
    source = to_be_fitted(given_source(data, progress=progress), config)
    file = _cached_file(source, size, cache_folder(config.cache_dir))
    if _open_cached(file) is None:
        _pack_cached(source, size, file, _terms(config, look), progress=progress)
    return dataclasses.replace(config, path=source.name)


def packed_at(path: str) -> Path | None:
    """Give the place of a packed file or folder; None if a path names something else."""
    return None if path in NAMES or not is_packed(place := Path(path).expanduser()) else place


def _packed_already(config: DataConfig, size: tuple[int, int]) -> ImageSet | None:
    """Open a packed file or folder, if it is one and has this size.

    Raises:
        DataError: If it was made in another way than is asked for.
    """
    place = packed_at(config.path)
    if place is None:
        return None
    refuse_idle(config)
    image_set = read_packed(place)
    same_size = image_set.images.shape[1:3] == size
    wanted = {**chosen(config), **(config.fitting if same_size else {})}
    made = image_set.info.decoding
    differing = [name for name in wanted if name != "max_megapixels" and not agree(name, made, wanted)]
    if differing:
        here, asked = (", ".join(words(name, record) for name in differing) for record in (made, wanted))
        raise DataError(
            f"{config.path} is packed already, with {here}, and {asked} is asked for: give the pictures that it was "
            "made from, or leave that choice to the packed file"
        )
    return image_set if same_size else None


def with_unused(image_set: ImageSet, config: DataConfig) -> ImageSet:
    """Say which choices change nothing: a packed file's pixels, a named set's and an array's are as they are."""
    unused = [name for name in chosen(config) if name not in image_set.info.decoding]
    if not unused:
        return image_set
    flags = " and ".join(f"--data.{name.replace('_', '-')}" for name in unused)
    said = f"{flags} {'changes' if len(unused) == 1 else 'change'} nothing: the pixels of {config.path} are as they are"
    return dataclasses.replace(image_set, told=(*image_set.told, said))


def picture_size(config: DataConfig) -> int | str:
    """Find the size in pixels of pictures that are all equal in size, as a generator makes them: 64, or "64x96".

    A packed file says it; elsewhere up to 100 pictures, spread over all, are decoded to see.

    Raises:
        DataError: If sizes differ, or nothing is found.
    """
    if (place := packed_at(config.path)) is not None:
        return written(read_packed(place).images.shape[1:3])
    pictures = find_source(config, cache_folder(config.cache_dir)).load()
    chosen = sorted({round(i) for i in np.linspace(0, len(pictures.names) - 1, 100)}) if pictures.names else []
    sizes: dict[tuple[int, int], str] = {}
    for index in chosen:
        with suppress(UnreadableError):  # who opens them says so, or leaves them out
            height, width = pictures.decode(index).pixels.shape[:2]
            sizes.setdefault((height, width), pictures.names[index])
    if not sizes:
        raise DataError(f"{config.path} holds no pictures that can be read")
    if len(sizes) > 1:
        found = "; ".join(f"{in_a_line(name)}: {longhand(size)}" for size, name in list(sizes.items())[:3])
        raise DataError(
            f"generated pictures must be of one size, found {found} (height x width); bring them to one size first"
        )
    return written(next(iter(sizes)))


class DataSize(NamedTuple):
    """What can be said about a data set before it is decoded."""

    num_images: int
    """Pictures, by their names: some may turn out to be unreadable."""
    num_classes: int
    """0 when there are no classes."""
    new_bytes: int
    """What packing will write to the cache folder; 0 if the pictures are packed at that size already."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Files that are known not to be readable, each with why; they are not counted as pictures."""
    looked_at: int = 0
    """Of so many it was found out now; 0 if none had to be looked at, or none were."""


def data_size(
    config: DataConfig,
    size_px: Size,
    *,
    look_at: int = 0,
    progress: bool = False,
    look: Callable[[Found], object] | None = None,
) -> DataSize:
    """Count the pictures that :func:`open_dataset` would open; nothing is downloaded or written.

    Args:
        config: What would be opened.
        size_px: As :func:`open_dataset`.
        look_at: Decode so many of those that are not packed yet, spread over all, to see whether they can be.
        progress: Show on standard error that it is done.
        look: Is given what was found before any picture is decoded to see; it may raise what speaks against them.

    Raises:
        DataError: If nothing is found, it is of no known kind, or leaving out what cannot be read loses classes.
    """
    size = require_size(size_px)
    if (packed := _packed_already(config, size)) is not None:
        return DataSize(len(packed.labels), len(packed.class_names), 0)
    cache = cache_folder(config.cache_dir)
    source = find_source(config, cache, size=size)
    packed = _open_cached(_cached_file(source, size, cache))
    if packed is not None:
        return DataSize(len(packed.labels), len(packed.class_names), 0, tuple(packed.info.unreadable))
    if config.path in NAMED_SIZES:
        num_images, num_classes = NAMED_SIZES[config.path]
        return DataSize(num_images, num_classes, num_images * prod(size) * 3)
    pictures = source.load()
    total, num_classes = len(pictures.names), len(np.unique(pictures.labels)) if pictures.class_names else 0
    if look is not None:
        look(found_of(source.name, pictures))
    chosen = sorted({round(i) for i in np.linspace(0, total - 1, min(look_at, total))})
    unreadable = unreadable_among(pictures, chosen, size, progress=progress)
    if unreadable:
        refuse_lost_classes(source.name, pictures, unreadable, config.may_lose)
    num_images = total - len(unreadable)
    return DataSize(num_images, num_classes, num_images * prod(size) * 3, unreadable, len(chosen))


def notes(image_set: ImageSet) -> list[str]:
    """Say in sentences what a person should know about how the pictures were made, e.g. how many were enlarged."""
    total = len(image_set.images)
    said = [*image_set.told, *in_words(image_set.info.decoding)]
    said += [
        f"{image_set.info.traits[trait]:,} of {total:,} pictures: {trait} ({treatment})"
        for trait, treatment in TREATMENTS.items()
        if image_set.info.traits.get(trait) and trait not in COMMON
    ]
    if "fit" in image_set.info.decoding:
        made = ", ".join(f"{name} {value}" for name, value in image_set.info.decoding.items() if name in FITTING)
        said.append(f"pictures were brought to {longhand(image_set.images.shape[1:3])} px with {made}")
    if image_set.info.unreadable:
        said.append(f"{len(image_set.info.unreadable):,} unreadable files were left out")
    if len(image_set.class_names) == 1:
        said.append(
            f"there is ONE class, {in_a_line(image_set.class_names[0])}; if there should be more, check the folders"
        )
    return said


def _cached_file(source: Source, size: tuple[int, int], cache: Path) -> Path:
    key = hash_lines([source.key, str(written(size)), str(FORMAT_VERSION)])
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", Path(source.name).stem)[:40] or "data"
    return cache / "packed" / f"{readable}-{written(size)}px-{key[:16]}.npy"


def _terms(config: DataConfig, look: Callable[[Found], object] | None) -> Terms:
    """Give the terms of the cache: it keeps what can be read, and class names as they are found."""

    def look_renamed(found: Found) -> None:
        assert look is not None
        if config.class_names is not None and found.class_names:
            mapping = read_class_names(config.class_names)
            found = found._replace(class_names=rename_classes(found.class_names, mapping, config.class_names))
        look(found)

    seen = None if look is None else look_renamed
    return Terms(keep_unreadable=True, look=seen, otherwise=ELSEWHERE)


def _pack_cached(source: Source, size: tuple[int, int], file: Path, terms: Terms, *, progress: bool) -> ImageSet:
    waiting = f"another process is packing {source.name}; waiting for it"
    with alone(file, lambda: say(waiting), terms.otherwise):
        # The other process may have made it while this one waited.
        if (there := _open_cached(file)) is not None:
            return there
        file.with_name(file.name + DAMAGED).unlink(missing_ok=True)  # as large as what is made now
        return pack_file(source, size, file, terms, progress=progress)


def _open_cached(file: Path) -> ImageSet | None:
    try:
        return read_packed_file(file) if file.exists() else None
    except DataError:  # Whatever happened to it, it can be made again.
        return None


def _rename(image_set: ImageSet, config: DataConfig) -> ImageSet:
    """Give the classes the readable names that the configuration asks for."""
    if config.class_names is None or not image_set.class_names:
        return image_set
    return renamed(image_set, read_class_names(config.class_names), config.class_names)


def renamed(image_set: ImageSet, mapping: dict[str, str], file: str) -> ImageSet:
    """Give the classes of a set other names, which are part of its fingerprint.

    Raises:
        DataError: If a class has no name in the mapping; ``file`` says where that is from.
    """
    class_names = rename_classes(image_set.class_names, mapping, file)
    return dataclasses.replace(
        image_set,
        class_names=class_names,
        fingerprint=fingerprint(
            image_set.info.pixels_sha256, image_set.labels, class_names, image_set.images.shape[1:3]
        ),
    )
