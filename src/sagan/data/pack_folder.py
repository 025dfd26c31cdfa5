"""Pack a data set into a folder of shards, each a packed file of its own: by parts, on several machines, going on."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from sagan.data.config import DataConfig, DataError, cache_folder
from sagan.data.decode import require_size
from sagan.data.given import config_of
from sagan.data.lock import OUT, alone
from sagan.data.losses import refuse_lost_classes
from sagan.data.names import read_class_names, rename_classes
from sagan.data.pack import (
    MIN_PICTURES,
    announce,
    decode_into,
    loaded,
    pack_dataset,
    refuse_unreadable,
    too_few,
    without_empty_classes,
)
from sagan.data.packed import (
    FORMAT_VERSION,
    ImageSet,
    fingerprint,
    packed_writer,
    read_packed_file,
    require_space,
    write_json,
)
from sagan.data.parallel import counted
from sagan.data.pictures import Pictures, Source, hash_lines
from sagan.data.shards import (
    INDEX,
    INDEX_VERSION,
    PLAN,
    Shard,
    check_pixels,
    checked_index,
    hashed_bytes,
    joint_labels,
    read_index,
    read_shards,
)
from sagan.data.sources import find_source
from sagan.reading import object_of, read_bytes
from sagan.sizes import Size, written

MAX_SHARDS = 200
"""Systems let a process have 256 or 1,024 files open."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What a folder of shards is packed from and how: the same on all machines that pack parts of it."""

    source: Source
    """Where the pictures come from."""
    pictures: Pictures
    """All of them."""
    class_names: tuple[str, ...]
    """As the configuration calls them."""
    size: tuple[int, int]
    """Height and width of the decoded pictures."""
    folder: Path
    """Where the shards go."""
    files: list[Path]
    """The shards."""
    stretches: list[range]
    """The pictures of each shard."""
    key: str
    """Equal exactly when the shards are equal."""
    may_lose: tuple[str, ...]
    """Classes that may lose their pictures."""

    def count(self, shards: Iterable[int]) -> int:
        """Count the pictures of some shards."""
        return sum(len(self.stretches[number]) for number in shards)


def pack(
    data: Any,
    size_px: Size,
    out: str | Path,
    *,
    shard_gb: float | None = None,
    part: tuple[int, int] | str | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> ImageSet | None:
    """Decode a data set once: into one file, or with ``shard_gb`` into a folder of them.

    Args:
        data: What to pack: a :class:`DataConfig`, or its ``path`` alone, or pictures in Python
            (:func:`sagan.data.given.as_given`).
        size_px: Size to decode to: 64, "64x96" or (64, 96), height first.
        out: The file or folder.
        shard_gb: Largest size of a file of the folder in 10^9 bytes.
        part: (i, n) or "i/n" packs only the i-th of n parts of the folder, see :func:`pack_shards`.
        workers: Threads that decode; unset is one for each core.
        progress: Show what is done on standard error.

    Returns:
        The set, or None while other parts of the folder are missing.

    Raises:
        DataError: As :func:`pack_dataset` and :func:`pack_shards`, and if ``part`` is no part of a folder.
    """
    config, source = config_of(data, progress=progress)
    if shard_gb is not None:
        mine = part if isinstance(part, tuple) else part_of(part)
        return pack_shards(config, size_px, out, shard_gb, part=mine, workers=workers, progress=progress, source=source)
    if part is not None:
        raise DataError("--part goes with --shard-gb: parts are shards of a folder")
    return pack_dataset(config, size_px, out, workers=workers, progress=progress, source=source)


def part_of(text: str | None) -> tuple[int, int]:
    """Read a part written as I/N; none is the whole, 1/1.

    Raises:
        DataError: If it is written in another way.
    """
    parts = (text or "1/1").split("/")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise DataError(f"--part takes I/N, e.g. 1/4 for the first of four; found {text!r}")
    return int(parts[0]), int(parts[1])


def pack_shards(
    config: DataConfig,
    size_px: Size,
    out: str | Path,
    shard_gb: float,
    *,
    part: tuple[int, int] = (1, 1),
    workers: int | None = None,
    progress: bool = True,
    source: Source | None = None,
) -> ImageSet | None:
    """Decode a data set into a folder of packed files and an index, which :func:`open_dataset` takes on any machine.

    After an interruption the same call goes on where it stopped. Several machines share the work when each packs
    another part into the same folder, or into folders that are copied together; whoever finds all shards there writes
    the index.

    Args:
        config: What to pack.
        size_px: Size to decode to: 64, "64x96" or (64, 96), height first.
        out: The folder to write.
        shard_gb: Largest size of a shard in 10^9 bytes.
        part: (i, n) packs only the i-th of n parts, i from 1: every n-th shard.
        workers: Threads that decode; unset is one for each core.
        progress: Show what is done on standard error.
        source: The pictures, where they do not lie at ``config.path``.

    Returns:
        The set, or None while shards of other parts are missing.

    Raises:
        DataError: As :func:`open_dataset`, and if ``out`` holds something else or is packed from other pictures.
    """
    size = require_size(size_px)
    if not 1 <= part[0] <= part[1]:
        raise DataError(f"the part must be i of n with i from 1 to n, found {part[0]} of {part[1]}")
    folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; shards go into a folder: choose another name")
    if source is None:
        source = find_source(config, cache_folder(config.cache_dir), size=size, progress=progress)
    job = _job(config, source, size, folder, shard_gb)
    if _plan(job):
        with suppress(OSError):  # where nothing can be written, it stays
            _clear(folder, f".{INDEX}.lock")
        return read_shards(folder)
    _write_shards(job, part, workers, progress=progress)
    if not all(file.exists() for file in job.files):
        return None
    with alone(folder / INDEX):
        if not (folder / INDEX).exists():
            _write_index(job, skip_unreadable=config.skip_unreadable, progress=progress)
    return read_shards(folder)


def _job(config: DataConfig, source: Source, size: tuple[int, int], folder: Path, shard_gb: float) -> _Job:
    """Divide the pictures among shards of at most ``shard_gb``."""
    pictures = loaded(source)
    class_names = pictures.class_names
    if config.class_names is not None:
        class_names = rename_classes(class_names, read_class_names(config.class_names), config.class_names)
    total, count = len(pictures.names), _pictures_per_shard(shard_gb, size, class_names, pictures.decoding)
    stretches = [range(start, min(start + count, total)) for start in range(0, total, count)]
    if len(stretches) > MAX_SHARDS:
        raise DataError(
            f"{shard_gb:g} GB for a shard makes {len(stretches):,} of them, and each is an open file while training; "
            f"allow {1.01 * shard_gb * len(stretches) / MAX_SHARDS:.2g} GB or more, for at most {MAX_SHARDS} shards"
        )
    return _Job(
        source=source,
        pictures=pictures,
        class_names=class_names,
        size=size,
        folder=folder,
        files=[folder / f"shard-{number:05}-of-{len(stretches):05}.npy" for number in range(len(stretches))],
        stretches=stretches,
        key=hash_lines([source.stamp, *map(str, (written(size), count, FORMAT_VERSION, INDEX_VERSION)), *class_names]),
        may_lose=config.may_lose,
    )


def _write_shards(job: _Job, part: tuple[int, int], workers: int | None, *, progress: bool) -> None:
    """Decode those shards of a part that are not there yet."""
    mine = range(part[0] - 1, len(job.files), part[1])
    missing = [number for number in mine if not job.files[number].exists()]
    done = job.count(mine) - job.count(missing)
    require_space(job.folder, job.count(missing) * prod(job.size) * 3)
    if progress and missing:
        what = f"{len(job.files)} shards"
        what += f", part {part[0]} of {part[1]}: {len(mine)} shards" if part[1] > 1 else ""
        there = f", {len(mine) - len(missing)} of them are there" if done else ""
        announce(job.source.name, len(job.pictures.names), job.size, job.folder, f" ({what}{there})")
    with counted("decoding", job.count(mine), progress, done=done) as advance:
        for number in missing:
            file, stretch = job.files[number], job.stretches[number]
            with alone(file):
                if file.exists():  # by another process meanwhile
                    advance(len(stretch))
                    continue
                with packed_writer(file, job.size, len(stretch), f"{job.key} {number}") as writer:
                    labels = decode_into(writer, job.pictures, stretch, job.size, advance, workers)
                    names = job.pictures.names[stretch.start :]
                    source, decoding = Path(job.source.name).name, job.pictures.decoding
                    writer.finish(labels, job.class_names, source, names, decoding)


def _pictures_per_shard(
    shard_gb: float, size: tuple[int, int], class_names: tuple[str, ...], decoding: dict[str, Any]
) -> int:
    """Give how many pictures a shard can hold with labels and checksums, headers of arrays and the description."""
    spare = int(shard_gb * 1e9) - 4096 - len(json.dumps([class_names, decoding]))
    count = spare // (prod(size) * 3 + 8 + 4)
    if count < 1:
        raise DataError(
            f"a shard of {shard_gb:g} GB holds no picture of {written(size)} px and the class names; allow more, "
            "such as 1"
        )
    return count


LEFT_OVER = re.compile(rf"{re.escape(PLAN)}\.\d+\.tmp")
"""What is left of a plan whose writing was interrupted."""


def _plan(job: _Job) -> bool:
    """Make sure that the folder is for these shards; tell whether they are there with their index already."""
    folder = job.folder
    try:
        if (folder / INDEX).exists():
            found, whole = read_index(folder)[0].get("job"), True
        elif (folder / PLAN).exists():
            found, whole = object_of(read_bytes(folder / PLAN))["key"], False
        elif folder.exists() and not all(LEFT_OVER.fullmatch(path.name) for path in folder.iterdir()):
            raise DataError(f"{folder} is not empty and no packed folder; choose another name")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(
                folder / PLAN, {"sagan_packing": INDEX_VERSION, "key": job.key, "shards": [f.name for f in job.files]}
            )
            return False
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / PLAN} is damaged ({error}); remove the folder and pack again") from error
    except OSError as error:
        raise DataError(f"cannot write {folder} ({error.strerror or error}); {OUT}") from error
    if found != job.key:
        raise DataError(
            f"{folder} was packed from other pictures than {job.source.name} has now, or with another size, shard size "
            "or class names (copies of a folder on other machines must keep the files' modification times); choose "
            "another folder, or remove this one"
        )
    return whole


def _write_index(job: _Job, *, skip_unreadable: bool, progress: bool) -> None:
    """Read all shards once more, check them, and write the index over them."""
    opened = [read_packed_file(file) for file in job.files]
    unreadable = [pair for image_set in opened for pair in image_set.info.unreadable]
    if not skip_unreadable:
        refuse_unreadable(unreadable, job.source.name)
    refuse_lost_classes(job.source.name, job.pictures, unreadable, job.may_lose)
    count = sum(len(image_set.labels) for image_set in opened)
    if count < MIN_PICTURES:
        raise too_few(job.source.name, count, unreadable)
    digest = hashlib.sha256()
    with counted("checking hashes", sum(map(hashed_bytes, opened)), progress, in_bytes=True) as advance:
        for image_set in opened:
            check_pixels(image_set, advance, digest)
    file = job.folder / INDEX
    try:
        write_json(file, _index(job, opened, digest.hexdigest()))
        _clear(job.folder)
    except OSError as error:
        raise DataError(f"cannot write {file} ({error.strerror or error}); make room and go on") from error


def _clear(folder: Path, *more: str) -> None:
    """Remove what belongs to packing from a folder that has its index: the plan, what kills left, and more."""
    for name in (f"{PLAN}*", f"{INDEX}.*.tmp", ".shard-*", *more):
        for leftover in folder.glob(name):
            leftover.unlink(missing_ok=True)


def _index(job: _Job, opened: Sequence[ImageSet], pixels_sha256: str) -> dict[str, Any]:
    """Give the contents of the index; their order is that in the file."""
    class_names = opened[0].class_names
    labels, class_names = without_empty_classes(joint_labels(opened, class_names), class_names)
    traits = Counter[str]()
    for image_set in opened:
        traits.update(image_set.info.traits)
    shards = [
        Shard(
            file=file.name,
            bytes=file.stat().st_size,
            pictures=len(image_set.labels),
            pixels_sha256=image_set.info.pixels_sha256,
        )
        for file, image_set in zip(job.files, opened, strict=True)
    ]
    return checked_index(
        {
            "sagan_shards": INDEX_VERSION,
            "job": job.key,
            "source": Path(job.source.name).name,
            "size_px": written(opened[0].images.shape[1:3]),
            "pictures": len(labels),
            "fingerprint": fingerprint(pixels_sha256, labels, class_names, opened[0].images.shape[1:3]),
            "pixels_sha256": pixels_sha256,
            "traits": dict(sorted(traits.items())),
            "class_names": class_names,
            "decoding": opened[0].info.decoding,
            "unreadable": [pair for image_set in opened for pair in image_set.info.unreadable],
            "shards": [asdict(shard) for shard in shards],
        }
    )
