"""Pin what continuous integration installs: exact versions with the hashes of their files, PyTorch aside.

    ./dev python benchmarks/pin.py            # resolves anew and writes pinned.txt
    ./dev python benchmarks/pin.py --check    # says what pyproject.toml asks for and pinned.txt does not have

Versions are the newest that pyproject.toml and constraints.txt allow, the same for both Pythons where they can be.
Hashes are those of every file of a version that Linux on x86-64 could install with them, source archives too, so that
it does not matter which of them an index offers. PyTorch and what it alone brings (CUDA's libraries) are left out: its
build is chosen for the machine.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "pinned.txt"
PYTHONS = ((3, 11), (3, 12))
WITH_TORCH = re.compile(r"^(torch|torchvision|triton|nvidia-.*|cuda-.*)$")
EARLY = re.compile(r"^(sphinx-basic-ng|cwevals|opentelemetry-.*)$")
"""What others ask for in versions that are not released yet (furo, wandb)."""
HELD = ("mpmath<1.4",)
"""What is held back, lest something else be taken before its release (sympy)."""
HEAD = """\
# What continuous integration installs, with hashes, on Linux, x86-64, Python 3.11 and 3.12; PyTorch comes beside
# (constraints.txt). Made by `./dev python benchmarks/pin.py`; not to be edited.
"""


def environment(python: tuple[int, int]) -> dict[str, str]:
    """Give what markers are asked about on Linux with a Python."""
    version = f"{python[0]}.{python[1]}"
    linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
    return {**{k: str(v) for k, v in default_environment().items()}, **linux} | {
        "python_version": version,
        "python_full_version": f"{version}.9",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }


def applies(marker: str | None, python: tuple[int, int]) -> bool:
    """Say whether a requirement is one on Linux with a Python."""
    return marker is None or Marker(marker).evaluate(environment(python))


def tags(python: tuple[int, int]) -> set[Tag]:
    """Give the tags of wheels that Linux on x86-64 can install, whatever its C library's version."""
    manylinux = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 60)]
    platforms = [*manylinux, "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64", "linux_x86_64"]
    return {
        *cpython_tags(python, platforms=platforms),
        *compatible_tags(python, f"cp{python[0]}{python[1]}", platforms),
    }


def resolved() -> list[dict[str, Any]]:
    """Resolve all dependencies, of the groups too; gives the packages with their files."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "pylock.toml"
        lowest = ".".join(map(str, PYTHONS[0]))
        held = Path(folder) / "held.txt"
        held.write_text("\n".join(HELD), encoding="utf-8")
        words = ["pip", "compile", "pyproject.toml", "--group", "dev", "-c", "constraints.txt", "-c", str(held)]
        words += ["--universal", "--python-version", lowest]
        words += ["--format", "pylock.toml", "--quiet", "-o", str(lock)]
        subprocess.run(["uv", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        found: list[dict[str, Any]] = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    return found


def file_name(file: dict[str, Any]) -> str:
    """Give the name of a file."""
    return str(file.get("name") or file["url"].rsplit("/", 1)[-1]).partition("#")[0]


def hashes(package: dict[str, Any]) -> list[str]:
    """Give the hashes of the files of a package that can be installed here."""
    known = set[Tag]().union(*(tags(python) for python in PYTHONS))
    files = [package["sdist"]] if "sdist" in package else []
    files += [file for file in package.get("wheels", []) if parse_wheel_filename(file_name(file))[3] & known]
    return sorted({f"sha256:{file['hashes']['sha256']}" for file in files})


def lines(packages: list[dict[str, Any]]) -> Iterator[str]:
    """Write each package that Linux needs with one of the Pythons, with its hashes."""
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        needing = [python for python in PYTHONS if applies(package.get("marker"), python)]
        if not needing or WITH_TORCH.match(package["name"]):
            continue
        only = "" if len(needing) == len(PYTHONS) else f" ; python_version == '{'.'.join(map(str, needing[0]))}'"
        found = hashes(package)
        if not found:
            raise ValueError(f"{package['name']} {package['version']} has no file for Linux on x86-64")
        yield f"{package['name']}=={package['version']}{only}" + "".join(f" \\\n    --hash={item}" for item in found)


def pins(text: str) -> list[Requirement]:
    """Read the requirements of such a file, without hashes."""
    found = [line.partition(" \\")[0] for line in text.splitlines() if line and line[0] not in "# "]
    return [Requirement(line) for line in found]


def asked() -> list[Requirement]:
    """Give what pyproject.toml asks for and continuous integration installs: the group dev, and those that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    included = [word["include-group"] for word in groups["dev"] if isinstance(word, dict)]
    words = [*project["project"]["dependencies"], *(word for name in ("dev", *included) for word in groups[name])]
    return [Requirement(word) for word in words if isinstance(word, str)]


def missing(text: str) -> list[str]:
    """Say what is asked for and not pinned to an allowed version, or pinned without a hash or before its release."""
    wrong = [f"{line} has no hash" for line in text.splitlines() if line and line[0] not in "# " and "\\" not in line]
    pinned = pins(text)
    early = [pin for pin in pinned for one in pin.specifier if Version(one.version).is_prerelease]
    wrong += [f"{pin} is not released yet" for pin in early if not EARLY.match(pin.name)]
    for wanted in asked():
        if WITH_TORCH.match(canonicalize_name(wanted.name)):
            continue
        for python in PYTHONS:
            here = environment(python)
            if wanted.marker is not None and not wanted.marker.evaluate(here):
                continue
            mine = [pin for pin in pins_of(pinned, wanted.name) if pin.marker is None or pin.marker.evaluate(here)]
            versions = [next(iter(pin.specifier)).version for pin in mine]
            if not any(wanted.specifier.contains(version, prereleases=True) for version in versions):
                found = ", ".join(versions) or "nothing"
                wrong.append(f"{wanted} on Python {python[0]}.{python[1]}: pinned is {found}")
    return wrong


def pins_of(pinned: list[Requirement], name: str) -> list[Requirement]:
    """Give the pins of a package."""
    return [pin for pin in pinned if canonicalize_name(pin.name) == canonicalize_name(name)]


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="say what is missing, and write nothing")
    if not parser.parse_args().check:
        text = HEAD + "\n".join(lines(resolved())) + "\n"
        OUT.write_text(text, encoding="utf-8")
        print(json.dumps({"file": OUT.name, "packages": len(pins(text)), "hashes": text.count("--hash=")}))
    wrong = missing(OUT.read_text(encoding="utf-8"))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
