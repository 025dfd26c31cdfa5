"""Pictures that are given in Python where elsewhere a path is: arrays, tensors, lists, or a data set of PyTorch.

They are read once to know them by their content, and packed into the cache folder like any others. From then on the
configuration names them ``given:NAME:KEY``, so that splits, several processes and evaluation find them there, and a run
that goes on is told when it is given other ones.
"""

import hashlib
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset

from sagan.data.arrays import Array, classes
from sagan.data.choosing import LOOKED_AT, choose_background
from sagan.data.config import GIVEN, DataConfig, DataError, Decoding
from sagan.data.decode import MIN_SIDE_PX, Decoded, Pixels, array_to_rgb
from sagan.data.parallel import counted
from sagan.data.pictures import Labels, Pictures, Source, hash_lines

Values = Literal["0..255", "0..1", "-1..1"]
Label = int | str | None
SAY_VALUES = "say what they mean with sagan.GivenData(..., values='0..1') or values='-1..1', or give uint8"
FORMS = "(pictures, labels), (pictures, labels, class names), pictures alone, or a torch.utils.data.Dataset"
SEEN_TWICE = 16
"""So many pictures are read twice at once, to see whether they stay the same; all are when they are packed."""
CHANNELS = {1: frozenset({"grey"}), 3: frozenset[str](), 4: frozenset({"alpha"})}


@dataclass(frozen=True, eq=False)
class GivenData:
    """Pictures in Python, with what there is to say about them.

    Raises:
        ValueError: If ``values`` is none of the three.
    """

    pictures: Any
    """uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels, an array or a tensor; a list of such
    pictures or of Pillow's, of any sizes; or a map-style Dataset that gives (picture, label), or pictures alone."""
    labels: Any = None
    """An integer or string for each picture; None takes those of a Dataset, and elsewhere means no classes."""
    class_names: Sequence[str] | None = None
    """Names of the classes 0, 1, ...; None takes ``classes`` of a Dataset, and elsewhere the labels themselves."""
    values: Values = "0..255"
    """What the numbers of float pictures mean: they are never guessed."""

    def __post_init__(self) -> None:
        if self.values not in get_args(Values):
            raise ValueError(f"values must be one of {', '.join(get_args(Values))}, found {self.values!r}")


def as_given(data: Any) -> GivenData:
    """See what a user gave as pictures in Python.

    Args:
        data: (pictures, labels), (pictures, labels, class names), pictures alone, a map-style
            ``torch.utils.data.Dataset``, or :class:`GivenData`, which has more to say.

    Raises:
        DataError: If it is nothing of the kind.
    """
    if isinstance(data, GivenData):
        return data
    if isinstance(data, IterableDataset):
        raise DataError(
            f"{type(data).__name__} gives its pictures in a stream, which can be neither shuffled, split nor read "
            "again; give a map-style Dataset (with len() and [index]), arrays, or a folder of tar files by its path"
        )
    if isinstance(data, DataLoader):
        raise DataError("a DataLoader gives batches in an order of its own; give its data set: loader.dataset")
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        return GivenData(*data)
    if isinstance(data, (np.ndarray, torch.Tensor, Dataset, list)):
        return GivenData(data)
    raise DataError(f"pictures in Python are {FORMS}; found {type(data).__name__}")


def config_of(data: Any, *, progress: bool) -> tuple[DataConfig, Source | None]:
    """Give a configuration for what a user named or gave, and the pictures themselves if they are in Python.

    Raises:
        DataError: If it is nothing of the kind, or the pictures cannot be used.
    """
    if isinstance(data, (str, Path)):
        return DataConfig(path=str(data)), None
    if isinstance(data, DataConfig):
        return data, None
    source = given_source(data, progress=progress)
    return DataConfig(path=source.name), source


def given_source(data: Any, *, progress: bool = False) -> Source:
    """Read pictures that are given in Python once, to know them by their content.

    Raises:
        DataError: If they are no pictures with at most one label each.
    """
    given = as_given(data)
    read, count, name = _reader(given)
    twice = {round(index) for index in np.linspace(0, count - 1, SEEN_TWICE)} if count else set()

    digest, sums, found = hashlib.sha256(), np.empty(count, np.uint32), list[Label]()
    looked_at = {round(index) for index in np.linspace(0, count - 1, LOOKED_AT)} if count else set()
    clear: list[Pixels] = []
    with counted("reading", count, progress) as advance:
        for index in range(count):
            pixels, label = read(index)
            digest.update(f"{pixels.shape} {label!r}\n".encode())
            digest.update(np.ascontiguousarray(pixels).data)
            sums[index] = zlib.crc32(np.ascontiguousarray(pixels).data)
            if index in twice:
                _check_same(read(index)[0], sums[index], f"picture {index:,} of {name}")
            if index in looked_at and pixels.ndim == 3 and pixels.shape[2] == 4:
                clear.append(pixels)
            found.append(label)
            advance(1)
    labels, class_names = _classes(given, found, name)
    digest.update(repr(class_names).encode())
    key = digest.hexdigest()[:16]
    background, decoding = choose_background(clear, Decoding())

    def decode(index: int) -> Decoded:
        pixels, _ = read(index)
        _check_same(pixels, sums[index], f"picture {index:,} of {name}")
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        return Decoded(array_to_rgb(pixels, background), "array", CHANNELS[channels])

    names = tuple(f"picture {index}" for index in range(count))
    return place_of(
        f"{GIVEN}{name}:{key}",
        lambda: Pictures(names=names, labels=labels, class_names=class_names, decode=decode, decoding=decoding),
    )


def place_of(path: str, load: Callable[[], Pictures] | None = None) -> Source:
    """Give the source that ``given:NAME:KEY`` names; without ``load`` it is there only if it was packed before."""
    _, _, key = path.rpartition(":")

    def gone() -> Pictures:
        raise DataError(
            f"the pictures {path} were given in Python, and are no longer in the cache folder; give them again "
            "(data=... of sagan.train and others), or name a place that has them (--data)"
        )

    key = hash_lines(["given", key])
    return Source(name=path, key=key, stamp=key, load=load or gone)


# ------------------------------------------------------------------------------------------------------------ pictures


def _reader(given: GivenData) -> tuple[Callable[[int], tuple[Pixels, Label]], int, str]:
    """Give what reads a picture with its label, the number of pictures, and a name for them all."""
    pictures, kind = given.pictures, type(given.pictures).__name__
    if isinstance(pictures, (np.ndarray, torch.Tensor)):
        kind = "array" if isinstance(pictures, np.ndarray) else "tensor"
        _check_batch(tuple(pictures.shape))
    elif not hasattr(pictures, "__getitem__") or not hasattr(pictures, "__len__"):
        raise DataError(f"pictures in Python are {FORMS}; found {kind}")
    count, name = len(pictures), f"{kind}-{len(pictures)}"
    labels = _labels_of(given, count)
    lock = threading.Lock()  # few data sets can be read by several threads at once
    in_pairs = isinstance(pictures, Dataset)

    def read(index: int) -> tuple[Pixels, Label]:
        what = f"item {index:,} of {name}"
        try:
            with lock:
                item = pictures[index]
        except Exception as error:  # whatever a data set of somebody else raises
            raise DataError(
                f"{what} cannot be read ({type(error).__name__}: {error}); repair it, or leave it out with "
                "torch.utils.data.Subset"
            ) from error
        label = None if labels is None else labels[index]
        if in_pairs and isinstance(item, (tuple, list)):
            if len(item) != 2 or labels is not None:
                more = " beside the labels given" if labels is not None else ""
                raise DataError(f"{what} has {len(item)} parts{more}; expected (picture, label), or a picture alone")
            item, label = item[0], one_label(item[1], what)
        return _pixels(item, given.values, what), label

    return read, count, name


def _check_same(pixels: Pixels, checksum: int, what: str) -> None:
    if zlib.crc32(np.ascontiguousarray(pixels).data) != checksum:
        raise DataError(
            f"{what} is another one each time it is read, perhaps by random transforms: take those out (training "
            "mirrors with data.flip and augments with train.augment)"
        )


def _check_batch(shape: tuple[int, ...]) -> None:
    if len(shape) not in (3, 4) or 0 in shape or (len(shape) == 3 and shape[2] in CHANNELS):
        single = "; one picture alone is no set" if len(shape) == 3 else ""
        raise DataError(
            f"the pictures have the shape {shape}{single}; expected (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 "
            "or 4 channels"
        )


def _pixels(item: Any, values: Values, what: str) -> Pixels:
    """Bring a picture to uint8 (H, W) or (H, W, C)."""
    if isinstance(item, Image.Image):
        item = _array_of(item)
    elif isinstance(item, torch.Tensor):
        item = item.detach().cpu()
        item = (item.float() if item.is_floating_point() else item).numpy()
    elif not isinstance(item, np.ndarray):
        hint = f" with {', '.join(map(str, item))}" if isinstance(item, dict) else ""
        raise DataError(
            f"{what} is a {type(item).__name__}{hint}; expected a picture of Pillow's, an array or a tensor, in a "
            "Dataset as (picture, label)"
        )
    return _uint8(_hwc(item, what), values, what)


def _array_of(image: Image.Image) -> Array:
    """Give a picture of Pillow's as an array; its pixels are taken as they are."""
    if image.mode in ("RGB", "L", "F") or image.mode.startswith("I"):
        return np.asarray(image)
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image.convert("L" if image.mode == "1" else "RGB"))


def _hwc(pixels: Array, what: str) -> Array:
    first, last = pixels.ndim == 3 and pixels.shape[0] in CHANNELS, pixels.ndim == 3 and pixels.shape[2] in CHANNELS
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and first == last):
        why = ", which has channels first or last" if first else ""
        raise DataError(
            f"{what} has the shape {pixels.shape}{why}; expected (H, W), (H, W, C) or (C, H, W), C 1, 3 or 4"
        )
    pixels = pixels.transpose(1, 2, 0) if first else pixels
    if min(pixels.shape[:2]) < MIN_SIDE_PX:
        raise DataError(f"{what} has {pixels.shape[1]}x{pixels.shape[0]} pixels; at least {MIN_SIDE_PX} are needed")
    return pixels


def _uint8(pixels: Array, values: Values, what: str) -> Pixels:
    low, high = float(pixels.min()), float(pixels.max())
    found = f"{what} is {pixels.dtype} with values {low:.4g} to {high:.4g}"
    if not np.issubdtype(pixels.dtype, np.floating):
        if pixels.dtype != np.uint8 or values != "0..255":
            raise DataError(f"{found}; expected {'uint8' if values == '0..255' else f'float, with values {values}'}")
        return pixels
    if values == "0..255":
        raise DataError(f"{found}; {SAY_VALUES}")
    start, end = (0.0, 1.0) if values == "0..1" else (-1.0, 1.0)
    if not (start - 1e-3 <= low and high <= end + 1e-3):
        raise DataError(f"{found}, and not {values} as was said; {SAY_VALUES}")
    scaled = (np.clip(pixels, start, end) - start) * (255 / (end - start))
    return np.rint(scaled).astype(np.uint8)


# -------------------------------------------------------------------------------------------------------------- labels


def one_label(value: Any, what: str) -> Label:
    """Take a label of one picture.

    Raises:
        DataError: If it is several, or neither an integer nor a string.
    """
    if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
        return value
    if isinstance(value, (list, tuple, set, np.ndarray, torch.Tensor)):
        raise DataError(
            f"{what} has several labels ({str(value)[:60]}); a class-conditional network takes one a picture: choose "
            "one, as an integer (of a one-hot vector: argmax)"
        )
    raise DataError(f"{what} has the label {value!r} ({type(value).__name__}); expected one integer or one string")


def _labels_of(given: GivenData, count: int) -> list[Label] | None:
    """Give the labels that stand beside the pictures, if any."""
    if given.labels is None:
        return None
    labels = given.labels.detach().cpu().numpy() if isinstance(given.labels, torch.Tensor) else given.labels
    if len(labels) != count:
        raise DataError(f"there are {len(labels):,} labels for {count:,} pictures; expected one for each")
    if isinstance(labels, np.ndarray) and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return [one_label(label, f"picture {index:,}") for index, label in enumerate(labels)]


def _classes(given: GivenData, found: list[Label], name: str) -> tuple[Labels, tuple[str, ...]]:
    """Give labels as indices, and the names of the classes."""
    kinds = {type(label) for label in found}
    if kinds <= {type(None)}:
        return np.zeros(len(found), np.int64), ()
    if len(kinds) > 1:
        counts = ", ".join(f"{sum(type(label) is kind for label in found):,} {kind.__name__}" for kind in kinds)
        raise DataError(f"the labels of {name} are of several kinds ({counts}); expected integers or strings for all")
    names = given.class_names if given.class_names is not None else classes_of(given.pictures)
    labels = np.array(found)
    if names is not None and kinds == {str}:
        numbers: dict[Label, int] = {class_name: index for index, class_name in enumerate(names)}
        strange = sorted(set(map(str, found)) - set(names))
        if strange:
            raise DataError(f"{name} has labels that are not among its class names: {', '.join(strange[:5])}")
        labels = np.array([numbers[label] for label in found], np.int64)
    return classes(labels, None if names is None else np.array(list(names)), len(found), f"the labels of {name}")


def classes_of(pictures: Any) -> list[str] | None:
    """Find the class names of a Dataset, also where it is a part of another one, or several in a row.

    Raises:
        DataError: If several in a row do not have the same.
    """
    if isinstance(pictures, Subset):
        return classes_of(pictures.dataset)
    if isinstance(pictures, ConcatDataset):
        every = [classes_of(part) for part in pictures.datasets]
        if any(names != every[0] for names in every):
            raise DataError(
                "the data sets that are joined do not have the same classes, so their labels mean different things; "
                "bring them to one list and give it: sagan.GivenData(dataset, class_names=[...])"
            )
        return every[0]
    names = getattr(pictures, "classes", None)
    if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
        return list(names)
    return None
