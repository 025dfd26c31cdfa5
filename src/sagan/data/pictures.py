"""What every kind of source looks like to the rest of the room: a key to remember it by, and pictures to decode."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sagan.data.colours import RGB, WHITE
from sagan.data.config import Fit
from sagan.data.decode import Decoded, array_to_rgb

Labels = np.ndarray[Any, np.dtype[np.int64]]


class PixelStore(Protocol):
    """What a store of pictures can do, an array for one: pictures by index, by slice and by an array of indices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3), or another shape of pictures."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def __len__(self) -> int:
        """Give the number of pictures."""

    def __getitem__(self, index: Any, /) -> Any:
        """Give pictures as an array of uint8."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Pictures that were found, none of them decoded yet."""

    names: tuple[str, ...]
    """One name for each picture, e.g. its path below the folder; a message about the picture shows it."""
    labels: Labels
    """int64 (N,): indices into ``class_names``, all 0 when there are none."""
    class_names: tuple[str, ...]
    """() when there are no classes."""
    decode: Callable[[int], Decoded]
    """Decode the i-th picture, from any thread. Raises UnreadableError if the picture itself is at fault, OSError if
    it could not be read."""
    ignored: tuple[str, ...] = ()
    """Names of files that are not pictures, and of folders without any file."""
    said: tuple[str, ...] = ()
    """What was found out about where pictures and classes lie, in sentences."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Names of pictures that are not used, and of files that show something but are no pictures, each with why."""
    decoding: dict[str, Any] = field(default_factory=dict)
    """How the pixels are read where that is not as usual, and what automatic choices came to: names to what JSON
    can hold, e.g. {"background": "white", "range": [0, 4095]}; empty where nothing had to be chosen."""
    fit: Fit = "crop"
    """How they are to be brought to one size."""
    border: str = "auto"
    """Colour of borders, where they get some."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A place with pictures. Finding it is quick; ``load`` may list an archive, read arrays or download."""

    name: str
    """What a person calls it, e.g. the path or ``cifar10``."""
    key: str
    """Hexadecimal hash that changes whenever the pictures may have changed, or lie elsewhere."""
    stamp: str
    """The same without the place: equal for copies whose names, sizes and modification times are equal."""
    load: Callable[[], Pictures]
    """Give the pictures."""
    told: Callable[[], tuple[str, ...]] = tuple
    """Say what a person should know about where pictures and classes lie, and what was left out."""


def hash_lines(lines: Iterable[str]) -> str:
    """Hash lines of text, which may hold file names that are not valid Unicode, to a SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def array_pictures(
    images: PixelStore,
    labels: Labels,
    class_names: tuple[str, ...],
    background: RGB = WHITE,
    decoding: Mapping[str, Any] | None = None,
) -> Pictures:
    """See an array as pictures.

    Shape: images uint8 (N, H, W) or (N, H, W, C) with C in 1, 3, 4; labels int64 (N,).

    Args:
        images: The array.
        labels: Indices into the class names.
        class_names: () when there are no classes.
        background: What transparent parts are laid on.
        decoding: How that was chosen, for :class:`Pictures`.
    """
    channels = 1 if images.ndim == 3 else images.shape[3]
    traits = {1: frozenset({"grey"}), 3: frozenset[str](), 4: frozenset({"alpha"})}[channels]
    return Pictures(
        names=tuple(f"picture {index}" for index in range(len(images))),
        labels=labels,
        class_names=class_names,
        decode=lambda index: Decoded(array_to_rgb(images[index], background), "array", traits),
        decoding=dict(decoding or {}),
    )
