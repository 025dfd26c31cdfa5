"""Everything that a GPU has to show, in one command: checks, the speed of the step, and trainings with their pictures.

    python benchmarks/gpu_day.py --minutes 9 --studiogan PATH --data clothing-128.zip --out results/gpu
    python benchmarks/gpu_day.py --render --out results/gpu

A call does the parts that are not done, in this order, each in a process of its own, and stops when the minutes are
over; the next call goes on. A finished part leaves PART.json in the folder, a failed one PART.failed.json with the
reason, and is tried again by the next call.

- card: the rates of a large matrix product and of a copy, which bound every step.
- reliability: equal bits with `--engine.deterministic`, also after kills and SIGTERM; gradients that are not finite;
  too little memory; samples and runs that change between a GPU and a processor.
- checks: every form of attention in every way of computing it, and both networks, in fp32 and bf16 against float64; a
  resumed run against an uninterrupted one; the tests of ops, models and training, with the versions that are here.
- layers: each 3x3 convolution of the preset `sagan-128` in each of its forms (as `benchmarks/folding.py`).
- step: the step of `sagan-128` at batch 256 in fp32, TF32 and bf16, and StudioGAN's (as `benchmarks/step.py`).
- compiled, graphs, compiled-unfolded: the same through torch.compile, as CUDA graphs, and compiled without folds.
- searched, graphs-searched: the same, plain and as CUDA graphs, where cuDNN tries its kernels first.
- train-128, train-64: SAGAN on photos of clothes, for as long as the minutes allow.

`--render` writes README.md from those files; every call ends with it. Needs neither the command line's packages nor a
feature network. `--toy` runs everything with tiny networks on a processor, to see that it runs.
"""

import argparse
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gpu_checks
import gpu_reliability
import gpu_report
import gpu_speed
import gpu_training
from gpu_setting import ROOT, Setting, part_file

from sagan.allocator import keep_freed_memory


@dataclass(frozen=True)
class Part:
    """How long a part of the day may take."""

    name: str
    least_s: float
    """It is not begun with less."""
    most_s: float
    """It is ended after so many; trainings take what there is."""


PARTS = (
    Part("card", 15, 40),
    Part("reliability", 30, 110),
    Part("checks", 30, 110),
    Part("layers", 20, 60),
    Part("step", 45, 80),
    Part("compiled", 100, 200),
    Part("graphs", 100, 200),
    Part("searched", 40, 80),
    Part("graphs-searched", 100, 280),
    Part("compiled-unfolded", 100, 200),
    Part("train-128", 70, 90),
    Part("train-64", 70, 3600),
)
WORK: dict[str, Callable[[Setting], dict[str, object]]] = (
    gpu_checks.PARTS | gpu_reliability.PARTS | gpu_speed.PARTS | gpu_training.PARTS
)
STARTING_S = 15.0
"""What a process takes to start, at most."""


def do_part(name: str, setting: Setting) -> bool:
    """Do one part in this process and leave its file; tell whether it went well."""
    failed = setting.out / f"{name}.failed.json"
    start = time.monotonic()
    try:
        found = WORK[name](setting)
    except Exception:
        failed.write_text(json.dumps({"error": without_folders(traceback.format_exc())}, indent=1) + "\n")
        traceback.print_exc()
        return False
    found["seconds"] = time.monotonic() - start
    part_file(setting.out, name).write_text(json.dumps(found, indent=1) + "\n")
    failed.unlink(missing_ok=True)
    return True


def without_folders(text: str) -> str:
    """Take the folders of this machine out of a traceback."""
    return re.sub(r'"[^"\n]*/(?=(site-packages|src|benchmarks)/)', '"', text.replace(f"{ROOT}/", ""))


def start_part(part: Part, args: argparse.Namespace, seconds: float) -> None:
    """Do one part in a process of its own, which ends with its time."""
    command = [sys.executable, __file__, *args.given, "--only", part.name, "--seconds", str(seconds)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        process.wait(timeout=seconds + STARTING_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its compiler's processes too
        process.wait()
        failed = {"error": f"took longer than {seconds:.0f} s"}
        (args.out / f"{part.name}.failed.json").write_text(json.dumps(failed) + "\n")


def day(args: argparse.Namespace) -> None:
    """Do the parts that are left, as far as the time goes."""
    end = time.monotonic() + 60.0 * args.minutes
    for part in PARTS:
        if part.name not in args.parts or part_file(args.out, part.name).exists():
            continue
        if part.name.startswith("train") and args.data is None:
            continue
        seconds = min(part.most_s, end - time.monotonic() - STARTING_S)
        if seconds < part.least_s:
            print(f"{part.name}: no time left for it")
            continue
        start = time.monotonic()
        if args.in_process:
            do_part(part.name, dataclasses.replace(args.setting, seconds=seconds))
        else:
            start_part(part, args, seconds)
        done = "done" if part_file(args.out, part.name).exists() else "FAILED"
        print(f"{part.name}: {done}, {time.monotonic() - start:.0f} s", flush=True)


def arguments(given: list[str]) -> argparse.Namespace:
    """Read the command line."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="what the call may take")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="only these; default: all")
    parser.add_argument("--studiogan", metavar="PATH", help="a copy of StudioGAN's repository")
    parser.add_argument("--data", metavar="PATH", help="pictures to train on; without them there is no training")
    parser.add_argument("--compile", default="off", choices=["off", "on", "graphs"], help="of the trainings")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--toy", action="store_true", help="tiny networks, to see that it runs")
    parser.add_argument("--in-process", action="store_true", help="do all parts in this process")
    parser.add_argument("--render", action="store_true", help="only write README.md from the results")
    parser.add_argument("--only", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    args = parser.parse_args(given)
    args.given = given
    args.setting = Setting(
        out=args.out,
        device=args.device,
        toy=args.toy,
        studiogan=args.studiogan,
        data=args.data,
        compile=args.compile,
        seconds=args.seconds,
    )
    return args


def main(given: list[str] | None = None) -> int:
    args = arguments(sys.argv[1:] if given is None else given)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.only:
        keep_freed_memory()
        return 0 if do_part(args.only, args.setting) else 1
    if not args.render:
        day(args)
    (args.out / "README.md").write_text(gpu_report.report(args.out), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
