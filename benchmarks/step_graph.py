"""How much faster is a training step on a GPU that is replayed as one CUDA graph (`--engine.step-graph`)?

    python benchmarks/step_graph.py --presets sagan-32-cpu sagan-64-cpu --precisions fp32 bf16 --out step-graph.json

Both sides take turns, a round is some steps after each other on random pictures that lie on the host; medians with
quartiles, ratios are medians of each round's ratio. Without a GPU it runs, but there is no graph. It needs the Python
API alone.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sagan.machine import versions
from sagan.recipes.build import build
from sagan.recipes.presets import PRESETS
from sagan.speed.clock import spread, timed
from sagan.speed.step import random_batch
from sagan.training.config import EngineConfig
from sagan.training.replay import step_with

WARM_UP = 6
Step = Callable[[], object]


def sides(args: argparse.Namespace, preset: str, precision: str) -> tuple[dict[str, Step], int]:
    """Give the step of a preset as it is and as a graph, each on a state of its own, and the batch."""
    config = PRESETS[preset]()
    networks = {part: replace(getattr(config, part), num_classes=10) for part in ("generator", "discriminator")}
    config = replace(config, **networks)  # type: ignore[arg-type]
    if args.batch:
        config = replace(config, train=replace(config.train, batch_size=args.batch))
    batch, found = random_batch(config), dict[str, Step]()
    for name in ("as it is", "step graph"):
        on = name == "step graph"
        engine = EngineConfig(device=args.device, precision=precision, step_graph=on)  # type: ignore[arg-type]
        parts = build(replace(config, engine=engine))
        found[name] = partial(step_with(parts.engine), parts.state, config.train, lambda _: batch, parts.engine, 0)  # type: ignore[arg-type]
    return found, config.train.batch_size


def measure(args: argparse.Namespace, preset: str, precision: str) -> dict[str, object]:
    """Let both sides of a preset take turns."""
    steps, batch = sides(args, preset, precision)
    device = torch.device(args.device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    started = time.monotonic()
    while len(times["as it is"]) < args.rounds and time.monotonic() - started < args.seconds:
        for name, step in steps.items():
            times[name].append(timed(lambda step=step: [step() for _ in range(args.steps)], device) / args.steps)  # type: ignore[misc]
    rows = {}
    for name, seconds in times.items():
        one = spread(seconds)
        rows[name] = {"ms": one.median * 1e3, "ms_low": one.low * 1e3, "ms_high": one.high * 1e3, "rounds": one.rounds}
    ratio = statistics.median(a / b for a, b in zip(*times.values(), strict=True))
    return {"preset": preset, "precision": precision, "batch": batch, "sides": rows, "times_as_fast": ratio}


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["sagan-32-cpu", "sagan-64-cpu"])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--batch", type=int, help="in place of the preset's")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=10, help="of a side in a round")
    parser.add_argument("--seconds", type=float, default=20.0, help="no round is begun later, for each row")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    card = torch.cuda.get_device_name() if args.device == "cuda" else "processor"
    rows = []
    for preset in args.presets:
        for precision in args.precisions:
            rows.append(measure(args, preset, precision))
            print(json.dumps(rows[-1]), flush=True)
            args.out.write_text(json.dumps({"card": card, "versions": versions(), "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
