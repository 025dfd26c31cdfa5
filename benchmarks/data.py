"""How fast pictures are decoded, packed and read back as batches.

Pictures are made here: smooth noise, stored as JPEG of 500x375 px (about ImageNet's) and of 32x32 px. Each rate is the
median of several rounds. Batches are read in training order from the packed file, which lies in the page cache after
the first round, as a set that fits into memory does.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sagan.data import Batches, DataConfig, pack_dataset
from sagan.data.decode import decode_picture, square
from sagan.data.parallel import cores

BATCH_SIZE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each rate")
    parser.add_argument("--images", type=int, default=2000, help="pictures in the packed files")
    arguments = parser.parse_args()
    print(f"{cores()} cores, Pillow decodes, {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as name:
        for width, height, size_px in ((32, 32, 32), (500, 375, 128)):
            report(Path(name) / str(size_px), width, height, size_px, arguments.images, arguments.rounds)


def report(folder: Path, width: int, height: int, size_px: int, images: int, rounds: int) -> None:
    """Measure one kind of picture and print its three rates."""
    (folder / "pictures").mkdir(parents=True)
    stored = [jpeg(width, height, seed) for seed in range(50)]
    for index in range(images):
        (folder / "pictures" / f"{index:05}.jpg").write_bytes(stored[index % len(stored)])

    def decode() -> int:
        for data in stored:
            square(decode_picture(data).pixels, size_px)
        return len(stored)

    def pack() -> int:
        config = DataConfig(path=str(folder / "pictures"))
        return len(pack_dataset(config, size_px, folder / "packed.npy", progress=False).images)

    what = f"JPEG {width}x{height} -> {size_px} px"
    print(f"{what}: decoded on one core      {rate(decode, rounds):>9,.0f} images/s")
    print(f"{what}: packed on all cores      {rate(pack, rounds):>9,.0f} images/s")

    packed = pack_dataset(DataConfig(path=str(folder / "pictures")), size_px, folder / "packed.npy", progress=False)
    batches = Batches(packed, np.arange(images), BATCH_SIZE, seed=0, flip=True)
    position = 0

    def read() -> int:
        nonlocal position
        for _ in range(100):
            batches(position)
            position += 1
        return 100 * BATCH_SIZE

    print(f"packed file at {size_px} px: batches of {BATCH_SIZE}, one core {rate(read, rounds):>9,.0f} images/s")


def rate(work: Callable[[], int], rounds: int) -> float:
    """Run ``work`` once to warm up, then give the median over rounds of what it returns per second."""
    work()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        count = work()
        found.append(count / (time.perf_counter() - start))
    return statistics.median(found)


def jpeg(width: int, height: int, seed: int) -> bytes:
    """Make a JPEG of smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
