"""What to do with 100 or 500 pictures? Ways to train on them, at equal cost.

    ./dev python benchmarks/few.py --data clothing-128.zip                      # everything; goes on where it stopped
    ./dev python benchmarks/few.py --data clothing-128.zip --sets five-100 --arms preset all --stop-after 3600
    ./dev python benchmarks/few.py --report                                     # tables from the lines that are there
    ./dev python benchmarks/few.py --data ... --costs results/quality/step-costs-clothes.json --device cuda --jobs 8

Each set is drawn from the pictures of one class of the clothes, or of five: 100 or 500 to train on, and others to judge
by. Each arm is trained on one thread for so many processor seconds (`quality_train.py` counts them) and judged at the
half and at the end as in the contest (`quality_judge.py`): FD(efficientnet-lite0) with 320 features, precision, recall,
coverage of as many samples as there are pictures to judge by, of the same classes. `by heart` says where held-out
pictures lie for D between those that it trains on (0) and generated ones (1), as in docs/collapse.md. `copies` is the
share of these samples that lie near one training picture, in the same features, and not near a second; of real pictures
it would be some 0.05 or less. Arms of transfer start from one run on CIFAR-10, whose processor seconds are told beside
their own: together they are what such an arm costs, and tables begin with what cost most.

With `--costs` steps are counted, each of which costs what it was measured to take on a processor, and another device
may compute them, as in the contest (`quality.py`); such lines say what did.

It leaves results/quality/few-pictures.jsonl.gz (a line for each judgement), .md (tables) and a sheet of samples for
each set, a row an arm. Runs lie under --work and can be deleted when all is done. The file of the other pictures,
cifar10-15k.zip, lies beside that of the clothes.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from quality import add_engine, by_steps, check_engine, read_costs
from quality_arms import ARMS as CONTEST
from quality_arms import SETS, Arm, chosen
from quality_report import marks, note
from rows import Row, add_row, pack_rows, read_rows, same_seconds

ROOT = Path(__file__).resolve().parents[1]
QUALITY = ROOT / "results" / "quality"
BUDGET_S, POINTS, SOURCE_S = 300.0, (1 / 2, 1.0), 150.0
SPLIT_SEED = 17
SHOWN = 8
"""Samples of each arm on a sheet."""
LOG_EVERY, LINES = 25, 3
"""Steps between lines of the log, so that short runs have enough for their health, and how many of the latest ones `by
heart` is averaged over. The rows that a GPU computed are from before: their runs had one line, or none."""
SOURCE = "source"


@dataclass(frozen=True, kw_only=True)
class Few:
    """A set of few pictures."""

    base: str
    """The set of the contest that it is drawn from, which says preset, flips and file."""
    classes: tuple[str, ...]
    pictures: int
    """To train on; as many of each class."""
    judges: int
    """Other pictures, to judge by; as many of each class."""

    @property
    def in_words(self) -> str:
        """What it is."""
        many = "one class" if len(self.classes) == 1 else f"{len(self.classes)} classes"
        return f"{self.pictures} pictures of {many} ({', '.join(self.classes)})"


FIVE = ("t-shirt", "longsleeve", "pants", "shirt", "shoes")
FEW = {
    "five-100": Few(base="clothes", classes=FIVE, pictures=100, judges=950),
    "one-100": Few(base="clothes", classes=("t-shirt",), pictures=100, judges=428),
    "five-500": Few(base="clothes", classes=FIVE, pictures=500, judges=950),
    "one-500": Few(base="clothes", classes=("t-shirt",), pictures=500, judges=428),
    "digits-100": Few(base="digits", classes=("0", "1"), pictures=100, judges=100),
}
"""`digits-100` is there to try the command: it needs no file, and a budget of some seconds."""

PROJECTED = chosen("features+noise-whole+attention-pooled")
ARMS = {
    "preset": Arm(why="the preset as it is (`translation`)"),
    "none": Arm(why="no augmentation", changes={"train.augment": ()}),
    "all": Arm(why="colour, translation and cutout", changes=CONTEST["augment-all"].changes),
    "adaptive": Arm(
        why="colour, translation and cutout, as strong as D needs them (ADA)",
        changes=dict(CONTEST["adaptive"].changes) | {"train.adaptive_images": 5000},
    ),
    "lecam": Arm(why="LeCam from step 100 on", changes={"train.lecam": 0.1, "train.lecam_start": 100}),
    "narrow": Arm(why="narrower networks", changes=CONTEST["narrow"].changes),
    "transfer": Arm(why="from a run on CIFAR-10"),
    "freeze": Arm(why="from a run on CIFAR-10, D's first two blocks stay (FreezeD)", changes={"train.freeze_d": 2}),
    "projected": Arm(
        why="D looks through a frozen network: `sagan-64-projected` at constant rates", changes=PROJECTED.changes
    ),
    "projected-all": Arm(
        why="D looks through a frozen network: `sagan-64-projected` at constant rates, with colour, translation and "
        "cutout",
        changes=dict(PROJECTED.changes) | CONTEST["augment-all"].changes,
    ),
}
STARTED = ("transfer", "freeze")
"""Arms that start from the run on other pictures."""
COSTS_AS = {
    "preset": "base",
    "none": "augment-none",
    "all": "augment-all",
    "adaptive": "adaptive",
    "lecam": "lecam-0.1",
    "narrow": "narrow",
    "transfer": "base",
    "freeze": "base",
    "projected": "features+noise-whole+attention-pooled",
    "projected-all": "features+noise-whole+attention-pooled+augment-all",
}
"""The arm of the contest whose step has the same work, where steps are counted; of `freeze` a little more."""


class Piece(NamedTuple):
    """What is trained and judged at a time."""

    few: str
    arm: str
    seed: int
    point_s: float


def pieces(sets: Sequence[str], arms: Sequence[str], seeds: int, budget_s: float) -> list[Piece]:
    """List what is to be done, one set after another, each arm to its end."""
    return [
        Piece(few, arm, seed, share * budget_s)
        for seed in range(seeds)
        for few in sets
        for arm in arms
        for share in POINTS
    ]


def rows_file() -> Path:
    """Say where the judgements stand."""
    return QUALITY / "few-pictures.jsonl"


def is_settled(rows: Sequence[Row], piece: Piece, *, counted: bool = False) -> bool:
    """Tell whether a piece was judged, by ``counted`` steps or by seconds, or its run has ended before."""
    for row in rows:
        if ("computed_by" in row) != counted:
            continue
        same = (row["few"], row.get("arm"), row.get("seed")) == piece[:3]
        if same and (same_seconds(row["point_s"], piece.point_s) or "ended" in row):
            return True
    return False


def drawn(labels: Any, class_names: Sequence[str], few: Few) -> tuple[Any, Any]:
    """Draw a set: ascending indices of the pictures to train on and of those to judge by, none in both.

    A smaller set of the same classes is a part of a larger one, and is judged by the same pictures.

    Raises:
        ValueError: If a class has too few pictures.
    """
    train, judges = [], []
    for name in few.classes:
        members = np.flatnonzero(labels == list(class_names).index(name))
        members = np.random.default_rng(SPLIT_SEED).permutation(members)
        each, others = few.pictures // len(few.classes), few.judges // len(few.classes)
        if len(members) < each + others:
            raise ValueError(f"class {name} has {len(members)} pictures; {few.in_words} asks for {each + others}")
        judges.append(members[:others])
        train.append(members[others : others + each])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(judges))


class Ground:
    """The pictures of the sets, and the run that arms of transfer start from; what is made stays under ``work``.

    Args:
        data: The file with the pictures.
        work: Folder for runs and pictures.
        source_s: Processor seconds of the run on other pictures.
        how: Of each arm, what counts its steps in place of seconds; empty counts seconds.
    """

    def __init__(
        self, data: str | None, work: Path, source_s: float, how: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        self.data, self.work, self.source_s, self.how = data, work, source_s, how or {}

    def pictures(self, name: str) -> tuple[Path, Any]:
        """Give the file with the pictures of a set to train on, and those to judge by."""
        from sagan.data import open_dataset
        from sagan.data.config import DataConfig
        from sagan.evaluation.reference import Reference
        from sagan.recipes.presets import PRESETS

        few = FEW[name]
        base = SETS[few.base]
        config = DataConfig(path=self.data or base.file, cache_dir=str(self.work / "cache"))
        images = open_dataset(config, PRESETS[base.preset]().generator.size_px)
        train, judges = drawn(images.labels, images.class_names, few)
        file = self.work / f"{name}.npz"
        if not file.exists():
            names = [images.class_names[label] for label in images.labels[train]]
            part = file.with_suffix(".part.npz")
            np.savez(part, images=np.asarray(images.images[train]), labels=np.array(names))
            part.replace(file)
        return file, Reference(images, judges, f"{len(judges)} of {', '.join(few.classes)}, seed {SPLIT_SEED}")

    def source(self, name: str) -> Path:
        """Give the run on other pictures for a set, trained once for all sets of its base."""
        from quality_train import train_until, weights_at

        base = FEW[name].base
        other = SETS[base].other
        if Path(other).suffix:  # a file, not a name
            other = str(Path(self.data or SETS[base].file).with_name(other))
        piece = Piece(name, "preset", 0, self.source_s)
        task = few_task(f"{SOURCE}-{base}", base, piece, other, self.work, self.how.get("preset"))
        if not weights_at(task, self.source_s).exists():
            train_until(task, self.source_s)
        return task.folder / "run"


def few_task(called: str, base: str, piece: Piece, data: str, work: Path, how: Mapping[str, Any] | None = None) -> Any:
    """Give what trains an arm, in a folder that begins with the name of its set."""
    from quality_train import BySteps, Task

    class FewTask(Task):
        """An arm that is none of the contest."""

        @property
        def way(self) -> Arm:
            return ARMS[self.arm]

        @property
        def config(self) -> Any:
            config = super().config
            return replace(config, train=replace(config.train, log_every=LOG_EVERY))

        @property
        def folder(self) -> Path:
            return work / f"{called}-{self.arm}-{self.seed}{'-by-steps' if self.by_steps else ''}"

    about: dict[str, Any] = {"set": base, "arm": piece.arm, "seed": piece.seed, "budget_s": piece.point_s}
    return FewTask(data=data, work=str(work), by_steps=None if how is None else BySteps(**how), **about)


def judged(ground: Ground, piece: Piece) -> Row:
    """Train and judge a piece."""
    from quality import as_a_processor, computed
    from quality_judge import SAMPLE_SEED, first_judge, labels_of, protocol, values
    from quality_train import train_until, weights_at

    import sagan
    from sagan.machine import versions
    from sagan.training.health import DivergedError

    as_a_processor()
    data, reference = ground.pictures(piece.few)
    started = ground.source(piece.few) if piece.arm in STARTED else None
    task = few_task(piece.few, FEW[piece.few].base, piece, str(data), ground.work, ground.how.get(piece.arm))
    about: Row = piece._asdict() | {"before_s": ground.source_s if started else 0.0} | computed(task)
    try:
        about |= train_until(task, piece.point_s, init_from=started)
    except DivergedError as error:
        return about | {"ended": str(error)}
    about["by_heart"] = by_heart_of(task.folder / "run" / "log.jsonl")
    generator, network = sagan.load(weights_at(task, piece.point_s)), first_judge()
    names = [reference.images.class_names[label] for label in labels_of(reference)]
    samples = generator.sample(len(names), classes=names, seed=SAMPLE_SEED)
    about |= values(samples, reference, network) | {"copies": round(copies(samples, data, reference, network), 4)}
    shown = [FEW[piece.few].classes[i % len(FEW[piece.few].classes)] for i in range(SHOWN)]
    np.save(
        shown_file(ground.work, piece, counted=bool(ground.how)),
        generator.sample(SHOWN, classes=shown, seed=SAMPLE_SEED),
    )
    if task.config.discriminator.features == network.name:
        about["judge_in_training"] = True
    made = protocol(reference, network) | {"reference": reference.split}
    return about | {"batch_size": task.config.train.batch_size, "protocol": made, "versions": versions()}


def by_heart_of(log: Path) -> float | None:
    """Average how far D knew its pictures by heart over the latest lines of a log; None if none says so."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    latest = [line["overfitting/logits"] for line in lines if "overfitting/logits" in line][-LINES:]
    return round(sum(latest) / len(latest), 4) if latest else None


def features(pictures: Any, network: Any) -> Any:
    """Give the features of pictures, float64 (N, 320)."""
    from sagan.machine import usable_device
    from sagan.metrics.features import extract

    parts = extract(network, [pictures], device=usable_device("auto"))
    return np.concatenate([part.features.numpy() for part in parts]).astype(np.float64)


def copies(samples: Any, data: Path, reference: Any, network: Any) -> float:
    """Give the share of samples that lie near one picture that was trained on, itself or mirrored, and no other."""
    from sagan.training.overfitting import copied, known_pictures

    trained = np.load(data)["images"]
    versions = [trained, np.ascontiguousarray(trained[:, :, ::-1])]
    known = known_pictures(
        [features(some, network) for some in versions], features(reference.images.images[reference.indices], network)
    )
    assert known is not None
    return copied(features(samples, network), known)


def shown_file(work: Path, piece: Piece, *, counted: bool = False) -> Path:
    """Say where the samples lie that a sheet shows of a piece."""
    return work / f"{piece.few}-{piece.arm}-{piece.seed}-at-{piece.point_s:g}{'-by-steps' if counted else ''}.npy"


def judge_the_trained_on(ground: Ground, name: str) -> None:
    """Judge the pictures that are trained on themselves, once: what a perfect copier would get."""
    if any(row["few"] == name and row.get("floor") for row in read_rows(rows_file())):
        return
    from quality_judge import first_judge, protocol, values

    data, reference = ground.pictures(name)
    network = first_judge()
    made = protocol(reference, network) | {"reference": reference.split, "samples": "the pictures trained on"}
    found = values(np.load(data)["images"], reference, network)
    add_row(rows_file(), {"few": name, "floor": True} | found | {"protocol": made})


def run_all(ground: Ground, wanted: Sequence[Piece]) -> None:
    """Train and judge what is not done yet."""
    for piece in wanted:
        if is_settled(read_rows(rows_file()), piece, counted=bool(ground.how)):
            continue
        row = judged(ground, piece)
        add_row(rows_file(), row)
        said = f"FD {row['fd']:.1f}" if "fd" in row else f"ended: {row['ended']}"
        print(f"{piece.few} {piece.arm} seed {piece.seed} at {piece.point_s:g} s: {said}", flush=True)


def prepare(ground: Ground, wanted: Sequence[Piece]) -> None:
    """Make what several arms need: pictures and their judgement, and the run that some start from."""
    for name in dict.fromkeys(piece.few for piece in wanted):
        judge_the_trained_on(ground, name)
        if any(piece.few == name and piece.arm in STARTED for piece in wanted):
            ground.source(name)


def in_processes(jobs: int) -> int:
    """Have so many processes share the work, each with arms of its own; a signal to this one goes to all.

    Returns:
        How many of them failed; their words are on the terminal.
    """
    command = [sys.executable, __file__, *sys.argv[1:], "--share"]
    workers = [subprocess.Popen([*command, str(i)]) for i in range(jobs)]
    try:
        for worker in workers:
            worker.wait()
    except OutOfTimeError:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait()
        raise
    return sum(worker.returncode != 0 for worker in workers)


def share_of(wanted: Sequence[Piece], part: int, jobs: int) -> list[Piece]:
    """Give the pieces that one of several processes does: all those of an arm of a set, with a seed, together."""
    runs = list(dict.fromkeys(piece[:3] for piece in wanted))[part::jobs]
    return [piece for piece in wanted if piece[:3] in runs]


class OutOfTimeError(Exception):
    """The time that there was is over; what is trained is saved."""


@contextmanager
def out_of_time_after(seconds: float) -> Iterator[None]:
    """Inside the context this process is asked to save and stop, as by SIGTERM, after so many seconds.

    Raises:
        OutOfTimeError: By then.
    """
    from quality_train import StoppedError

    def over(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGTERM, over)
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    except StoppedError as error:
        raise OutOfTimeError from error
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


# Tables and sheets, from the lines alone


def table(name: str, rows: Sequence[Row]) -> Iterator[str]:
    """Write the judgements of a set, what cost most in all first, and of those the best distance."""
    mine = [row for row in rows if row["few"] == name and "fd" in row]
    yield (
        "| arm | what | processor seconds | of a run before | steps | FD(efficientnet-lite0) | precision | recall "
        "| coverage | by heart | copies | said of its health |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    for row in sorted((row for row in mine if "arm" in row), key=by_cost):
        by_heart = "-" if row["by_heart"] is None else f"{row['by_heart']:.2f}"
        yield (
            f"| {row['arm']}{marks(row)} | {ARMS[row['arm']].why} | {row['cost_s']:.0f} | "
            f"{row['before_s']:.0f} | "
            f"{row['step']:,} | {row['fd']:.1f} | {row['precision']:.2f} | {row['recall']:.2f} | "
            f"{row['coverage']:.2f} | {by_heart} | {row['copies']:.2f} | {', '.join(row['warned']) or 'nothing'} |"
        )
    for row in mine:
        if row.get("floor"):
            scores = f"{row['fd']:.1f} | {row['precision']:.2f} | {row['recall']:.2f} | {row['coverage']:.2f}"
            yield f"| (trained on) | the pictures themselves | | | | {scores} | | | |"


def by_cost(row: Row) -> tuple[float, float]:
    """Give what the judgements of a set are sorted by."""
    return -(row["point_s"] + row["before_s"]), row["fd"]


def budgets(rows: Sequence[Row]) -> list[str]:
    """Say how long arms were trained here, by steps and by seconds, and the run that some start from."""
    said = []
    for counted, how in ((True, "by counted steps (†)"), (False, "by seconds on a core")):
        mine = [row for row in rows if "arm" in row and ("computed_by" in row) == counted]
        ends: dict[tuple[str, str, int], float] = {}
        for row in mine:
            run = row["few"], row["arm"], row["seed"]
            ends[run] = max(row["point_s"], ends.get(run, 0.0))
        if ends:
            said.append(f"{how} {' or '.join(f'{end:g}' for end in sorted({*ends.values()}))}")
    before = sorted({row["before_s"] for row in rows if row.get("before_s")})
    if before:
        said.append(f"of the run on CIFAR-10 {' or '.join(f'{end:g}' for end in before)}")
    return [f"Processor seconds of a whole run here: {', '.join(said)}.", ""] if said else []


def page(rows: Sequence[Row]) -> list[str]:
    """Write the page: a table for each set, and what is missing."""
    lines = ["# Few pictures", ""]
    lines += ["By `./dev python benchmarks/few.py`, in [several calls](README.md#the-contests).", ""]
    lines += [(__doc__ or "").split("\n\n")[2].replace("\n", " "), "", *budgets(rows)]
    for name in [name for name in FEW if FEW[name].base == "clothes"]:
        lines += [f"## {FEW[name].in_words}", ""]
        missing = [arm for arm in ARMS if not any((row["few"], row.get("arm")) == (name, arm) for row in rows)]
        if len(missing) < len(ARMS):
            lines += [*table(name, rows), "", *note([row for row in rows if row["few"] == name])]
        ended = [row for row in rows if row["few"] == name and "ended" in row]
        lines += [f"- {row['arm']} ended at {row['point_s']:g} s: {row['ended']}" for row in ended]
        lines += [f"Not measured yet: {', '.join(missing)}.", ""] if missing else []
        if sheet_file(name).exists():
            lines += [f"![Samples, a row an arm]({sheet_file(name).name})", ""]
    return lines


def sheet_file(name: str) -> Path:
    """Say where the sheet of a set lies."""
    return QUALITY / f"few-{name}.webp"


def save_sheet(work: Path, name: str, rows: Sequence[Row]) -> None:
    """Draw samples of each arm at its latest point, the same noise and classes for all, where they are there."""
    from sagan.figures.grid import sample_grid

    found: dict[str, Any] = {}
    for row in rows:
        if row["few"] == name and "arm" in row and row["seed"] == 0:
            piece = Piece(name, row["arm"], 0, row["point_s"])
            counted = "computed_by" in row
            file = shown_file(work, piece, counted=counted)
            if file.exists():
                found[row["arm"] + marks(row)] = np.load(file)
    if found:
        picture = sample_grid(np.concatenate([*found.values()]), columns=SHOWN, row_labels=[*found], scale=1)
        picture.save(sheet_file(name), quality=75, method=6)


def write_report(work: Path) -> None:
    """Write page and sheets."""
    rows = read_rows(rows_file())
    for name in dict.fromkeys(row["few"] for row in rows):
        save_sheet(work, name, rows)
    (QUALITY / "few-pictures.md").write_text("\n".join(page(rows)).rstrip() + "\n", encoding="utf-8")
    pack_rows(rows_file(), rows)


def read_args() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the file with the pictures; unset is its usual name, here")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "few", help="folder for runs and pictures")
    parser.add_argument("--sets", nargs="+", choices=list(FEW), help="unset is all of the clothes")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="S", help="processor seconds of an arm")
    parser.add_argument(
        "--source", type=float, default=SOURCE_S, metavar="S", help="those of the run on other pictures"
    )
    parser.add_argument(
        "--stop-after", type=float, default=float("inf"), metavar="S", help="save and stop after so many seconds"
    )
    parser.add_argument("--jobs", type=int, default=1, help="arms side by side, each on one thread")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="count steps, each of which costs what this says")
    add_engine(parser)
    parser.add_argument("--report", action="store_true", help="only write page and sheets")
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    check_engine(parser, args)
    return args


def priced(arms: Sequence[str], costs: Mapping[str, object], *, told: bool = True) -> list[str]:
    """Leave out, with a sentence that is ``told`` once, the arms whose step was not measured."""
    without = [arm for arm in arms if COSTS_AS[arm] not in costs]
    if without and told:
        print(f"left out, as the step of their arm of the contest was not measured: {', '.join(without)}", flush=True)
    return [arm for arm in arms if arm not in without]


def main() -> int:
    """Measure, or as much as there is time for."""
    args = read_args()
    args.work.mkdir(parents=True, exist_ok=True)
    QUALITY.mkdir(parents=True, exist_ok=True)
    sets = args.sets or [name for name, few in FEW.items() if few.base == "clothes"]
    if args.costs:
        args.arms = priced(args.arms, read_costs(args.costs), told=args.share is None)
    wanted = pieces(sets, args.arms, args.seeds, args.budget)
    how = {arm: by_steps(args, COSTS_AS[arm]) or {} for arm in (*args.arms, "preset")} if args.costs else {}
    ground = Ground(args.data, args.work, args.source, how)
    if args.share is not None:
        with suppress(OutOfTimeError), out_of_time_after(float("inf")):
            run_all(ground, share_of(wanted, args.share, args.jobs))
        return 0
    failed = 0
    if not args.report:
        try:
            with out_of_time_after(args.stop_after):
                prepare(ground, wanted)
                if args.jobs == 1:
                    run_all(ground, wanted)
                else:
                    failed = in_processes(args.jobs)
        except OutOfTimeError:
            print("out of time; the same command goes on", flush=True)
    write_report(args.work)
    print(f"few-pictures.md: {sum('fd' in row and 'arm' in row for row in read_rows(rows_file()))} judgements")
    if failed:
        print(f"{failed} of {args.jobs} processes failed; the same command goes on", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
