"""From what the user wrote after ``--data`` to a source of pictures."""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sagan.data.arrays import npz_pictures, pictures_of, read_plain
from sagan.data.config import GIVEN, DataConfig, DataError
from sagan.data.encoded import decoding_lines
from sagan.data.files import IMAGE_SUFFIXES, choices, folder_source, is_clutter, own_table, zip_source
from sagan.data.given import place_of
from sagan.data.huggingface import hub_source, is_saved, saved_source
from sagan.data.named import cifar_pictures, idx_files, idx_pictures, named_source
from sagan.data.names import in_a_line
from sagan.data.packed import ImageSet
from sagan.data.pictures import Pictures, Source, array_pictures, hash_lines
from sagan.data.shards import is_packed, read_packed
from sagan.data.tars import tar_source
from sagan.data.there import HUB_PREFIX, KINDS, NAMES, check_there, is_pattern


def find_source(
    path: str | DataConfig, cache: Path, *, size: tuple[int, int] | None = None, progress: bool = False
) -> Source:
    """Find out what ``path`` is; a known name wins over a folder of that name.

    A configuration says besides what folders mean, and how pictures are brought to one size. They come at the size that
    they have; ``size`` is for those that are drawn.

    Raises:
        DataError: If there is nothing at the path, it cannot be read, or it is not a kind of data that is known.
    """
    config = path if isinstance(path, DataConfig) else DataConfig(path=path)
    source = _found(config, cache, None if size is None else max(size), progress=progress)
    return to_be_fitted(source, config)


def to_be_fitted(source: Source, config: DataConfig) -> Source:
    """Give a source whose pictures say how they are brought to one size, where that is not as usual."""
    if not config.fitting:
        return source
    made = json.dumps(config.fitting, sort_keys=True)

    def load() -> Pictures:
        pictures = source.load()
        return replace(pictures, fit=config.fit, border=config.border, decoding=pictures.decoding | config.fitting)

    return replace(source, key=hash_lines([source.key, made]), stamp=hash_lines([source.stamp, made]), load=load)


def _found(config: DataConfig, cache: Path, size_px: int | None, *, progress: bool) -> Source:
    path = config.path
    check_there(path)
    if path.startswith(GIVEN):
        refuse_idle(config)
        return place_of(path)
    if path in NAMES:
        refuse_idle(config)
        return named_source(path, cache, size_px=size_px, progress=progress)
    if path.startswith(HUB_PREFIX):
        _refuse_idle_in_table(config)
        return hub_source(config, cache, progress=progress)
    if is_pattern(path):
        return tar_source(config, progress=progress)
    place = Path(path).expanduser()
    try:
        if place.is_dir():
            return _in_folder(place, config, cache, progress=progress)
        if not place.is_file():
            raise DataError(f"{path} is neither a file nor a folder; give {KINDS}")
        if is_saved(place):
            _refuse_idle_in_table(config)
            return saved_source(place, cache, config, progress=progress)
        with place.open("rb") as stream:
            start = stream.read(8)
        if place.suffix.lower() == ".tar":
            return tar_source(config, progress=progress)
        if _is_zip(place, start):
            chosen = [*choices(config), *own_table(config), *decoding_lines(config)]
            return zip_source(place, config, *_file_keys(place, chosen))
        return _file_source(place, config, _loader(place, start, config))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}); check its permissions") from error


def _in_folder(place: Path, config: DataConfig, cache: Path, *, progress: bool) -> Source:
    if is_packed(place):
        refuse_idle(config)
        image_set = read_packed(place)
        key = hash_lines(["shards", image_set.fingerprint])
        return Source(name=config.path, key=key, stamp=key, load=lambda: _packed_pictures(image_set))
    if is_saved(place):
        _refuse_idle_in_table(config)
        return saved_source(place, cache, config, progress=progress)
    if tars := [file for file in sorted(place.glob("*.tar")) if file.is_file()]:
        _refuse_pictures_beside(tars)
        return tar_source(config, progress=progress)
    if files := idx_files(place):
        return _file_source(place, config, lambda: idx_pictures(place), files)
    return folder_source(place, config)


def _refuse_pictures_beside(tars: Sequence[Path]) -> None:
    """Refuse a folder in which tar files lie beside pictures: which of both are meant is not clear."""
    folder = tars[0].parent
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        for name in sorted(files):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not is_clutter(name):
                shown = in_a_line(str((Path(root) / name).relative_to(folder)))
                raise DataError(
                    f"{folder} holds tar files (such as {in_a_line(tars[0].name)}) beside pictures (such as {shown}); "
                    f'give the tar files as "{folder}/*.tar", or move them elsewhere to take the pictures'
                )


def refuse_idle(config: DataConfig) -> None:
    """Refuse what is said of the folders of a tree where there is none, as classes would not be those asked for.

    Raises:
        DataError: If anything is said.
    """
    if idle := choices(config):
        name = idle[0].partition("=")[0].replace("_", "-")
        raise DataError(
            f"--data.{name} says what folders and files of pictures mean, and {config.path} has none; leave it away"
        )


def _refuse_idle_in_table(config: DataConfig) -> None:
    """Refuse the same for a table of Hugging Face's library, but for the name of its label column."""
    if idle := choices(replace(config, labels=None)):
        name = idle[0].partition("=")[0].replace("_", "-")
        raise DataError(
            f"--data.{name} is for folders of pictures, and {config.path} is a table: its split stands in the name "
            f"(hf:NAME:SPLIT), its classes in a column (--data.labels COLUMN); leave --data.{name} away"
        )


def _loader(file: Path, start: bytes, config: DataConfig) -> Callable[[], Pictures]:
    if start.startswith(b"\x93NUMPY"):
        return lambda: _npy_pictures(file, config)
    if file.suffix.lower() == ".npz":
        return lambda: npz_pictures(file, config)
    if start.startswith(b"\x1f\x8b") or file.name.endswith((".tar.gz", ".tgz")) or _is_plain_tar(file):
        return lambda: cifar_pictures(file)
    if file.suffix.lower() in IMAGE_SUFFIXES:
        raise DataError(f"{file} is a single file; training needs many pictures: give the folder that holds them")
    raise DataError(f"{file} is of no known kind (it starts with {start!r}); give {KINDS}")


def _is_plain_tar(file: Path) -> bool:
    """Tell whether a file is a tar without compression, by the mark in its first header."""
    with file.open("rb") as stream:
        return stream.read(512)[257:262] == b"ustar"


def _is_zip(file: Path, start: bytes) -> bool:
    suffix = file.suffix.lower()
    return suffix != ".npz" and (suffix == ".zip" or start.startswith(b"PK") or zipfile.is_zipfile(file))


def _file_source(place: Path, config: DataConfig, load: Callable[[], Pictures], files: Sequence[Path] = ()) -> Source:
    """Give the pictures of a file, or of the files of a folder, which changes with them."""
    refuse_idle(config)
    chosen = [line for line in decoding_lines(config) if line.startswith("background=")]
    states = [(file.name, file.stat()) for file in files]
    chosen += [f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states]
    key, stamp = _file_keys(place, chosen)
    return Source(name=str(place), key=key, stamp=stamp, load=load)


def _file_keys(place: Path, chosen: list[str]) -> tuple[str, str]:
    status = place.stat()
    what = [str(status.st_size), str(status.st_mtime_ns), *chosen]
    return hash_lines(["file", str(place.resolve()), *what]), hash_lines(["file", *what])


def _packed_pictures(image_set: ImageSet) -> Pictures:
    pictures = array_pictures(image_set.images, image_set.labels, image_set.class_names)
    return replace(pictures, decoding=image_set.info.decoding)


def _npy_pictures(file: Path, config: DataConfig) -> Pictures:
    if is_packed(file):
        return _packed_pictures(read_packed(file))
    images = read_plain(file)
    return pictures_of(images, np.zeros(len(images), np.int64), (), config)
