"""What do two processes that train one run together lose against two runs side by side? Prints a ratio of speeds.

    OMP_NUM_THREADS=1 ./dev python benchmarks/distributed.py --preset sagan-32-cpu --rounds 9 --steps 10

Two processes of one thread each (gloo) take turns: some steps of a run of its own each, with half of the preset's
batch, then as many steps of one run together, with the whole batch and so the same half each. Both wait for each other
before each turn. In a round the ratio is the time of the slower process apart over that of the slower one together; the
table has the medians over the rounds, the same of processor time - which leaves out the waiting, but other programs of
the machine disturb it less -, and how long one agreement on a stop signal takes, which each step of a run has.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from sagan.allocator import keep_freed_memory
from sagan.data import Batch
from sagan.recipes.build import build, with_classes
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS
from sagan.runs.launch import free_port
from sagan.training.engine import Engine
from sagan.training.step import train_step

WARM_UP = 3
CLASSES = 10
AGREEMENTS = 200


def stepper(config: RunConfig, engine: Engine, half: int) -> Callable[[int], tuple[float, float]]:
    """Give what does some steps on random pictures and returns the seconds, and those of processor, that they took."""
    state = build(config, engine).state
    size = config.generator.size_px
    random = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.randint(0, 256, (half, size, size, 3), dtype=torch.uint8, generator=random),
        torch.randint(0, CLASSES, (half,), generator=random),
        torch.zeros(half, dtype=torch.bool),
    )

    def do(steps: int) -> tuple[float, float]:
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(steps):
            train_step(state, config.train, lambda _: batch, engine, seed=0)
            engine.largest(0)
        return time.perf_counter() - start, time.process_time() - processor

    return do


def one_process(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    config = with_classes(PRESETS[args.preset](), CLASSES)
    if args.width is not None:
        config = replace(
            config,
            generator=replace(config.generator, base_width=args.width),
            discriminator=replace(config.discriminator, base_width=args.width),
        )
    half = config.train.batch_size // 2
    joined = replace(config, train=replace(config.train, batch_norm=args.batch_norm))
    apart = replace(config, train=replace(config.train, batch_size=half))
    engine = Engine(config.engine)
    together = stepper(joined, engine, half)
    size = os.environ.pop("WORLD_SIZE")  # an engine of its own
    alone = stepper(apart, Engine(config.engine), half)
    os.environ["WORLD_SIZE"] = size

    def slower(do: Callable[[int], tuple[float, float]], steps: int) -> tuple[float, float]:
        engine.wait()
        seconds, processor = (engine.largest(round(spent * 1e6)) / 1e6 for spent in do(steps))
        return seconds, processor

    slower(alone, WARM_UP)
    slower(together, WARM_UP)
    times = []
    for number in range(args.rounds):
        turns = [slower(do, args.steps) for do in ((alone, together) if number % 2 else (together, alone))]
        times.append(turns if number % 2 else turns[::-1])
    start = time.perf_counter()
    for _ in range(AGREEMENTS):
        engine.wait()
    agreement = (time.perf_counter() - start) / AGREEMENTS
    if engine.writes:
        report(args, times, agreement, config.train.batch_size)
    engine.close()


def report(args: argparse.Namespace, times: list[list[tuple[float, float]]], agreement: float, batch_size: int) -> None:
    names = (f"two runs apart, batch {batch_size // 2} each", f"one run together, batch {batch_size}")
    width = f" of width {args.width}" if args.width else ""
    print(f"{args.preset}{width}, batch norm {args.batch_norm}, {args.rounds} rounds of {args.steps} steps:")
    for i, name in enumerate(names):
        seconds, processor = (statistics.median(turn[i][clock] for turn in times) / args.steps for clock in range(2))
        rate = batch_size / seconds
        print(f"  {name:<34} {seconds * 1e3:8.1f} ms a step {rate:8.1f} images/s {processor * 1e3:8.1f} processor ms")
    for clock, what in enumerate(("speed together / apart", "the same in processor time")):
        ratios = sorted(apart[clock] / joined[clock] for apart, joined in times)
        print(f"  {what}: {statistics.median(ratios):.3f} (rounds {ratios[0]:.3f} to {ratios[-1]:.3f})")
    print(f"  one agreement on a stop signal: {agreement * 1e3:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="sagan-32-cpu", choices=list(PRESETS))
    parser.add_argument("--batch-norm", default="sync", choices=["local", "sync"])
    parser.add_argument("--width", type=int, help="base width of both networks, if not the preset's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    if "RANK" in os.environ:
        one_process(args)
        return
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    started = [subprocess.Popen([sys.executable, *sys.argv], env=shared | {"RANK": str(rank)}) for rank in range(2)]
    sys.exit(max(process.wait() for process in started))


if __name__ == "__main__":
    main()
