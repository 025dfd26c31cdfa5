"""Is this ready to be released? The checklist as one command: it builds, and tries what came out as who gets it would.

    ./dev python benchmarks/release.py                           # all of it; three quarters of an hour on two cores
    ./dev python benchmarks/release.py --only tree wheel         # some of it
    ./dev python benchmarks/release.py --tests tests/ops         # in the source archive run some tests, not all
    ./dev python benchmarks/release.py --only sizes --sizes results/release/sizes.json    # keep what takes how much

tree         nothing is uncommitted, and tracked files are below 20 MiB
version      src/sagan/version.py has a released one, and changelog and citation file have the same
description  what the package index will show has no link that leads nowhere, and every Python that is allowed
wheel        it installs into an empty environment, where `sagan demo` trains, `sample`, `attention` and `completion`
             work, and the extras are named that are missing
sizes        what that environment takes, and what each dependency brings along
archive      the source archive has all that its tests need: installed into an empty environment, all but the slow pass
versions     the lowest versions of dependencies that pyproject.toml allows (PyTorch aside), and the newest, train,
             sample, log and pass tests: benchmarks/versions.py

Packages come through uv, and PyTorch is the build that is installed here. A table at the end says what is not ready and
what to do; the exit code is 1 then.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 20 * 2**20
TRY = """
import sagan
config = sagan.preset("demo", steps=6, base_width=4, batch_size=8)
sagan.train(config, out="run")
images = sagan.load("run").sample(num=2, classes="3")
assert images.shape == (2, 16, 16, 3) and images.dtype == "uint8"
"""


# In the empty environment: the words behind `sagan`, and a file that they leave.
VERBS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("demo", "--steps", "4", "--out", "demo"), "demo/generator.safetensors"),
    (("sample", "demo", "--out", "samples.png", "--num", "2"), "samples.png"),
    (("attention", "demo", "--out", "attention.png"), "attention.png"),
    (("report", "demo", "--out", "report.html"), "report.html"),
    (("evaluate", "demo", "--data", "digits", "--features", "pixels", "--num", "50", "--out", "e.json"), "e.json"),
    (("export", "demo", "--out", "weights.safetensors"), "weights.safetensors"),
    (("completion", "bash"), ""),
    (("info",), ""),
)
# Bytes of each installed package, as files without compiled Python, and what it needs; an extra of a package
# is a package of its own, without files.
PACKAGES = """
import json, re
from importlib.metadata import distributions
packages, needs = {}, {}
for one in distributions():
    name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
    size = sum(f.locate().stat().st_size for f in one.files or () if f.suffix != ".pyc" and f.locate().is_file())
    packages[name] = {"version": one.version, "bytes": size}
    needs.setdefault(name, [])
    for need in one.requires or ():
        extra = re.search(r"extra == .([\\w-]+)", need)
        target, extras = re.match(r"([\\w.-]+)\\s*(?:\\[(.*?)\\])?", need).groups()
        target = re.sub(r"[-_.]+", "-", target).lower()
        wanted = [target, *(f"{target}[{extra.strip()}]" for extra in (extras or "").split(",") if extras)]
        needs.setdefault(f"{name}[{extra[1]}]" if extra else name, []).extend(wanted)
print(json.dumps([packages, needs]))
"""
# What is cut together, and what needs it.
PARTS: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "scikit-learn and scipy": ("scikit-learn", "scipy"),
    "matplotlib": ("matplotlib",),
    "tensorboard": ("tensorboard",),
    "numpy": ("numpy",),
    "pillow": ("pillow",),
    "lightning-fabric": ("lightning-fabric",),
    "rich": ("rich",),
    "safetensors, tyro, jinja2": ("safetensors", "tyro", "jinja2", "markupsafe"),
}


class NotReadyError(Exception):
    """Something is not as it should be; the message says what."""


def call(words: Sequence[str | Path], where: Path, **environment: str) -> str:
    """Run a command and give what it prints.

    Raises:
        NotReadyError: If it fails.
    """
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=where,
        env=clean | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise NotReadyError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


def uv() -> str:
    """Say which uv is used: the one of this environment, if it has one."""
    own = Path(sys.executable).with_name("uv")
    return str(own) if own.exists() else "uv"


def build(out: Path) -> tuple[Path, Path]:
    """Build wheel and source archive into a folder, once; the wheel is made from the archive."""
    if not any(out.glob("*.whl")):
        call([uv(), "build", "--quiet", "--out-dir", out, ROOT], ROOT)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def check_tree(work: Path, args: argparse.Namespace) -> str:
    """See that the tree is clean and small."""
    if changed := call(["git", "status", "--porcelain"], ROOT).strip():
        raise NotReadyError(f"uncommitted: {changed.splitlines()[0]}")
    files = call(["git", "ls-files", "-z"], ROOT).split("\0")
    total = sum((ROOT / name).stat().st_size for name in files if name)
    if total > MOST_BYTES:
        raise NotReadyError(f"tracked files have {total / 2**20:.1f} MiB, more than {MOST_BYTES >> 20}")
    return f"{len(files):,} files, {total / 2**20:.1f} MiB"


def version() -> str:
    """Read the version, which stands in one place."""
    text = (ROOT / "src" / "sagan" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, flags=re.M)
    if found is None:
        raise NotReadyError("src/sagan/version.py has no line __version__ =")
    return found[1]


def check_version(work: Path, args: argparse.Namespace) -> str:
    """See that the version is one to release, and that changelog and citation file have it."""
    ours = version()
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    if ".dev" in ours or heads[0].split()[0] != ours or "unreleased" in heads[0]:
        raise NotReadyError(f"src/sagan/version.py says {ours}; CHANGELOG.md begins with {heads[0]}")
    if f'version: "{ours}"' not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"):
        raise NotReadyError(f"CITATION.cff has not the version {ours}")
    return ours


def check_description(work: Path, args: argparse.Namespace) -> str:
    """See that no link of the description is a path."""
    wheel, _ = build(work / "dist")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(name).decode()
    links = re.findall(r"\]\(([^)]*)\)", text)
    if paths := [link for link in links if not link.startswith(("http://", "https://"))]:
        raise NotReadyError(f"the description links to {paths[0]}, which is nothing outside of the repository")
    pythons = re.findall(r"^Classifier: Programming Language :: Python :: 3\.(\d+)$", text, flags=re.M)
    lowest, above = re.findall(
        r"3\.(\d+)", next(line for line in text.splitlines() if line.startswith("Requires-Python"))
    )
    if sorted(map(int, pythons)) != list(range(*sorted((int(lowest), int(above))))):
        raise NotReadyError(
            f"classifiers name Python 3.{', 3.'.join(pythons)}, which is not what requires-python allows"
        )
    return f"{len(text):,} characters, {len(links)} links, Python 3.{', 3.'.join(pythons)}"


def environment(work: Path, name: str, python: str | Path = sys.executable) -> Path:
    """Make an empty environment and give its Python."""
    call([uv(), "venv", "--quiet", "--clear", "--python", python, work / name], work)
    return work / name / "bin" / "python"


def install(python: Path, words: Sequence[str | Path], where: Path, pins: str = "") -> None:
    """Install into an environment.

    Args:
        python: Of that environment.
        words: What is installed, as pip takes it.
        where: In which folder; the `[tool.uv]` of its pyproject.toml holds.
        pins: Exact versions, a line each; empty is PyTorch as it is here, whose build would else be another
            (2.13.0 is a lower version than 2.13.0+cpu), and what constraints.txt says.
    """
    constraints = python.parents[1] / "constraints.txt"
    here = f"torch=={importlib.metadata.version('torch')}\n"
    constraints.write_text(pins or here + (ROOT / "constraints.txt").read_text(encoding="utf-8"), encoding="utf-8")
    links = os.environ.get("PIP_FIND_LINKS")
    found = {"UV_FIND_LINKS": links} if links else {"UV_TORCH_BACKEND": "auto"}
    call([uv(), "pip", "install", "--quiet", "--python", python, "-c", constraints, *words], where, **found)


def check_wheel(work: Path, args: argparse.Namespace) -> str:
    """Install the wheel into an empty environment and use it there."""
    wheel, _ = build(work / "dist")
    python = environment(work, "empty")
    install(python, [wheel], work)
    sagan, place = python.with_name("sagan"), work / "place"
    place.mkdir(exist_ok=True)
    cache = {"SAGAN_CACHE": str(work / "cache")}
    said = call([sagan, "--version"], place).strip()
    if said != f"sagan-torch {version()}":
        raise NotReadyError(f"`sagan --version` says {said}")
    for words, file in VERBS:
        call([sagan, *words], place, **cache)
        if file and not (place / file).is_file():
            raise NotReadyError(f"sagan {' '.join(words)} left no {file}")
    call([python, "-c", TRY], place, **cache)
    missing = subprocess.run([sagan, "studio", "demo"], cwd=place, capture_output=True, text=True, check=False).stderr
    if "studio]" not in missing or "Traceback" in missing:
        raise NotReadyError(f"without its extra `sagan studio` says {missing[-400:]!r}")
    return said


def check_sizes(work: Path, args: argparse.Namespace) -> str:
    """Measure the environment of the wheel: each package, and what each dependency brings that nothing else needs."""
    wheel, _ = build(work / "dist")
    python = environment(work, "empty")
    install(python, [wheel], work)
    packages, needs = json.loads(call([python, "-c", PACKAGES], work))
    all_of_it = reached(needs, "sagan-torch", ())
    alone = {part: sorted(all_of_it - reached(needs, "sagan-torch", names)) for part, names in PARTS.items()}
    record = {
        "command": "benchmarks/release.py --only sizes",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "bytes": sum(packages[name]["bytes"] for name in all_of_it & set(packages)),
        "packages": {name: packages[name] for name in sorted(all_of_it & set(packages))},
        "brought_by": {part: [name for name in names if name in packages] for part, names in alone.items()},
    }
    if args.sizes is not None:
        args.sizes.parent.mkdir(parents=True, exist_ok=True)
        args.sizes.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    parts = {part: sum(packages[name]["bytes"] for name in names) for part, names in record["brought_by"].items()}
    said = ", ".join(f"{part} {taken / 2**20:.0f}" for part, taken in sorted(parts.items(), key=lambda item: -item[1]))
    return f"{record['bytes'] / 2**20:,.0f} MiB: {said}"


def reached(needs: Mapping[str, Sequence[str]], start: str, without: Collection[str]) -> set[str]:
    """Give the packages that one needs, itself included, if some were not there."""
    found, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name.split("[")[0] not in without and name in needs and name not in found:
            found.add(name)
            todo += needs[name]
    return found


def unpacked(work: Path) -> Path:
    """Build the source archive and unpack it; gives its folder."""
    _, archive = build(work / "dist")
    if not (work / "source").exists():
        with tarfile.open(archive) as tar:
            tar.extractall(work / "source", filter="data")
    return next((work / "source").iterdir())


def check_archive(work: Path, args: argparse.Namespace) -> str:
    """Install the unpacked source archive beside what its tests need, and run them there."""
    root = unpacked(work)
    python = environment(work, "archive")
    install(python, [".", "--group", "dev"], root)
    return tested(python, root, args.tests).splitlines()[-1]


def tested(python: Path, root: Path, tests: Sequence[str | Path]) -> str:
    """Run tests of an unpacked archive in an environment that has what they need; none named are all but the slow."""
    words = [python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests]
    return call(words, root, PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}").strip()


def check_versions(work: Path, args: argparse.Namespace) -> str:
    """Test with the oldest versions that are allowed, and with the newest."""
    script = [sys.executable, ROOT / "benchmarks" / "versions.py", "--only", "lowest", "newest"]
    return call([*script, "--out", work / "versions"], work).strip().splitlines()[-1]


class Check(NamedTuple):
    """A line of the checklist."""

    run: Callable[[Path, argparse.Namespace], str]
    """What is done; gives what was found."""
    remedy: str
    """What to do where it fails."""


CHECKS: dict[str, Check] = {
    "tree": Check(check_tree, "commit or remove what is named; make pictures smaller"),
    "version": Check(check_version, "set the version in src/sagan/version.py, CITATION.cff and on top of CHANGELOG.md"),
    "description": Check(check_description, "mend README.md, setup.py or the classifiers of pyproject.toml"),
    "wheel": Check(check_wheel, "run the command that failed in an environment with the wheel alone"),
    "sizes": Check(check_sizes, "see whether the wheel installs"),
    "archive": Check(check_archive, "add to MANIFEST.in what a test misses"),
    "versions": Check(check_versions, "raise the lower bound of what failed in pyproject.toml, or mend what is newer"),
}


def main() -> int:
    """Run the checks; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    parser.add_argument("--tests", nargs="+", default=[], metavar="PATH", help="tests to run from the source archive")
    parser.add_argument("--sizes", type=Path, metavar="FILE", help="where the numbers of `sizes` are kept, as JSON")
    parser.add_argument("--work", type=Path, help="folder to work in; unset is one that goes afterwards")
    args = parser.parse_args()
    failed: dict[str, str] = {}
    table = ["", f"{'check':<12} {'':<7} what to do"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # a test is another user, who has to find the package
        work = (args.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for name in args.only:
            try:
                print(f"{name}: {CHECKS[name].run(work, args)}", flush=True)
            except NotReadyError as error:
                failed[name] = str(error)
                print(f"{name}: NOT READY: {error}", flush=True)
            table.append(f"{name:<12} " + (f"failed  {CHECKS[name].remedy}" if name in failed else "ok"))
    print("\n".join([*table, "", f"{len(args.only) - len(failed)} of {len(args.only)} are ready"]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
