"""How hostile bytes are drawn: a small file that is right, changed at a few places, as strategies of hypothesis."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

NUMBERS = (0, 1, 2, 3, 127, 255, 256, 2**15 - 1, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)
"""What lengths, places and counts in headers are replaced by."""
WORDS = (
    *(b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 30, b"9" * 5000, b'""', b"{}", b"[]"),
    *(
        b'"\\ud800"',
        b"\\u0000",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r\n",
        b",",
        b'"',
        b":",
        b"../",
        b"/",
        b"\\",
        b"\0",
    ),
    *(b"[" * 300, b'{"a":' * 300, b"/a" * 200, b"&a [*a]", b"*a", b"!!python/object:os.system", b"? ", b"<<: "),
    *(b"(1, 2)", b"True", b"|O", b"<f8", b"|V8", b"(" * 300, b"\x80\x04", b"cos\nsystem\n", b"\x89PNG", b"PK\x03\x04"),
)
"""What means something in one of the formats."""
PACKINGS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
MOST_CHANGES = 4


class Change(NamedTuple):
    """One change of bytes."""

    kind: str
    """flip, put (over what is there), insert, cut (out), double, end (here), join (with the end of another)."""
    place: int
    """Where, in 65,536ths of the length."""
    more: bytes
    """What is put or inserted; of the others its length, or what its first byte says."""


def changes() -> st.SearchStrategy[list[Change]]:
    """Draw up to so many changes."""
    kinds = st.sampled_from(("flip", "put", "put", "insert", "cut", "double", "end", "join"))
    numbers = st.builds(
        lambda packing, number: struct.pack(packing, number % 256 ** struct.calcsize(packing)),
        st.sampled_from(PACKINGS),
        st.sampled_from(NUMBERS),
    )
    more = st.one_of(numbers, st.sampled_from(WORDS), st.binary(min_size=1, max_size=8))
    one = st.builds(Change, kinds, st.integers(0, 2**16 - 1), more)
    return st.lists(one, min_size=1, max_size=MOST_CHANGES)


def changed(data: bytes, several: Sequence[Change], other: bytes = b"") -> bytes:
    """Make the changes, one after another.

    Args:
        data: What is changed.
        several: The changes.
        other: What the end is taken from where the kind is join.
    """
    for kind, place, more in several:
        at = len(data) * place >> 16
        head, tail = data[:at], data[at:]
        length = 1 + len(data) * more[0] // 1024
        if kind == "flip":
            data = head + bytes([tail[0] ^ (1 << more[0] % 8)]) + tail[1:] if tail else head
        elif kind == "put":
            data = head + more + tail[len(more) :]
        elif kind == "insert":
            data = head + more + tail
        elif kind == "cut":
            data = head + tail[length:]
        elif kind == "double":
            data = head + tail[:length] * 2 + tail[length:]
        elif kind == "end":
            data = head
        else:
            data = head + other[len(other) * place >> 16 :]
    return data
