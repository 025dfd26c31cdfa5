"""Keep all pictures of a set in the memory of the machine, or of the device that trains on them."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from sagan.data.config import DataError, Keep
from sagan.data.packed import ImageSet
from sagan.data.parallel import counted
from sagan.places import in_bytes

BLOCK_BYTES = 1 << 26
"""Bytes that are copied at once."""
ADVICE = "leave it on disk (--data.keep disk), or train at a smaller size"


def kept(image_set: ImageSet, keep: Keep, device: torch.device, *, progress: bool = True) -> ImageSet:
    """Give the set with its pictures where ``keep`` says; the batches drawn from it are the same, bit for bit.

    Args:
        image_set: The set, on disk.
        keep: ``disk`` leaves it there, ``memory`` copies it into this process, ``device`` to ``device``.
        device: Where training happens.
        progress: Show a progress bar on standard error.

    Raises:
        DataError: If the pictures do not fit; the message says what is needed and what is free.
    """
    if keep == "disk":
        return image_set
    place = torch.device("cpu") if keep == "memory" else device
    needed, free = _bytes(image_set), free_bytes(place)
    wanted = f"{image_set.source} needs {in_bytes(needed)} in the memory of {place}"
    if free is not None and free < needed:
        raise DataError(f"{wanted}, where {in_bytes(free)} are free; {ADVICE}")
    try:
        resident = torch.empty(image_set.images.shape, dtype=torch.uint8, device=place)
    except RuntimeError as error:  # what PyTorch raises for too little memory, on every kind of device
        raise DataError(f"{wanted}, which has less; {ADVICE}") from error
    count = max(1, BLOCK_BYTES // (needed // len(resident)))
    with counted(f"loading into the memory of {place}", needed, progress, in_bytes=True) as advance:
        for start in range(0, len(resident), count):
            block = torch.from_numpy(np.array(image_set.images[start : start + count]))
            resident[start : start + count] = block.to(place)
            advance(block.numel())
    images = resident.numpy() if place.type == "cpu" else image_set.images
    return dataclasses.replace(image_set, images=images, resident=resident)


def free_bytes(place: torch.device) -> int | None:
    """Give the free memory of a device, or None where the system does not say."""
    if place.type == "cuda":
        return int(torch.cuda.mem_get_info(place)[0])
    if place.type != "cpu":
        return None
    free = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")]
    # A container may use less than the machine has.
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdecimal():
        free.append(int(limit[0]) - int(used[0]))
    return min(free, default=None)


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _bytes(image_set: ImageSet) -> int:
    count, height, width, channels = image_set.images.shape
    return count * height * width * channels
