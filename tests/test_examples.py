"""The examples run as they stand, with fewer steps, and print what they promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
FEW = {
    "block_in_a_network.py": ("3", "with attention: "),
    "own_data.py": ("3", "(2, 16, 16, 3)"),
    "train_with_a_hook.py": ("22", "'gamma/"),
    "judge_a_generator.py": ("40", "blur 2.0: "),
    "where_it_looks.py": ("3", "px away on average"),
}


def test_every_example_is_here():
    assert sorted(FEW) == sorted(path.name for path in EXAMPLES.glob("*.py"))
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"python examples/{name}" in page for name in FEW)


@pytest.mark.slow("each is a process that imports PyTorch; most train for some steps")
@pytest.mark.parametrize("name", FEW)
def test_an_example_runs(name, tmp_path):
    count, promised = FEW[name]
    paths = [str(EXAMPLES.parents[0] / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "SAGAN_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, str(EXAMPLES / name), count]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert promised in done.stdout
