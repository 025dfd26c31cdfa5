"""Pictures kept in memory or on the device are the pictures read from disk, bit for bit."""

import pytest
import torch

from sagan.data import DataError, kept
from sagan.data import memory as memory_module

CPU = torch.device("cpu")


@pytest.mark.parametrize("keep", ["memory", "device"])
def test_batches_are_those_from_disk(image_set, keep, monkeypatch, batches_of, same):
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


def test_a_batch_of_kept_pictures_may_be_written_to(image_set, batches_of):
    there = kept(image_set, "memory", CPU, progress=False)
    batches_of(there)(0).images.fill_(9)
    assert (there.images[:] == image_set.images[:]).all()


def test_the_device_that_trains_is_asked_for_its_memory(image_set, batches_of):
    """The meta device stands for one that is not the processor: it has shapes but holds no numbers."""
    there = kept(image_set, "device", torch.device("meta"), progress=False)
    assert there.resident.device.type == "meta" and there.images is image_set.images
    batch = batches_of(there)(0)
    assert batch.images.device.type == "meta" and batch.images.shape == (64, 8, 8, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_batches_are_those_from_disk(image_set, batches_of):
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
