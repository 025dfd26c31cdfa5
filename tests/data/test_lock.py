"""A lock is held by one at a time, is waited for, and leaves nothing."""

import shutil
import threading
from types import SimpleNamespace

import pytest

from sagan.data import DataConfig, DataError, open_dataset, pack_dataset
from sagan.data.lock import alone


def test_a_lock_is_held_by_one_at_a_time_and_leaves_nothing(tmp_path):
    inside, most, waited = [0], [0], []
    together = threading.Barrier(4)

    def work():
        together.wait()
        for _ in range(50):
            with alone(tmp_path / "file", lambda: waited.append(1)):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and list(tmp_path.iterdir()) == []


def test_a_lock_waits_says_so_once_and_then_goes_on(tmp_path):
    waiting, order = threading.Event(), []

    def second():
        with alone(tmp_path / "file", waiting.set):
            order.append("second")

    with alone(tmp_path / "file"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_place_that_cannot_be_written(tmp_path, as_nobody):
    def enter():
        with alone(tmp_path / "closed" / "file"):
            pass

    (tmp_path / "closed").mkdir(mode=0o555)
    assert "cannot write" in as_nobody(enter) and "Permission denied" in as_nobody(enter)


def test_a_cache_that_cannot_be_written_names_what_chooses_another_one(class_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        DataError, match=r"cannot write .*SAGAN_CACHE, .*or pack the pictures elsewhere with `sagan data pa"
    ):
        open_dataset(DataConfig(path=str(class_folder)), 8, progress=False)
    with pytest.raises(DataError, match=r"cannot write .*; choose another --out$"):
        pack_dataset(DataConfig(path=str(class_folder)), 8, tmp_path / "file" / "out.npy", progress=False)


def test_too_little_room_in_the_cache_names_what_chooses_another_one(class_folder, config, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=7))
    with pytest.raises(DataError, match=r"take a smaller size, or choose another folder for the cache .*SAGAN_CACHE"):
        open_dataset(config(class_folder), 8, progress=False)
    with pytest.raises(DataError, match=r"take a smaller size, or choose another --out$"):
        pack_dataset(config(class_folder), 8, tmp_path / "out.npy", progress=False)
