"""How fast pictures are decoded, packed and read back as batches.

Pictures are made here: smooth noise, stored as JPEG of 500x375 px (about ImageNet's) and of 32x32 px. Each number is
the median of several rounds, in which the ways that are compared take turns. Batches are read in training order from
the packed set, which lies in the page cache after the first round, as a set that fits into memory does. For the waiting
times the training loop sleeps 5 ms between two batches, as if a GPU worked, and the time that it then waits for the
next batch is counted; "cold" means that the files were put out of the page cache before the round (what lies below,
such as the cache of a virtual machine's host, stays).
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from raw import add_raw, write_raw

from sagan.data import Batches, DataConfig, ImageSet, kept, pack_dataset, pack_shards, prefetched, read_packed
from sagan.data.decode import decode_picture, square
from sagan.data.parallel import cores

BATCH_SIZE = 64
Work = TypeVar("Work")
Rounds = list[tuple[float, ...]]
SHARDS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each rate")
    parser.add_argument("--images", type=int, default=2000, help="pictures in the packed files")
    add_raw(parser)
    arguments = parser.parse_args()
    print(f"{cores()} cores, Pillow decodes, {arguments.rounds} rounds, {arguments.images:,} pictures")
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for width, height, size_px in ((32, 32, 32), (500, 375, 128)):
            folder = Path(name) / str(size_px)
            found[f"{width}x{height}"] = report(folder, width, height, size_px, arguments.images, arguments.rounds)
    write_raw(arguments, cores=cores(), wall_and_processor_rates=found)


def report(folder: Path, width: int, height: int, size_px: int, images: int, rounds: int) -> dict[str, Rounds]:
    """Measure one kind of picture and print its rates; give those of every round."""
    (folder / "pictures").mkdir(parents=True)
    stored = [jpeg(width, height, seed) for seed in range(50)]
    for index in range(images):
        (folder / "pictures" / f"{index:05}.jpg").write_bytes(stored[index % len(stored)])
    config = DataConfig(path=str(folder / "pictures"))
    shard_gb = (images // SHARDS + 1) * (size_px**2 * 3 + 8) / 1e9 + 5e-6
    print(f"\nJPEG {width}x{height} -> {size_px} px: pictures")

    def decode() -> int:
        for data in stored:
            square(decode_picture(data).pixels, size_px)
        return len(stored)

    def pack(workers: int) -> int:
        return len(pack_dataset(config, size_px, folder / "packed.npy", workers=workers, progress=False).images)

    def shard() -> int:
        name = f"shards {time.monotonic_ns()}"
        found = pack_shards(config, size_px, folder / name, shard_gb, workers=2, progress=False)
        return 0 if found is None else len(found.images)

    rates = show_rates(
        {
            "decoded, one core": decode,
            "packed, 1 worker": lambda: pack(1),
            "packed, 2 workers": lambda: pack(2),
            f"packed into {SHARDS} shards, 2 workers": shard,
        },
        rounds,
    )
    one = pack_dataset(config, size_px, folder / "packed.npy", progress=False)
    many = pack_shards(config, size_px, folder / "shards", shard_gb, progress=False)
    assert many is not None
    sets = {
        "one file": one,
        f"{SHARDS} shards": many,
        "memory": kept(one, "memory", torch.device("cpu"), progress=False),
    }
    rates |= show_rates(
        {f"batches of {BATCH_SIZE} from {name}": reading(image_set) for name, image_set in sets.items()}, rounds
    )
    show_waits({"one file": one, f"{SHARDS} shards": many}, rounds)
    return rates


def show_waits(sets: dict[str, ImageSet], rounds: int) -> None:
    """Print how long a run waits for a batch."""
    print("  milliseconds waited for a batch")
    waits = {}
    for name, image_set in sets.items():
        for cold in (False, True):
            for ahead in (0, 2):
                label = f"{name}, {'cold' if cold else 'warm'}, {'read ahead' if ahead else 'not read ahead'}"
                waits[label] = waiting(image_set.file, ahead, cold)
    for name, (milliseconds,) in medians(turns(waits, lambda wait: (wait(),), rounds)).items():
        print(f"  {name:<46} {milliseconds:>11.2f}")


def reading(image_set: ImageSet) -> Callable[[], int]:
    """Give the work of reading the next 100 batches of a set."""
    batches = Batches(image_set, np.arange(len(image_set.labels)), BATCH_SIZE, seed=0, flip=True)
    position = 0

    def read() -> int:
        nonlocal position
        for _ in range(100):
            batches(position)
            position += 1
        return 100 * BATCH_SIZE

    return read


def waiting(place: Path, ahead: int, cold: bool) -> Callable[[], float]:
    """Give the work of waiting for the batches of an epoch beside training; it gives the milliseconds of one."""

    def wait() -> float:
        if cold:
            forget(place)
        image_set = read_packed(place)
        batches = Batches(image_set, np.arange(len(image_set.labels)), BATCH_SIZE, seed=0, flip=True)
        waited, count = 0.0, len(image_set.labels) // BATCH_SIZE  # no more, or pictures come again and are warm
        with prefetched(batches, ahead) as next_batch:
            next_batch(0)
            for position in range(1, count):
                time.sleep(0.005)
                start = time.perf_counter()
                next_batch(position)
                waited += time.perf_counter() - start
        return 1000 * waited / (count - 1)

    return wait


def forget(place: Path) -> None:
    """Put files out of the page cache, where the system can do that for a user."""
    for file in [place] if place.is_file() else place.glob("*.npy"):
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def show_rates(works: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, Rounds]:
    """Print for each work how many pictures it does in a second, and in a second of a processor's time.

    The second number says what the work costs, also on a machine that is busy with other things.
    """

    def rates(work: Callable[[], int]) -> tuple[float, ...]:
        wall, processor = time.perf_counter(), time.process_time()
        count = work()
        return count / (time.perf_counter() - wall), count / (time.process_time() - processor)

    print(f"  {'':<46} {'a second':>11} {'a CPU-second':>13}")
    found = turns(works, rates, rounds)
    for name, (wall, processor) in medians(found).items():
        print(f"  {name:<46} {wall:>11,.0f} {processor:>13,.0f}")
    return found


def turns(works: Mapping[str, Work], measure: Callable[[Work], tuple[float, ...]], rounds: int) -> dict[str, Rounds]:
    """Measure every work once to warm up, then in turns."""
    found: dict[str, Rounds] = {name: [] for name in works}
    for round_number in range(rounds + 1):
        for name, work in works.items():
            values = measure(work)
            if round_number:
                found[name].append(values)
    return found


def medians(found: Mapping[str, Rounds]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in found.items()}


def jpeg(width: int, height: int, seed: int) -> bytes:
    """Make a JPEG of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
