"""A run folder that another process trains in."""

import os
import platform
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from sagan.runs import lock
from sagan.runs.folder import LOCK
from sagan.runs.lock import run_lock
from sagan.runs.train import RunError, _held, train


@pytest.mark.long("trains in a process of its own")
def test_a_run_folder_in_use_is_refused(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    train(tiny_full(2), out=out, console=console)
    with run_lock(out), pytest.raises(RunError, match="in use by another training process"):
        train(resume=out, console=console)
    train(resume=out, console=console)  # free again


def test_it_is_told_whether_the_folder_was_held_before(tmp_path: Path) -> None:
    with run_lock(tmp_path) as before:
        assert not before
    with run_lock(tmp_path) as before:
        assert before
    (tmp_path / LOCK).write_text("\0" * 100)  # as a power cut can leave it
    with run_lock(tmp_path) as before:
        assert not before
        assert (tmp_path / LOCK).read_text() == f"process {os.getpid()} on {platform.node()}"
    (tmp_path / LOCK).write_text("mine " * 100)
    with pytest.raises(RunError, match="no lock of a run"), run_lock(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == "mine " * 100


def test_a_lock_whose_file_was_removed_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()

    def removed_first(file) -> None:
        shutil.rmtree(run)

    monkeypatch.setattr(lock, "_lock", removed_first)
    with pytest.raises(RunError, match="was removed by another process"), run_lock(run):
        pass


def test_of_two_starts_in_one_new_folder_the_loser_removes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "twice"
    with _held(out) as held:
        assert not held.before
        assert held.made
        for _ in range(2):
            with pytest.raises(RunError, match="in use by another training process"), _held(out):
                pass
            assert (out / LOCK).exists()
    assert not out.exists()  # nothing came of the first one either


def test_a_folder_is_removed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, removed = tmp_path / "run", []

    def seen(folder: Path, **_) -> None:
        with pytest.raises(RunError, match="in use"), run_lock(folder):
            pass
        removed.append(folder)

    monkeypatch.setattr(shutil, "rmtree", seen)
    with pytest.raises(ValueError, match="no pictures"), _held(out):
        raise ValueError("no pictures")
    assert removed == [out]
    with pytest.raises(ValueError, match="no pictures"), _held(out):  # it is there now, and not of this start
        raise ValueError("no pictures")
    assert removed == [out]
