"""How long checking and packing many small JPEG take, in two checkouts of this project side by side.

    git worktree add ../before COMMIT
    python benchmarks/packing.py --before ../before --raw results/speed/packing.json

Pictures are made here: smooth noise of 32x32 px in ten class folders, 1,000 different ones repeated under other names,
or those of a zip (``--zip``) repeated. In every round each checkout checks and packs them in a process of its own, one
after the other, and they take turns in going first; the ratio is the median of those of the rounds, of wall clock and
of the processors' time (which a busy machine changes less). One round goes ahead and does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from raw import add_raw, write_raw

from data import jpeg

CLASSES, DIFFERENT, SIZE_PX = 10, 1000, 32
CHILD = """
import json, os, sys, time
from sagan.data import DataConfig, check, pack_dataset
config = DataConfig(path=sys.argv[1], cache_dir=sys.argv[2])
found = {}
for name, work in (
    ("check", lambda: check(config, 32, progress=False)),
    ("pack", lambda: pack_dataset(config, 32, os.path.join(sys.argv[2], "packed.npy"), progress=False)),
):
    wall, processor = time.perf_counter(), time.process_time()
    work()
    found[name] = [time.perf_counter() - wall, time.process_time() - processor]
print(json.dumps(found))
"""
Times = dict[str, list[float]]
"""Seconds of wall clock and of processors for each work."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1], help="checkout that is judged")
    parser.add_argument("--images", type=int, default=100_000, help="pictures")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--zip", type=Path, help="take the pictures of a zip")
    add_raw(parser)
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before, "after": arguments.after}
    rounds: list[dict[str, Times]] = []
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name) / "pictures"
        write_pictures(pictures, arguments.images, stored_pictures(arguments.zip))
        for number in range(arguments.rounds + 1):
            order = list(checkouts) if number % 2 else list(reversed(checkouts))
            found = {which: measured(checkouts[which], pictures) for which in order}
            print(f"round {number}: {found}", flush=True)
            rounds += [found] if number else []
    kept = {
        f"{work} {kind}": ratio(rounds, work, i) for work in ("check", "pack") for i, kind in enumerate(("wall", "cpu"))
    }
    for what, value in kept.items():
        print(f"{what}: {value:.2f} times before")
    commits = {which: commit(place) for which, place in checkouts.items()}
    write_raw(arguments, images=arguments.images, commits=commits, seconds=rounds, ratios=kept)


def stored_pictures(file: Path | None) -> list[bytes]:
    """Give the JPEG files that are repeated."""
    if file is None:
        return [jpeg(SIZE_PX, SIZE_PX, seed) for seed in range(DIFFERENT)]
    with zipfile.ZipFile(file) as archive:
        return [archive.read(name) for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png"))]


def write_pictures(folder: Path, count: int, stored: list[bytes]) -> None:
    """Write them under ever new names into folders of classes."""
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
    for index in range(count):
        (folder / f"class {index % CLASSES}" / f"{index:06}.jpg").write_bytes(stored[index % len(stored)])


def measured(checkout: Path, pictures: Path) -> dict[str, list[float]]:
    """Check and pack the pictures with a checkout's code, in a process and a cache folder of its own."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(pictures), cache],
            env=os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ratio(rounds: list[dict[str, Times]], work: str, kind: int) -> float:
    """Give the median over the rounds of after / before."""
    return statistics.median(found["after"][work][kind] / found["before"][work][kind] for found in rounds)


def commit(checkout: Path) -> str:
    """Name the commit of a checkout."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
