"""Is `sagan plan` right? Plans a run, does it, and prints what was predicted beside what was measured.

    OMP_NUM_THREADS=1 ./dev python benchmarks/plan.py --presets sagan-32-cpu sagan-64-cpu --rounds 3 --steps 60

Each round plans and then trains, in a process of its own, through the command line's own `train`, into a temporary
folder, so that a slow moment of the machine hits neighbours. The pictures are scikit-learn's digits, packed before.
Seconds and processor seconds a step are medians over the steps, of which the first ones warm up; memory is the
process's peak; seconds in all go from the start of the command to its end, without the imports. The table has the
medians over the rounds. Where other programs use the same cores, processor seconds say more than seconds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from raw import add_raw, write_raw

from sagan.data import DataConfig, pack_dataset
from sagan.recipes.presets import PRESETS
from sagan.speed.plan import Plan, make_plan, step_seconds

WARM_UP = 5
# `sagan train` as a process that also tells what each step took, its peak, and how long it took without the imports.
TRAIN = """
import json, sys, time
import lightning_fabric, sagan.runs.train, sagan.training.loop as loop
from sagan.allocator import keep_freed_memory
from sagan.cli.main import main
from sagan.speed.memory import peak_resident_bytes

def clocked(*arguments):
    start = time.perf_counter(), time.process_time()
    metrics = step(*arguments)
    steps.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return metrics

steps, step, loop.train_step = [], loop.train_step, clocked
keep_freed_memory()
start = time.perf_counter()
code = main(sys.argv[1:])
print(json.dumps([steps, peak_resident_bytes(), time.perf_counter() - start]))
sys.exit(code)
"""
ROWS = ("s a step", "processor s a step", "peak MB", "s in all")


def planned(args: argparse.Namespace, preset: str, data: Path) -> Plan:
    config = PRESETS[preset]()
    train = replace(config.train, total_steps=args.steps)
    if args.batch_size is not None:
        train = replace(train, batch_size=args.batch_size)
    limit = None if args.memory_limit is None else int(args.memory_limit * 1e9)
    config = replace(config, data=DataConfig(path=str(data)), train=train)
    return make_plan(config, with_data=True, limit_bytes=limit)


def predictions(plan: Plan) -> tuple[float, ...]:
    assert plan.peak_bytes is not None
    # Processor time is not part of a plan; the same line through the same points predicts it.
    costs = {m: replace(cost, seconds=replace(cost.seconds, median=cost.processor_s)) for m, cost in plan.costs.items()}
    processor = step_seconds(costs, plan.micro_batch, plan.config.train.accumulate)
    return plan.step_s, processor, plan.peak_bytes / 1e6, plan.total_s


def trained(plan: Plan, preset: str, data: Path, out: Path) -> tuple[float, ...]:
    train = plan.config.train
    command = ["train", "--preset", preset, "--data", str(data), "--out", str(out)]
    command += ["--steps", str(train.total_steps), "--batch-size", str(train.batch_size)]
    command += ["--train.accumulate", str(train.accumulate)]
    command = [sys.executable, "-c", TRAIN, *command]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    steps, peak, seconds = json.loads(done.stdout.splitlines()[-1])
    medians = [statistics.median(values) for values in zip(*steps[WARM_UP:], strict=True)]
    return *medians, peak / 1e6, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["sagan-32-cpu", "sagan-64-cpu"], choices=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--memory-limit", type=float, default=None, help="GB, to see the accumulation")
    add_raw(parser)
    args = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"{args.rounds} rounds of {args.steps} steps, {threads} thread(s), torch {torch.__version__}")
    found = {}
    for preset in args.presets:
        with tempfile.TemporaryDirectory() as name:
            data = Path(name) / "digits.npy"
            pack_dataset(DataConfig(path="digits"), PRESETS[preset]().generator.size_px, data, progress=False)
            rounds = []
            for i in range(args.rounds):
                plan = planned(args, preset, data)
                rounds.append((predictions(plan), trained(plan, preset, data, Path(name) / f"run-{i}")))
                print(f"{preset}, round {i + 1}: {rounds[-1]}", file=sys.stderr)
        found[preset] = [{"predicted": before, "measured": after} for before, after in rounds]
        train = plan.config.train
        print(f"{preset}, batch {train.batch_size}, accumulate {train.accumulate}, measured {list(plan.costs)}")
        for i, row in enumerate(ROWS):
            predicted, measured = (statistics.median(r[side][i] for r in rounds) for side in (0, 1))
            each = ", ".join(f"{(p[i] / m[i] - 1) * 100:+.0f}" for p, m in rounds)
            print(
                f"  {row:18} predicted {predicted:9.3f}   measured {measured:9.3f}   "
                f"{(predicted / measured - 1) * 100:+.1f} % (rounds: {each})"
            )
    write_raw(args, quantities=ROWS, presets=found)


if __name__ == "__main__":
    main()
