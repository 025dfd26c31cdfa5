"""Does a test depend on the processor, the number of threads or the seed? Runs the suite once for each such factor.

    ./dev python benchmarks/chance.py                                        # all factors; goes on where it was stopped
    ./dev python benchmarks/chance.py --only tests/ops --factors seed-1 avx2
    ./dev python benchmarks/chance.py --again                                # files with failures once more
    ./dev python benchmarks/chance.py --report                               # writes the table from what is there

One factor at a time: one and two threads; PyTorch's plain kernels, and those of AVX2 in PyTorch, oneDNN and MKL; five
seeds. A seed moves every number that test files give to ``torch.manual_seed``, ``torch.Generator.manual_seed`` and
``numpy.random.default_rng``, the seed of the tiny runs, and what hypothesis draws (``tests/conftest.py``, by
``SAGAN_TEST_SEED``); calls of the package itself keep their seeds. Files in which no such seed is given,
nor by what they share with others, run under the first seed alone: the others would repeat it.

The test files of a folder, ten at most, share a process; where that ends without a report, each has one of its own.
What became of their tests is appended to results/quality/chance.jsonl when it ends, so that an interrupted command goes
on with the next ones; the table is results/quality/chance.md.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parent))

import rows as kept

ROOT = Path(__file__).resolve().parents[1]
QUALITY = ROOT / "results" / "quality"
ROWS = QUALITY / "chance.jsonl"
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
FACTORS: dict[str, dict[str, str]] = {
    "threads-1": {"OMP_NUM_THREADS": "1", "SAGAN_TEST_THREADS": "1"},
    "threads-2": {"OMP_NUM_THREADS": "2", "SAGAN_TEST_THREADS": "2"},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": AVX2,
    **{f"seed-{seed}": {"SAGAN_TEST_SEED": str(seed)} for seed in range(1, 6)},
}
"""What each factor adds to the environment."""
PLAIN = ("SAGAN_TEST_SEED", "SAGAN_TEST_THREADS", *AVX2)
"""What no factor gets from outside."""
SAME_NUMBERS = ("tests/test_quality.py", "tests/test_numbers.py")
"""Files that only read what stands in the repository, among it what this command writes: they are not run."""
SEEDED = re.compile(
    r"manual_seed|default_rng|hypothesis|\b(tiny_config|tiny_state|pictures|dataset|run_folder|trained|weights)\b"
)
"""What a test file holds whose outcome a seed could change: a seed of its own, or a fixture that has one."""
FILE_S = 3600
TOGETHER = 10
"""Files that share a process at most: starting one costs as much as the tests of a small file."""

Row = dict[str, Any]


def test_files(only: Sequence[str]) -> list[str]:
    """List the test files, all or those whose names begin as asked."""
    files = [file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "tests").rglob("test_*.py"))]
    chosen = [file for file in files if file not in SAME_NUMBERS]
    return [file for file in chosen if not only or any(file.startswith(place) for place in only)]


def moved_by(factor: str, file: str) -> bool:
    """Say whether a factor changes anything for a test file."""
    another_seed = factor.startswith("seed-") and factor != "seed-1"
    return not another_seed or bool(SEEDED.search((ROOT / file).read_text(encoding="utf-8")))


def commit_here() -> str:
    """Give the commit of this tree; an unpacked source archive has none."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"


def run_files(files: Sequence[str], factor: str, marks: str) -> list[Row]:
    """Run test files under a factor in one process; gives how many tests of each passed, and the others.

    Where the process does not report, as when it is killed, each file is run again in one of its own.
    """
    code, seconds, tests = run_pytest(files, factor, marks)
    if len(files) > 1 and code not in (0, 1, 5):
        return [row for file in files for row in run_files([file], factor, marks)]
    commit, rows = commit_here(), []
    for file in files:
        mine = [{key: value for key, value in test.items() if key != "file"} for test in tests if test["file"] == file]
        spent = seconds if len(files) == 1 else round(sum(test["seconds"] for test in mine), 1)
        bad = any(test["outcome"] == "failed" for test in mine)
        own = code if len(files) == 1 else 1 if bad else 0 if mine else 5
        about = {"file": file, "factor": factor, "marks": marks, "code": own, "seconds": spent, "commit": commit}
        others = [test for test in mine if test["outcome"] != "passed"]
        rows.append(about | {"passed": len(mine) - len(others), "others": others})
    return rows


def run_pytest(files: Sequence[str], factor: str, marks: str) -> tuple[int, float, list[Row]]:
    """Run pytest on files under a factor; gives its exit code, its seconds and what its report says."""
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name not in PLAIN} | {"OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(ROOT / "src")} | FACTORS[factor]
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.xml"
        options = [
            "-q",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "-m",
            marks,
            f"--junitxml={found}",
            "-o",
            "junit_family=xunit1",
        ]
        options += files
        if "SAGAN_TEST_SEED" in environment:
            options.append(f"--hypothesis-seed={environment['SAGAN_TEST_SEED']}")
        words = [sys.executable, "-m", "pytest", *options]
        try:
            done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, timeout=FILE_S, check=False)
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = -1
        tests = read_outcomes(found) if found.exists() else []
    return code, round(time.monotonic() - began, 1), tests


def read_outcomes(file: Path) -> list[Row]:
    """Read pytest's report: name, outcome, seconds and, of a failure, what it says."""
    rows = []
    for case in ElementTree.parse(file).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if bad is None else "skipped" if bad.tag == "skipped" else "failed"
        row = {"name": case.get("name"), "outcome": outcome, "seconds": float(case.get("time", 0))}
        row["file"] = case.get("file")
        if bad is not None and outcome == "failed":
            row["why"] = (bad.get("message") or "")[:300]
        rows.append(row)
    return rows


def read_rows() -> dict[tuple[str, str], Row]:
    """Read what was run; the last time of a file under a factor holds."""
    return {(row["file"], row["factor"]): row for row in kept.read_rows(ROWS)}


def failed(row: Row) -> bool:
    """Say whether a file did not pass; without tests (5) it did."""
    return row["code"] not in (0, 5)


def not_yet(before: Row | None, args: argparse.Namespace) -> bool:
    """Say whether a file is still to be run; one that was run without some marks is, when all are asked for."""
    if before is None or before.get("marks", "not slow") not in ("", args.marks):
        return True
    return args.again and failed(before)


def together(files: Sequence[str]) -> list[list[str]]:
    """Cut files into those that share a process: of one folder, so many at most."""
    groups: list[list[str]] = []
    for file in files:
        folder = file.rpartition("/")[0]
        if groups and len(groups[-1]) < TOGETHER and groups[-1][0].rpartition("/")[0] == folder:
            groups[-1].append(file)
        else:
            groups.append([file])
    return groups


def table(rows: Sequence[Row]) -> list[str]:
    """Count outcomes by factor."""
    lines = ["| factor | files | tests passed | failed | skipped | minutes |", "|---|---:|---:|---:|---:|---:|"]
    for factor in FACTORS:
        mine = [row for row in rows if row["factor"] == factor]
        outcomes = Counter(test["outcome"] for row in mine for test in row["others"])
        counts = [sum(row["passed"] for row in mine), outcomes["failed"], outcomes["skipped"]]
        minutes = sum(row["seconds"] for row in mine) / 60
        lines.append(f"| {factor} | {len(mine)} | {' | '.join(map(str, counts))} | {minutes:.1f} |")
    return lines


def report(rows: Sequence[Row]) -> int:
    """Write the table, and below it what failed under any factor; gives how many files failed."""
    lines = ["# Does a test depend on the machine or on chance?", "", "`./dev python benchmarks/chance.py`", ""]
    lines += [*table(rows), "", "## Failed", ""]
    bad = [row for row in rows if failed(row)]
    for row in bad:
        named = [test for test in row["others"] if test["outcome"] == "failed"]
        for test in named or [{"name": "(the file)", "why": f"exit code {row['code']}"}]:
            why = " ".join(test["why"].split())[:160].replace("`", "'")
            lines.append(f"- {row['factor']}: `{row['file']}::{test['name']}`: `{why}`")
    lines += [] if bad else ["Nothing."]
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    marks = ", ".join(sorted({f"`-m '{row.get('marks', '')}'`" for row in rows if row.get("marks")}))
    lines += ["", f"Run with {marks}."] if marks else []
    lines += ["", f"Made at {commits}; [chance.jsonl.gz](chance.jsonl.gz) has every file."]
    (QUALITY / "chance.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(bad)


def read_args() -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="PATH", help="test files, or how their names begin")
    parser.add_argument("--factors", nargs="+", choices=list(FACTORS), default=list(FACTORS))
    parser.add_argument("--marks", default="", help='as of pytest -m, for instance "not slow"')
    parser.add_argument("--again", action="store_true", help="run files that failed once more")
    parser.add_argument("--fresh", action="store_true", help="forget what was run before")
    parser.add_argument("--report", action="store_true", help="only write the table")
    return parser.parse_args()


def main() -> int:
    """Run what was not run yet, and write the table; 1 if a test failed."""
    args = read_args()
    QUALITY.mkdir(parents=True, exist_ok=True)
    if args.fresh:
        for file in (ROWS, kept.packed(ROWS)):
            file.unlink(missing_ok=True)
    rows = read_rows()
    for factor in [] if args.report else args.factors:
        files = [file for file in test_files(args.only) if moved_by(factor, file)]
        wanted = [file for file in files if not_yet(rows.get((file, factor)), args)]
        for group in together(wanted):
            for row in run_files(group, factor, args.marks):
                rows[row["file"], factor] = row
                kept.add_row(ROWS, row)
                print(
                    f"{factor} {row['file']}: {'FAILED' if failed(row) else 'passed'}, {row['seconds']} s", flush=True
                )
    kept.pack_rows(ROWS, kept.read_rows(ROWS))
    return 1 if report([rows[key] for key in sorted(rows)]) else 0


if __name__ == "__main__":
    sys.exit(main())
