"""Memory of this process, and what a machine or a container has left."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sagan.speed.memory import available_bytes, control_group_room, cuda_share, resident_bytes

MIB = 2**20
GROW = """
import numpy as np
from sagan.speed.memory import peak_resident_bytes, resident_bytes
before = resident_bytes()
pages = np.ones(100 * 2**20, np.uint8)
held = resident_bytes()
del pages
print(before, held, resident_bytes(), peak_resident_bytes())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_peak_stays_when_the_memory_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", GROW], check=True, capture_output=True, text=True).stdout
    before, held, after, peak = map(int, said.split())
    assert 95 * MIB < held - before < 120 * MIB
    assert held - after > 95 * MIB
    assert peak - before > 95 * MIB


def test_what_is_available_lies_within_the_machine() -> None:
    left = available_bytes(torch.device("cpu"))
    held = resident_bytes()
    assert left is not None
    assert held is None or held > MIB
    assert 0 < left < 2**50


def test_a_container_s_limit_is_seen(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("active_file 5\ninactive_file 200\n")
    assert control_group_room(tmp_path) == 500  # what files hold can be dropped
    (tmp_path / "memory.max").write_text("max\n")
    assert control_group_room(tmp_path) == sys.maxsize


def test_an_older_container_s_limit_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("1000")
    (folder / "memory.usage_in_bytes").write_text("1200")
    assert control_group_room(tmp_path) == 0
    assert control_group_room(tmp_path / "nowhere") == sys.maxsize


def test_of_a_gpu_a_process_has_what_is_free_or_the_share_that_it_may_take(monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5)
    assert cuda_share(gpu) == 1.0 and available_bytes(gpu) == 60
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 0.25)
    assert cuda_share(gpu) == 0.25 and available_bytes(gpu) == 15
