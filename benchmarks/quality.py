"""Which changes give better pictures for the same processor time? A contest of ways to train, at equal cost.

    ./dev python benchmarks/quality.py clothes --data clothing-128.zip    # each single change; goes on where it stopped
    ./dev python benchmarks/quality.py clothes --data clothing-128.zip --arms base decay base+decay+batch-16
    ./dev python benchmarks/quality.py clothes --data clothing-128.zip --stop-after 3600     # as long as there is time
    ./dev python benchmarks/quality.py clothes --report                          # table and curves from what is there
    ./dev python benchmarks/quality.py clothes --data ... --second-judge decay --archive nudity-0.2.3.tar.gz
    ./dev python benchmarks/quality.py clothes --data ... --judge generator.safetensors --archive nudity-0.2.3.tar.gz
    ./dev python benchmarks/quality.py clothes --data ... --measure-costs grow-32 --arms base decay  # see below
    ./dev python benchmarks/quality.py clothes --data ... --costs results/quality/step-costs-clothes.json --device cuda

Every arm (`quality_arms.py`; those that `--arms` names, else each single change) is trained up to 880 processor seconds
with one seed, all of them to a quarter of that first, then to a half and so on, those that plan with their whole budget
first and then the best, so that an early look at an unfinished contest has the arms that matter; the best three and the
base then go on to 5,280 with two seeds, and beside them the best of those whose D looked through the judge's own
network. At each of these points the weights are judged (`quality_judge.py`): FD(efficientnet-lite0) with 320 features,
precision, recall, density and coverage, as many samples as there are pictures in a fixed half, of the same classes,
against that half. The floor is the other half against it. Cost is the processor time of the training process
(`quality_train.py`).
Arms with stages (growing, transfer) pay for all of them, also for learning from other pictures first; samples of a
smaller stage are judged enlarged.

With `--costs` a budget is counted in steps, each of which costs what it was measured to take on a processor
(`quality_costs.py`): another device can then do what a processor would do in those seconds. Such rows say what computed
them, the page marks them, and they stand beside those of the same arm that were trained by seconds. Each run is trained
to its end before another takes its place, the arms in the order in which they are named. `--pictures` also draws and
measures samples while it trains, for a long run: `--only-screen --screen 18000 --arms ARM --pictures`. `--judge` judges
any weights as the arms are, with `--archive` by the second judge too, and writes NAME-judged.json beside them: nothing
is to be chosen by that.

It leaves results/quality/contest-SET.jsonl (a line for each judgement), .md (the table), .webp (curves) and a sheet of
samples, same noise and same classes, for each arm. Runs lie under --work and can be deleted when all is done.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from quality_arms import ARMS, SETS, chosen
from rows import Row, add_row, read_rows, same_seconds

from sagan.training.config import Compile, Precision

ROOT = Path(__file__).resolve().parents[1]
QUALITY = ROOT / "results" / "quality"
SCREEN_S, FINAL_S = 880.0, 5280.0
SCREEN_POINTS = (1 / 4, 1 / 2, 1.0)
FINAL_POINTS = (1 / 3, 2 / 3, 1.0)
BEST, FINAL_SEEDS = 3, (0, 1)
PASSED, A_STEP_S = 1.03, 5.0
"""Times a point, and seconds beyond for its last step, from which weights are no longer those of that point."""

Slice = tuple[str, int, float, float]
"""Arm, seed, budget and the point to train to, both in seconds."""


def rows_file(name: str) -> Path:
    """Say where the judgements of a set stand."""
    return QUALITY / f"contest-{name}.jsonl"


def rows_of(args: argparse.Namespace) -> list[Row]:
    """Read the judgements so far that were made as these are to be: by steps or by seconds, drawn on the way or not."""
    kind = bool(args.costs), args.pictures
    return [row for row in read_rows(rows_file(args.set)) if ("computed_by" in row, row.get("pictures", False)) == kind]


def done(rows: Sequence[Row], piece: Slice) -> Row | None:
    """Find the judgement of a slice."""
    arm, seed, budget, point = piece
    plans = chosen(arm).plans
    for row in rows:
        same = row.get("arm") == arm and row.get("seed") == seed and same_seconds(row["point_s"], point)
        if same and (not plans or same_seconds(row["budget_s"], budget)):
            return row
    return None


def screening(arms: Sequence[str], screen_s: float, seeds: Sequence[int] = (0,)) -> list[Slice]:
    """List the slices of the screening, all arms to the first point, then all to the second, and so on."""
    return [(arm, seed, screen_s, share * screen_s) for share in SCREEN_POINTS for seed in seeds for arm in arms]


def finals(arms: Sequence[str], screen_s: float, final_s: float) -> list[Slice]:
    """List the slices of the long runs; an arm whose rates fall, or that has stages, starts anew, others go on."""
    points = sorted({*(share * screen_s for share in SCREEN_POINTS), *(share * final_s for share in FINAL_POINTS)})
    return [(arm, seed, final_s, point) for point in points for seed in FINAL_SEEDS for arm in arms]


def best_of(rows: Sequence[Row], arms: Sequence[str], screen_s: float) -> list[str]:
    """Give the arms with the smallest distances at the end of the screening, and the base.

    Distances of arms whose D looked through the judge's network are no match for those of others: one of them goes on
    beside the best three.
    """
    at_end = {arm: done(rows, (arm, 0, screen_s, screen_s)) for arm in arms}
    judged = {arm: row["fd"] for arm, row in at_end.items() if row is not None and "fd" in row}
    order = sorted(judged, key=judged.__getitem__)
    known = [arm for arm in order if (at_end[arm] or {}).get("judge_in_training")]
    others = [*[arm for arm in order if arm != "base" and arm not in known][:BEST], *known[:1]]
    return [*others, "base"] if "base" in arms else others


def run_slices(args: argparse.Namespace, slices: Sequence[Slice], ends: float) -> bool:
    """Train and judge what is not done yet, ``--jobs`` at a time; False if time ran out before all was done."""
    with ThreadPoolExecutor(args.jobs) as pool:
        waiting = [piece for piece in slices if done(rows_of(args), piece) is None]
        running: dict[Future[bool], list[Slice]] = {}
        while waiting or running:
            while waiting and len(running) < args.jobs and time.monotonic() < ends:
                turn = next(free(turns(args, waiting), [turn[0] for turn in running.values()]), None)
                if turn is None:
                    break
                waiting = [piece for piece in waiting if piece not in turn]
                running[pool.submit(run_turn, args, turn, ends)] = turn
            if not running:
                return not waiting
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                turn = running.pop(future)
                if not future.result():
                    waiting = [other for other in waiting if other[:3] != turn[0][:3]]
    return time.monotonic() < ends


def turns(args: argparse.Namespace, waiting: Sequence[Slice]) -> list[list[Slice]]:
    """Give what one process does at a time, in order: a slice or, by steps, all those of a run."""
    if not args.costs:
        return [[piece] for piece in in_order(waiting, rows_of(args))]
    runs: dict[tuple[str, int, float], list[Slice]] = {}
    for piece in sorted(waiting, key=lambda piece: piece[1]):
        runs.setdefault(piece[:3], []).append(piece)
    return list(runs.values())


def in_order(waiting: Sequence[Slice], rows: Sequence[Row]) -> list[Slice]:
    """Sort slices by their point; at one point arms that plan come first, then those that were best before."""
    latest: dict[tuple[str, int, float], float] = {}
    for row in sorted((row for row in rows if "fd" in row and "arm" in row), key=lambda row: row["point_s"]):
        latest[row["arm"], row["seed"], row["budget_s"]] = row["fd"]

    def rank(piece: Slice) -> tuple[float, float]:
        return piece[3], 0.0 if chosen(piece[0]).plans else latest.get(piece[:3], 0.0)

    return sorted(waiting, key=rank)


def free(waiting: Iterable[list[Slice]], running: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Yield the turns whose run nobody is training now."""
    busy = {(arm, seed) for arm, seed, _, _ in running}
    return (turn for turn in waiting if turn[0][:2] not in busy)


def run_turn(args: argparse.Namespace, turn: Sequence[Slice], ends: float) -> bool:
    """Train and judge slices of a run in a process of its own; its words go to a log beside the run.

    Returns:
        Whether it came to the last of them.
    """
    arm, seed, budget, _ = turn[0]
    told = {"set": args.set, "arm": arm, "seed": seed, "budget_s": budget, "data": args.data, "work": args.work}
    told |= {"points": [point for *_, point in turn], "by_steps": by_steps(args, arm)}
    told |= {"pictures": args.pictures, "out": str(QUALITY)}
    command = [sys.executable, __file__, args.set, "--slice", json.dumps(told)]
    judged = 0
    with (
        (Path(args.work) / f"{args.set}.log").open("a", encoding="utf-8") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process,
        stopped_at(process, ends),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):  # words of a library
                continue
            row = {"arm": arm, "seed": seed, "budget_s": budget} | json.loads(line)
            add_row(rows_file(args.set), row)
            said = f"FD {row['fd']:.1f}" if "fd" in row else f"not judged: {row['ended']}"
            print(f"{arm} seed {seed} at {row['point_s']:g} s: {said}", flush=True)
            judged += "fd" in row or "passed" in row
    if process.returncode and time.monotonic() < ends:
        print(f"{arm} seed {seed} failed with exit code {process.returncode}; see {args.set}.log", flush=True)
    return judged == len(turn)


@contextmanager
def stopped_at(process: subprocess.Popen[str], ends: float) -> Iterator[None]:
    """Inside the context ask a process to save and stop when time is over."""
    timer = threading.Timer(min(ends - time.monotonic(), threading.TIMEOUT_MAX), process.terminate)
    timer.start()
    try:
        yield
        process.wait()
    finally:
        timer.cancel()


def by_steps(args: argparse.Namespace, arm: str) -> dict[str, Any] | None:
    """Give what a process is told of how it counts."""
    if not args.costs:
        return None
    how = {"device": args.device, "precision": args.precision}
    how |= {"compile": args.compile, "step_graph": args.step_graph}
    return {"costs": read_costs(args.costs)[arm]} | how


def read_costs(file: Path) -> dict[str, dict[str, float]]:
    """Read the processor seconds of a step, of each arm and each of its legs."""
    costs: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))["costs"]
    return costs


def child(told: dict[str, Any]) -> int:
    """Do what :func:`run_turn` asks for, and print the rows."""
    from quality_train import BySteps, StoppedError, Task, train_until

    from sagan.training.health import DivergedError

    as_a_processor()
    points, counted, out = told.pop("points"), told.pop("by_steps"), Path(told.pop("out"))
    task = Task(**told, by_steps=BySteps(**counted) if counted else None)
    task.folder.mkdir(parents=True, exist_ok=True)
    for point in points:
        about = {"point_s": point} | computed(task)
        try:
            row = about | train_until(task, point)
            if row["cost_s"] > PASSED * point + A_STEP_S:  # it went on before this point was judged
                late = f"it was past this point, at {row['cost_s']:g} s, before it was judged there"
                print(json.dumps(about | {"ended": late, "passed": True}), flush=True)
                continue
        except DivergedError as error:
            print(json.dumps(about | {"ended": str(error)}), flush=True)
            return 0
        except StoppedError:
            return 0
        print(json.dumps(judged_row(task, row, out)), flush=True)
    return 0


def as_a_processor() -> None:
    """Have this process use one thread, and a GPU compute fp32 as a processor does: without TF32."""
    import torch

    torch.set_num_threads(1)
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]


def computed(task: Any) -> Row:
    """Say what computed the steps of a task, where their cost is not the time that they took."""
    if task.by_steps is None:
        return {}
    import torch
    from raw import processor

    engine = task.config.engine
    name = torch.cuda.get_device_name() if engine.device == "cuda" else processor()
    found = {"computed_by": name, "computed_in": engine.precision, "compile": engine.compile}
    found |= {"step_graph": engine.step_graph}
    return found | ({"pictures": True} if task.pictures else {})


def judged_row(task: Any, row: Row, out: Path) -> Row:
    """Judge the weights that a task left at a point, and draw their sheet into a folder of ``out``."""
    from quality_judge import first_judge, halves, judge, protocol, save_sheet, sheet
    from quality_train import weights_at

    import sagan
    from sagan.machine import versions

    config = task.config
    half, _ = halves(task.set, task.data, config.generator.size_px, str(Path(task.work) / "cache"))
    network = first_judge()
    generator = sagan.load(weights_at(task, row["point_s"]))
    row = row | judge(generator, half, network)
    caption = (
        f"{row['cost_s']:g} processor seconds, {row['step']:,} steps of {config.train.batch_size}, seed {task.seed}"
        f"{'; steps counted, not seconds' if task.by_steps else ''}"
    )
    save_sheet(sheet(generator, task.arm, caption), sheet_file(task, out))
    if config.discriminator.features == network.name:
        row["judge_in_training"] = True  # D saw what this judge sees: the value is no evidence
    return row | {"batch_size": config.train.batch_size, "protocol": protocol(half, network), "versions": versions()}


def sheet_file(task: Any, out: Path) -> Path:
    """Say where the sheet of an arm lies: of the last point that was judged."""
    folder = out / f"contest-{task.set}"
    folder.mkdir(parents=True, exist_ok=True)
    long = f"-{task.budget_s:g}" if task.pictures else ""
    return folder / f"{task.arm}-{task.seed}{long}{'-by-steps' if task.by_steps else ''}.webp"


def measure_bounds(args: argparse.Namespace) -> None:
    """Judge the other half of the pictures, and stored weights, once."""
    rows, stored = read_rows(rows_file(args.set)), SETS[args.set].stored
    if not any(row.get("floor") for row in rows):
        measure_floor(args)
    if stored is not None and not any("stored" in row for row in rows):
        measure_stored(args, stored)


def measure_stored(args: argparse.Namespace, weights: str) -> None:
    """Judge weights that were trained before."""
    from quality_judge import first_judge, halves, judge, protocol

    import sagan

    generator, network = sagan.load(ROOT / weights), first_judge()
    half, _ = halves(args.set, args.data, generator.config.size_px, str(Path(args.work) / "cache"))
    row = {"stored": Path(weights).parent.as_posix()} | judge(generator, half, network)
    row |= {"protocol": protocol(half, network)}
    add_row(rows_file(args.set), row)
    print(f"stored weights: FD {row['fd']:.1f}", flush=True)


def measure_floor(args: argparse.Namespace) -> None:
    """Judge the other half of the pictures."""
    from quality_judge import first_judge, floor, halves, protocol

    from sagan.recipes.presets import PRESETS

    size = PRESETS[SETS[args.set].preset]().generator.size_px
    cache = str(Path(args.work) / "cache")
    network = first_judge()
    half, _ = halves(args.set, args.data, size, cache)
    row = {"floor": True} | floor(args.set, args.data, size, cache, network) | {"protocol": protocol(half, network)}
    add_row(rows_file(args.set), row)
    print(f"floor: FD {row['fd']:.1f}", flush=True)


def second_judge(args: argparse.Namespace) -> int:
    """Ask the second judge about the winner and the base, each of their weights once, as they are there.

    It judges them at the end of the long runs, and at points within the first third of that. The winner is
    fixed with the first call. What was not trained by then is judged by a later one.
    """
    from mobilenet import load_mobilenet
    from quality_judge import halves, judge, protocol, values
    from quality_train import weights_at

    import sagan
    from sagan.evaluation.reference import real_batches

    file = QUALITY / f"contest-{args.set}-second-judge.json"
    told = (
        json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"winner": args.second_judge, "values": {}}
    )
    if told["winner"] != args.second_judge:
        raise SystemExit(f"{file}: the winner is {told['winner']}; the second judge is asked after it is fixed, once")
    wanted = [(arm, seed) for arm in dict.fromkeys((args.second_judge, "base")) for seed in FINAL_SEEDS]
    tasks = {f"{arm} seed {seed}": final_task(args, arm, seed) for arm, seed in wanted}
    found: Row = told["values"]
    weights = {name: weights_at(task, args.final) for name, task in tasks.items()}
    for share in sorted({*SCREEN_POINTS, *FINAL_POINTS}):
        if share <= FINAL_POINTS[0]:
            point = share * args.final
            weights |= {f"{name} after {point:g} s": weights_at(task, point) for name, task in tasks.items()}
    new = [name for name, file in weights.items() if name not in found and file.exists()]
    if not new:
        raise SystemExit(f"there are no new weights to judge under {args.work}")
    network = load_mobilenet(args.archive)
    size = next(iter(tasks.values())).config.generator.size_px
    half, other = halves(args.set, args.data, size, str(Path(args.work) / "cache"))
    for name in new:
        found[name] = judge(sagan.load(weights[name]), half, network)
    if "floor" not in found:
        found["floor"] = values(real_batches(other), half, network)
    if "stored" not in found and (stored := SETS[args.set].stored) is not None:
        found["stored"] = judge(sagan.load(ROOT / stored), half, network)
    told |= {"point_s": args.final, "protocol": protocol(half, network)}
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    print(f"not trained so far: {', '.join(name for name in tasks if name not in found) or 'none'}")
    return 0


def judge_file(args: argparse.Namespace) -> int:
    """Judge a weights file as the arms are, and write what was found beside it."""
    import hashlib

    from mobilenet import load_mobilenet
    from quality_judge import first_judge, halves, judge, protocol

    import sagan
    from sagan.machine import versions

    as_a_processor()
    generator = sagan.load(args.judge)
    half, _ = halves(args.set, args.data, generator.config.size_px, str(Path(args.work) / "cache"))
    judges = [first_judge(), *([load_mobilenet(args.archive)] if args.archive else [])]
    told = [judge(generator, half, one) | {"protocol": protocol(half, one)} for one in judges]
    found: Row = {"set": args.set, "judges": told}
    found |= {"sha256": hashlib.sha256(args.judge.read_bytes()).hexdigest(), "versions": versions()}
    file = args.judge.with_name(f"{args.judge.stem}-judged.json")
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


def final_task(args: argparse.Namespace, arm: str, seed: int) -> Any:
    """Give what trains, or has trained, an arm up to the budget of the long runs."""
    from quality_train import BySteps, Task

    counted = by_steps(args, arm)
    how = BySteps(**counted) if counted else None
    return Task(set=args.set, arm=arm, seed=seed, budget_s=args.final, data=args.data, work=args.work, by_steps=how)


def measure_costs(args: argparse.Namespace) -> int:
    """Measure what a step of each arm costs, against an arm that has been trained by seconds, also on another set."""
    from quality_costs import measure_costs

    place, _, arm = args.measure_costs.rpartition(":")
    other = argparse.Namespace(**vars(args))
    if place:
        other.set, other.data = place, str(Path(args.data).with_name(SETS[place].file))
    tasks = [final_task(args, arm, 0) for arm in args.arms]
    measure_costs(tasks, final_task(other, arm, 0), QUALITY / f"step-costs-{args.set}.json")
    return 0


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what computes where steps are counted."""
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="with --costs: what computes")
    parser.add_argument("--precision", default="fp32", choices=get_args(Precision), help="with --costs")
    parser.add_argument("--compile", default="off", choices=get_args(Compile), help="with --costs, where an arm can be")
    parser.add_argument("--step-graph", action="store_true", help="with --costs: replay steps as one CUDA graph")


def check_engine(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse flags of :func:`add_engine` where seconds are counted, which a processor spends as it always does."""
    names = ("device", "precision", "compile", "step_graph")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) != parser.get_default(name)]
    if given and not args.costs:
        parser.error(f"{given[0]} goes with --costs, which counts steps in place of seconds")


def read_args() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=list(SETS), help="the pictures to compete on")
    parser.add_argument("--data", help="the file with them; unset is its usual name, here")
    parser.add_argument("--work", default=str(ROOT / "runs" / "contest"), help="folder for runs and decoded pictures")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="unset is each single change; a+b joins two")
    parser.add_argument(
        "--screen", type=float, default=SCREEN_S, metavar="S", help="processor seconds of the screening"
    )
    parser.add_argument("--final", type=float, default=FINAL_S, metavar="S", help="processor seconds of the long runs")
    parser.add_argument("--only-screen", action="store_true", help="no long runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the screening")
    parser.add_argument("--jobs", type=int, default=2, help="arms side by side, each on one thread")
    parser.add_argument(
        "--stop-after", type=float, default=float("inf"), metavar="S", help="save and stop after so many seconds"
    )
    parser.add_argument("--costs", type=Path, metavar="FILE", help="count steps, each of which costs what this says")
    add_engine(parser)
    parser.add_argument("--pictures", action="store_true", help="with --costs: draw and measure samples on the way")
    parser.add_argument(
        "--measure-costs", metavar="[SET:]ARM", help="measure those of --arms against this arm's run by seconds"
    )
    parser.add_argument("--report", action="store_true", help="only write table and curves")
    parser.add_argument(
        "--second-judge", metavar="ARM", help="ask the second judge about this winner, each weights file once"
    )
    parser.add_argument("--judge", type=Path, metavar="FILE", help="judge this weights file as the arms are")
    parser.add_argument("--archive", type=Path, help="the second judge's file, see mobilenet.py")
    parser.add_argument("--slice", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.data = args.data or SETS[args.set].file
    wanted = [name for name, arm in ARMS.items() if not arm.only or args.set in arm.only]
    args.arms = args.arms or wanted
    for arm in args.arms:
        chosen(arm)
    if not args.costs and args.pictures:
        parser.error("--pictures goes with --costs, which counts steps in place of seconds")
    check_engine(parser, args)
    missing = set(args.arms) - read_costs(args.costs).keys() if args.costs and not args.slice else set()
    if missing:
        parser.error(f"{args.costs} has no costs of {', '.join(sorted(missing))}; --measure-costs adds them")
    return args


def main() -> int:
    """Hold the contest, or as much of it as there is time for."""
    args = read_args()
    if args.slice:
        return child(json.loads(args.slice))
    Path(args.work).mkdir(parents=True, exist_ok=True)
    QUALITY.mkdir(parents=True, exist_ok=True)
    if args.second_judge:
        return second_judge(args)
    if args.judge:
        return judge_file(args)
    if args.measure_costs:
        return measure_costs(args)
    ends = time.monotonic() + args.stop_after
    if not args.report:
        measure_bounds(args)
        whole = run_slices(args, screening(args.arms, args.screen, args.seeds), ends)
        if whole and not args.only_screen:
            best = best_of(rows_of(args), args.arms, args.screen)
            run_slices(args, finals(best, args.screen, args.final), ends)
    from quality_report import write_report

    print(write_report(args.set, read_rows(rows_file(args.set)), QUALITY))
    return 0


if __name__ == "__main__":
    sys.exit(main())
