"""The single values of a measurement in a file, from which `tests/test_numbers.py` recomputes tables of `results/`."""

import argparse
import json
import sys
from pathlib import Path

import torch


def add_raw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--raw", metavar="FILE.json", type=Path, help="write the single values there, too")


def write_raw(args: argparse.Namespace, **found: object) -> None:
    """Write what was found, with the command that found it; of a path of this machine only its name."""
    if args.raw is None:
        return
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
    about = {"command": command, "processor": processor(), "torch": torch.__version__}
    args.raw.parent.mkdir(parents=True, exist_ok=True)
    args.raw.write_text(json.dumps(about | found, indent=1) + "\n", encoding="utf-8")


def processor() -> str:
    """Name the processor, where Linux tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
