"""Is this ready to be released? One command that builds it and tries what came out, as somebody would who gets it.

    ./dev python benchmarks/release.py                           # all of it; twenty minutes on two cores
    ./dev python benchmarks/release.py --only tree wheel         # some of it
    ./dev python benchmarks/release.py --tests tests/ops         # of the tests, in the source archive, these alone

tree         nothing is uncommitted, and tracked files are below 20 MiB
version      the changelog has a section for the version, which is not "unreleased"
description  what the package index will show has no link that leads nowhere
wheel        it installs into an empty environment, where `sagan demo` trains and the extras are named that are missing
archive      the source archive has all that its tests need: they run from it, in this environment
lowest       the lowest versions of dependencies that pyproject.toml allows (PyTorch aside) train, sample and log

Packages come through uv, PyTorch as constraints.txt says. The exit code is 1 if something is not as it should be.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 20 * 2**20
TRY = """
import sagan
config = sagan.preset("demo", steps=6, base_width=4, batch_size=8)
sagan.train(config, out="run")
images = sagan.load("run").sample(num=2, classes="3")
assert images.shape == (2, 16, 16, 3) and images.dtype == "uint8"
"""


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
        raise NotReadyError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-3000:]}")
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


def check_version(work: Path, args: argparse.Namespace) -> str:
    """See that the changelog knows the version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    if not any(head.split()[0] == version and "unreleased" not in head for head in heads):
        raise NotReadyError(f"pyproject.toml says {version}; CHANGELOG.md has {', '.join(heads)}")
    return version


def check_description(work: Path, args: argparse.Namespace) -> str:
    """See that no link of the description is a path."""
    wheel, _ = build(work / "dist")
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(name).decode()
    links = re.findall(r"\]\(([^)]*)\)", text)
    if paths := [link for link in links if not link.startswith(("http://", "https://"))]:
        raise NotReadyError(f"the description links to {paths[0]}, which is nothing outside of the repository")
    return f"{len(text):,} characters, {len(links)} links"


def environment(work: Path, name: str, install: Sequence[str | Path]) -> Path:
    """Make an empty environment, install into it, and give its Python."""
    call([uv(), "venv", "--quiet", "--clear", "--python", sys.executable, work / name], work)
    python = work / name / "bin" / "python"
    find = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if os.environ.get("PIP_FIND_LINKS") else {}
    call(
        [uv(), "pip", "install", "--quiet", "--python", python, "-c", ROOT / "constraints.txt", *install], work, **find
    )
    return python


def check_wheel(work: Path, args: argparse.Namespace) -> str:
    """Install the wheel into an empty environment and use it there."""
    wheel, _ = build(work / "dist")
    python = environment(work, "empty", [wheel])
    sagan, place = python.with_name("sagan"), work / "place"
    place.mkdir(exist_ok=True)
    cache = {"SAGAN_CACHE": str(work / "cache")}
    version = call([sagan, "--version"], place).strip()
    call([sagan, "demo", "--steps", "4", "--out", "demo"], place, **cache)
    if not (place / "demo" / "generator.safetensors").is_file():
        raise NotReadyError("sagan demo left no generator.safetensors")
    call([python, "-c", TRY], place, **cache)
    said = subprocess.run([sagan, "studio", "demo"], cwd=place, capture_output=True, text=True, check=False).stderr
    if "studio]" not in said or "Traceback" in said:
        raise NotReadyError(f"without its extra `sagan studio` says {said[-400:]!r}")
    return version


def check_archive(work: Path, args: argparse.Namespace) -> str:
    """Run the tests from the unpacked source archive."""
    _, archive = build(work / "dist")
    with tarfile.open(archive) as tar:
        tar.extractall(work / "source", filter="data")
    root = next((work / "source").iterdir())
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args.tests]
    return call(words, root, PYTHONPATH=str(root / "src")).strip().splitlines()[-1]


def check_lowest(work: Path, args: argparse.Namespace) -> str:
    """Train with the oldest versions that are allowed."""
    wheel, _ = build(work / "dist")
    python = environment(work, "lowest", ["--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml"])
    call([uv(), "pip", "install", "--quiet", "--no-deps", "--python", python, wheel], work)
    place = work / "old"
    place.mkdir(exist_ok=True)
    said = call([python, "-c", TRY], place, SAGAN_CACHE=str(work / "cache"))
    if "Traceback" in said:
        raise NotReadyError(f"something printed a traceback:\n{said[-3000:]}")
    packages = ("numpy", "pillow", "scipy", "scikit-learn", "matplotlib", "tensorboard", "tyro")
    found = call([uv(), "pip", "freeze", "--python", python], work).splitlines()
    return ", ".join(line for line in found if line.split("==")[0].lower() in packages)


CHECKS: dict[str, Callable[[Path, argparse.Namespace], str]] = {
    "tree": check_tree,
    "version": check_version,
    "description": check_description,
    "wheel": check_wheel,
    "archive": check_archive,
    "lowest": check_lowest,
}


def main() -> int:
    """Run the checks; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    parser.add_argument("--tests", nargs="+", default=[], metavar="PATH", help="tests to run from the source archive")
    parser.add_argument("--work", type=Path, help="folder to work in; unset is one that goes afterwards")
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        work = (args.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for name in args.only:
            try:
                print(f"{name}: {CHECKS[name](work, args)}", flush=True)
            except NotReadyError as error:
                failed += 1
                print(f"{name}: NOT READY: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
