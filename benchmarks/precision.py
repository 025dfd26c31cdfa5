"""Does training in bf16 go the same way as in fp32? Trains both on a small set and compares what the logs say.

    ./dev python benchmarks/precision.py --steps 1000 --seeds 0 1

Each seed trains once in fp32 and once under bf16 autocast, from the same weights, noise and order of pictures. GANs
amplify rounding, so the steps of a pair part soon; what must agree is the course. The table has the means of each tenth
of a run: the largest difference between the precisions of one seed, beside the largest between two seeds in fp32. The
demonstration's digits are also judged at the end (`sagan demo`): how many samples are what was asked for, and how
various they are.
"""

import argparse
import itertools
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

import sagan
from sagan.allocator import keep_freed_memory
from sagan.data import DataConfig
from sagan.experiments.digits import measure_digits
from sagan.recipes.presets import PRESETS
from sagan.runs.train import train

KEYS = ("loss_d", "loss_g", "real_logits", "fake_logits")
PARTS = 10
LOG_EVERY = 10
SAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    args = parser.parse_args()
    if args.steps < PARTS * LOG_EVERY:
        parser.error(f"--steps must be at least {PARTS * LOG_EVERY}, found {args.steps}")
    keep_freed_memory()
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for seed, precision in itertools.product(args.seeds, ("fp32", "bf16")):
        config = PRESETS["demo"]()
        config = replace(
            config,
            data=DataConfig(path="digits"),
            train=replace(config.train, total_steps=args.steps, log_every=LOG_EVERY),
            engine=replace(config.engine, device=args.device, precision=precision),
            seed=seed,
        )
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            train(config, out=out, console=Console(quiet=True))
            lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
            report = measure_digits(sagan.load(out), SAMPLES)
        found[precision, seed] = course = {
            key: [statistics.mean(part) for part in parts([line[key] for line in lines if key in line])] for key in KEYS
        }
        last = ", ".join(f"{key} {course[key][-1]:+.3f}" for key in KEYS)
        judged = f"{report.accuracy:.1%} of {SAMPLES} samples as asked, variety {report.variety:.2f}"
        print(f"{precision}, seed {seed}: {judged}; last tenth: {last}", flush=True)
    print(f"torch {torch.__version__}, preset demo, digits at 16 px, {args.steps} steps, device {args.device}")
    print(f"{'mean over a tenth of the run':<32}{'bf16 - fp32, same seed':>24}{'fp32, two seeds':>18}")
    for key in KEYS:
        precisions = max(difference(found["fp32", s][key], found["bf16", s][key]) for s in args.seeds)
        pairs = itertools.combinations(args.seeds, 2)
        seeds = max((difference(found["fp32", a][key], found["fp32", b][key]) for a, b in pairs), default=float("nan"))
        print(f"{key:<32}{precisions:>24.3f}{seeds:>18.3f}")


def parts(values: list[float]) -> list[list[float]]:
    """Cut the values of a run into tenths."""
    cuts = [i * len(values) // PARTS for i in range(PARTS + 1)]
    return [values[a:b] for a, b in itertools.pairwise(cuts)]


def difference(a: list[float], b: list[float]) -> float:
    """Give the largest difference between two courses."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


if __name__ == "__main__":
    main()
