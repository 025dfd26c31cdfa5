"""How long does the command line take to answer? Prints seconds of several calls, and of the same ones elsewhere.

    ./dev python benchmarks/start.py                        this tree
    ./dev python benchmarks/start.py --against ../base/src  and an older one beside it, with the ratio

Each round runs every call once in each tree, in a fresh process; the table has the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

CALLS = (
    ("--help",),
    ("--version",),
    ("train", "--help"),
    ("sample", "--help"),
    ("evaluate", "--help"),
    ("paper", "run", "--help"),
    ("train", "--no-such-flag"),
    ("sample", "run", "--out", "x.png", "--num", "none"),
)


def seconds(call: tuple[str, ...], source: Path) -> float:
    """Time one call in a fresh process that imports from a source folder."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "sagan", *call],
        env=os.environ | {"PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="source folder of another tree")
    args = parser.parse_args()
    trees = [Path(__file__).parents[1] / "src", *([args.against.resolve()] if args.against else [])]
    for call in CALLS:
        times: list[list[float]] = [[] for _ in trees]
        for round_ in range(args.rounds + 1):
            for found, tree in zip(times, trees, strict=True):
                taken = seconds(call, tree)
                if round_:  # the first one compiles
                    found.append(taken)
        medians = [statistics.median(found) for found in times]
        row = f"sagan {' '.join(call):<42} {medians[0]:6.2f} s"
        if len(medians) > 1:
            row += f"   against {medians[1]:6.2f} s: {medians[1] / medians[0]:.1f} times as fast"
        print(row)


if __name__ == "__main__":
    main()
