"""Files that are opened where strangers may have made them."""

import os

import pytest

from sagan.regular import not_through_a_link, open_regular

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
