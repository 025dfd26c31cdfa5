"""Pictures in packed files: read one by one when they are asked for, each checked whenever it is read."""

import os
import threading
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sagan.data.config import DataError
from sagan.data.decode import Pixels
from sagan.data.pictures import Labels

MEND = "bring a good copy, or delete it and pack the data again"
DAMAGED = ".damaged"
"""What the name of a file in the cache folder gets behind it once a picture in it is found damaged."""

Checksums = np.ndarray[Any, np.dtype[np.uint32]]


class PixelFile:
    """The pictures of one packed file, or of a plain array.

    They are read at their places, not mapped into memory: a file that is cut off while a run reads it is then an error
    with a name, where a map would have the system end the process.

    Args:
        file: Where they are, for messages.
        descriptor: The file, opened to read; it is closed with this object.
        offset: Where the first picture starts.
        shape: (N, H, W, 3), or another shape of pictures.
        checksums: CRC-32 of each picture, uint32 (N,); a file of version 1 or a plain array has none.

    Attributes:
        cached: Whether it lies in the cache folder, where it can be made again: damaged, it is set aside.
    """

    cached = False

    def __init__(
        self, file: Path, descriptor: int, offset: int, shape: tuple[int, ...], checksums: Checksums | None
    ) -> None:
        self.file, self.shape = file, shape
        self._descriptor, self._offset = descriptor, offset
        self._bytes = int(np.prod(shape[1:], dtype=np.int64))
        self._checksums = checksums
        weakref.finalize(self, os.close, descriptor)

    def __reduce__(self) -> Any:
        raise TypeError(f"the opened {self.file} cannot be sent to another process; have it call read_packed itself")

    def read(self, index: int, into: memoryview) -> None:
        """Read a picture into so many bytes of memory.

        Raises:
            DataError: If it is not there any more, or is not what was written.
        """
        start = self._offset + index * self._bytes
        try:
            count = read_at(self._descriptor, into, start)
        except OSError as error:
            raise DataError(f"cannot read {self.file} ({error.strerror or error}); check the disk") from error
        if count < self._bytes:
            raise DataError(f"{self.file} was cut off: it ends before picture {index:,} does; {self._mend()}")
        if self._checksums is not None and zlib.crc32(into) != self._checksums[index]:
            where = f"picture {index:,} (bytes {start:,} to {start + self._bytes - 1:,})"
            raise DataError(f"{self.file} is damaged: {where} is not what was written; {self._mend()}")

    def _mend(self) -> str:
        """Say what to do about damage, after doing what can be done."""
        aside = self.file.with_name(self.file.name + DAMAGED)
        if not self.cached:
            return MEND
        try:
            if os.path.samestat(os.fstat(self._descriptor), self.file.stat()):  # not one that was packed meanwhile
                self.file.replace(aside)
        except FileNotFoundError:  # another process was the first to see it
            pass
        except OSError:
            return f"{MEND} (in the cache folder the same command does that)"
        return f"it is called {aside.name} now, and the same command packs the pictures again"


class StoredPixels:
    """Pictures of several files in a row, read like those of one array: by an index, a slice or an array of indices.

    What is given is a copy; ``numpy.asarray`` reads all.

    Args:
        files: Pictures of one size.
    """

    def __init__(self, files: Sequence[PixelFile]) -> None:
        self.files = tuple(files)
        self._ends = np.cumsum([file.shape[0] for file in files])
        self._starts = self._ends - [file.shape[0] for file in files]
        self.stored_shape: tuple[int, ...] = (int(self._ends[-1]), *files[0].shape[1:])
        self.shape = self.stored_shape
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self[:], dtype)

    def __getitem__(self, index: Any) -> Pixels:
        """Give one picture, such as (H, W, 3), or several (n, H, W, 3) in the order asked for.

        Raises:
            IndexError: If there is no such picture, or they are asked for in another way.
            DataError: If a file was cut off or damaged.
        """
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool) and 0 <= index < len(self):
            return self._one(int(index))
        chosen = self._chosen(index)
        several = np.atleast_1d(chosen)
        out = np.empty((len(several), *self.stored_shape[1:]), np.uint8)
        if out.size:
            self._read(several, out.data.cast("B"))
        pictures: Pixels = out if chosen.ndim else out[0]
        return pictures

    def _one(self, index: int) -> Pixels:
        """Give one picture, as one by one is how most are asked for."""
        number = int(np.searchsorted(self._ends, index, side="right")) if len(self.files) > 1 else 0
        out = np.empty(self.stored_shape[1:], np.uint8)
        if out.size:
            self.files[number].read(index - int(self._starts[number]), out.data.cast("B"))
        return out

    def _read(self, chosen: Labels, into: memoryview) -> None:
        size = len(into) // len(chosen)
        numbers = np.searchsorted(self._ends, chosen, side="right")
        within = chosen - self._starts[numbers]
        # In the order of the files, so that a disk moves in one direction.
        order = np.argsort(chosen, kind="stable")
        for slot, number, at in zip(order.tolist(), numbers[order].tolist(), within[order].tolist(), strict=True):
            self.files[number].read(at, into[slot * size : (slot + 1) * size])

    def _chosen(self, index: Any) -> Labels:
        """Give the places asked for, from 0, one number or an array of them."""
        if isinstance(index, slice):
            return np.arange(*index.indices(len(self)))
        chosen = np.asarray(index)
        if chosen.dtype == bool and chosen.shape == (len(self),):
            return np.flatnonzero(chosen)
        if chosen.size == 0 and chosen.ndim == 1:
            return np.empty(0, np.int64)
        if chosen.ndim > 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise IndexError(f"pictures are chosen by an integer, a slice, a mask or integers in a row, not {index!r}")
        if not (-len(self) <= chosen.min() and chosen.max() < len(self)):
            raise IndexError(f"there are {len(self):,} pictures, asked for {chosen.min()} to {chosen.max()}")
        return np.where(chosen < 0, chosen + len(self), chosen)


_seeking = threading.Lock()


def read_at(descriptor: int, into: memoryview, offset: int) -> int:
    """Fill memory with the bytes of an opened file from an offset on, from any thread; give how many there were."""
    done = 0
    while done < len(into):
        if hasattr(os, "preadv"):
            count = os.preadv(descriptor, [into[done:]], offset + done)
        else:
            with _seeking:
                os.lseek(descriptor, offset + done, os.SEEK_SET)
                data = os.read(descriptor, len(into) - done)
            count = len(data)
            into[done : done + count] = data
        if not count:
            break
        done += count
    return done
