"""How the files of this folder were made: one small file of each kind that the program writes, by public ways alone.

    python tests/golden/make.py FOLDER

Every file comes from ``python -m sagan VERB ...`` in a process of its own, one thread each, in an empty folder that is
removed afterwards. What is kept goes to FOLDER; ``made.json`` says by which versions, with which commands, and what
each file's SHA-256 sum is. ``expected/`` holds what the same program then made of these files.

The files are a promise: later versions must read them. So they are not made again when the program changes; a new kind
of file is added beside them.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
FURTHER = 3
"""Steps that are done from each checkpoint for ``expected/``."""
LAST = {"run": 4, "monitored": 50}
"""The last step of each run folder."""
TIMES = ("images_per_s", "elapsed_s")
"""Fields of a line of the log that no two machines share."""
ONE_CORE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

NARROW = ["--generator.base-width", "2", "--discriminator.base-width", "4", "--batch-size", "8"]
SHORT = ["--train.log-every", "1", "--train.save-every", "4", "--train.keep-last", "1", "--evaluate-every", "0"]
# Such learning rates that D wins at once: the run goes back to its first checkpoint and on with small ones.
COLLAPSING = [
    *("--train.d-steps", "1", "--train.lr-g", "0.5", "--train.lr-d", "0.5", "--train.on-collapse", "rollback"),
    *("--train.rollback-lr-factor", "0.002", "--train.max-rollbacks", "2"),
]
MONITOR = ["--evaluate-every", "25", "--monitor.metrics", "kd", "fd", "--monitor.num", "20", "--monitor.real", "50"]


class Maker:
    """Runs the program in a folder of its own and keeps what it made.

    Args:
        work: An empty folder where the commands run.
        out: Where the golden files go.
    """

    def __init__(self, work: Path, out: Path) -> None:
        self.work, self.out = work, out
        self.commands: list[str] = []

    def sagan(self, *words: str) -> str:
        """Run one command to its end and give what it printed."""
        self.commands.append(" ".join(["sagan", *words]))
        environment = os.environ | dict.fromkeys(ONE_CORE, "1") | {"SAGAN_CACHE": str(self.work / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", "sagan", *words], cwd=self.work, env=environment, capture_output=True, text=True
        )
        if done.returncode and (words[:2] != ("data", "check") or done.returncode != 3):  # 3: fine with remarks
            raise SystemExit(f"sagan {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def keep(self, name: str, to: str | None = None, leave: Iterable[str] = ()) -> None:
        """Copy a file or folder to the golden ones, without the names in ``leave``."""
        source, target = self.work / name, self.out / (to or name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(*leave))
        else:
            shutil.copyfile(source, target)


def draw_pictures(file: Path, count: int, *, classes: bool) -> None:
    """Draw 16 px pictures of bars, discs and slopes in turn and write them as arrays; without classes only pixels."""
    rows, columns = np.mgrid[0:16, 0:16]
    shapes = []
    for k in range(count):
        inside = (
            columns // 3 % 2 == k // 3 % 2,
            (rows - 7.5) ** 2 + (columns - 7.5) ** 2 < (3 + k % 5) ** 2,
            rows + columns > 10 + k % 9,
        )[k % 3]
        colour = np.roll([220, 90 + 3 * k, 40], k % 3)
        shapes.append(np.where(inside[..., None], colour, 20 + 5 * (k % 7)).astype(np.uint8))
    arrays: dict[str, Any] = {"images": np.stack(shapes)}
    if classes:
        arrays |= {"labels": np.arange(count) % 3, "class_names": np.array(["bars", "discs", "slopes"])}
    np.savez_compressed(file, **arrays)


def make_runs(maker: Maker) -> None:
    """Train the two run folders; the lock and TensorBoard's files name machines, and large pictures are left away."""
    demo = ["train", "--preset", "demo", *NARROW]
    leave = (".lock", "tensorboard", "attention.png", "curves.png", "timeline.png", "best.pt")
    maker.sagan(*demo, "--out", "run", "--steps", "4", "--train.sample-every", "4", "--seed", "3", *SHORT)
    maker.keep("run", leave=leave)
    watched = ["--attention", "--train.log-every", "3", "--train.sample-every", "0", "--train.save-every", "50"]
    watched += ["--train.keep-last", "1", "--steps", "50", *COLLAPSING, *MONITOR]
    maker.sagan(*demo, "--out", "monitored", *watched)
    maker.keep("monitored", leave=leave)


def make_weights(maker: Maker) -> None:
    """Train on the drawn pictures with and without classes and export the weights."""
    for name, steps in (("shapes", "6"), ("unconditional", "2")):
        data = "pictures.npz" if name == "shapes" else "flat.npz"
        run = f"{name}-run"
        few = [*NARROW, *SHORT, "--steps", steps, "--train.sample-every", "0", "--generator.sampling-norm", "running"]
        maker.sagan("train", "--preset", "demo", "--data", data, "--out", run, *few)
        maker.sagan("export", run, "--out", f"{name}.safetensors")
        maker.keep(f"{name}.safetensors")


def make_data(maker: Maker) -> None:
    """Pack the drawn pictures into a file and into shards; keep what the program says of both."""
    pack = ["data", "pack", "pictures.npz", "--size", "16", "--out"]
    said = {
        "packed.npy": maker.sagan(*pack, "packed.npy"),
        "shards": maker.sagan(*pack, "shards", "--shard-gb", "1.5e-5"),
    }
    for name in said:
        said[name] += maker.sagan("data", "check", name)
        maker.keep(name)
        (maker.out / "expected" / f"{name}.txt").write_text(said[name], encoding="utf-8")


def make_values(maker: Maker) -> None:
    """Measure: evaluations of each kind, stored statistics, and what distances within classes leave in the cache."""
    pixels = ["--features", "pixels"]
    real = ["--data", "pictures.npz"]
    shapes = ["evaluate", "shapes.safetensors"]
    maker.sagan("evaluate", *real, *pixels, "--size", "16", "--export-statistics", "statistics.npz")
    few = ["--num", "20", "--metrics"]
    maker.sagan("evaluate", "run", "--data", "digits", *pixels, "--num", "40", "--out", "evaluation.json")
    maker.sagan(*shapes, "--statistics", "statistics.npz", *pixels, *few, "fd", "kd", "--out", "by-statistics.json")
    lite = ["--features", "efficientnet-lite0", "--splits", "2"]
    maker.sagan(*shapes, *real, *lite, *few, "fd", "is", "--out", "evaluation-lite.json")
    maker.sagan(*shapes, *real, *pixels, "--metrics", "intra", "--intra-num", "6", "--out", "within.json")
    for name in ("statistics.npz", "evaluation.json", "by-statistics.json", "evaluation-lite.json", "within.json"):
        maker.keep(name)
    maker.keep("cache/within-classes", "within-classes")


def make_paper(maker: Maker) -> None:
    """Run a row of table 1 and the one of figure 6, and draw their tables; runs and large pictures are left away."""
    for experiment, row in (("table1", "no attention"), ("figure6", "SAGAN")):
        chosen = ["--scale", "smoke", "--seeds", "1", "--rows", row, "--out", "paper"]
        maker.sagan("paper", "run", experiment, *chosen)
    maker.keep("paper", leave=("runs", "by-class.png", "table.png", "seeds.png", "curves-*.png", "classes-*.png"))
    for picture in maker.out.glob("paper/*-smoke-*/samples.png"):
        picture.unlink()


def make_benchmark(maker: Maker) -> None:
    """Measure speed: only the form of this file is a promise."""
    what = ["--what", "step", "sampling", "data", "--rounds", "2", "--out", "benchmark.json"]
    maker.sagan("benchmark", "--preset", "demo", "--base-width", "4", "--batch-size", "8", *what)
    maker.keep("benchmark.json")


def expect_samples(maker: Maker) -> None:
    """Draw samples from everything that can be sampled from."""
    sources = {name: name for name in ("run", "monitored")}
    sources |= {name: f"{name}.safetensors" for name in ("shapes", "unconditional")}
    sources["checkpoint"] = "run/checkpoints/step-00000004.pt"
    for name, source in sources.items():
        maker.sagan("sample", source, "--num", "2", "--seed", "5", "--out", f"samples-{name}.npz")
        maker.keep(f"samples-{name}.npz", f"expected/samples-{name}.npz")


def expect_further_steps(maker: Maker) -> None:
    """Go on from each checkpoint: keep the weights and the lines of the log that follow."""
    for name, last in LAST.items():
        maker.sagan("train", "--resume", name, "--steps", str(last + FURTHER), "--train.log-every", "1")
        checkpoint = maker.work / name / "checkpoints" / f"step-{last + FURTHER:08d}.pt"
        np.savez(maker.out / "expected" / f"further-{name}.npz", **weights_in(checkpoint))  # type: ignore[arg-type]
        lines = [json.loads(line) for line in (maker.work / name / "log.jsonl").read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if k not in TIMES} for line in lines if line["step"] > last]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        (maker.out / "expected" / f"further-{name}.jsonl").write_text(text, encoding="utf-8")


def weights_in(checkpoint: Path) -> dict[str, np.ndarray]:
    """Read the weights in a checkpoint: both networks and the moving average, as ``G/...``, ``D/...``, ``ema/...``."""
    contents = torch.load(checkpoint, weights_only=True)
    return {
        f"{network}/{name}": tensor.numpy()
        for network in ("G", "D", "ema")
        for name, tensor in (contents[network] or {}).items()
    }


def made_with(maker: Maker) -> dict[str, Any]:
    """Say what made the files, and name each with its SHA-256 sum."""
    names = ("sagan-torch", "torch", "numpy", "lightning-fabric", "pillow", "safetensors")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    files = sorted(
        path for path in maker.out.rglob("*") if path.is_file() and path.name not in ("made.json", "make.py")
    )
    return {
        "commit": commit or "unknown",
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in names},
        "processor": platform.machine(),
        "threads": 1,
        "commands": maker.commands,
        "sha256": {str(path.relative_to(maker.out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }


def main() -> None:
    """Make all files."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    out = Path(sys.argv[1]).resolve()
    (out / "expected").mkdir(parents=True, exist_ok=False)
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(Path(folder), out)
        draw_pictures(maker.work / "pictures.npz", 36, classes=True)
        draw_pictures(maker.work / "flat.npz", 24, classes=False)
        maker.keep("pictures.npz")
        for make in (make_runs, make_weights, make_data, make_values, make_paper, make_benchmark):
            make(maker)
        expect_samples(maker)
        expect_further_steps(maker)
        (out / "made.json").write_text(json.dumps(made_with(maker), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
