"""What is changed in a command before a test runs it: fewer steps, narrow networks, few samples, one machine.

Nothing else is: the verb, the other flags, the data and the places are those of the page. A value that the page gives
is replaced where it stands, so a flag that does not exist is still one when the command runs.
"""

import re
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

FEW_STEPS = Path(__file__).parent / "shims" / "few_steps.py"
STEPS, RESUMED_STEPS, GROWN_STEPS, PROCESSES = "2", "4", "4", "2"
WRITES = ("--out", "--page", "--json", "--sheet", "--neighbours", "--export-statistics")
"""Flags whose value is a place that a command writes."""

# By verb: flags that mean the same, the value they get, and whether they are added where the page has none.
NARROW = [(("--batch-size", "--train.batch-size"), "8", True), (("--base-width",), "4", True)]
FEW = [(("--num",), "40", True), (("--intra-num",), "20", False), (("--features",), "efficientnet-lite0", True)]
CHANGES: dict[str, list[tuple[tuple[str, ...], str, bool]]] = {
    "demo": [(("--steps",), STEPS, True)],
    "train": [
        *NARROW,
        (("--steps", "--train.total-steps"), STEPS, True),
        (("--monitor.num",), "40", True),
        (("--monitor.features",), "efficientnet-lite0", False),
    ],
    "resumed": [(("--steps", "--train.total-steps"), RESUMED_STEPS, True), (("--train.batch-size",), "8", False)],
    "plan": NARROW,
    "benchmark": NARROW,
    "evaluate": FEW,
    "paper run": [(("--scale",), "smoke", True), (("--steps",), STEPS, False), (("--num",), "40", False)],
}
TORCHRUN = {"--nnodes": "1", "--nproc-per-node": PROCESSES, "--rdzv-endpoint": "localhost:0"}


def here(text: str) -> str:
    """Move what a page has at the root of a machine into the folder of the page."""
    return text.replace("/shared/", "shared/")


def verb_of(words: list[str]) -> str:
    """Give the verb of the words behind ``sagan``."""
    return " ".join(words[: 2 if words[0] in ("data", "paper") else 1])


def small(words: list[str]) -> list[str]:
    """Make the words behind ``sagan`` take seconds.

    ``paper run`` stops before it trains, at five processes a table; tests/experiments trains rows.
    """
    verb = verb_of(words)
    words = [PROCESSES if left == "--devices" and word.isdigit() else word for left, word in zip(["", *words], words)]  # noqa: B905
    if {"--help", "--help-all", "--compare"} & {*words}:
        return words
    if verb == "studio" and "--no-browser" not in words:
        return [*words, "--no-browser"]
    for flags, value, added in CHANGES["resumed" if "--resume" in words else verb] if verb in CHANGES else []:
        places = [i for i, word in enumerate(words) if word in flags]
        for place in places:
            words[place + 1] = value
        if added and not places:
            words += [flags[0], value]
    if "--grow" in words:
        words[words.index("--steps") + 1] = GROWN_STEPS
    return [*words, "--dry-run"] if verb == "paper run" and "--dry-run" not in words else words


def small_torchrun(words: list[str]) -> list[str]:
    """Make the words behind ``torchrun`` start two processes on this machine."""
    own = words.index("-m") + 2
    changed = [TORCHRUN.get(left, word) for left, word in zip(["", *words[: own - 1]], words[:own], strict=True)]
    return [*changed[:-2], str(FEW_STEPS), *words[own:]]


def small_pip(words: list[str], folder: Path) -> list[str]:
    """Make ``pip install`` a dry run without dependencies and network, of a wheel that has the metadata alone."""
    wheel = wheel_of(folder)
    words = [re.sub(r"^\.(?=\[|$)", str(wheel), word) for word in words]
    return [*words, "--dry-run", "--no-deps", "--no-index", "--find-links", str(folder), "--force-reinstall"]


def wheel_of(folder: Path) -> Path:
    """Write a wheel that has nothing but metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stem = f"{project['name'].replace('-', '_')}-1.0"  # any version does
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", "Version: 1.0"]
    lines += [f"Provides-Extra: {extra}" for extra in project["optional-dependencies"]]
    place = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(place, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return place


def small_python(code: str) -> str:
    """Let Python draw few samples and take few steps; how many are shown, such as ``num=8``, stays."""

    def fewer(found: re.Match[str]) -> str:
        return f"{found[1]}={min(int(found[2]), 40)}"

    return re.sub(r"\b(num|samples|steps)=([\d_]+)\b", fewer, code)


def script_of(word: str) -> str:
    """Find a Python file of the repository that a page names."""
    return str(ROOT / word) if word.endswith(".py") and (ROOT / word).exists() else word
