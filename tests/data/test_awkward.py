"""Folders as people have them: all that is in them is used or reported, by class (500 of them: awkward.py)."""

import sys
from pathlib import Path

import pytest
from awkward import wrong_with


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep all these names apart")
@pytest.mark.parametrize("seed", range(1000, 1030))
def test_nothing_vanishes(tmp_path: Path, seed: int) -> None:
    assert wrong_with(tmp_path, seed) == ""
