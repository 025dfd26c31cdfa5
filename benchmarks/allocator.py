"""What does `keep_freed_memory` gain in a training step on this CPU? Prints step times, their ratio and peak memory.

    ./dev python benchmarks/allocator.py --preset demo --rounds 3 --steps 30

Each round runs one fresh process without the setting and one with it, one after the other, on the preset's networks and
random pictures. A process's time is the median of its steps after a warm-up; the table has the medians over the rounds.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import torch

from sagan.allocator import keep_freed_memory
from sagan.data import Batch
from sagan.recipes.build import build, with_classes
from sagan.recipes.presets import PRESETS
from sagan.training.step import train_step

WARM_UP = 5
CLASSES = 10


def one_process(args: argparse.Namespace) -> dict[str, float]:
    """Measure the step's median time in ms and the process's peak memory in MiB."""
    if args.kept and not keep_freed_memory():
        raise SystemExit("the setting cannot be made here: not glibc, or MALLOC_... or GLIBC_TUNABLES is set")
    torch.set_num_threads(args.threads)
    config = with_classes(PRESETS[args.preset](), CLASSES)
    parts = build(config)
    size, batch_size = config.generator.size_px, config.train.batch_size
    random = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.randint(0, 256, (batch_size, size, size, 3), dtype=torch.uint8, generator=random),
        torch.randint(0, CLASSES, (batch_size,), generator=random),
        torch.zeros(batch_size, dtype=torch.bool),
    )
    times = []
    for _ in range(WARM_UP + args.steps):
        start = time.perf_counter()
        train_step(parts.state, config.train, lambda _: batch, parts.engine, seed=0)
        times.append((time.perf_counter() - start) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": statistics.median(times[WARM_UP:]), "mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo", choices=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--kept", action=argparse.BooleanOptionalAction, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kept is not None:
        print(json.dumps(one_process(args)))
        return
    measured: dict[str, list[dict[str, float]]] = {"default": [], "kept": []}
    for _ in range(args.rounds):
        for name, flag in (("default", "--no-kept"), ("kept", "--kept")):
            command = [sys.executable, __file__, flag, *sys.argv[1:]]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            measured[name].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(m[key] for m in rounds) for key in ("ms", "mib")}
        for name, rounds in measured.items()
    }
    made = f"{args.threads} threads, {args.rounds} rounds of {args.steps} steps, torch {torch.__version__}"
    print(f"preset {args.preset}, {made}")
    for name, values in medians.items():
        print(f"{name:>8}: {values['ms']:8.1f} ms a step, peak {values['mib']:7.0f} MiB")
    print(f"kept / default: {medians['kept']['ms'] / medians['default']['ms']:.3f} of the time")


if __name__ == "__main__":
    main()
