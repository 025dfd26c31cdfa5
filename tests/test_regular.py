"""Files that are opened where strangers may have made them."""

import os

import pytest

from sagan.regular import not_through_a_link, open_regular, read_regular

PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")


def written(path):
    with open(path, "ab", opener=not_through_a_link) as file:
        file.write(b"more")


def test_files_are_read_and_written(tmp_path):
    file = tmp_path / "a"
    written(file)
    with open_regular(file) as stream:
        assert stream.read() == b"more"
    assert file.stat().st_mode & 0o111 == 0
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "b")
    with pytest.raises(IsADirectoryError if os.name != "nt" else OSError):
        open_regular(tmp_path)


@PIPES
def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "a"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is a pipe, a socket or a device"):
        open_regular(pipe)
    with pytest.raises(OSError, match="it is a pipe, a socket or a device"):
        read_regular(str(pipe), lambda _: None)
    with pytest.raises(OSError, match=r"a pipe|No such device"):
        written(pipe)


@PIPES
def test_links_are_followed_to_read_and_not_to_write(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("new")
    with open_regular(tmp_path / "b") as stream:
        assert stream.read() == b"x"
    for name in "bc":
        with pytest.raises(OSError, match="it is a link"):
            written(tmp_path / name)
    assert (tmp_path / "a").read_text() == "x"
    assert not (tmp_path / "new").exists()


def refuse(most):
    def check(length):
        if length > most:
            raise ValueError(f"{length} of {most}")

    return check


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 3_000_000])
def test_a_file_is_read_whole(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert read_regular(str(tmp_path / "a"), refuse(len(content))) == content


def test_a_long_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    os.truncate(tmp_path / "a", 2**40)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="1099511627776 of 100"):
        read_regular(str(tmp_path / "a"), refuse(100))


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end_or_refused(tmp_path, monkeypatch):
    def read_then_grow(number, count):
        found = real(number, count)
        if len(lengths) < 5:
            with (tmp_path / "a").open("ab") as file:
                file.write(b"more")
        lengths.append(len(found))
        return found

    real, lengths = os.read, []
    monkeypatch.setattr(os, "read", read_then_grow)
    (tmp_path / "a").write_bytes(b"")
    lengths.append(0)
    assert read_regular(str(tmp_path / "a"), refuse(100)) == b""
    (tmp_path / "a").write_bytes(b"start")
    monkeypatch.setattr("sagan.regular.CHUNK", 2)
    monkeypatch.setattr(os, "read", lambda number, count: read_then_grow(number, min(count, 2)))
    assert read_regular(str(tmp_path / "a"), refuse(100)) == b"start" + 3 * b"more"
    lengths.clear()
    with pytest.raises(ValueError, match=r"\d+ of 8"):
        (tmp_path / "a").write_bytes(b"start")
        read_regular(str(tmp_path / "a"), refuse(8))


def test_a_folder_is_no_file_to_read(tmp_path):
    with pytest.raises(IsADirectoryError if os.name != "nt" else OSError):
        read_regular(str(tmp_path), lambda _: None)
    with pytest.raises(FileNotFoundError):
        read_regular(str(tmp_path / "b"), lambda _: None)
