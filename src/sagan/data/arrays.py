"""Pictures in NumPy files: .npz archives and plain .npy arrays, never with pickled objects inside."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sagan.data.choosing import choose_background
from sagan.data.config import DataError, Decoding
from sagan.data.decode import Pixels
from sagan.data.names import listed, shown_names
from sagan.data.pictures import Labels, Pictures, PixelStore, array_pictures
from sagan.data.stored import PixelFile, StoredPixels
from sagan.npy import Header, read_header, read_npz
from sagan.reading import whatever_happens
from sagan.regular import open_regular

IMAGE_KEYS = ("images", "x", "x_train", "data", "arr_0")
BLOCK = 2**16
"""Values that are read at once."""
LABEL_KEYS = ("labels", "y", "y_train", "targets", "arr_1")
NAME_KEYS = ("class_names", "classes", "label_names")
LAYOUTS = "uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels and values 0..255"

Array = np.ndarray[Any, np.dtype[Any]]


def pictures_of(images: PixelStore, labels: Labels, class_names: tuple[str, ...], config: Decoding) -> Pictures:
    """See an array as pictures; of RGBA some are looked at, to choose what transparent parts are laid on."""
    if images.ndim == 3 or images.shape[3] != 4:
        return array_pictures(images, labels, class_names)
    return array_pictures(images, labels, class_names, *choose_background(images, config))


def npz_pictures(file: Path, config: Decoding | None = None) -> Pictures:
    """Read an .npz archive: images under ``images``, ``x`` or ``arr_0``, labels under ``labels``, ``y`` or ``arr_1``.

    ``class_names``, if present, names the classes; else the distinct labels are the classes, in their own order.

    Raises:
        DataError: If the archive is damaged, needs pickle, or its arrays are not pictures and labels.
    """
    said = f"{file} cannot be read as an .npz of plain arrays"
    with whatever_happens(lambda why: DataError(f"{said} ({why}); save it again")):
        found, keys = read_npz(file, (*IMAGE_KEYS, *LABEL_KEYS, *NAME_KEYS))
    image_key = next((key for key in IMAGE_KEYS if key in found), None)
    if image_key is None:
        raise DataError(f"{file} holds {listed(keys) or 'nothing'}; expected pictures under the key images")
    images = images_nhwc(found[image_key], f"{image_key} in {file}")
    label_key = next((key for key in LABEL_KEYS if key in found), None)
    if label_key is None:
        return pictures_of(images, np.zeros(len(images), np.int64), (), config or Decoding())
    name_key = next((key for key in NAME_KEYS if key in found), None)
    labels, class_names = classes(
        found[label_key], None if name_key is None else found[name_key], len(images), f"{label_key} in {file}"
    )
    return pictures_of(images, labels, class_names, config or Decoding())


def images_nhwc(images: Array, what: str) -> Pixels:
    """Check an array of pictures and give it as uint8 (N, H, W) or (N, H, W, C), C in 1, 3, 4.

    Raises:
        DataError: If type or shape do not fit; the message names both.
    """
    turned = channels_first(images.dtype, images.shape, what, lambda: (images.min(), images.max()))
    return images.transpose(0, 2, 3, 1) if turned else images


def channels_first(
    dtype: np.dtype[Any], shape: tuple[int, ...], what: str, ends: Callable[[], tuple[Any, Any]]
) -> bool:
    """Check what an array of pictures says of itself, and tell whether it is (N, C, H, W).

    Args:
        dtype: Of its values.
        shape: Of the array.
        what: The array, for messages.
        ends: Gives its lowest and highest value.

    Raises:
        DataError: If type or shape do not fit; the message names both.
    """
    if dtype != np.uint8:
        hint = ""
        if math.prod(shape) and np.issubdtype(dtype, np.number):
            hint = " with values {:.4g} to {:.4g}".format(*ends())
        raise DataError(f"{what} is {dtype}{hint}; expected {LAYOUTS}: scale, round and save it as uint8")
    turned = len(shape) == 4 and shape[3] not in (1, 3, 4) and shape[1] in (1, 3, 4)
    if not (len(shape) == 3 or (len(shape) == 4 and (turned or shape[3] in (1, 3, 4)))) or 0 in shape:
        raise DataError(f"{what} has the shape {shape}; expected {LAYOUTS}")
    return turned


def classes(labels: Array, names: Array | None, count: int, what: str) -> tuple[Labels, tuple[str, ...]]:
    """Give labels as indices, and the classes' names, from integers or strings.

    Without names the distinct values become the classes, so gaps in the numbers leave no empty class.

    Raises:
        DataError: If the labels are not one integer or string for each picture, or lie outside the names.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count:
        raise DataError(
            f"{what} has the shape {labels.shape}: several labels a picture, or one marked among {labels.shape[1]} "
            "(one-hot); a class-conditional network takes one a picture: give labels.argmax(axis=1), or one column"
        )
    if labels.shape != (count,) or not (np.issubdtype(labels.dtype, np.integer) or labels.dtype.kind == "U"):
        raise DataError(
            f"{what} is {labels.dtype} of shape {labels.shape}; expected one integer or string for each of the "
            f"{count:,} pictures"
        )
    if names is None or labels.dtype.kind == "U":
        values, indices = np.unique(labels, return_inverse=True)
        return indices.astype(np.int64), _texts(values, what)
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(_texts(names, f"names of {what}"))) != len(names):
        raise DataError(f"the class names beside {what} are {names.dtype} {names.shape}; expected distinct strings")
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"{what} holds {labels.min()} to {labels.max()}; expected 0 to {len(names) - 1} as named")
    return labels.astype(np.int64), _texts(names, what)


def _texts(values: Array, what: str) -> tuple[str, ...]:
    """Give numbers or strings of an array as names that can be shown and stored.

    Raises:
        DataError: If there is something else in it than characters.
    """
    try:
        texts = [str(value) for value in values]
        "".join(texts).encode("utf-8", "surrogateescape")
    except (SystemError, ValueError) as error:  # a number above all characters; half of one
        raise DataError(f"{what} hold what is no character, or half of one; give text") from error
    shown = shown_names(texts)
    return tuple(shown[text] for text in texts)


def read_plain(file: Path) -> PixelStore:
    """Open an array of pictures, see ``LAYOUTS``.

    Raises:
        DataError: If it is no such array, not all of it is there, or more stands behind it.
        OSError: If the file cannot be read.
    """
    with open_regular(file) as stream:
        end = os.fstat(stream.fileno()).st_size
        with whatever_happens(lambda why: DataError(f"{file} cannot be read as a plain array ({why}); save it again")):
            header = read_header(stream, end)
            start, length = stream.tell(), header.dtype.itemsize * math.prod(header.shape)
        if start + length != end:
            raise DataError(
                f"{file} goes on after its array, for {end - start - length:,} bytes: a packed file that is damaged "
                "(bring a good copy, or pack the data again), or several arrays (save the pictures alone)"
            )
        turned = channels_first(
            header.dtype, header.shape, f"the array in {file}", lambda: _ends(file, start, header.dtype)
        )
        if header.fortran_order:
            return _whole(file, start, header, turned)
        plain = _PlainFile(file, os.dup(stream.fileno()), start, header.shape, None)
    return _ChannelsFirst([plain]) if turned else StoredPixels([plain])


class _PlainFile(PixelFile):
    def _mend(self) -> str:
        return "bring a good copy"


class _ChannelsFirst(StoredPixels):
    """Pictures that are stored as (N, C, H, W), given as (N, H, W, C)."""

    def __init__(self, files: list[PixelFile]) -> None:
        super().__init__(files)
        count, channels, height, width = self.stored_shape
        self.shape = (count, height, width, channels)

    def __getitem__(self, index: Any) -> Pixels:
        return np.moveaxis(super().__getitem__(index), -3, -1)


def _blocks(file: Path, start: int, dtype: np.dtype[Any]) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    with open_regular(file) as stream:
        stream.seek(start)
        while data := stream.read(BLOCK * dtype.itemsize):
            yield np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def _ends(file: Path, start: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Give the lowest and the highest value of an array of numbers."""
    ends = [(block.min(), block.max()) for block in _blocks(file, start, dtype) if block.size]
    return np.min([low for low, _ in ends]), np.max([high for _, high in ends])


def _whole(file: Path, start: int, header: Header, turned: bool) -> Pixels:
    """Read an array whose first axis changes fastest, so that no picture lies in a row."""
    values = np.concatenate(list(_blocks(file, start, header.dtype)))
    if len(values) != math.prod(header.shape):
        raise DataError(f"{file} was cut off; bring a good copy")
    images = values.reshape(header.shape, order="F")
    return images.transpose(0, 2, 3, 1) if turned else images
