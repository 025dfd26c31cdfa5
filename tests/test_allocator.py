"""Keeping freed memory."""

import json
import os
import platform
import subprocess
import sys

import pytest

# Allocates and frees 200 MB twice as PyTorch does, and reports how much of it stays with the process.
SCRIPT = """
import json, sys
from sagan.allocator import keep_freed_memory
made = keep_freed_memory() if sys.argv[1] == "keep" else None
import torch
def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
before = resident_mb()
for _ in range(2):
    x = torch.ones(50_000_000)
    del x
print(json.dumps({"made": made, "kept_mb": resident_mb() - before}))
"""
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def run(mode: str, **variables: str) -> dict[str, object]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    command = [sys.executable, "-c", SCRIPT, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean | variables)
    result: dict[str, object] = json.loads(done.stdout)
    return result


@pytest.mark.long("processes of their own")
def test_freed_memory_goes_back_by_default_and_stays_when_asked_for() -> None:
    assert run("default")["kept_mb"] < 100  # type: ignore[operator]
    kept = run("keep")
    assert kept["made"] is True
    assert kept["kept_mb"] > 150  # type: ignore[operator]


@pytest.mark.long("a process of its own")
@pytest.mark.parametrize("variable", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_a_users_own_setting_wins(variable: str) -> None:
    value = "2" if variable == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=2"
    assert run("keep", **{variable: value})["made"] is False
