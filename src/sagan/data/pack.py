"""Decode a data set once into a packed file."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from sagan.data.config import DataConfig, DataError, cache_folder
from sagan.data.decode import UnreadableError, require_size
from sagan.data.fit import fitted, is_enlarged
from sagan.data.lock import OUT, alone
from sagan.data.losses import refuse_lost_classes
from sagan.data.names import in_a_line, read_class_names, readable, rename_classes
from sagan.data.packed import (
    FORMAT_VERSION,
    ImageSet,
    Looked,
    PackedWriter,
    is_own_packed_file,
    packed_writer,
    read_packed_file,
)
from sagan.data.parallel import counted, map_in_order
from sagan.data.pictures import Labels, Pictures, Source, hash_lines
from sagan.data.sources import find_source
from sagan.places import in_bytes
from sagan.sizes import Size, written
from sagan.words import how_many

MIN_PICTURES = 2
SHOWN_NAMES = 5


class Found(NamedTuple):
    """What is known of a set before any of its pictures is decoded."""

    source: str
    """What it is called."""
    num_images: int
    """Pictures, by their names: some may turn out to be unreadable."""
    class_names: tuple[str, ...]
    """Classes that have pictures; () when there are none."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On which terms a set is packed."""

    keep_unreadable: bool
    """Leave unreadable pictures out and list them, where they would otherwise end it."""
    names: tuple[dict[str, str], str] | None = None
    """Readable class names, with where they stand."""
    may_lose: Sequence[str] | None = None
    """Classes that may lose their pictures; None lets all."""
    look: Callable[[Found], object] | None = None
    """Is given what was found before anything is decoded; what it raises ends the packing."""
    otherwise: str = OUT
    """What to do where nothing can be written."""


def pack_dataset(
    config: DataConfig,
    size_px: Size,
    out: str | Path,
    *,
    workers: int | None = None,
    progress: bool = True,
    source: Source | None = None,
) -> ImageSet:
    """Decode a data set into the packed file ``out``, which :func:`open_dataset` takes on any machine.

    An older packed file there is replaced when the new one is whole; any other file is left alone. After an
    interruption the same call goes on where it stopped.

    Args:
        config: What to pack.
        size_px: Size to decode to: 64, "64x96" or (64, 96), height first.
        out: The file to write.
        workers: Threads that decode; unset is one for each core.
        progress: Show what is done on standard error.
        source: The pictures, where they do not lie at ``config.path``.

    Raises:
        DataError: As :func:`open_dataset`, and if ``out`` exists and is not a packed file.
    """
    size = require_size(size_px)
    file = Path(out).expanduser()
    if file.is_dir():
        raise DataError(f"{file} is a folder; name a file, or ask for shards (--shard-gb) to pack into a folder")
    if file.exists() and not file.is_file():
        raise DataError(f"{file} is not a regular file; give the name of a file to write")
    if file.is_file() and not is_own_packed_file(file):
        raise DataError(f"{file} exists and is not a packed file; choose another name, or remove it first")
    if source is None:
        source = find_source(config, cache_folder(config.cache_dir), size=size, progress=progress)
    names = None if config.class_names is None else (read_class_names(config.class_names), config.class_names)
    with alone(file, lambda: say(f"another process is packing into {file}; waiting for it")):
        return pack_file(
            source,
            size,
            file,
            Terms(keep_unreadable=config.skip_unreadable, names=names, may_lose=config.may_lose),
            workers=workers,
            progress=progress,
        )


def pack_file(
    source: Source,
    size: tuple[int, int],
    file: Path,
    terms: Terms,
    *,
    progress: bool,
    workers: int | None = None,
) -> ImageSet:
    """Write ``file`` on the given terms."""
    pictures = loaded(source)
    total = len(pictures.names)
    class_names = pictures.class_names if terms.names is None else rename_classes(pictures.class_names, *terms.names)
    if terms.look is not None:
        terms.look(found_of(source.name, pictures))
    key = hash_lines([source.key, str(written(size)), str(FORMAT_VERSION)])
    with packed_writer(file, size, total, key, terms.otherwise) as writer:
        done = writer.progress.done
        if progress:
            announce(source.name, total, size, file, f" (going on after {done:,} pictures)" if done else "")
        with counted("decoding", total, progress) as advance:
            labels = decode_into(writer, pictures, range(total), size, advance, workers)
        unreadable = [(pictures.names[index], reason) for index, reason in writer.progress.unreadable]
        if not terms.keep_unreadable:
            refuse_unreadable(unreadable, source.name)
        if terms.may_lose is not None:
            refuse_lost_classes(source.name, pictures, unreadable, terms.may_lose)
        if writer.progress.kept < MIN_PICTURES:
            writer.discard()
            raise too_few(source.name, total - len(unreadable), unreadable)
        labels, class_names = without_empty_classes(labels, class_names)
        writer.finish(labels, class_names, Path(source.name).name, pictures.names, pictures.decoding)
    return read_packed_file(file)


def found_of(name: str, pictures: Pictures) -> Found:
    """Give what is known of pictures before they are decoded."""
    return Found(name, len(pictures.names), without_empty_classes(pictures.labels, pictures.class_names)[1])


def decode_to_size(pictures: Pictures, index: int, size: tuple[int, int]) -> Looked:
    """Decode the picture of an index to a size; give it with what was peculiar about it, or why it cannot be used.

    Raises:
        DataError: If the picture could not be read at all, which says nothing about the picture.
    """
    try:
        decoded = pictures.decode(index)
    except UnreadableError as error:
        return error
    except OSError as error:
        name = in_a_line(pictures.names[index])
        raise DataError(f"cannot read {name} ({error.strerror or error}); make it readable or take it away") from error
    pixels, fit = decoded.pixels, pictures.fit
    traits = {"enlarged"} if is_enlarged((pixels.shape[0], pixels.shape[1]), size, fit) else set()
    return fitted(pixels, size, fit, pictures.border), decoded.traits | traits


def loaded(source: Source) -> Pictures:
    """Find the pictures of a source.

    Raises:
        DataError: If they are too few to train on.
    """
    pictures = source.load()
    if len(pictures.names) < MIN_PICTURES:
        raise DataError(
            f"{source.name} holds {len(pictures.names)} picture(s); training needs at least {MIN_PICTURES}, better "
            "thousands"
        )
    return pictures


def decode_into(
    writer: PackedWriter,
    pictures: Pictures,
    stretch: range,
    size: tuple[int, int],
    advance: Callable[[int], None],
    workers: int | None,
) -> Labels:
    """Decode those pictures of a stretch that are not in the file yet; give the labels of all that can be read."""
    advance(writer.progress.done)
    rest = stretch[writer.progress.done :]
    map_in_order(lambda index: decode_to_size(pictures, index, size), rest, writer.add, advance, workers=workers)
    readable = np.ones(len(stretch), bool)
    readable[[offset for offset, _ in writer.progress.unreadable]] = False
    return pictures.labels[stretch.start : stretch.stop][readable]


def unreadable_among(
    pictures: Pictures, indices: Sequence[int], size: tuple[int, int], *, progress: bool
) -> tuple[tuple[str, str], ...]:
    """Decode pictures as :func:`pack_file` would and keep none; give the names of those that fail, each with why.

    Raises:
        DataError: If a picture could not be read at all, which says nothing about the picture.
    """
    found: list[tuple[str, str]] = []

    def look(index: int) -> tuple[str, str] | None:
        looked = decode_to_size(pictures, index, size)
        return (pictures.names[index], str(looked)) if isinstance(looked, UnreadableError) else None

    def keep(looks: list[tuple[str, str] | None]) -> None:
        found.extend(one for one in looks if one is not None)

    with counted("looking at pictures", len(indices), progress) as advance:
        map_in_order(look, indices, keep, advance)
    return tuple(found)


def announce(name: str, total: int, size: tuple[int, int], place: Path, note: str) -> None:
    """Tell what is packed where, and how much room it needs."""
    needed, free = in_bytes(total * prod(size) * 3), in_bytes(shutil.disk_usage(place.parent).free)
    pictures = how_many(total, "picture")
    say(f"packing {pictures} of {name} at {written(size)} px into {place}: {needed} needed, {free} free{note}")


def say(text: str) -> None:
    """Tell the person at the terminal."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


def too_few(name: str, readable: int, unreadable: Sequence[tuple[str, str]]) -> DataError:
    """Give the error for a source of which too few pictures can be read."""
    return DataError(f"{name}: {readable} picture(s) can be read, but not {listed(unreadable)}")


def without_empty_classes(labels: Labels, class_names: tuple[str, ...]) -> tuple[Labels, tuple[str, ...]]:
    """Leave out the classes that no picture has, and count the labels anew."""
    if not class_names:
        return labels, ()
    present, dense = np.unique(labels, return_inverse=True)
    return dense.astype(np.int64), tuple(class_names[label] for label in present)


def refuse_unreadable(unreadable: Sequence[tuple[str, str]], name: str) -> None:
    """Refuse a source with files that cannot be read as pictures.

    Raises:
        DataError: If there are any; it names some.
    """
    if unreadable:
        raise DataError(
            f"{name} holds files that cannot be read as pictures: {listed(unreadable)}; repair or remove them, or "
            "leave them out with --data.skip-unreadable (Python: skip_unreadable=True)"
        )


def listed(unreadable: Sequence[tuple[str, str]]) -> str:
    """Count files and name the first of them, each with why it cannot be read."""
    shown = "; ".join(f"{in_a_line(name)}: {readable(reason)}" for name, reason in unreadable[:SHOWN_NAMES])
    more = f" and {len(unreadable) - SHOWN_NAMES:,} more" if len(unreadable) > SHOWN_NAMES else ""
    return f"{len(unreadable):,} file(s) ({shown}{more})"
