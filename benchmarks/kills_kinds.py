"""What benchmarks/kills.py interrupts: the commands, how they are struck, and what has to be equal afterwards."""

import hashlib
import json
import os
import random
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kills_forked import ENDS_WITHIN_S, Watch, children_of, ended, family, send
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "tests" / "golden" / "versions" / "2" / "run" / "generator.safetensors"
TINY = [
    *("--generator.base-width", "2", "--discriminator.base-width", "4", "--generator.z-dim", "4", "--batch-size", "16"),
    *("--generator.sampling-norm", "running", "--steps", "4", "--train.log-every", "1", "--train.save-every", "1"),
    *("--train.sample-every", "2", "--evaluate-every", "2", "--monitor.num", "20", "--monitor.real", "60"),
    *("--data.holdout-fraction", "0"),
]
DAY_S = 86_400.0
JUMPS_S = (3600.0, -3600.0, 400 * DAY_S, -400 * DAY_S)
TIMES = ("images_per_s", "elapsed_s")
"""What a log says of time."""
Found = dict[str, str]
Act = Callable[[int], bool]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Something that is interrupted."""

    what: str
    """For the report."""
    first: Callable[[Path], list[list[str]]]
    """The commands, in a folder of their own."""
    outcome: Callable[[Path], Found]
    """What has to be equal afterwards, by name, as checksums."""
    again: str = "same"
    """How it goes on: the same commands, or `resume`, and the same command where nothing was saved."""
    or_refused: bool = False
    """Whether the same commands may be refused instead, where all is there already."""
    window: tuple[str, str] = ("", "")
    """Changes count from the first whose path has this part on, until the first that has the other."""
    near: str = ""
    """Only changes count whose path has this part."""
    struck: str = "killed"
    """How: see :func:`act_of`."""
    victims: tuple[str, ...] = ("all",)
    """Which of several processes; one is drawn."""
    cache_inside: bool = False
    """Whether the cache is in the folder, empty at first, and its changes count."""


def folder_of(folder: Path) -> str:
    """Name the run's folder."""
    return str(folder / "run")


def training(*more: str) -> Callable[[Path], list[list[str]]]:
    """Give the command of a tiny run."""
    return lambda folder: [["train", "--preset", "demo", *TINY, *more, "--out", folder_of(folder)]]


def packing(*more: str) -> Callable[[Path], list[list[str]]]:
    """Give the command that packs small pictures."""
    return lambda folder: [
        ["data", "pack", str(pictures(folder)), "--size", "16", "--out", str(folder / "set"), "--workers", "1", *more]
    ]


def pictures(folder: Path) -> Path:
    """Make sixty pictures in two classes beside the folder that is killed in, once."""
    place = folder.with_name("pictures")
    if not place.exists():
        drawn = np.random.default_rng(0)
        for number in range(60):
            file = place / "ab"[number % 2] / f"{number:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(file)
    return place


def evaluating(folder: Path) -> list[list[str]]:
    """Give the command that measures golden weights by digits, with its cache in the folder."""
    words = ["evaluate", str(GENERATOR), "--data", "digits", "--features", "pixels", "--num", "24"]
    words += ["--metrics", "fd", "kd", "intra", "--intra-num", "6", "--out", str(folder / "values.json")]
    return [words]


def exporting(folder: Path) -> list[list[str]]:
    """Give the commands that write weights to one file and to a folder to share."""
    return [["export", str(GENERATOR), "--out", str(folder / name)] for name in ("weights.safetensors", "shared")]


def sweeping(folder: Path) -> list[list[str]]:
    """Give the command of two rows of a table at the smallest scale."""
    words = ["paper", "run", "table1", "--scale", "smoke", "--rows", "no attention", "attention feat16"]
    return [[*words, "--jobs", "2", "--out", str(folder / "results")]]


def of_run(folder: Path) -> Found:
    """Sum up a run: weights, optimisers, the rest of its last checkpoint, log, values, samples, pictures, names."""
    from sagan.training.checkpoint import checkpoints

    run = folder / "run"
    files = checkpoints(run / "checkpoints")
    found = of_checkpoint(files[-1], "last") | of_checkpoint(run / "checkpoints" / "best.pt", "best")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    found["log"] = digest([{key: value for key, value in line.items() if key not in TIMES} for line in lines])
    elapsed = [line["elapsed_s"] for line in lines if "elapsed_s" in line]
    found["time in the log does not go back"] = str(elapsed == sorted(elapsed) and min(elapsed) >= 0)
    for file in sorted((run / "evaluations").glob("*.json")):
        plain = json.loads(file.read_text(encoding="utf-8"))
        found[f"values {file.stem}"] = digest([plain["subject"], plain["values"]])
    for file in sorted([*(run / "samples").iterdir(), run / "timeline.png", run / "attention.png"]):
        found[file.name] = digest(file.read_bytes())
    found["weights file"] = of_weights(run / "generator.safetensors")
    steps = {file.name for file in files}
    hidden = {"log.jsonl.damaged", *steps}
    names = [str(file.relative_to(run)) for file in run.rglob("*") if file.is_file() and file.name not in hidden]
    found["names of files"] = digest(sorted(name for name in names if "tfevents" not in name))
    return found


def of_checkpoint(file: Path, name: str) -> Found:
    """Sum up a checkpoint: networks, optimisers, and the rest but for versions and machine."""
    from sagan.training.checkpoint import load_checkpoint

    contents = load_checkpoint(file)
    parts = {"networks": ("G", "D", "ema"), "optimisers": ("optimizer_g", "optimizer_d")}
    found = {f"{part}, {name}": digest([contents.pop(key) for key in keys]) for part, keys in parts.items()}
    for key in ("versions", "machine", "checksum"):
        contents.pop(key, None)
    return found | {f"rest of the checkpoint, {name}": digest(contents)}


def of_weights(file: Path) -> str:
    """Sum up a weights file: its tensors, and what stands beside them."""
    from sagan.generators.weights import load_weights

    loaded = load_weights(file)
    return digest([loaded.generator.state_dict(), loaded._replace(generator=None)])


def of_packed(folder: Path) -> Found:
    """Sum up a packed file, or a folder of shards: each byte, and the names."""
    from sagan.data import read_packed

    place = folder / "set"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {str(file.relative_to(folder)): digest(file.read_bytes()) for file in files}
    return found | ({"fingerprint": read_packed(place).fingerprint} if place.is_file() else {})


def of_values(folder: Path) -> Found:
    """Sum up an evaluation: its values with their protocols, and what the cache holds."""
    plain = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    return {"values": digest(plain["values"]), "names of files": digest(names_but_hidden(folder))}


def of_export(folder: Path) -> Found:
    """Sum up what was exported: tensors, and all names and bytes of the folder but its weights'."""
    files = sorted(path for path in (folder / "shared").rglob("*") if path.is_file())
    found = {file.name: digest(file.read_bytes()) for file in files if file.suffix != ".safetensors"}
    found |= {file.parent.name: of_weights(file) for file in folder.rglob("*.safetensors") if visible(file, folder)}
    return found | {"names of files": digest(names_but_hidden(folder))}


def of_sweep(folder: Path) -> Found:
    """Sum up a sweep: values, logs and pictures of its rows, its table, and the names."""
    out, found = folder / "results", {}
    for file in sorted(out.glob("rows/*/result.json")):
        plain = json.loads(file.read_text(encoding="utf-8"))
        found[f"{plain['name']}: values"] = digest([plain["reports"], plain["step"], plain["status"], plain["key"]])
        found[f"{plain['name']}: samples"] = digest((file.parent / "samples.png").read_bytes())
        lines = [json.loads(line) for line in (file.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        found[f"{plain['name']}: log"] = digest([{k: v for k, v in line.items() if k not in TIMES} for line in lines])
    found |= {f"table {file.name}": digest(file.read_bytes()) for file in out.glob("*/table.md")}
    names = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and "runs" not in path.parts]
    return found | {"names of files": digest(sorted(name for name in names if "/." not in f"/{name}"))}


def visible(path: Path, folder: Path) -> bool:
    """Say whether neither a file nor a folder above it is hidden: those may be left by what was killed."""
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def names_but_hidden(folder: Path) -> list[str]:
    """List the files of a folder that are not hidden."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and visible(path, folder)
    )


def digest(thing: Any) -> str:
    """Give a short checksum of plain values, bytes and tensors, nested as they may be."""
    summed = hashlib.sha256()
    _feed(summed, thing)
    return summed.hexdigest()[:16]


def _feed(summed: Any, thing: Any) -> None:
    if isinstance(thing, Mapping):
        for key in sorted(thing, key=str):
            summed.update(f"{{{key!r}:".encode())
            _feed(summed, thing[key])
    elif isinstance(thing, (list, tuple)):
        summed.update(f"[{len(thing)}".encode())
        for part in thing:
            _feed(summed, part)
    elif hasattr(thing, "numpy"):
        summed.update(f"{thing.dtype}{tuple(thing.shape)}".encode() + thing.detach().contiguous().numpy().tobytes())
    else:
        summed.update(thing if isinstance(thing, bytes) else repr(thing).encode())


def victim_of(pid: int, name: str) -> list[int]:
    """Give the processes of a name: all, the one that started the others, or the n-th of those."""
    if name == "all":
        return family(pid)
    started = children_of(pid)
    if name == "the starting one":
        return [pid] if started else []
    number = int(name.rsplit(" ", 1)[1])
    return started[number : number + 1]


def act_of(struck: str, victim: str, drawn: random.Random, watch: Watch) -> tuple[Act, str]:
    """Give what is done to a process at the moment, and how the row calls it.

    killed: SIGKILL. preempted: SIGTERM, and SIGKILL up to 0.6 s later. halted: SIGSTOP, and SIGCONT up to 2 s later.
    clock: the clock is set forward or back, SIGKILL up to 0.3 s later.
    """
    wait_s = round(drawn.uniform(0.0, {"preempted": 0.6, "halted": 2.0, "clock": 0.3}.get(struck, 0.0)), 3)
    jump_s = drawn.choice(JUMPS_S)

    def kill(pid: int) -> bool:
        found = victim_of(pid, victim)
        send(found, signal.SIGKILL)
        return bool(found)

    def preempt(pid: int) -> bool:
        return later(pid, lambda: send([pid], signal.SIGTERM), kill)

    def halt(pid: int) -> bool:
        found = victim_of(pid, victim)
        send(found, signal.SIGSTOP)
        time.sleep(wait_s)
        send(found, signal.SIGCONT)
        return bool(found)

    def set_clock(pid: int) -> bool:
        return later(pid, lambda: watch.set_clock(jump_s), kill)

    def later(pid: int, at_once: Callable[[], object], then: Act) -> bool:
        at_once()
        with ended(pid) as end:
            gone = bool(select.select([end], [], [], wait_s)[0])
        return gone or then(pid)

    acts: dict[str, Act] = {"killed": kill, "preempted": preempt, "halted": halt, "clock": set_clock}
    said = {"preempted": f"SIGTERM, SIGKILL after {wait_s} s", "halted": f"SIGSTOP for {wait_s} s"}
    said |= {"clock": f"clock {jump_s / 3600:+,.0f} h, SIGKILL after {wait_s} s"}
    return acts[struck], said.get(struck, "SIGKILL")


def shift_files(folder: Path, seconds: float) -> None:
    """Set the times of all files of a folder, as a clock leaves them that was wrong when they were written."""
    for path in folder.rglob("*"):
        at = path.stat().st_mtime + seconds
        os.utime(path, (at, at))


TWO = ("--devices", "2")
KINDS: dict[str, Kind] = {
    "steps": Kind(what="a run, anywhere", first=training(), outcome=of_run, again="resume"),
    "saves": Kind(
        what="a run, as a checkpoint is written",
        first=training(),
        outcome=of_run,
        again="resume",
        near="checkpoints/",
    ),
    "starts": Kind(
        what="a run, from its first moment to its first checkpoint; its pictures are packed into the cache",
        first=training(),
        outcome=of_run,
        again="resume",
        window=("", "checkpoints/step-00000001"),
        cache_inside=True,
    ),
    "packing": Kind(what="`data pack` to a file", first=packing(), outcome=of_packed),
    "shards": Kind(what="`data pack` to shards", first=packing("--shard-gb", "0.000014"), outcome=of_packed),
    "evaluation": Kind(what="`evaluate` with its cache", first=evaluating, outcome=of_values, cache_inside=True),
    "export": Kind(
        what="`export` to a file and to a folder to share", first=exporting, outcome=of_export, or_refused=True
    ),
    "paper": Kind(
        what="`paper run`, two rows side by side: all processes, the sweep alone, one row alone",
        first=sweeping,
        outcome=of_sweep,
        victims=("all", "the starting one", "process 0", "process 1"),
    ),
    "two": Kind(
        what="a run of two processes, all killed",
        first=training(*TWO),
        outcome=of_run,
        again="resume",
    ),
    "one of two": Kind(
        what="a run of two processes: process 0, process 1 or the one that started them is killed",
        first=training(*TWO),
        outcome=of_run,
        again="resume",
        victims=("the starting one", "process 0", "process 1"),
    ),
    "preemption": Kind(
        what="a run: SIGTERM, SIGKILL a short while later",
        first=training(),
        outcome=of_run,
        again="resume",
        struck="preempted",
    ),
    "halted": Kind(
        what="a run: SIGSTOP, SIGCONT a while later; it ends by itself",
        first=training(),
        outcome=of_run,
        again="nothing",
        struck="halted",
    ),
    "one of two halted": Kind(
        what="a run of two processes: one gets SIGSTOP, SIGCONT a while later; it ends by itself",
        first=training(*TWO),
        outcome=of_run,
        again="nothing",
        struck="halted",
        victims=("process 0", "process 1"),
    ),
    "clock": Kind(
        what="a run: the clock jumps by an hour or 400 days, then SIGKILL; it goes on with the clock set right",
        first=training(),
        outcome=of_run,
        again="resume",
        struck="clock",
    ),
}
assert ENDS_WITHIN_S > 60  # more than processes may take that lose one of them


def resuming(first: Sequence[Sequence[str]]) -> list[str]:
    """Give the command that goes on with a run that a command started."""
    words = list(first[0])
    more = words[words.index("--devices") : words.index("--devices") + 2] if "--devices" in words else []
    return ["train", "--resume", words[words.index("--out") + 1], *more]
