"""What gives the same bits again, and what does not? Tiny runs, each in a process of its own, compared bit for bit.

    ./dev python benchmarks/determinism.py                      # all lines; ten minutes on two cores
    ./dev python benchmarks/determinism.py --only again avx2    # some of them, besides the first
    ./dev python benchmarks/determinism.py --steps 200          # longer runs, which drift further apart

The first line packs pictures, trains on them, samples, evaluates and runs a row of the paper, all on one thread. Each
other line does some of that again with one thing changed (``CASES``), in another folder and with another hash seed of
Python; samples and values are those of the first line's weights. Where bits differ, it says how much: of weights the
norm of the difference of both networks, relative to that of the weights; else the largest difference, of pixels in
levels of 255, of values relative to the value. (The largest difference of weights says nothing: biases before a batch
normalisation have no gradient but rounding, which Adam makes as large as any.)

results/reliability/determinism.json has what came out, determinism.md the same as a table; with ``--only`` the other
lines stay. The exit code is 1 where something differs that should not.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "reliability"
FIRST = "first"
ALL = ("packed file", "weights", "log", "samples", "values", "row of the paper")
PIXELS = 16
TRAINED = ("weights", "log")
DRAWN = ("samples", "values")
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}

Row = dict[str, Any]


class Case(NamedTuple):
    """A line: what is changed, and what is done with it."""

    what: str
    """For people."""
    parts: tuple[str, ...]
    """What is made and compared."""
    same: bool
    """Whether all bits should be the same."""
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed
    settings: dict[str, Any] = {}  # noqa: RUF012


CASES = {
    FIRST: Case("one thread", ALL, True),
    "again": Case("the same once more", ALL, True),
    "workers": Case("4 threads pack the pictures", ("packed file",), True, {}, {"workers": 4}),
    "keep": Case("pictures in memory, not read ahead", TRAINED, True, {}, {"flags": ["--data.keep", "memory"]}),
    "resumed": Case("stopped half-way and resumed", ("weights",), True, {}, {"resumed": True}),
    "deterministic": Case("`--engine.deterministic`", TRAINED, True, {}, {"flags": ["--engine.deterministic"]}),
    "batch": Case("samples in batches of 7, not 64", ("samples",), False, {}, {"batch": 7}),
    "threads": Case("two threads", (*TRAINED, *DRAWN), False, {"OMP_NUM_THREADS": "2"}),
    "threads-again": Case("two threads, once more", (*TRAINED, *DRAWN), False, {"OMP_NUM_THREADS": "2"}),
    "plain": Case("PyTorch's plain kernels", (*TRAINED, *DRAWN), False, {"ATEN_CPU_CAPABILITY": "default"}),
    "avx2": Case("kernels of AVX2 everywhere", (*TRAINED, *DRAWN), False, AVX2),
    "processes": Case("two processes", ("weights",), False, {}, {"flags": ["--devices", "2"]}),
}


# In the process of a line


def train_words(folder: Path, steps: int, flags: list[str]) -> list[str]:
    """Give the command of a tiny run that flips, augments, averages, samples and measures."""
    tiny = ["--base-width", "4", "--batch-size", "8", "--data.flip", "--engine.device", "cpu"]
    cadences = [f"--train.{name}-every={max(1, steps // 2)}" for name in ("log", "sample", "evaluate", "save")]
    measured = ["--monitor.num", "32", "--train.augment", "color", "translation"]
    data = ["--data", str(folder / "packed")]
    return ["train", "--preset", "demo", *data, "--steps", str(steps), *tiny, *cadences, *measured, *flags]


def do(folder: Path, first: Path, case: Case, steps: int) -> Row:
    """Make all parts of a line; gives what can be written as JSON, and leaves arrays in the folder."""
    import torch

    from sagan.cli.main import main

    made: Row = {"threads": torch.get_num_threads()}
    data, settings = first / "packed", case.settings
    if "packed file" in case.parts:
        words = ["data", "pack", str(first / "pictures"), "--size", str(PIXELS), "--out", str(folder / "packed")]
        assert main([*words, "--workers", str(settings.get("workers", 1))]) == 0
        made["packed file"] = hashlib.sha256((folder / "packed").read_bytes()).hexdigest()
    if "weights" in case.parts:
        train(folder, first, settings, steps)
        made["log"] = [line for line in map(told, (folder / "run/log.jsonl").read_text().splitlines()) if line]
    if "samples" in case.parts:
        draw(folder, first, settings.get("batch", 64))
    if "values" in case.parts:
        words = ["evaluate", str(first / "run/generator.safetensors"), "--data", str(data), "--features", "pixels"]
        words += ["--metrics", "fd", "prdc", "--num", "64", "--out", str(folder / "values.json")]
        assert main(words) == 0
        made["values"] = numbers(json.loads((folder / "values.json").read_text()))
    if "row of the paper" in case.parts:
        words = ["paper", "run", "table1", "--scale", "smoke", "--rows", "no attention", "--steps", "2", "--num", "20"]
        assert main([*words, "--jobs", "1", "--out", str(folder / "paper")]) == 0
        (result,) = (folder / "paper").glob("rows/*/result.json")
        made["row of the paper"] = numbers(json.loads(result.read_text()))
    return made


def train(folder: Path, first: Path, settings: Row, steps: int) -> None:
    """Train, in two parts where that is asked for, and leave the weights in the folder."""
    import torch

    from sagan.cli.main import main

    out, flags = str(folder / "run"), list(settings.get("flags", []))
    words = train_words(first, steps, flags)
    if settings.get("resumed"):
        half = [f"{steps // 2}" if before == "--steps" else word for before, word in zip(["", *words], words)]  # noqa: B905
        assert main([*half, "--out", out]) == 0
        assert main(["train", "--resume", out, "--steps", str(steps)]) == 0
    else:
        assert main([*words, "--out", out]) == 0
    held = torch.load(sorted((folder / "run/checkpoints").glob("step-*.pt"))[-1], weights_only=True)
    assert held["step"] == steps
    weights = {f"{part}.{name}": value for part in ("G", "D", "ema") for name, value in (held[part] or {}).items()}
    torch.save(weights, folder / "weights.pt")


def draw(folder: Path, first: Path, batch: int) -> None:
    """Sample with the weights of the first line, and leave pixels and what they are rounded from in the folder."""
    import numpy as np
    import torch

    import sagan
    from sagan.sampling import sample_latents

    generator = sagan.load(first / "run/generator.safetensors")
    pixels = generator.sample(64, seed=3, batch_size=batch)
    z, y = sample_latents(3, range(64), generator.config.z_dim), generator.labels(64, seed=3)
    with torch.no_grad():
        parts = [slice(start, start + batch) for start in range(0, 64, batch)]
        images = torch.cat([generator.network(z[part], None if y is None else y[part]) for part in parts])
    np.savez(folder / "samples.npz", pixels=pixels, images=images.numpy())


def told(line: str) -> Row:
    """Read the numbers of a line of the log that training computed: neither times nor memory."""
    kept = ("step", "loss", "logit", "gamma", "fd", "kd", "norm", "lr")
    return {key: value for key, value in json.loads(line).items() if any(word in key for word in kept)}


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """Give the measured numbers inside what was written as JSON, by their place; neither times nor machines."""
    if isinstance(value, dict):
        skipped = ("machine", "versions", "about", "threads", "commit", "code")
        items = [(key, item) for key, item in value.items() if key not in skipped and not is_time(key)]
        return {k: v for key, item in items for k, v in numbers(item, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {k: v for i, item in enumerate(value) for k, v in numbers(item, f"{path}.{i}").items()}
    return {path: value} if isinstance(value, float) else {}


def is_time(key: str) -> bool:
    """Tell whether a number is a time."""
    return "second" in key or key.endswith("_s")


# In the process that compares


def difference_of_weights(one: Path, other: Path) -> float:
    """Give the norm of the difference, relative to that of the weights; 0 only if all bits agree."""
    import torch

    a, b = (torch.load(folder / "weights.pt", weights_only=True) for folder in (one, other))
    assert a.keys() == b.keys()
    if all(torch.equal(a[name], b[name]) for name in a):
        return 0.0
    weights = [name for name in a if a[name].is_floating_point()]
    apart = sum(float((a[name].double() - b[name].double()).square().sum()) for name in weights)
    whole = sum(float(a[name].double().square().sum()) for name in weights)
    return max((apart / whole) ** 0.5, 1e-30)


def difference_of_samples(one: Path, other: Path) -> Row:
    """Compare pixels, and the images that they are rounded from."""
    import numpy as np

    with np.load(one / "samples.npz") as a, np.load(other / "samples.npz") as b:
        apart = np.abs(a["pixels"].astype(int) - b["pixels"])
        exact = float(np.abs(a["images"].astype(np.float64) - b["images"]).max())
    return {"levels": int(apart.max()), "changed": float((apart > 0).mean()), "largest": exact}


def difference_of_numbers(one: Any, other: Any) -> float:
    """Give the largest relative difference of two collections of numbers with the same places."""
    a, b = numbers(one), numbers(other)
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    assert a
    return max(0.0 if a[key] == b[key] else abs(a[key] - b[key]) / max(abs(a[key]), 1e-30) for key in a)


def compared(one: Path, other: Path, parts: tuple[str, ...]) -> dict[str, Row]:
    """Compare what two lines made."""
    a, b = (json.loads((folder / "made.json").read_text()) for folder in (one, other))
    found: dict[str, Row] = {}
    for part in parts:
        if part == "weights":
            found[part] = {"largest": difference_of_weights(one, other)}
        elif part == "samples":
            found[part] = difference_of_samples(one, other)
        elif part == "packed file":
            found[part] = {"largest": float(a[part] != b[part])}
        else:
            found[part] = {"largest": difference_of_numbers(a[part], b[part])}
        found[part]["same"] = found[part]["largest"] == 0.0
    return found


def pictures(folder: Path) -> None:
    """Write 48 pictures of three classes, of several sizes and formats."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(48):
        (folder / "abc"[i % 3]).mkdir(parents=True, exist_ok=True)
        height, width = random.integers(16, 60, 2)
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8) // (1 + i % 3)
        Image.fromarray(pixels).save(folder / "abc"[i % 3] / f"{i}.{'png' if i % 2 else 'jpg'}")


def start(name: str, work: Path, steps: int) -> None:
    """Run a line in a process of its own, in the folder of its name.

    Raises:
        RuntimeError: If it fails; with its last words.
    """
    folder = work / name
    folder.mkdir(exist_ok=True)
    seed = str(sum(map(ord, name)))  # of Python's hashes of text
    mine = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed, "SAGAN_CACHE": str(folder / "cache")}
    kept = {key: value for key, value in os.environ.items() if key not in AVX2}
    paths = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = kept | mine | CASES[name].environment | {"PYTHONPATH": paths}
    words = [sys.executable, __file__, "--line", name, "--work", str(work), "--steps", str(steps)]
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the line {name} ended with code {done.returncode}: {done.stderr[-2000:]}")


def cell(found: Row | None) -> str:
    """Write a difference."""
    if found is None:
        return ""
    if found["same"]:
        return "same bits"
    if "levels" in found:
        return f"{found['largest']:.0e} of 2; {found['levels']} of 255 in {found['changed']:.1%} of pixels"
    return f"{found['largest']:.0e}"


def table(report: Row) -> str:
    """Write the page."""
    head = (
        f"# What gives the same bits\n\nMade by `benchmarks/determinism.py`, which says how; raw: `determinism.json`. "
        f"{report['steps']} steps; {', '.join(f'{key} {value}' for key, value in report['machine'].items())}.\n\n"
    )
    rows = [f"| changed | {' | '.join(ALL)} |", f"|{'---|' * (1 + len(ALL))}"]
    for row in report["lines"]:
        rows.append(f"| {row['what']} | {' | '.join(cell(row['parts'].get(part)) for part in ALL)} |")
    return head + "\n".join(rows) + "\n"


def with_others(report: Row, folder: Path) -> Row:
    """Keep the lines of an earlier report that were not made again, if the machine and the steps are the same."""
    file = folder / "determinism.json"
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if any(old.get(key) != report[key] for key in ("steps", "machine")):
        return report
    found = {line["name"]: line for line in [*old["lines"], *report["lines"]]}
    return report | {"lines": [found[name] for name in CASES if name in found]}


def machine_here() -> dict[str, str]:
    """Say what was computed on."""
    import platform

    import torch

    cpu = torch.backends.cpu.get_cpu_capability()
    return {"PyTorch": torch.__version__, "Python": platform.python_version(), "instructions": cpu}


def main() -> int:
    """Make all lines, compare them with the first one, write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[name for name in CASES if name != FIRST], help="these lines")
    parser.add_argument("--steps", type=int, default=20, help="steps of each run")
    parser.add_argument("--jobs", type=int, default=1, help="lines at a time")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of determinism.json and determinism.md")
    parser.add_argument("--line", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.line:
        folder = asked.work / asked.line
        made = do(folder, asked.work / FIRST, CASES[asked.line], asked.steps)
        (folder / "made.json").write_text(json.dumps(made))
        return 0
    names = asked.only or [name for name in CASES if name != FIRST]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        pictures(work / FIRST / "pictures")
        start(FIRST, work, asked.steps)
        with ThreadPoolExecutor(asked.jobs) as pool:
            list(pool.map(lambda name: start(name, work, asked.steps), names))
        lines = [
            {"name": name, "what": CASES[name].what, "should": CASES[name].same}
            | {"parts": compared(work / FIRST, work / name, CASES[name].parts)}
            for name in names
        ]
    asked.out.mkdir(parents=True, exist_ok=True)
    report = with_others({"steps": asked.steps, "machine": machine_here(), "lines": lines}, asked.out)
    (asked.out / "determinism.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (asked.out / "determinism.md").write_text(table(report), encoding="utf-8")
    print(table(report))
    wrong = [row["name"] for row in lines if row["should"] and not all(part["same"] for part in row["parts"].values())]
    for name in wrong:
        print(f"{name}: should have been the same, and differs", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
