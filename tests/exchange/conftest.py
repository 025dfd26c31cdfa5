"""What tests of the exchange share: runs of other implementations, written as files like those that they write."""

import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "sources"
sys.path[:0] = [str(SOURCES), str(Path(__file__).parent)]


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
