"""Would the tests notice? Changes the source in small ways, one at a time, and runs the tests that reach the change.

    ./dev python benchmarks/mutants.py                         # the seeded sample of 400; goes on where it was stopped
    ./dev python benchmarks/mutants.py --again survived        # those that no test noticed once more, with new tests
    ./dev python benchmarks/mutants.py --check 12              # some verdicts again, each in processes of their own
    ./dev python benchmarks/mutants.py --report                # writes the report from what is there

The mutants are cosmic-ray's (benchmarks/mutants_made.py says which are left out), spread over the files of the rooms
in proportion to the places that its operators find. Each is put into a copy of this tree and judged by the tests that
reach the changed statement, those of the mirrored file (``src/sagan/ops/norm.py``: ``tests/ops/test_norm.py``) first,
then those of other files of :data:`POOL`, none marked slow, up to the first failure. Which test reaches which line is
recorded before, with every test file run once on the source as it is; all of them have to pass. Processes are forks of
one that has imported PyTorch and the like (benchmarks/mutants_tests.py).

Every verdict is appended to results/quality/mutants.jsonl at once. Mutants that are no other program to a user stand in
results/quality/equivalent.json, each with the reason. The report is results/quality/mutants.md.
"""

import argparse
import ast
import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before PyTorch and NumPy are imported

import mutants_tests
from mutants_made import ROOMS, ROOT
from rows import add_row, pack_rows, packed, read_rows

TOOL = "cosmic-ray==8.7.0"
QUALITY = ROOT / "results" / "quality"
EQUIVALENT = QUALITY / "equivalent.json"
POOL = (
    *("tests/ops", "tests/models", "tests/test_losses.py", "tests/test_sampling.py", "tests/training", "tests/metrics"),
    "tests/evaluation",
)
"""The tests that can be asked."""
SLOW_TEST_S = 4.0
"""Tests that take longer are asked last."""
KILLED = ("killed", "timeout", "crashed")

Row = dict[str, Any]
Tests = dict[str, Row]

# --------------------------------------------------------------------------------------------------------- the mutants


def hash_of(*files: Path) -> str:
    """Hash the content of files."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def source_files(tree: Path) -> list[Path]:
    """List every file of the package."""
    return sorted((tree / "src").rglob("*.py"))


def make_sample(work: Path, num: int, seed: int) -> Row:
    """Draw the mutants, once for a state of the source; cosmic-ray comes from the package index if it is not here."""
    made = ROOT / "benchmarks" / "mutants_made.py"
    file = work / f"sample-{num}-{seed}-{hash_of(made, *source_files(ROOT))}.json"
    if not file.exists():
        here = [sys.executable]
        if importlib.util.find_spec("cosmic_ray") is None:
            uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
            here = [uv, "run", "--no-project", "--with", TOOL, "--python", sys.executable, "python"]
        partial = file.with_suffix(".partial")
        words = [*here, "-W", "ignore", str(made), str(partial), "--num", str(num), "--seed", str(seed)]
        subprocess.run(words, check=True)
        partial.rename(file)
    found: Row = json.loads(file.read_text())
    return found


def copy_tree(folder: Path) -> Path:
    """Copy what git knows of this tree, and what it does not ignore, to a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


# ---------------------------------------------------------------------------------------------- which test reaches what


def pool_files(tree: Path) -> list[str]:
    """List the test files of the pool."""
    places = [tree / place for place in POOL]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.glob("test_*.py")))]
    return [file.relative_to(tree).as_posix() for file in files]


def recorded(tree: Path, work: Path, sources: Sequence[str]) -> Tests:
    """Give what each test of the pool reaches; test files that changed since the last time are run now."""
    file = work / "reached.json"
    kept: Row = json.loads(file.read_text()) if file.exists() else {}
    helpers = sorted(path for path in (tree / "tests").rglob("*.py") if not path.name.startswith("test_"))
    common = hash_of(*source_files(tree), *helpers)
    tests: Tests = {}
    for name in pool_files(tree):
        now = f"{common} {hash_of(tree / name)}"
        if kept.get(name, {}).get("hash") != now:
            kept[name] = {"hash": now, **record_file(tree, work, name, sources)}
            file.write_text(json.dumps(kept))
        tests |= kept[name]["tests"]
    return tests


def record_file(tree: Path, work: Path, name: str, sources: Sequence[str]) -> Row:
    """Run a test file on the source as it is; it has to pass."""
    began = time.monotonic()
    log = work / "record.log"
    answer = mutants_tests.forked(tree, lambda: mutants_tests.record(tree, name, sources), log, 1800)
    if answer is None or answer["code"] not in (0, 5):  # 5: all of its tests are slow
        raise SystemExit(f"{name} does not pass without a mutant: see {log}")
    print(f"{name}: {len(answer['tests'])} tests, {time.monotonic() - began:.0f} s", flush=True)
    return {"tests": answer["tests"]}


def lines_around(source: str, line: int) -> range | None:
    """Give the lines of the statement that a line belongs to, without its body; None where it runs at import."""
    inside: Sequence[ast.AST] = ast.parse(source).body
    within, lines = False, range(line, line + 1)
    while True:
        around = [node for node in inside if first_line(node) <= line <= (getattr(node, "end_lineno", None) or 0)]
        if not around:
            return lines if within else None
        node = around[0]
        body = getattr(node, "body", None)
        head = max(body[0].lineno, node.lineno + 1) if body else (node.end_lineno or line) + 1  # type: ignore[attr-defined]
        lines = range(first_line(node), head)
        within = within or (isinstance(node, ast.FunctionDef) and line >= head)
        kinds = (ast.stmt, ast.ExceptHandler, ast.match_case)
        inside = [child for child in ast.iter_child_nodes(node) if isinstance(child, kinds)]


def first_line(node: ast.AST) -> int:
    """Give the first line of a statement, with its decorators."""
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])  # type: ignore[attr-defined]


def mirrored(file: str) -> str:
    """Name the test file that mirrors a file of the source."""
    path = Path(file).relative_to("src/sagan")
    return (Path("tests") / path.parent / f"test_{path.name}").as_posix()


def groups_for(mutant: Row, source: str, tests: Tests, others_s: float) -> list[dict[str, float]]:
    """Choose the tests of a mutant, in groups that are asked one after the other: seconds by name.

    Of the tests of other files those are asked that together take ``others_s``, the nearest and quickest first; where
    no file is the mirrored one, a test at least.
    """
    file, mirror = mutant["file"], mirrored(mutant["file"])
    lines = lines_around(source, mutant["line"])
    reach = [name for name, about in tests.items() if reaches(about, file, lines)]
    own = [name for name in tests if name.startswith(f"{mirror}::")]
    near = f"{Path(mirror).parent.as_posix()}/"
    others = sorted(set(reach) - set(own), key=lambda name: (not name.startswith(near), tests[name]["s"]))
    total, some = 0.0, []
    for name in others:
        if total + tests[name]["s"] <= others_s or not (own or some):
            total += tests[name]["s"]
            some.append(name)
    quick = [name for name in own if name in reach and tests[name]["s"] < SLOW_TEST_S]
    quick_others = [name for name in some if tests[name]["s"] < SLOW_TEST_S]
    last = {name for name in (*own, *some) if name in reach} - {*quick, *quick_others}
    if not reach:  # perhaps a process that a test starts does
        last = {*own} | {name for name, about in tests.items() if about["starts"] and name.startswith(near)}
    groups = (quick, quick_others, last)
    return [by_file(group, tests, near) for group in groups if group]


def reaches(about: Row, file: str, lines: range | None) -> bool:
    """Say whether a test reaches some lines of a file; without lines, any of the file."""
    found = about["lines"].get(file, ())
    return bool(found) if lines is None else any(line in lines for line in found)


def by_file(names: Sequence[str] | set[str], tests: Tests, near: str) -> dict[str, float]:
    """Order tests: the nearest files first, those of a file together, the quickest of them first."""
    order = sorted(names, key=lambda name: (not name.startswith(near), name.split("::")[0], tests[name]["s"], name))
    return {name: tests[name]["s"] for name in order}


# ------------------------------------------------------------------------------------------------------------ verdicts


def judge(mutant: Row, tree: Path, work: Path, tests: Tests, others_s: float) -> Row:
    """Put a mutant into the copied tree, ask its tests, and take it out again."""
    began = time.monotonic()
    place = tree / mutant["file"]
    source = place.read_text(encoding="utf-8")
    for compiled in (place.parent / "__pycache__").glob(f"{place.stem}.*.pyc"):
        compiled.unlink()
    asked, found = 0, {"outcome": "survived"}
    place.write_text(mutant["text"], encoding="utf-8")
    try:
        for group in groups_for(mutant, source, tests, others_s):
            asked += len(group)
            found = ask(group, tree, work / "mutant.log")
            if found["outcome"] != "survived":
                break
    finally:
        place.write_text(source, encoding="utf-8")
    about = {name: mutant[name] for name in ("key", "room", "file", "line", "function", "operator", "diff")}
    return about | found | {"tests": asked, "seconds": round(time.monotonic() - began, 1)}


def ask(group: dict[str, float], tree: Path, log: Path) -> Row:
    """Run tests in a fork and say what they make of the mutant that lies in the tree."""
    running = log.with_suffix(".running")
    running.unlink(missing_ok=True)
    timeout = 120 + 4 * sum(group.values())
    answer = mutants_tests.forked(tree, lambda: mutants_tests.verdict(group, running), log, timeout)
    last = running.read_text() if running.exists() else None
    if answer is None:
        began = last is not None and "Timeout (" not in log.read_text(errors="replace")
        return {"outcome": "crashed" if began else "timeout", "by": last, "why": ""}
    if answer["code"] in (0, 5):
        return {"outcome": "survived"}
    why = re.sub(
        r"/\S*/(?=site-packages/|lib/python)", "", answer["why"].replace(f"{tree}/", "")
    )  # no places of a machine
    return {"outcome": "killed", "by": answer["failed"] or "import", "why": why}


def verdicts_file(seed: int) -> Path:
    """Name the file of the verdicts on the sample of a seed; the report lies beside it."""
    return QUALITY / ("mutants.jsonl" if seed == 0 else f"mutants-seed-{seed}.jsonl")


def read_verdicts(seed: int) -> dict[str, Row]:
    """Read the verdicts that there are; the last one of a mutant holds."""
    return {row["key"]: row for row in read_rows(verdicts_file(seed))}


def run(mutants: Sequence[Row], tree: Path, work: Path, tests: Tests, args: argparse.Namespace) -> None:
    """Judge mutants one after the other and append each verdict."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    for number, mutant in enumerate(mutants, 1):
        commit = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        row = judge(mutant, tree, work, tests, args.others) | {"commit": commit}
        add_row(verdicts_file(args.seed), row)
        print(f"{number}/{len(mutants)} {row['outcome']} {row['file']}:{row['line']} {row['seconds']} s", flush=True)


# --------------------------------------------------------------------------------------------------------------- checks


def check(rows: Sequence[Row], mutants: dict[str, Row], tree: Path, num: int) -> Iterator[str]:
    """Ask again, in a fresh process each: the test that failed has to fail with the mutant, and to pass without."""
    killed = [row for row in rows if row["outcome"] == "killed" and row["by"] != "import" and row["key"] in mutants]
    for row in random.Random(0).sample(killed, min(num, len(killed))):
        place = tree / row["file"]
        source = place.read_text(encoding="utf-8")
        without = fresh(tree, row["by"])
        place.write_text(mutants[row["key"]]["text"], encoding="utf-8")
        try:
            mutant = fresh(tree, row["by"])
        finally:
            place.write_text(source, encoding="utf-8")
        verdict = "as before" if (without, mutant) == (0, 1) else "OTHERWISE"
        yield f"{verdict}: {row['key']} {row['by']}: {without} without the mutant, {mutant} with it"


def fresh(tree: Path, test: str) -> int:
    """Run one test in a new process; gives pytest's exit code."""
    words = [sys.executable, "-B", "-m", "pytest", *mutants_tests.OPTIONS, test]
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(words, cwd=tree, env=environment, capture_output=True, check=False).returncode


# --------------------------------------------------------------------------------------------------------------- report


def reason_of(row: Row, known: Sequence[Row]) -> str | None:
    """Say why a mutant is no other program; None if nobody said so."""
    names = ("file", "function", "operator", "diff")
    return next((one["reason"] for one in known if all(one[name] == row[name] for name in names)), None)


def read_equivalent() -> list[Row]:
    """Read the list of mutants that are no other program."""
    return json.loads(EQUIVALENT.read_text(encoding="utf-8")) if EQUIVALENT.exists() else []


def table(rows: Sequence[Row], places: dict[str, int], known: Sequence[Row]) -> list[str]:
    """Count the verdicts by room."""
    lines = ["| room | places | mutants | killed | of these by time or crash | equivalent | survived | score |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|")
    for room in [*ROOMS, "all"]:
        mine = [row for row in rows if room in (row["room"], "all")]
        outcomes = Counter(row["outcome"] for row in mine)
        killed = sum(outcomes[name] for name in KILLED)
        same = sum(row["outcome"] == "survived" and reason_of(row, known) is not None for row in mine)
        score = f"{100 * killed / (len(mine) - same):.1f} %" if len(mine) > same else ""
        count = sum(places.values()) if room == "all" else places[room]
        cells = [room, count, len(mine), killed, killed - outcomes["killed"], same, len(mine) - killed - same, score]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def listed(rows: Sequence[Row]) -> list[str]:
    """Show mutants with what they change, each with its remark."""
    lines = []
    for row in rows:
        where = f"`{row['file']}:{row['line']}` {row['function']}"
        lines += [f"{where}, {row['operator']} ({row['remark']})", "", "```diff", row["diff"], "```", ""]
    return lines


def report(drawn: Row, verdicts: dict[str, Row], args: argparse.Namespace) -> float:
    """Write the report and what it is made of; gives the share of mutants that were killed, as `page` counts them."""
    file = verdicts_file(args.seed)
    sample = {
        "tool": drawn["tool"],
        "seed": args.seed,
        "num": args.num,
        "places": drawn["places"],
        "mutants": [mutant["key"] for mutant in drawn["mutants"]],
    }
    sample_file(file).write_text(json.dumps(sample) + "\n", encoding="utf-8")
    text, score = page(sample, verdicts, packed(file).name)
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    print(next(line for line in text.splitlines() if line.startswith("Killed")))
    return score


def sample_file(verdicts: Path) -> Path:
    """Name the file of what was drawn, beside that of the verdicts."""
    return verdicts.with_name(f"{verdicts.stem}-sample.json")


def page(sample: Row, verdicts: dict[str, Row], name: str) -> tuple[str, float]:
    """Write the page of a sample; gives the share of its mutants that were killed, without those that are no others."""
    known = read_equivalent()
    rows = [verdicts[key] for key in sample["mutants"] if key in verdicts]
    survived = [row | {"remark": f"{row['tests']} tests"} for row in rows if row["outcome"] == "survived"]
    open_ = [row for row in survived if reason_of(row, known) is None]
    same = [row | {"remark": reason_of(row, known)} for row in survived if reason_of(row, known) is not None]
    killed = sum(row["outcome"] in KILLED for row in rows)
    score = killed / max(1, len(rows) - len(same))
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    warned = sum(row.get("by") == "import" for row in rows)
    of_seed = f" --num {sample['num']} --seed {sample['seed']}" if sample["seed"] else ""
    lines = [
        *("# Would the tests notice?", "", f"`./dev python benchmarks/mutants.py{of_seed}`", ""),
        f"{len(rows)} of the {len(sample['mutants'])} mutants of the sample were judged, drawn with seed",
        f"{sample['seed']} of {sum(sample['places'].values()):,} places at which the operators of",
        f"{sample['tool']} change the source.",
        f"Killed: {killed}; no other program: {len(same)}; survived: {len(open_)}; score **{100 * score:.1f} %**.",
        f"{warned} of the killed fell at import: Python warns of `is` beside a literal, and warnings are errors here.",
        "Tests were written for mutants of this sample that had survived before.",
        f"Every verdict is in [{name}]({name}), with the test that failed.",
        *("", *table(rows, sample["places"], known), ""),
        f"Made at {commits}. Tests asked: {', '.join(f'`{place}`' for place in POOL)}; those that reach the changed",
        "statement, of files other than the mirrored one those of some seconds (`--others`), none marked slow.",
        *("", "## Survived", "", *listed(open_)),
        *("## No other program", "", "In [equivalent.json](equivalent.json), with the reasons.", "", *listed(same)),
    ]
    return "\n".join(lines).rstrip() + "\n", score


def tidy(drawn: Row, seed: int) -> None:
    """Keep one verdict a mutant of the sample, in its order."""
    verdicts = read_verdicts(seed)
    rows = [verdicts[mutant["key"]] for mutant in drawn["mutants"] if mutant["key"] in verdicts]
    pack_rows(verdicts_file(seed), rows)


def wanted(mutants: Sequence[Row], args: argparse.Namespace) -> list[Row]:
    """Choose the mutants to judge now: those without a verdict, and those that are asked for again."""
    verdicts, known = read_verdicts(args.seed), read_equivalent()
    again = {key for key, row in verdicts.items() if row["outcome"] in args.again and reason_of(row, known) is None}
    todo = [mutant for mutant in mutants if mutant["key"] not in verdicts or mutant["key"] in again]
    return [mutant for mutant in todo if not args.only or any(mutant["file"].startswith(only) for only in args.only)]


def read_args() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=400, help="how many mutants to draw")
    parser.add_argument("--seed", type=int, default=0, help="of the sample; another than 0 has files of its own")
    outcomes = ["survived", *KILLED]
    parser.add_argument("--again", nargs="+", choices=outcomes, default=[], help="judge those with this verdict again")
    parser.add_argument("--only", nargs="+", default=[], help="source files, or how their names begin")
    parser.add_argument("--others", type=float, default=15.0, help="seconds of tests of other files for a mutant")
    parser.add_argument("--check", type=int, default=0, help="ask so many killing tests again, in fresh processes")
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutants", help="a folder to work in")
    return parser.parse_args()


def main() -> int:
    """Judge what has no verdict yet, and write the report; 1 if mutants survived that are other programs."""
    args = read_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the fork at work ends, too
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    QUALITY.mkdir(parents=True, exist_ok=True)
    drawn = make_sample(work, args.num, args.seed)
    if not args.report:
        mutants_tests.preload()
        tree = copy_tree(work / "tree")
        tests = recorded(tree, work, sorted({mutant["file"] for mutant in drawn["mutants"]}))
        sys.dont_write_bytecode = True  # else a fork could find what another one compiled of a mutant
        by_key = {mutant["key"]: mutant for mutant in drawn["mutants"]}
        if args.check:
            for line in check(list(read_verdicts(args.seed).values()), by_key, tree, args.check):
                print(line, flush=True)
            return 0
        todo = wanted(drawn["mutants"], args)
        random.Random(args.seed).shuffle(todo)
        run(todo, tree, work, tests, args)
        tidy(drawn, args.seed)
    return 0 if report(drawn, read_verdicts(args.seed), args) == 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
