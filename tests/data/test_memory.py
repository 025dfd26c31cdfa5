"""Pictures kept in memory or on the device, and batches read ahead, are the pictures read from disk, bit for bit."""

import threading

import numpy as np
import pytest
import torch

from sagan.data import Batches, DataConfig, DataError, kept, pack_dataset, pack_shards, prefetched
from sagan.data import memory as memory_module

CPU = torch.device("cpu")


@pytest.fixture(params=["file", "shards"])
def image_set(request, tmp_path, config):
    """1,797 digits of 8 px, in one file or in shards of 100 kB."""
    if request.param == "file":
        return pack_dataset(config("digits"), 8, tmp_path / "a.npy", progress=False)
    return pack_shards(config("digits"), 8, tmp_path / "set", 1e-4, progress=False)


def batches_of(image_set):
    return Batches(image_set, np.arange(1700), 64, seed=5, balanced=True, flip=True)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("keep", ["memory", "device"])
def test_batches_are_those_from_disk(image_set, keep, monkeypatch):
    monkeypatch.setattr(memory_module, "BLOCK_BYTES", 5000)
    there = kept(image_set, keep, CPU, progress=False)
    assert there.resident is not None and there.resident.dtype == torch.uint8
    assert (there.images[:] == image_set.images[:]).all() and there.fingerprint == image_set.fingerprint
    for position in (0, 7, 3, 40):
        assert same(batches_of(image_set)(position), batches_of(there)(position))
        rows = torch.arange(16, 48)
        assert same(batches_of(image_set)(position, rows), batches_of(there)(position, rows))


def test_on_disk_nothing_is_copied(image_set):
    assert kept(image_set, "disk", CPU) is image_set and image_set.resident is None


def test_a_batch_of_kept_pictures_may_be_written_to(image_set):
    there = kept(image_set, "memory", CPU, progress=False)
    batches_of(there)(0).images.fill_(9)
    assert (there.images[:] == image_set.images[:]).all()


def test_the_device_that_trains_is_asked_for_its_memory(image_set):
    """The meta device stands for one that is not the processor: it has shapes but holds no numbers."""
    there = kept(image_set, "device", torch.device("meta"), progress=False)
    assert there.resident.device.type == "meta" and there.images is image_set.images
    batch = batches_of(there)(0)
    assert batch.images.device.type == "meta" and batch.images.shape == (64, 8, 8, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_batches_are_those_from_disk(image_set):
    there = kept(image_set, "device", torch.device("cuda:0"), progress=False)
    batch = batches_of(there)(3)
    assert batch.images.device.type == "cuda"
    assert torch.equal(batch.images.cpu(), batches_of(image_set)(3).images)


def test_too_little_memory_is_said_before_the_copy(image_set, monkeypatch):
    monkeypatch.setattr(memory_module, "free_bytes", lambda _: 1000)
    with pytest.raises(
        DataError, match=r"digits needs 345.0 kB in the memory of cpu, where 1.0 kB are free; leave it on"
    ):
        kept(image_set, "memory", CPU, progress=False)


def test_an_allocation_that_fails_is_one_sentence(image_set, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(DataError, match=r"in the memory of cpu, which has less; leave it on disk \(--data.keep disk\)"):
        kept(image_set, "device", CPU, progress=False)


def test_free_memory_is_the_least_of_machine_and_container(monkeypatch):
    files = {
        "/proc/meminfo": ["MemTotal: 9 kB", "MemAvailable: 8 kB"],
        "/sys/fs/cgroup/memory.max": ["5000"],
        "/sys/fs/cgroup/memory.current": ["1000"],
    }
    monkeypatch.setattr(memory_module, "_lines", files.get)
    assert memory_module.free_bytes(CPU) == 4000
    files["/sys/fs/cgroup/memory.max"] = ["max"]
    assert memory_module.free_bytes(CPU) == 8192
    files.update({name: [] for name in files})
    assert memory_module.free_bytes(CPU) is None and memory_module.free_bytes(torch.device("meta")) is None


def test_a_wrong_place_is_refused_by_name():
    with pytest.raises(ValueError, match="keep must be one of disk, memory, device, found 'gpu'"):
        DataConfig(keep="gpu")


@pytest.mark.parametrize("ahead", [0, 1, 2, 5])
def test_batches_read_ahead_are_the_same_in_any_order_of_calls(image_set, ahead):
    plain = batches_of(image_set)
    with prefetched(batches_of(image_set), ahead) as reading:
        for position in (0, 1, 2, 3, 9, 10, 4, 4, 5, 100, 0):
            assert same(reading(position), plain(position))


def test_the_next_batches_are_read_before_they_are_asked_for(image_set):
    batches, read = batches_of(image_set), []
    both = threading.Event()
    original = batches.picture_indices

    def spy(position):
        read.append((position, threading.current_thread() is threading.main_thread()))
        if len(read) == 3:
            both.set()
        return original(position)

    batches.picture_indices = spy
    with prefetched(batches, 2) as reading:
        reading(7)
        assert both.wait(60)
        assert read == [(7, False), (8, False), (9, False)]
        reading(8)
    assert [position for position, _ in read] in ([7, 8, 9], [7, 8, 9, 10])


def test_the_reading_thread_ends_with_the_context(image_set):
    before = threading.active_count()
    with prefetched(batches_of(image_set), 2) as reading:
        reading(0)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_an_error_of_reading_reaches_the_caller(image_set):
    batches = batches_of(image_set)
    with prefetched(batches, 2) as reading, pytest.raises(ValueError, match="found -1"):
        reading(-1)


def test_pictures_in_memory_are_not_read_ahead(image_set):
    batches = batches_of(kept(image_set, "memory", CPU, progress=False))
    with prefetched(batches) as reading:
        assert reading is batches
