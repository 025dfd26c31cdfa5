"""What does a step gain from preparing the spectral normalisation of all layers of a network at once? Prints ratios.

    ./dev python benchmarks/spectral.py --size 32 --batch 16 --rounds 7

Two sides take turns of one step each: `prepare_spectral` at the start of each forward, as `sagan train` does it, and
each layer by itself. The networks are those of `benchmarks/step.py`, or of a preset with `--preset`. Operations are
all that PyTorch does in a step except views: on a GPU each is at least one launch (on a list of tensors, too).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from raw import add_raw, write_raw
from step import SIZES, layer_by_layer, ours
from torch.utils._python_dispatch import TorchDispatchMode

from sagan.allocator import keep_freed_memory
from sagan.recipes.build import build, with_classes
from sagan.recipes.presets import PRESETS
from sagan.speed.step import random_batch
from sagan.training.step import train_step

Step = Callable[[], object]


class Count(TorchDispatchMode):
    """Counts operations that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += not func.is_view
        return func(*args, **(kwargs or {}))


def alone(step: Step) -> object:
    with layer_by_layer():
        return step()


def preset_step(name: str) -> Step:
    config = with_classes(PRESETS[name](), 10)
    parts, batch = build(config), random_batch(config)
    return lambda: train_step(parts.state, config.train, lambda _: batch, parts.engine, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, choices=list(SIZES), help="pixels")
    parser.add_argument("--batch", type=int, default=16, help="images")
    parser.add_argument("--preset", choices=list(PRESETS), help="instead of published widths at --size and --batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count, after two")
    parser.set_defaults(device="cpu", precision="fp32")  # what step.py asks for
    add_raw(parser)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    step = ours(args) if args.preset is None else preset_step(args.preset)
    sides: dict[str, Step] = {"at once": step, "layer by layer": lambda: alone(step)}
    operations = {}
    for side, do in sides.items():
        do()
        with Count() as count:
            do()
        operations[side] = count.operations
    rounds: list[dict[str, tuple[float, float]]] = []
    for number in range(args.rounds):
        turn = {}
        for side in list(sides)[:: 1 if number % 2 else -1]:
            wall, cpu = time.perf_counter(), time.process_time()
            sides[side]()
            turn[side] = time.perf_counter() - wall, time.process_time() - cpu
        rounds.append(turn)
    what = args.preset or f"{args.size} px, batch {args.batch}"
    print(f"{what}, {args.threads} threads, torch {torch.__version__}, {args.rounds} rounds")
    print(f"{'side':<16}{'operations':>12}{'ms a step':>12}{'processor ms':>14}")
    for side in sides:
        wall, cpu = (statistics.median(turn[side][i] for turn in rounds) * 1e3 for i in range(2))
        print(f"{side:<16}{operations[side]:>12}{wall:>12.1f}{cpu:>14.1f}")
    for i, clock in enumerate(("wall", "processor")):
        ratios = sorted(turn["layer by layer"][i] / turn["at once"][i] for turn in rounds)
        print(
            f"layer by layer / at once, {clock}: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )
    write_raw(args, operations=operations, wall_and_processor_s=rounds)


if __name__ == "__main__":
    main()
