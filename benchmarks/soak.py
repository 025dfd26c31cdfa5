"""Train for hours with all that a run does beside its steps, and watch what the process holds: memory, files, threads.

    ./dev python benchmarks/soak.py                      # two and a half hours
    ./dev python benchmarks/soak.py --hours 0.05         # to try it
    ./dev python benchmarks/soak.py --report             # table and curves from the samples that are there

The run is the demonstration's, made to go on: samples, measurements by three metrics, checkpoints, TensorBoard,
held-out pictures, adaptive augmentation, LeCam, rollbacks and a hook of one's own, each every few dozen steps, so that
what is forgotten once a look would be forgotten many times. Every few seconds the kernel is asked what the process and
its children hold (Linux: /proc). It is ended by SIGTERM, as a machine that is taken back does, and has to leave a
checkpoint and exit code 0.

It leaves results/reliability/soak.jsonl.gz (one line a sample), soak.json (what it came to) and soak.webp (the curves).
Flat means: in the last tenth of the time the median is at most `GROWS` above that of the second tenth.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rows import pack_rows, packed, read_rows

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "results" / "reliability"
EVERY_S = 10.0
GROWS = {"memory_mib": 10.0, "files": 1.0, "threads": 1.0, "children": 1.0}
"""What the last tenth may have more than the second."""
ENDS_WITHIN_S = 120.0
OPTIONS = {
    "train.total_steps": 10**8,
    "train.evaluate_every": 60,
    "train.sample_every": 40,
    "train.save_every": 50,
    "train.log_every": 10,
    "train.keep_last": 3,
    "train.augment": ("color", "translation", "cutout"),
    "train.adaptive_augment": 0.6,
    "train.lecam": 0.01,
    "train.lecam_start": 100,
    "train.on_collapse": "rollback",
    "train.max_rollbacks": 10**6,
    "train.rollback_lr_factor": 1.0,
    "monitor.metrics": ("fd", "kd", "prdc"),
    "monitor.num": 200,
    "data.holdout_fraction": 0.1,
}
"""What differs from the preset `demo`."""
Row = dict[str, Any]


def child(out: str) -> int:
    """Train until a signal comes, with a hook of one's own beside all others."""
    import torch
    from quality_arms import with_fields

    import sagan
    from sagan.recipes.presets import demo

    class Own(sagan.Hook):
        """Counts steps, as hooks of users do."""

        name = "own"
        steps = 0

        def on_step(self, record: Any) -> None:
            """Count one."""
            self.steps += 1

    torch.set_num_threads(1)
    sagan.train(with_fields(demo(), OPTIONS), out=out, hooks=[Own()])
    return 0


def held_by(number: int) -> Row:
    """Ask the kernel what a process holds, and how many children it has.

    Memory is what is the process's own (RssAnon): pages of files come and go with what else the machine does.
    """
    place = Path("/proc") / str(number)
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    below = [task / "children" for task in (place / "task").iterdir()]
    return {
        "memory_mib": round(int(status["RssAnon"].split()[0]) / 1024, 1),
        "files": len(list((place / "fd").iterdir())),
        "threads": int(status["Threads"]),
        "children": sum(len(file.read_text().split()) for file in below if file.exists()),
    }


def last_step(run: Path) -> int:
    """Say how far a run is by its log; 0 before there is one."""
    log = run / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return max((json.loads(line).get("step", 0) for line in lines[-20:] if line.endswith("}")), default=0)


def soak(hours: float, every_s: float, file: Path) -> int:
    """Train for so long, look every few seconds, end it by SIGTERM; gives the exit code of the run."""
    with (
        tempfile.TemporaryDirectory() as folder,
        file.open("w", encoding="utf-8") as rows,
        (Path(folder) / "said.txt").open("w+", encoding="utf-8") as said,
    ):
        run = Path(folder) / "run"
        words = [sys.executable, __file__, "--child", str(run)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(words, env=environment, stdout=said, stderr=said)
        began = time.monotonic()
        while process.poll() is None and (spent := time.monotonic() - began) < hours * 3600:
            time.sleep(every_s)
            try:
                row = {"seconds": round(spent + every_s), "step": last_step(run)} | held_by(process.pid)
            except (FileNotFoundError, KeyError, ProcessLookupError):
                break
            rows.write(json.dumps(row) + "\n")
            rows.flush()
        process.send_signal(signal.SIGTERM)
        code = process.wait(ENDS_WITHIN_S)
        rows.write(json.dumps({"code": code, "saved": saved(run), "warned": warned(run)}) + "\n")
        said.seek(0)
        if code:
            print(said.read()[-2000:], file=sys.stderr)
    return code


def saved(run: Path) -> bool:
    """Say whether the last step that was logged or done is in a checkpoint that loads."""
    from sagan.training.checkpoint import checkpoints, load_checkpoint

    files = checkpoints(run / "checkpoints")
    return bool(files) and load_checkpoint(files[-1])["step"] >= last_step(run)


def warned(run: Path) -> dict[str, int]:
    """Count the warnings of a run by their names."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    names = [str(line["health"]) for line in lines if "health" in line and not line["over"]]
    return {name: names.count(name) for name in sorted(set(names))}


def judged(rows: Sequence[Row]) -> dict[str, Any]:
    """Compare the last tenth of the time with the second tenth, for each thing that is held."""
    tenth = max(1, len(rows) // 10)
    found: dict[str, Any] = {}
    for name, more in GROWS.items():
        early = statistics.median(row[name] for row in rows[tenth : 2 * tenth])
        late = statistics.median(row[name] for row in rows[-tenth:])
        found[name] = {"second_tenth": early, "last_tenth": late, "flat": late - early <= more}
    return found


def write_report(file: Path) -> bool:
    """Write what came of the samples, and their curves; True if all is flat and the run ended well."""
    from sagan.machine import versions

    lines = read_rows(file)
    rows, ended = [line for line in lines if "memory_mib" in line], next((line for line in lines if "code" in line), {})
    held = judged(rows)
    good = all(part["flat"] for part in held.values()) and ended.get("code") == 0 and ended.get("saved", False)
    about = {"hours": round(rows[-1]["seconds"] / 3600, 2), "steps": rows[-1]["step"], "samples": len(rows)}
    told = about | {"held": held, "ended": ended, "flat_and_ended_well": good, "may_grow_by": GROWS}
    told |= {"options": OPTIONS, "versions": versions()}
    file.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    draw(rows, file.with_suffix(".webp"))
    pack_rows(file, lines)
    print(json.dumps(about | {"held": held, "ended": ended}, indent=1))
    return bool(good)


def draw(rows: Sequence[Row], file: Path) -> None:
    """Draw what is held over the hours, one curve below the other."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(GROWS), 1, figsize=(7, 6), sharex=True, layout="constrained")
    hours = [row["seconds"] / 3600 for row in rows]
    for axis, name in zip(axes, GROWS, strict=True):
        axis.plot(hours, [row[name] for row in rows], linewidth=1)
        axis.set_ylabel(name.replace("_mib", " (MiB)"))
        axis.set_ylim(0, max(row[name] for row in rows) * 1.1 + 1)
    axes[-1].set_xlabel(f"hours; {rows[-1]['step']:,} steps")
    figure.savefig(file, dpi=90, pil_kwargs={"quality": 80})
    plt.close(figure)


def main() -> int:
    """Soak, and report; 1 if something grew or the run did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.5)
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="S", help="seconds between two looks")
    parser.add_argument("--file", type=Path, default=KEPT / "soak.jsonl", help="where the samples go")
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args.child)
    args.file.parent.mkdir(parents=True, exist_ok=True)
    if not args.report:
        packed(args.file).unlink(missing_ok=True)
        soak(args.hours, args.every, args.file)
    return 0 if write_report(args.file) else 1


if __name__ == "__main__":
    sys.exit(main())
