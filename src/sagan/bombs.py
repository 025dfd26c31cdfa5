"""Files that would come to far more than they hold: archives, pickles and streams, refused before they are unpacked.

Without PyTorch and NumPy.
"""

import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from sagan.reading import BytesError
from sagan.regular import open_regular

MAX_DIRECTORY_BYTES = 2**28
"""Of the directory of a zip file: two million members with names of 80 letters. Reading it takes ten times as much."""
UNPACKED_BYTES, UNPACKED_TIMES = 2**30, 100
"""What an archive that is unpacked as a whole may come to, in bytes or in times its own length, whichever is more."""
MAX_OBJECTS = 4_000_000
"""Objects that a pickle may come to, counted as often as they are met; a checkpoint has some thousands."""
BLOCK_BYTES = 2**20
MEMBER = b"PK\x03\x04"
"""What a zip file starts with."""
DIRECTORY_END, DIRECTORY_END_64, LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END_64_BYTES, LOCATOR_BYTES = 22, 56, 20
DEFLATE_TIMES = 1032
"""What deflate makes of a byte, at most."""


def check_directory(file: Path) -> None:
    """Check that the directory of a zip file is one to read, before it is read; what is no zip file passes.

    Raises:
        BytesError: If it is longer than ``MAX_DIRECTORY_BYTES``.
        OSError: If the file cannot be read.
    """
    with open_regular(file) as stream:
        length = stream.seek(0, 2)
        claims = _directory_claims(stream, length)
    # A longer one than the file is none, as its reader says.
    size = max((claim for claim in claims if claim <= length), default=0)
    if size > MAX_DIRECTORY_BYTES:
        raise BytesError(
            f"its directory has {size >> 20:,} MiB, more than the {MAX_DIRECTORY_BYTES >> 20} allowed: split it into "
            "several, or unpack it into a folder"
        )


def _directory_claims(stream: IO[bytes], length: int) -> list[int]:
    """Give how long the directory of a zip file is, by each of its ends that a reader may take for the end."""
    start = max(0, length - 2**16 - 128)
    stream.seek(start)
    tail = stream.read()
    last = len(tail) - END_BYTES
    # The same mark may stand within the end itself, which some readers look at and others do not.
    ends = {tail.rfind(DIRECTORY_END), tail.rfind(DIRECTORY_END, 0, max(0, last) + len(DIRECTORY_END))}
    claims = []
    for end in ends - {-1}:
        claim = int.from_bytes(tail[end + 12 : end + 16], "little")
        wide = _wide_claims(stream, start + end)
        claims += wide if claim == 2**32 - 1 and wide else [claim, *wide]
    return claims


def _wide_claims(stream: IO[bytes], end: int) -> list[int]:
    """Give the same by the 64-bit ends of a zip file, which stand before the one at a place or where a locator says."""
    stream.seek(max(0, end - LOCATOR_BYTES))
    locator = stream.read(LOCATOR_BYTES)
    if not locator.startswith(LOCATOR_64):
        return []
    claims = []
    for place in {end - LOCATOR_BYTES - END_64_BYTES, int.from_bytes(locator[8:16], "little")}:
        if 0 <= place < end:
            stream.seek(place)
            record = stream.read(END_64_BYTES)
            claims += [int.from_bytes(record[40:48], "little")] if record.startswith(DIRECTORY_END_64) else []
    return claims


def check_member(member: zipfile.ZipInfo) -> None:
    """Check that a member of a zip file comes to no more than it can, before it is unpacked.

    Other methods than deflate unpack a block as a whole, whatever it comes to.

    Raises:
        BytesError: If it is packed by another one, or claims more than that can make of its bytes.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        name = zipfile.compressor_names.get(member.compress_type, "unknown")  # type: ignore[attr-defined]
        raise BytesError(
            f"it is packed by method {member.compress_type} ({name}); pack the archive again with the usual deflate"
        )
    if member.file_size > DEFLATE_TIMES * member.compress_size:
        raise BytesError(
            f"it claims {member.file_size:,} bytes, which cannot come out of the {member.compress_size:,} that it has"
        )


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read a member of a zip file in pieces, none of which comes to more than it should.

    Raises:
        BytesError: As :func:`check_member`.
        Exception: Whatever zipfile raises for damaged ones.
    """
    check_member(member)
    with archive.open(member) as stream:
        return read_up_to(stream, member.file_size + 1)  # the one more has its checksum looked at


def check_unpacked(members: Iterable[zipfile.ZipInfo], length: int) -> None:
    """Check what members of an archive of so many bytes come to together.

    Raises:
        BytesError: If that is more than ``UNPACKED_BYTES`` and than ``UNPACKED_TIMES`` as much.
    """
    total = sum(member.file_size for member in members)
    if total > max(UNPACKED_BYTES, UNPACKED_TIMES * length):
        raise BytesError(f"it would come to {total >> 20:,} MiB, {total // max(1, length):,} times its length")


def check_torch_zip(archive: zipfile.ZipFile, length: int) -> None:
    """Check a file of ``torch.save``: nothing in it is compressed, and its pickle is no bomb.

    PyTorch looks at the first bytes of a file to tell whether it is a zip file, and finds members by their names
    without regard to capitals. What is checked here is to be what it reads.

    Raises:
        BytesError: If it is another kind of file.
    """
    members = archive.infolist()
    _check_start(archive)
    _check_names([member.filename.casefold() for member in members])
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise BytesError("its members are compressed, as torch.save never writes them")
    if sum(member.file_size for member in members) > length:
        raise BytesError("its members are longer than the file")
    for member in members:
        if member.filename.lower().endswith(".pkl"):
            with archive.open(member) as stream:
                check_pickle(stream)


def _check_start(archive: zipfile.ZipFile) -> None:
    """Check that a zip file starts with its first member, and ends with its directory."""
    stream = archive.fp
    assert stream is not None
    stream.seek(0)
    first = min((member.header_offset for member in archive.infolist()), default=-1)
    if stream.read(len(MEMBER)) != MEMBER or first != 0 or archive.comment:
        raise BytesError("it has a zip file in it, and is none from its first byte to its last")


def _check_names(names: list[str]) -> None:
    """Check the names of members, without capitals: none twice, and one pickle of the contents."""
    if len({*names}) != len(names):
        raise BytesError("two of its members have the same name")
    if sum(name.endswith("/data.pkl") for name in names) != 1:
        raise BytesError("it has no data.pkl, or several")


def check_old_torch_file(file: Path) -> None:
    """Check the five pickles that torch.save of PyTorch before 1.6 wrote one after the other.

    Raises:
        BytesError: As :func:`check_pickle`, and if PyTorch would take it for a zip file.
    """
    with file.open("rb") as stream:
        if stream.read(len(MEMBER)) == MEMBER:
            raise BytesError("it starts as a zip file and is none")
        stream.seek(0)
        for _ in range(5):  # magic number, version, machine, the contents, keys of what is stored
            check_pickle(stream)


def check_pickle(stream: IO[bytes]) -> None:
    """Check what the next pickle of a stream would come to, without making anything of it.

    A few hundred bytes can hold containers that hold each other twice, sixty deep: walking through them, or the hash of
    such a tuple, never ends. Opcodes of kinds that ``torch.load`` refuses are left to it.

    Raises:
        BytesError: If it comes to more than ``MAX_OBJECTS`` objects, or is none.
    """
    try:
        _walk(stream)
    except BytesError:
        raise
    except Exception as error:  # what pickletools raises of bytes that are no pickle
        raise BytesError("it is no pickle, or a damaged one") from error


class _InBlocks:
    """A stream that is asked for no more memory than it fills, whatever lengths the opcodes of a pickle claim."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.readline, self.tell = stream.readline, stream.tell

    def read(self, count: int) -> bytes:
        """Read so many bytes, or all that there are."""
        return read_up_to(self.stream, count)


class _Weight:
    """Objects that a container holds, itself among them."""

    def __init__(self, objects: int) -> None:
        self.objects = objects


GROWS = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"))
"""Opcodes that put something into the container below it."""


def _walk(stream: IO[bytes]) -> None:
    """Do what an unpickler does with its stack, with weights in place of objects."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    mark = pickletools.markobject
    for opcode, argument, _ in pickletools.genops(_InBlocks(stream)):  # type: ignore[arg-type]
        name, after = opcode.name, opcode.stack_after
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET", "DUP"):
            stack.append(stack[-1] if name == "DUP" else memo[argument])
        elif after == [mark]:
            stack.append(mark)
        else:
            taken = _taken(stack, opcode.stack_before)
            weight = 1 + sum(item.objects for item in taken)
            if weight > MAX_OBJECTS:
                raise BytesError(f"it would come to more than {MAX_OBJECTS:,} objects")
            if name in GROWS:
                taken[0].objects = weight
                stack.append(taken[0])
            else:
                stack.extend(_Weight(weight) for _ in after)


def _taken(stack: list[Any], before: list[Any]) -> list[Any]:
    """Take from a stack what an opcode takes, the lowest first, without the mark."""
    above: list[Any] = []
    if pickletools.markobject in before:
        while (item := stack.pop()) is not pickletools.markobject:
            above.append(item)
        before = before[: before.index(pickletools.markobject)]
    if not before:
        return above
    below = stack[-len(before) :]
    del stack[-len(before) :]
    return below + above


def read_up_to(stream: IO[bytes], count: int) -> bytes:
    """Read so many bytes, or all that there are, without asking for memory that is not filled."""
    blocks = []
    while count > 0 and (block := stream.read(min(count, BLOCK_BYTES))):
        blocks.append(block)
        count -= len(block)
    return b"".join(blocks)


class Bounded:
    """A stream to read from that ends with an error where more comes out of it than may.

    Args:
        stream: Such as a gzip file.
        limit: Bytes that it may come to.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._limit = stream, limit

    def read(self, count: int = -1) -> bytes:
        """Read so many bytes, or all.

        Raises:
            BytesError: If the stream is longer than it may be.
        """
        left = self._limit - self._stream.tell()
        data = read_up_to(self._stream, left + 1 if count < 0 else min(count, left + 1))
        if len(data) > left:
            raise self._too_long()
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place, counted from the start.

        Raises:
            BytesError: If that lies beyond the limit.
        """
        if whence or place > self._limit:
            raise self._too_long()
        return self._stream.seek(place)

    def tell(self) -> int:
        """Give the place."""
        return self._stream.tell()

    def _too_long(self) -> BytesError:
        return BytesError(f"it would come to more than {self._limit >> 20:,} MiB")
