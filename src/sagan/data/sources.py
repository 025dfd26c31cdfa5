"""From what the user wrote after ``--data`` to a source of pictures."""

import difflib
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sagan.data.arrays import images_nhwc, npz_pictures
from sagan.data.config import DataError
from sagan.data.files import IMAGE_SUFFIXES, folder_source, zip_pictures
from sagan.data.named import NAMES, cifar_pictures, holds_idx, idx_pictures, named_source
from sagan.data.packed import is_packed, read_packed
from sagan.data.pictures import Pictures, Source, array_pictures, hash_lines

KINDS = (
    "a folder of class folders, a folder of pictures, a zip of either, an .npz, a packed file, a CIFAR archive, or one "
    f"of the names {', '.join(NAMES)}"
)


def find_source(path: str, cache: Path, *, progress: bool = False) -> Source:
    """Find out what ``path`` is; a known name wins over a folder of that name.

    Raises:
        DataError: If there is nothing at the path, it cannot be read, or it is not a kind of data that is known.
    """
    if path in NAMES:
        return named_source(path, cache, progress=progress)
    place = Path(path).expanduser()
    try:
        if not place.exists():
            near = difflib.get_close_matches(path.lower(), NAMES, n=1)
            raise DataError(f"there is no {path}{f' (did you mean {near[0]}?)' if near else ''}; give {KINDS}")
        if place.is_dir():
            if holds_idx(place):
                return _file_source(place, lambda: idx_pictures(place))
            return folder_source(place)
        if not place.is_file():
            raise DataError(f"{path} is neither a file nor a folder; give {KINDS}")
        with place.open("rb") as stream:
            start = stream.read(8)
        return _file_source(place, _loader(place, start))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}); check its permissions") from error


def _loader(file: Path, start: bytes) -> Callable[[], Pictures]:
    if start.startswith(b"\x93NUMPY"):
        return lambda: _npy_pictures(file)
    if file.suffix.lower() == ".npz":
        return lambda: npz_pictures(file)
    if zipfile.is_zipfile(file) or start.startswith(b"PK") or file.suffix.lower() == ".zip":
        return lambda: zip_pictures(file)
    if tarfile.is_tarfile(file) or file.name.endswith((".tar.gz", ".tgz")):
        return lambda: cifar_pictures(file)
    if file.suffix.lower() in IMAGE_SUFFIXES:
        raise DataError(f"{file} is a single file; training needs many pictures: give the folder that holds them")
    raise DataError(f"{file} is of no known kind (it starts with {start!r}); give {KINDS}")


def _file_source(place: Path, load: Callable[[], Pictures]) -> Source:
    status = place.stat()
    key = hash_lines(["file", str(place.resolve()), str(status.st_size), str(status.st_mtime_ns)])
    return Source(name=str(place), key=key, load=load)


def _npy_pictures(file: Path) -> Pictures:
    if is_packed(file):
        image_set = read_packed(file)
        return array_pictures(image_set.images, image_set.labels, image_set.class_names)
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{file} cannot be read as a plain array ({error}); save it again") from error
    images = images_nhwc(images, f"the array in {file}")
    return array_pictures(images, np.zeros(len(images), np.int64), ())
