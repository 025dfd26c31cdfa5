"""Pictures in NumPy files: .npz archives and plain .npy arrays, never with pickled objects inside."""

from pathlib import Path
from typing import Any

import numpy as np

from sagan.data.choosing import choose_background
from sagan.data.config import DataError, Decoding
from sagan.data.decode import Pixels
from sagan.data.names import listed
from sagan.data.pictures import Labels, Pictures, array_pictures
from sagan.npy import read_npz
from sagan.reading import whatever_happens

IMAGE_KEYS = ("images", "x", "x_train", "data", "arr_0")
LABEL_KEYS = ("labels", "y", "y_train", "targets", "arr_1")
NAME_KEYS = ("class_names", "classes", "label_names")
LAYOUTS = "uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels and values 0..255"

Array = np.ndarray[Any, np.dtype[Any]]


def pictures_of(images: Pixels, labels: Labels, class_names: tuple[str, ...], config: Decoding) -> Pictures:
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
    if images.dtype != np.uint8:
        hint = ""
        if images.size and np.issubdtype(images.dtype, np.number):
            hint = f" with values {images.min():.4g} to {images.max():.4g}"
        raise DataError(f"{what} is {images.dtype}{hint}; expected {LAYOUTS}: scale, round and save it as uint8")
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3, 4))) or 0 in images.shape:
        raise DataError(f"{what} has the shape {images.shape}; expected {LAYOUTS}")
    return images


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
        return indices.astype(np.int64), tuple(str(value) for value in values)
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
        raise DataError(f"the class names beside {what} are {names.dtype} {names.shape}; expected distinct strings")
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"{what} holds {labels.min()} to {labels.max()}; expected 0 to {len(names) - 1} as named")
    return labels.astype(np.int64), tuple(str(name) for name in names)
