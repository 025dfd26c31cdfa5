"""Train the rows of the paper's experiments in a given time, as many side by side as this machine takes.

    python benchmarks/paper_rows.py --data cifar10-15k.zip --out results/paper --jobs 16 --stop-after-s 520

It is `sagan paper run all` by the Python API, without the command line, and draws nothing: `sagan paper render` does.
It leaves `results/paper/rows`; the same call goes on with what is not done, here or where that folder was copied to.

`--mps` has the rows share a GPU by NVIDIA's multi-process service: their kernels then run beside each other, not in
turns, which narrow networks leave room for. It starts the service as this user's process in a folder of its own, tries
it, goes on without it if that fails, and ends it.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from rich.console import Console

from sagan.data.config import Keep
from sagan.experiments.catalogue import SweepError
from sagan.experiments.config import PaperConfig
from sagan.experiments.paper import run_rows
from sagan.experiments.scales import ScaleName
from sagan.experiments.settings import groups_of
from sagan.training.config import Compile, Device, EngineConfig, Precision

CONTROL = "nvidia-cuda-mps-control"
TRY = "import torch; x = torch.randn(64, 64, device='cuda'); print(float((x @ x).sum()))"
TRY_S = 60
OUT = Path("results/paper")


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the rows of the paper's experiments in a given time.")
    parser.add_argument("--experiments", nargs="+", default=["all"], help="names, or all (default)")
    parser.add_argument("--data", help="pictures, as in `sagan train`")
    parser.add_argument("--scale", choices=get_args(ScaleName), default="small")
    parser.add_argument("--out", type=Path, default=OUT)
    for flag in ("--steps", "--num", "--seeds", "--jobs"):
        parser.add_argument(flag, type=int)
    parser.add_argument("--stop-after-s", type=float, help="then rows that still train save and stop")
    parser.add_argument("--feature-weights", type=Path)
    parser.add_argument("--keep", choices=get_args(Keep), default="disk")
    parser.add_argument("--device", choices=get_args(Device), default="auto")
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32", help="narrow rows gain by no other")
    parser.add_argument("--compile", choices=get_args(Compile), default="auto")
    parser.add_argument("--step-graph", action="store_true", help="the whole step as one CUDA graph")
    parser.add_argument("--mps", action="store_true", help="share a GPU by NVIDIA's multi-process service")
    parser.add_argument("--steps-in-turns", type=int, help="steps of every row where --mps does not work")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and what it takes")
    return parser.parse_args(arguments)


def config_of(flags: argparse.Namespace) -> PaperConfig:
    """Give the configuration of the experiments."""
    return PaperConfig(
        name=",".join(flags.experiments),
        data=flags.data,
        scale=flags.scale,
        seeds=flags.seeds,
        out=flags.out,
        steps=flags.steps,
        num=flags.num,
        jobs=flags.jobs,
        feature_weights=flags.feature_weights,
        stop_after_s=flags.stop_after_s,
        keep=flags.keep,
        engine=EngineConfig(
            device=flags.device, precision=flags.precision, compile=flags.compile, step_graph=flags.step_graph
        ),
        dry_run=flags.dry_run,
    )


def command_of(flags: argparse.Namespace) -> list[str]:
    """Give the arguments of `sagan paper run` that do the same, which results keep."""
    command = [",".join(flags.experiments), "--scale", flags.scale]
    for name in ("data", "steps", "num", "seeds", "jobs", "stop_after_s", "feature_weights", "out", "keep"):
        if getattr(flags, name) not in (None, OUT):
            command += [f"--{name.replace('_', '-')}", str(getattr(flags, name))]
    for name in ("device", "precision", "compile"):
        command += [f"--engine.{name}", getattr(flags, name)] if getattr(flags, name) != "auto" else []
    return [*command, "--engine.step-graph"] if flags.step_graph else command


@contextmanager
def service(wanted: bool, console: Console) -> Iterator[bool]:
    """Have a GPU shared by the multi-process service inside the context, if it is wanted and works; say which."""
    if not wanted or shutil.which(CONTROL) is None:
        if wanted:
            console.print(f"no {CONTROL} here: processes take turns on the GPU")
        yield False
        return
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for place in places.values():
            Path(place).mkdir()
        before = {name: os.environ.get(name) for name in places}
        os.environ.update(places)
        try:
            works = tried()
            if not works:
                console.print("the multi-process service does not work here: processes take turns on the GPU")
                ended()
                for name in places:
                    os.environ.pop(name)
            yield works
        finally:
            if os.environ.get("CUDA_MPS_PIPE_DIRECTORY") == places["CUDA_MPS_PIPE_DIRECTORY"]:
                ended()
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})


def tried() -> bool:
    """Start the service, and tell whether a process can compute with it."""
    try:
        subprocess.run([CONTROL, "-d"], check=True, timeout=TRY_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([sys.executable, "-c", TRY], check=True, timeout=TRY_S, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def ended() -> None:
    """End the service."""
    try:
        subprocess.run([CONTROL], input=b"quit\n", timeout=TRY_S, capture_output=True, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"note: {CONTROL} did not end: {error}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Do it; gives the exit code: 0 when all rows are done, 2 when what is asked for cannot be."""
    flags = parsed(arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        config_of(flags), groups_of(",".join(flags.experiments))
    except ValueError as error:
        console.print(str(error), markup=False)
        return 2
    with service(flags.mps and not flags.dry_run, console) as together:
        together |= flags.mps and flags.dry_run  # which starts nothing, and takes it to work
        if flags.steps_in_turns is not None and not together:
            console.print(f"rows take turns on the device, so each has {flags.steps_in_turns:,} steps")
            flags.steps = flags.steps_in_turns
        console.print(f"the same by the command line: sagan paper run {shlex.join(command_of(flags))}")
        try:
            code, _ = run_rows(config_of(flags), command_of(flags), console)
        except SweepError as error:
            console.print(str(error), markup=False)
            return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
