"""What does `--engine.compile on` cost before the first step, and what does it gain in each? Prints a ratio of times.

    OMP_NUM_THREADS=1 ./dev python benchmarks/compile.py --preset sagan-32-cpu --rounds 15

Two runs of the same preset on random pictures take turns of one step each, one compiled and one not; the first steps,
which compile, are timed by themselves. Seconds are those of the wall or, with `--clock cpu`, of the processor. The
kernels are compiled anew, into a folder of their own, unless `TORCHINDUCTOR_CACHE_DIR` names one.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch

from sagan.allocator import keep_freed_memory
from sagan.recipes.build import build, with_classes
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS
from sagan.speed.step import random_batch
from sagan.training.step import train_step

CLASSES = 10
FIRST_STEPS = 2  # the first one compiles


def stepper(config: RunConfig) -> Callable[[], object]:
    """Give one step of a run on random pictures."""
    parts, batch = build(config), random_batch(config)
    return lambda: train_step(parts.state, config.train, lambda _: batch, parts.engine, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="sagan-32-cpu", choices=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=15, help="steps of each side that count")
    parser.add_argument(
        "--clock", default="wall", choices=["wall", "cpu"], help="cpu: seconds of processor, all threads"
    )
    args = parser.parse_args()
    keep_freed_memory()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.mkdtemp(prefix="sagan-compiled-"))
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[args.clock]
    config = with_classes(PRESETS[args.preset](), CLASSES)
    sides = {side: stepper(replace(config, engine=replace(config.engine, compile=side))) for side in ("off", "on")}  # type: ignore[arg-type]

    def seconds(step: Callable[[], object]) -> float:
        start = clock()
        step()
        return clock() - start

    print(
        f"{args.preset}, batch {config.train.batch_size}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    for side, step in sides.items():
        first = [time.perf_counter()]
        for _ in range(FIRST_STEPS):
            step()
            first.append(time.perf_counter())
        took = ", ".join(f"{b - a:.1f}" for a, b in pairwise(first))
        print(f"  compile {side}: first steps took {took} s", flush=True)
    breaks = torch._dynamo.utils.counters["graph_break"]
    print(f"  graph breaks: {dict(breaks) or 'none'}")
    turns = [{side: seconds(step) for side, step in sides.items()} for _ in range(args.rounds)]
    for side in sides:
        median = statistics.median(turn[side] for turn in turns)
        print(f"  compile {side}: {median * 1e3:.1f} ms a step, {args.clock} time")
    ratios = sorted(turn["off"] / turn["on"] for turn in turns)
    print(f"  speed on / off: {statistics.median(ratios):.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
