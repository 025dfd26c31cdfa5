"""How long a batch of pictures takes to read from a packed file, at its places and by a map of the file.

The file lies in the page cache. `mapped` indexes a memory map of it (as versions before did), `read` is what is used
now, with the checksum of each picture, `unchecked` the same without, as files of version 1 are read. They take turns;
the values are microseconds of wall clock for a batch, the median of each round's batches.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from raw import add_raw, write_raw

from sagan.data.packed import packed_writer, read_packed_file
from sagan.data.stored import StoredPixels

BATCH_SIZE, BATCHES = 64, 50
PICTURES = {32: 20_000, 64: 8_000, 128: 3_500}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    add_raw(parser)
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for size_px, count in PICTURES.items():
            file = Path(name) / f"{size_px}.npy"
            write(file, size_px, count)
            times: dict[str, list[float]] = {"mapped": [], "unchecked": [], "read": []}
            found[str(size_px)] = times
            for number in range(arguments.rounds):
                for way, values in times.items():
                    values.append(microseconds(opened(way, file), count, number))
            print(f"{size_px} px: " + ", ".join(f"{way} {statistics.median(v):.0f} us" for way, v in times.items()))
    write_raw(arguments, batch_size=BATCH_SIZE, microseconds=found)


def write(file: Path, size_px: int, count: int) -> None:
    rng = np.random.default_rng(0)
    with packed_writer(file, (size_px, size_px), count, "benchmark") as writer:
        for _ in range(count):
            writer.add([(rng.integers(0, 256, (size_px, size_px, 3), dtype=np.uint8), frozenset())])
        writer.finish(np.zeros(count, np.int64), (), "noise", [])


def opened(way: str, file: Path) -> Callable[[Any], Any]:
    """Give what reads the pictures of an array of indices."""
    if way == "mapped":
        return np.load(file, mmap_mode="r").__getitem__  # type: ignore[no-any-return]
    images = read_packed_file(file).images
    if way == "unchecked":
        assert isinstance(images, StoredPixels)
        images.files[0]._checksums = None
    return images.__getitem__


def microseconds(read: Callable[[Any], Any], count: int, seed: int) -> float:
    """Read batches of pictures none of which comes twice; give the median time of one."""
    order = np.random.default_rng(seed).permutation(count)
    taken = []
    for start in range(0, BATCH_SIZE * BATCHES, BATCH_SIZE):
        chosen = order[start : start + BATCH_SIZE]
        before = time.perf_counter()
        read(chosen)
        taken.append(1e6 * (time.perf_counter() - before))
    return statistics.median(taken)


if __name__ == "__main__":
    main()
