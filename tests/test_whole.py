"""Files and folders that appear when they are complete: nothing half is left by a failure or by a kill."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from sagan.whole import whole_file, whole_folder, write_whole


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    write_whole(tmp_path / "new" / "a.txt", "ä\n")
    write_whole(tmp_path / "new" / "b", b"\0\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä\n".encode()
    assert (tmp_path / "new" / "b").read_bytes() == b"\0\r\n"
    assert names(tmp_path) == ["new", "new/a.txt", "new/b"]


def test_a_failure_keeps_the_older_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(file) as place:
        place.write_text("half")
        assert file.read_text() == "old"
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_about_another_file_is_not_laid_on_this_one(tmp_path):
    for whole in (whole_file, whole_folder):
        with pytest.raises(FileNotFoundError, match="No such file") as caught, whole(tmp_path / "a"):
            (tmp_path / "source").read_bytes()
        assert caught.value.filename == str(tmp_path / "source")
        with pytest.raises(OSError, match="a could not be written"), whole(tmp_path / "a") as place:
            (place / "no" / "such").write_text("x")
    assert names(tmp_path) == []


def test_a_folder_appears_at_the_end_or_not_at_all(tmp_path):
    with whole_folder(tmp_path / "in" / "new") as place:
        (place / "deep").mkdir()
        (place / "deep" / "a").write_text("1")
        assert not (tmp_path / "in" / "new").exists()
    assert names(tmp_path / "in") == ["new", "new/deep", "new/deep/a"]
    with pytest.raises(OSError, match="full"), whole_folder(tmp_path / "in" / "other") as place:
        (place / "a").write_text("1")
        raise OSError("the disk is full")
    assert names(tmp_path / "in") == ["new", "new/deep", "new/deep/a"]


def test_a_folder_that_is_there_stays_with_what_it_holds(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "kept").write_text("0")
    (folder / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), whole_folder(folder) as place:
        (place / "a").write_text("new")
        raise ZeroDivisionError
    assert (folder / "a").read_text() == "old"
    with whole_folder(folder) as place:
        (place / "deep").mkdir()
        (place / "deep" / "b").write_text("2")
        (place / "a").write_text("new")
    assert names(tmp_path) == ["there", "there/a", "there/deep", "there/deep/b", "there/kept"]
    assert (folder / "a").read_text() == "new"


def test_a_folder_can_be_named_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_folder(Path("here")) as place:
        (place / "a").touch()
    assert names(tmp_path) == ["here", "here/a"]


def test_who_is_killed_leaves_no_file_of_that_name_and_the_next_one_succeeds(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom sagan.whole import whole_file, whole_folder\n"
        "with whole_folder(Path('folder')) as a, whole_file(Path('file')) as b:\n"
        "    (a / 'x').write_text('half')\n    b.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == -9
    assert not (tmp_path / "folder").exists()
    assert not (tmp_path / "file").exists()
    assert all(name.startswith(".") for name in names(tmp_path))
    with whole_folder(tmp_path / "folder") as place:
        (place / "x").write_text("whole")
    assert (tmp_path / "folder" / "x").read_text() == "whole"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_file_and_the_room(tmp_path, monkeypatch, number):
    def full(self, data):
        raise OSError(number, "words of the system")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        OSError, match=r"a\.npz could not be written: (the disk is full|your quota is used up) \(5 "
    ) as why:
        write_whole(tmp_path / "a.npz", b"12345")
    assert why.value.errno == number
    assert "bytes needed, " in str(why.value) and f" free in {tmp_path}); make room" in str(why.value)
    with (
        pytest.raises(OSError, match=r"share could not be written: .* free in ") as why,
        whole_folder(tmp_path / "share") as place,
    ):
        write_whole(place / "a", b"1")
    assert ".tmp" not in str(why.value)
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_is_told_by_the_name_that_was_given(tmp_path):
    (tmp_path / "file").write_text("x")
    for write in (lambda path: write_whole(path, "1"), lambda path: whole_folder(path).__enter__()):
        with pytest.raises(OSError, match=r"file/a could not be written: there is no folder .*file; make it") as why:
            write(tmp_path / "file" / "a")
        assert ".tmp" not in str(why.value)
