"""Bytes of files to plain values, whatever stands in the bytes: what cannot be read is one error, with one reason.

Every JSON text of ours comes through here. Without PyTorch and NumPy.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sagan.regular import open_regular

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
MAX_DEPTH = 64
"""Containers inside each other, at most; our own files have fewer than ten."""
MOST_DIGITS = 100
"""Of a whole number, at most."""
NOT_FINITE = ("nan", "inf", "-inf")
"""Texts that stand for numbers that JSON has not."""
MAX_BYTES = 2**28
"""Length of a file of text that is read as a whole, at most."""


class BytesError(ValueError):
    """Bytes that are not what they should be; the message says why, and not which file they are of."""


class VersionError(ValueError):
    """A file of a version that this program does not know; the message is a whole sentence."""


class Lines(NamedTuple):
    """The records of a text that holds one a line."""

    records: list[dict[str, Any]]
    """Those that are objects, in order."""
    damaged: list[int]
    """Numbers, from 1, of the lines that are something else; empty ones count as neither."""


def value_of(data: bytes | str) -> Any:
    """Read JSON.

    Raises:
        BytesError: If it is none, is no UTF-8, is nested deeper than ``MAX_DEPTH``, or has a whole number longer than
            ``MOST_DIGITS``.
    """
    try:
        value = json.loads(data.decode("utf-8") if isinstance(data, bytes) else data, parse_int=_whole_number)
    except BytesError:
        raise
    except UnicodeDecodeError as error:
        raise BytesError(f"byte {error.start:,} is no UTF-8") from error
    except RecursionError as error:
        raise BytesError("it is nested too deeply") from error
    except ValueError as error:  # no JSON, or a number with thousands of digits
        raise BytesError(f"it is no JSON: {error}") from error
    _check_depth(value)
    if SURROGATE.search(data if isinstance(data, bytes) else data.encode("utf-8", "replace")):
        try:
            # "\udc80" to "\udcff" stand for bytes of file names that are no UTF-8.
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise BytesError("it has half of a character (\\ud800 to \\udfff), which no text can hold") from error
    return value


def object_of(data: bytes | str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BytesError: As :func:`value_of`, and if it is something else.
    """
    value = value_of(data)
    if not isinstance(value, dict):
        raise BytesError(f"expected an object with keys, found a {type(value).__name__}")
    return value


def lines_of(data: bytes, fine: Callable[[dict[str, Any]], bool] = lambda _: True) -> Lines:
    """Read a JSON object a line, and tell which lines are none, or are not ``fine``."""
    records, damaged = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        with suppress(BytesError):
            record = object_of(line)
            if fine(record):
                records.append(record)
                continue
        damaged.append(number)
    return Lines(records, damaged)


def read_bytes(file: Path) -> bytes:
    """Read a file of text.

    Raises:
        BytesError: If it is longer than ``MAX_BYTES``.
        OSError: If it cannot be read, or is a pipe, a socket or a device.
    """
    with open_regular(file) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BytesError(f"it has more than {MAX_BYTES >> 20} MiB")
    return data


def read_named(file: Path) -> bytes:
    """Read a file of text; the error names it.

    Raises:
        ValueError: If it is longer than ``MAX_BYTES``.
        OSError: As :func:`read_bytes`.
    """
    try:
        return read_bytes(file)
    except BytesError as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


@contextmanager
def whatever_happens(error: Callable[[str], Exception]) -> Iterator[None]:
    """Turn all that reading foreign bytes can raise into one kind of error; a file that is not there stays that.

    Readers of other packages raise nearly anything on damaged bytes: an ``OverflowError`` of an offset, a
    ``TokenError`` of a header, an ``OSError`` of a place before the start of the file.

    Args:
        error: Makes it from the reason.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, VersionError):
        raise
    except Exception as cause:
        made = error(reason(cause))
        if type(cause) is type(made):  # said already
            raise
        raise made from cause


def reason(error: Exception) -> str:
    """Give the reason of an error in a line; one without words is named."""
    words = error.strerror if isinstance(error, OSError) else str(error)
    return " ".join(str(words or "").split())[:300] or type(error).__name__


def check_version(found: object, newest: int, what: str) -> int:
    """Check the number of a file's form.

    Args:
        found: What the file says.
        newest: The latest that this version reads.
        what: The file, and what it is, for the message.

    Raises:
        VersionError: If it is newer, or no number of a version.
    """
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise VersionError(f"{what} has no version that can be ({found!r}); it is damaged")
    if found > newest:
        raise VersionError(f"{what} is of version {found}, and this program reads up to {newest}; update sagan-torch")
    return found


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:  # nothing has such, and messages would show all of them
        raise BytesError(f"it has a whole number of {len(text):,} digits")
    return int(text)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for one in level if isinstance(one, (dict, list)) for item in _items(one)]
        if not level:
            return
    raise BytesError(f"it is nested deeper than {MAX_DEPTH} containers")


def _items(one: dict[str, Any] | list[Any]) -> list[Any]:
    return list(one.values()) if isinstance(one, dict) else one
