"""NumPy's files of plain arrays: nothing is unpickled, and a header that claims more than there is is refused."""

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sagan.bombs import check_directory, check_member, check_unpacked
from sagan.reading import BytesError

Array = NDArray[Any]


def read_npy(stream: IO[bytes], length: int) -> Array:
    """Read an array.

    Args:
        stream: Stands at its start, and can be moved.
        length: Bytes that there are from there on.

    Raises:
        BytesError: If it claims more, or holds Python objects.
        Exception: Whatever NumPy raises for other bytes.
    """
    start = stream.tell()
    read_header(stream, length)
    stream.seek(start)
    found: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return found


class Header(NamedTuple):
    """What stands before an array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def read_header(stream: IO[bytes], length: int) -> Header:
    """Read what stands before an array, and check that the array is there.

    Args:
        stream: Stands at its start; afterwards where its values begin.
        length: Bytes that there are from there on.

    Raises:
        BytesError: If it claims more, or holds Python objects.
        Exception: Whatever NumPy raises for other bytes.
    """
    start = stream.tell()
    check_header(stream, length)
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise BytesError(f"it is of version {version[0]}.{version[1]} of NumPy's form; expected 1.0 or 2.0")
    header = Header(*readers[version](stream))
    if header.dtype.hasobject:
        raise BytesError("it holds Python objects, which would have to be unpickled")
    if any(length_of < 0 for length_of in header.shape):
        raise BytesError(f"its header claims the shape {header.shape}")
    needed = math.prod(header.shape) * header.dtype.itemsize
    if stream.tell() - start + needed > length:
        raise BytesError(f"its header claims {needed:,} bytes where {length - stream.tell() + start:,} follow")
    return header


def check_header(stream: IO[bytes], length: int) -> None:
    """Check that the header of an array is there, before NumPy asks for as much memory as its length claims.

    Args:
        stream: Stands at the array's start, and stays there.
        length: Bytes that there are from there on.

    Raises:
        BytesError: If it claims more.
    """
    start = stream.read(12)
    stream.seek(-len(start), 1)
    if not start.startswith(b"\x93NUMPY") or len(start) < 12:
        return  # NumPy says what is wrong with it
    size = int.from_bytes(start[8:10] if start[6] == 1 else start[8:12], "little")
    if size > length:
        raise BytesError(f"its header claims to be {size:,} bytes long where there are {length:,}")


def read_npz(file: Path, wanted: Collection[str] | None = None) -> tuple[dict[str, Array], list[str]]:
    """Read the arrays of an archive by their names, all or those that are wanted, and give the names of all.

    Raises:
        BytesError: If it would come to more than :func:`sagan.bombs.check_unpacked` allows, or as
            :func:`sagan.bombs.check_member` and :func:`read_npy`.
        Exception: Whatever zipfile and NumPy raise for other bytes.
    """
    check_directory(file)
    with zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        chosen = {name: member for name, member in members.items() if wanted is None or name in wanted}
        check_unpacked(chosen.values(), file.stat().st_size)
        for member in chosen.values():
            check_member(member)
        found = {}
        for name, member in chosen.items():
            with archive.open(member) as stream:
                found[name] = read_npy(stream, member.file_size)
    return found, list(members)
