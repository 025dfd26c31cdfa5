"""Struck at any moment, the same commands go on to the same end: a few strokes of each kind of benchmarks/kills.py.

With ``SAGAN_ALL_KILLS=1`` before each single change of the disk, which takes minutes to hours.
"""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "kills.py"
TOGETHER = [
    ("packing", "shards", "export", "evaluation"),
    ("steps", "saves", "starts", "preemption", "halted", "clock"),
    ("two", "one of two", "one of two halted"),
    ("paper",),
]
"""Kinds that share a process: importing everything costs as much as some strokes."""
ALL = bool(os.environ.get("SAGAN_ALL_KILLS"))


@pytest.mark.slow("runs what a kind does some times over, in processes of its own")
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("kinds", TOGETHER, ids=", ".join)
def test_nothing_is_lost(tmp_path, kinds):
    rows, how = tmp_path / "kills.jsonl", ["--each"] if ALL else ["--count", "1"]
    words = [sys.executable, str(PROGRAM), "--kinds", *kinds, "--rows", str(rows), *how]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    struck = [json.loads(line) for line in gzip.decompress(rows.with_suffix(".jsonl.gz").read_bytes()).splitlines()]
    assert [(row["kind"], row["moment"], row["lost"]) for row in struck if row["lost"]] == []
    assert done.returncode == 0, done.stderr
    assert {row["kind"] for row in struck} == {*kinds}
