"""Where results go is tried before any work: folders that take no files, and names that cannot be written, are told."""

import errno
import os
from pathlib import Path

import pytest

from sagan import places
from sagan.places import check_name, check_place, check_writable


@pytest.fixture
def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a folder take no files; tests may run as a user whom permissions do not bind."""

    def refuse(*_: object, dir: Path, **__: object) -> None:  # noqa: A002 - its name there
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(places.tempfile, "TemporaryFile", refuse)


def test_nothing_is_left_of_the_trial_and_no_folder_is_made(tmp_path: Path) -> None:
    check_place("--out", tmp_path / "a.png", (".png",))
    check_writable("--out", tmp_path / "new" / "deep" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_the_last_folder_that_is_there_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    original = places.tempfile.TemporaryFile
    monkeypatch.setattr(
        places.tempfile, "TemporaryFile", lambda **given: tried.append(given["dir"]) or original(**given)
    )
    (tmp_path / "there").mkdir()
    check_writable("--out", tmp_path / "new" / "deep" / "a.png")
    check_writable("--out", tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    check_writable("--out", "there/a.png")
    assert tried == [tmp_path, tmp_path / "there", tmp_path / "there"]


@pytest.mark.usefixtures("_read_only")
def test_a_folder_that_takes_no_files_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"--out .*a.json: nothing can be written in .*Permission denied.*choose another"):
        check_place("--out", tmp_path / "a.json", (".json",))


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(places.tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="the disk is full"):
        check_writable("--out", tmp_path / "a.json")


def test_a_file_on_the_way_and_a_folder_in_the_place_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file is a file and no folder; choose another place"):
        check_writable("--out", tmp_path / "file" / "deep" / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ValueError, match=r"a.png is a folder; name a file"):
        check_place("--out", tmp_path / "a.png", (".png",))


def test_a_name_that_is_no_utf_8_is_shown_by_its_bytes() -> None:
    check_name("--out", "runs/größe")
    with pytest.raises(ValueError, match=r"--out r/\\xff: the name has bytes that are no UTF-8; give it another one"):
        check_name("--out", os.fsdecode(b"r/\xff"))
