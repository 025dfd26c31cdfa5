"""What continuous integration installs: all that pyproject.toml asks for, each file checked by its hash."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINNED = (ROOT / "pinned.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pin():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("pin")
    sys.path.remove(str(ROOT / "benchmarks"))
    sys.modules.pop("pin")


def test_it_covers_what_pyproject_asks_for(pin):
    assert pin.missing(PINNED) == []
    assert len(pin.pins(PINNED)) > 100
    assert "://" not in PINNED
    assert not any(pin.WITH_TORCH.match(requirement.name) for requirement in pin.pins(PINNED))


def without(name):
    """Leave a package out of the file, with its hashes."""
    kept, inside = [], False
    for line in PINNED.splitlines():
        inside = line.startswith(f"{name}==") or (inside and line.startswith(" "))
        kept += [] if inside else [line]
    return "\n".join(kept)


def test_what_is_missing_too_old_or_without_a_hash_is_said(pin):
    assert [line.split(":")[0] for line in pin.missing(without("tyro"))] == [
        "tyro>=1.0.17 on Python 3.11",
        "tyro>=1.0.17 on Python 3.12",
    ]
    old = without("tyro") + "\ntyro==1.0.16 \\\n    --hash=sha256:00\n"
    assert pin.missing(old)[0].endswith("on Python 3.11: pinned is 1.0.16")
    bare = without("tyro") + "\ntyro==99\n"
    assert pin.missing(bare) == ["tyro==99 has no hash"]
    beta = without("tyro") + "\ntyro==99b1 \\\n    --hash=sha256:00\n"
    assert pin.missing(beta) == ["tyro==99b1 is not released yet"]
    only = without("tyro") + "\ntyro==99 ; python_version == '3.12' \\\n    --hash=sha256:00\n"
    assert [line.split(":")[0] for line in pin.missing(only)] == ["tyro>=1.0.17 on Python 3.11"]


def test_files_for_other_systems_and_pythons_are_left_out(pin):
    names = {
        "a-1-py3-none-any.whl": 1,
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl": 2,
        "a-1-cp38-abi3-linux_x86_64.whl": 3,
    }
    names |= {"a-1-cp312-cp312-win_amd64.whl": 4, "a-1-cp314-cp314-linux_x86_64.whl": 5}
    wheels = [{"name": name, "hashes": {"sha256": number}} for name, number in names.items()]
    package = {"name": "a", "version": "1", "wheels": wheels, "sdist": {"name": "a-1.tar.gz", "hashes": {"sha256": 0}}}
    assert pin.hashes(package) == [f"sha256:{number}" for number in range(4)]
    assert list(pin.lines([package | {"marker": "sys_platform == 'win32'"}])) == []
    assert next(pin.lines([package | {"marker": "python_version < '3.12'"}])).startswith(
        "a==1 ; python_version == '3.11'"
    )


@pytest.fixture
def dev(tmp_path):
    """Call `dev` in a folder whose environment has programs that only write down what they are asked for."""
    if shutil.which("bash") is None or os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        pytest.skip("pinned.txt is for Linux on x86-64")
    root, log = tmp_path / "checkout", tmp_path / "asked.txt"
    (root / ".venv/bin").mkdir(parents=True)
    for name in ("dev", "pyproject.toml", "constraints.txt", "pinned.txt"):
        shutil.copy(ROOT / name, root / name)
    (root / ".venv/.sagan-root").write_text(f"{root}\n")
    programs = {
        "python": "exit 0",
        "uv": f'echo "$*" >>{log}; case "$*" in *--require-hashes*) echo "$SAID" >&2; exit "$CODE" ;; esac',
    }
    for name, body in programs.items():
        (root / ".venv/bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (root / ".venv/bin" / name).chmod(0o755)

    def call(said="", code=0, **more):
        log.unlink(missing_ok=True)
        (root / ".venv/.sagan-stamp").unlink(missing_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SAGAN_")}
        environment = kept | {"SAID": said, "CODE": str(code)} | more
        words = ["bash", str(root / "dev"), "echo", "went on"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        return done, log.read_text().splitlines() if log.exists() else []

    return call


def test_dev_installs_by_hash_only_where_it_is_asked_to(dev):
    done, asked = dev()
    assert (done.returncode, done.stdout, len(asked)) == (0, "went on\n", 1), done.stderr
    assert "-c constraints.txt -e . --group dev" in asked[0]
    done, asked = dev(SAGAN_PINNED="1")
    assert (done.returncode, done.stdout, len(asked)) == (0, "went on\n", 2), done.stderr
    assert "--require-hashes --no-deps -r" in asked[0] and asked[0].endswith("pinned.txt")
    assert "-c constraints.txt -e . --group dev" in asked[1]


def test_a_file_with_another_hash_ends_it_and_one_that_is_not_to_be_had_does_not(dev):
    done, asked = dev("error: Hash mismatch for `a==1`", 1, SAGAN_PINNED="1")
    assert (done.returncode, done.stdout, len(asked)) == (1, "", 1)
    assert "a file is not the one that pinned.txt names, and is not installed" in done.stderr
    done, asked = dev("error: there is no version of a==1", 1, SAGAN_PINNED="1")
    assert (done.returncode, done.stdout, len(asked)) == (0, "went on\n", 2)
    assert "pinned.txt could not be installed, so the newest that is allowed is" in done.stderr


def test_continuous_integration_asks_for_it():
    assert 'SAGAN_PINNED="${SAGAN_PINNED-1}"' in (ROOT / ".ci/run").read_text(encoding="utf-8")
