"""Bytes to plain values: whatever the bytes are, one error with one reason."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagan.reading import (
    MAX_DEPTH,
    BytesError,
    VersionError,
    check_version,
    lines_of,
    object_of,
    read_bytes,
    read_named,
    value_of,
    whatever_happens,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_values_or_one_error(data: bytes) -> None:
    try:
        value_of(data)
    except BytesError as error:
        assert str(error) and "\n" not in str(error)


@given(PLAIN)
@settings(deadline=None)
def test_what_json_holds_comes_back(value: object) -> None:
    assert value_of(json.dumps(value).encode()) == value


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 5_000, 1_000_000])
def test_deep_nesting_is_refused(opening: str, depth: int) -> None:
    closing = {"[": "]"}.get(opening, "}")
    with pytest.raises(BytesError, match="nested"):
        value_of(opening * depth + "1" + closing * depth)


def test_less_is_read() -> None:
    value = value_of("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("data", [b"\xff{}", b'{"a": "\xc3"}', b"", b"nul", b"1" * 5000, b"{}{}"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(BytesError):
        value_of(data)


@pytest.mark.parametrize("digits", [101, 3_000, 10_000])
def test_whole_numbers_that_nobody_writes_are_refused_in_few_words(digits: int) -> None:
    with pytest.raises(BytesError, match=rf"^it has a whole number of {digits:,} digits$"):
        value_of(f'{{"seed": {"9" * digits}}}')
    assert value_of("9" * 100) == int("9" * 100)


def test_numbers_beyond_all_bounds_are_infinite() -> None:
    assert value_of(b"1e999") == math.inf


@pytest.mark.parametrize("data", ["[]", "3", "null", '"x"'])
def test_an_object_is_asked_for(data: str) -> None:
    with pytest.raises(BytesError, match="expected an object with keys, found a "):
        object_of(data)


def test_damaged_lines_are_named_by_their_numbers() -> None:
    data = b'{"a": 1}\n\xff\n\n{"a": 2}\n[1]\n{"a": 3'
    assert lines_of(data) == ([{"a": 1}, {"a": 2}], [2, 5, 6])
    assert lines_of(data, lambda record: record["a"] > 1) == ([{"a": 2}], [1, 2, 5, 6])


def test_whatever_a_reader_raises_becomes_one_error_and_a_missing_file_stays_one() -> None:
    class OwnError(ValueError):
        pass

    for raised in (OverflowError("too large"), RecursionError(), OSError(22, "Invalid argument"), MemoryError()):
        with pytest.raises(OwnError) as caught, whatever_happens(lambda why: OwnError(f"x: {why}")):
            raise raised
        assert str(caught.value).startswith("x: ") and len(str(caught.value)) > 5
        assert caught.value.__cause__ is raised
    for passed in (FileNotFoundError("x"), OwnError("mine"), VersionError("newer")):
        with pytest.raises(type(passed), match=str(passed)), whatever_happens(lambda why: OwnError(f"other: {why}")):
            raise passed


def test_versions() -> None:
    assert check_version(2, 3, "x") == 2
    with pytest.raises(VersionError, match="x is of version 4, and this program reads up to 3; update sagan-torch"):
        check_version(4, 3, "x")
    for wrong in (0, -1, None, "2", True, 2.0):
        with pytest.raises(VersionError, match="x has no version that can be"):
            check_version(wrong, 3, "x")


def test_a_file_of_any_length_takes_bounded_memory(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    (tmp_path / "a").write_bytes(b"x" * 2**20)
    assert len(read_named(tmp_path / "a")) == 2**20
    os.truncate(tmp_path / "a", 2**40)
    with pytest.raises(BytesError, match=r"^it has more than 1 MiB$"):
        read_bytes(tmp_path / "a")
    with pytest.raises(ValueError, match=r"/a cannot be read: it has more than 1 MiB$"):
        read_named(tmp_path / "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "a")
    for read in (read_bytes, read_named):
        with pytest.raises(OSError, match="it is a pipe, a socket or a device"):
            read(tmp_path / "a")
