"""Kill, halt and preempt runs, packing, evaluation, export and sweeps at moments drawn from a seed: is anything lost?

    ./dev python benchmarks/kills.py                                # twenty of each kind; goes on where it was stopped
    ./dev python benchmarks/kills.py --kinds steps two --count 50
    ./dev python benchmarks/kills.py --kinds starts --each --rows /tmp/each.jsonl    # before each change of the disk
    ./dev python benchmarks/kills.py --again                        # those once more in which something was lost
    ./dev python benchmarks/kills.py --report                       # the page from what is there

A kind (`--help` lists them) is a command that is first run to its end, twice. Then it is begun again and again, struck
at a moment, and gone on with as the documentation says: the same command, or `--resume`, and the command that started
it where nothing had been saved, which `--resume` has to say. A moment is drawn evenly from: a share of the time
that the uninterrupted command takes; just before one of its changes of the disk; up to 30 ms after one. Where there are
several processes, which of them is drawn as well: all, the one that starts the others, or one of the others. What was
over before it was struck does not count and is drawn again.

Afterwards the following is equal, bit for bit, to what the uninterrupted command left:
- of a run: networks, moving average, optimisers and all else in the last checkpoint and in the best one, but for
  versions and machine; each line of the log but for images a second and elapsed seconds, which may not fall; values,
  samples, their pictures, the timeline, the weights file; the names of all files but for checkpoints before the last;
- of packing: each byte of each file, the fingerprint, the names of all files, hidden ones too;
- of an evaluation: values with their protocols, names of files in the cache; of an export: tensors, and each byte
  of all other files (a folder to share that is whole already is refused by the same command); hidden files that were
  being written may be left of both;
- of a sweep: values, logs and samples of all rows, the table, the names of its files.
No traceback may be printed, and every process has to end within ten minutes of the stroke, also what is left of a run
whose other processes were killed.

So that a kill takes seconds, processes are forked from this one, which has everything imported, with one thread; those
that a launcher or a sweep starts are forked, too. Pictures are packed two by two, with a journal after every four,
standing statistics are averaged over three batches, and in place of curves a square is drawn, coloured by what they
would show. The clock is set in `time.time` alone; the times of all files
are shifted as much before the run goes on. Linux only.

Each stroke is a line of results/reliability/kills.jsonl.gz; results/reliability/kills.md is the page. The exit code is
1 if anything was lost.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rows as kept
from kills_forked import START, Moment, Watch, adopt_orphans, command, fork, strike, wait_for, wait_for_orphans
from kills_kinds import KINDS, TIMES, Found, Kind, act_of, resuming, shift_files
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "results" / "reliability" / "kills.jsonl"
SHORTLY_S = 0.03
MISSES = 30
"""So many draws in a row may be over before they are struck."""
EACH = -1
"""In place of the seed where nothing is drawn."""
REFUSED = 2
"""Exit code of what is refused with a sentence."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Whole:
    """What an uninterrupted command did."""

    seconds: float
    """How long it took."""
    changes: list[tuple[float, str]]
    """Its changes of the disk, with their times."""
    outcome: Found
    """What it left."""


@dataclass
class Place:
    """Where it is done: one folder, made anew each time, so that names and configurations are the same."""

    work: Path
    """The folder of everything."""
    wholes: dict[str, Whole] = field(default_factory=dict)
    """What was run without interruption, by its command."""

    @property
    def folder(self) -> Path:
        """The folder in which things are killed."""
        return self.work / "here"

    @property
    def said(self) -> Path:
        """What was said."""
        return self.work / "said.txt"

    def watch(self, kind: Kind, moment: Moment) -> Watch:
        """Make an empty folder, and what watches it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        log = self.work / "changes.txt"
        log.unlink(missing_ok=True)
        self.said.unlink(missing_ok=True)
        os.environ["SAGAN_CACHE"] = str((self.folder if kind.cache_inside else self.work) / "cache")
        return Watch(self.folder, log, moment)

    def run(self, commands: Sequence[Sequence[str]]) -> int | None:
        """Run commands to their end; gives the exit code, None if they hang."""
        return wait_for(fork(command(commands, None), self.said))


def whole(kind: Kind, place: Place) -> Whole:
    """Run a kind's command to its end, twice: the second time with all imported that the first one needed.

    Raises:
        RuntimeError: If it fails, or does not do the same twice.
    """
    first = kind.first(place.folder)
    key = json.dumps([first, kind.cache_inside])
    if key not in place.wholes:
        runs = []
        for _ in range(2):
            watch, began = place.watch(kind, START), time.monotonic()
            code = wait_for(fork(command(first, watch), place.said))
            seconds = time.monotonic() - began
            if code != 0:
                raise RuntimeError(f"without being killed it ended with {code}: {place.said.read_text()[-2000:]}")
            runs.append(Whole(seconds, watch.changes(), kind.outcome(place.folder)))
            import_all(watch.log.with_suffix(".modules"))
            watch.close()
        differs = differences(runs[0].outcome, runs[1].outcome)
        if differs:
            raise RuntimeError(f"two uninterrupted runs differ in {', '.join(differs)}")
        place.wholes[key] = runs[1]
    return place.wholes[key]


def import_all(file: Path) -> None:
    """Import what another process had imported, as far as that can be done."""
    names = file.read_text(encoding="utf-8").split("\n")
    file.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted({*names} - {*sys.modules, "", "__main__", "__mp_main__"}):
            with suppress(Exception):
                importlib.import_module(name)


def differences(ours: Found, theirs: Found) -> list[str]:
    """Name what is not the same in two outcomes."""
    return [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]


def changes_of(kind: Kind, done: Whole) -> list[int]:
    """Number the changes, from 1, at which a kind may be struck."""
    start, stop = kind.window
    names = [what for _, what in done.changes]
    first = next((i for i, name in enumerate(names) if start in name), 0)
    last = next((i for i, name in enumerate(names) if stop and stop in name), len(names) - 1)
    return [i + 1 for i in range(first, last + 1) if kind.near in names[i]]


def moment_of(kind: Kind, done: Whole, drawn: random.Random) -> Moment:
    """Draw a moment."""
    numbers = changes_of(kind, done)
    number = drawn.choice(numbers)
    way = drawn.choice(("time", "before", "after"))
    if way == "before":
        return Moment(change=number, held=True)
    if way == "after" or kind.near:
        return Moment(change=number, delay_s=round(drawn.uniform(0, SHORTLY_S), 4))
    ends = done.seconds if numbers[-1] == len(done.changes) else done.changes[numbers[-1] - 1][0]
    return Moment(change=0, delay_s=round(drawn.uniform(0, ends), 3))


def struck_once(name: str, number: int, seed: int, place: Place, moment: Moment | None = None) -> Row | None:
    """Strike a kind once and go on with it; None if it was over before in all draws."""
    kind = KINDS[name]
    done = whole(kind, place)
    for attempt in range(MISSES):
        drawn = random.Random(f"{seed} {name} {number} {attempt}")
        when = moment or moment_of(kind, done, drawn)
        watch = place.watch(kind, when)
        victim = drawn.choice(kind.victims)
        act, how = act_of(kind.struck, victim, drawn, watch)
        pid = fork(command(kind.first(place.folder), watch, kind.struck == "clock"), place.said)
        hit, struck = strike(pid, watch, act), time.monotonic()
        code = wait_for(pid)
        alone = wait_for_orphans()
        row = {"kind": name, "number": number, "seed": seed, "how": how, "victim": victim, "code": code}
        row |= {"moment": said_of(when), "changes": len(watch.changes()), "of": len(done.changes)}
        row |= {"ended_s": round(time.monotonic() - struck, 1)}
        hanging = [] if code is not None and alone else ["a process did not end"]
        if hit and how.startswith("clock"):
            shift_files(place.folder, float(how.split()[1].replace(",", "")) * 3600)
        watch.close()
        if hit:
            return row | gone_on_with(kind, row, hanging, place, done.outcome)
        if moment is not None:
            return None
    return None


def said_of(moment: Moment) -> str:
    """Say what a moment is."""
    if moment.held:
        return f"before change {moment.change}"
    return f"{moment.delay_s} s after {f'change {moment.change}' if moment.change else 'its start'}"


def gone_on_with(kind: Kind, row: Row, lost: list[str], place: Place, expected: Found) -> Row:
    """Go on with what was struck, and say what was lost."""
    first = kind.first(place.folder)
    again: list[int | None] = []
    if kind.again != "nothing":
        again = [place.run([resuming(first)])] if kind.again == "resume" else []
        if again in ([], [REFUSED]):
            again.append(place.run(first))
        if again[-1] != 0 and not (kind.or_refused and again == [REFUSED]):
            lost.append(f"what should have gone on ended with {again}")
    elif row["code"] != 0:
        lost.append(f"it ended with {row['code']}")
    if not wait_for_orphans():
        lost.append("a process did not end that went on with it")
    try:
        lost += differences(kind.outcome(place.folder), expected)
    except (OSError, ValueError, KeyError, IndexError) as error:
        lost.append(f"it cannot be read: {error}".replace(str(place.work), ""))
    said = place.said.read_text(encoding="utf-8", errors="replace")
    if "Traceback" in said:
        lost.append("a traceback was printed")
    if row["victim"].startswith("process") and row["code"] == 1 and "killed by SIGKILL" not in said:
        lost.append("it was not said which process was killed")
    return {"again": again, "lost": lost} | ({"said": said[-3000:].replace(str(place.work), "")} if lost else {})


def read_rows(file: Path) -> dict[tuple[str, int, int], Row]:
    """Read what was struck; the last time of a number holds. Half a line at the end is left out."""
    return {(row["kind"], row["seed"], row["number"]): row for row in kept.read_rows(file)}


def write_row(file: Path, row: Row) -> None:
    """Append a line; where half a line stands at the end, on a new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    broken = file.exists() and file.stat().st_size and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as opened:
        opened.write("\n" * bool(broken) + json.dumps(row) + "\n")


def report(rows: Sequence[Row]) -> list[str]:
    """Write the page: how many of each kind, and what was lost."""
    lines = ["# What is lost when a process is killed", ""]
    lines += ["`./dev python benchmarks/kills.py` made this page from [kills.jsonl.gz](kills.jsonl.gz). " + WHAT]
    lines += ["", "| kind | what is struck | how | strokes | nothing saved yet | over in (s, longest) | lost |"]
    lines += ["|---|---|---|---:|---:|---:|---:|"]
    for name, kind in KINDS.items():
        mine = [row for row in rows if row["kind"] == name]
        early = sum(row["again"][:1] == [REFUSED] for row in mine) if kind.again == "resume" else "-"
        slow = max((row["ended_s"] for row in mine), default=0.0)
        bad = sum(bool(row["lost"]) for row in mine)
        signals = {"killed": "SIGKILL", "preempted": "SIGTERM, SIGKILL", "halted": "SIGSTOP, SIGCONT"}
        how = signals.get(kind.struck, "clock, SIGKILL")
        lines.append(f"| {name} | {kind.what} | {how} | {len(mine)} | {early} | {slow} | {bad} |")
    killed = sum(was_killed(row) for row in rows)
    bad = [row for row in rows if row["lost"]]
    lines += ["", f"In all {len(rows)} strokes, {killed} of them with SIGKILL; in {len(bad)} something was lost."]
    each = sum(row["seed"] == EACH for row in rows)
    if each:
        lines[-1] += f" {each} were before each change of the disk in turn (`--each`), the others at drawn moments."
    victims = Counter(row["victim"] for row in rows if len(KINDS[row["kind"]].victims) > 1)
    if victims:
        told = ", ".join(f"{victim} {count}" for victim, count in sorted(victims.items()))
        lines += ["", f"Where one of several processes was drawn: {told}."]
    lines += [""] if bad else []
    for row in bad:
        lines.append(f"- {row['kind']} {row['number']}, {row['victim']}, {row['moment']}: {'; '.join(row['lost'])}")
    return lines


def was_killed(row: Row) -> bool:
    """Say whether SIGKILL came; what is preempted may have ended before."""
    struck = KINDS[row["kind"]].struck
    return struck != "halted" and (struck != "preempted" or row["code"] == -9)


WHAT = "The words at the top of its file say what a stroke is, and what has to be equal afterwards."


def make_ready() -> None:
    """Make the steps of packing and averaging small, and drawing quick; what else is imported, first runs tell."""
    import torch

    from sagan.data import packed, parallel
    from sagan.generators import pretrained
    from sagan.runs import curves, train

    assert train  # its imports are what takes longest
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    parallel.CHUNK, packed.JOURNAL_EVERY, pretrained.STANDING_BATCHES = 2, 4, 3
    curves.training_curves = plain_curves
    adopt_orphans()


def plain_curves(records: Sequence[Row], **_: object) -> Image.Image:
    """Give a picture that depends on all that curves are drawn of, but takes no second to draw."""
    text = json.dumps([{key: value for key, value in line.items() if key not in TIMES} for line in records])
    return Image.new("RGB", (64, 64), tuple(hashlib.sha256(text.encode()).digest()[:3]))


def wanted(args: argparse.Namespace, place: Place) -> list[tuple[str, int, Moment | None]]:
    """List what is to be struck: of each kind so many numbers, one kind after the other; or each change."""
    if args.each:
        return [
            (name, number, Moment(change=number, held=True))
            for name in args.kinds
            for number in changes_of(KINDS[name], whole(KINDS[name], place))
        ]
    return [(name, number, None) for number in range(1, args.count + 1) for name in args.kinds]


def strike_all(args: argparse.Namespace, work: Path) -> None:
    """Strike what was not struck yet, and say how much is left."""
    make_ready()
    place, rows = Place(work), read_rows(args.rows)
    seed = EACH if args.each else args.seed
    todo = [one for one in wanted(args, place) if again(rows.get((one[0], seed, one[1])), args)]
    began = time.monotonic()
    for done, (name, number, moment) in enumerate(todo, 1):
        row = struck_once(name, number, seed, place, moment)
        left = (time.monotonic() - began) / done * (len(todo) - done) / 60
        if row is not None:
            write_row(args.rows, row)
        how = "was over before" if row is None else f"{row['victim']}, {row['moment']}: {told(row)}"
        print(f"{done} of {len(todo)}: {name} {number}: {how}; about {left:.0f} min left", flush=True)


def told(row: Row) -> str:
    """Say what came of a stroke."""
    return f"LOST {'; '.join(row['lost'])}" if row["lost"] else "nothing lost"


def again(before: Row | None, args: argparse.Namespace) -> bool:
    """Say whether something is to be struck that may have been struck before."""
    return before is None or bool(args.again and before["lost"])


def read_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the flags."""
    kinds = "\n".join(f"  {name:18} {kind.what}" for name, kind in KINDS.items())
    described = f"{__doc__}\nkinds:\n{kinds}"
    parser = argparse.ArgumentParser(description=described, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--count", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--each", action="store_true", help="before each change of the disk, in place of drawn moments")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where the lines go; the page goes beside them")
    parser.add_argument("--again", action="store_true", help="once more what lost something")
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")
    parser.add_argument("--report", action="store_true", help="only write the page")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike what was not struck yet, and write the page; 1 if something was lost."""
    args = read_args(arguments)
    if args.fresh:
        for file in (args.rows, kept.packed(args.rows)):
            file.unlink(missing_ok=True)
    if not args.report:
        with tempfile.TemporaryDirectory() as work:
            strike_all(args, Path(work))
    rows = list(read_rows(args.rows).values())
    args.rows.with_suffix(".md").write_text("\n".join(report(rows)) + "\n", encoding="utf-8")
    kept.pack_rows(args.rows, rows)
    return 1 if any(row["lost"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
