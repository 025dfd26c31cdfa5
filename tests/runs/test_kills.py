"""Killed before a change of the disk, the same commands go on to the same end.

With ``SAGAN_ALL_KILLS=1`` before each single change, which takes minutes to hours; else before a few of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sagan.data import read_packed
from sagan.generators.weights import load_weights

NEVER = 10_000


def before(*few):
    """Give the changes to be killed before; the last one does not come."""
    return [*range(1, 200)] if os.environ.get("SAGAN_ALL_KILLS") else [*few, NEVER]


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """Kill before each change of a folder, do something again, and give the ends and the folders."""
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(first, again, numbers):
        folder = tmp_path / "made" / "here"
        words = {"folder": str(folder), "first": first, "again": again, "before": numbers}
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps(words))
        program = Path(__file__).with_name("kills.py")
        done = subprocess.run([sys.executable, program, plan], capture_output=True, text=True, check=True)
        ends = json.loads(done.stdout)
        assert len(ends) > 2 and ends[-1]["first"] == 0, ends[-1]  # the last one was not killed any more
        return ends, [folder.parent / f"after-{end['before']}" for end in ends]

    call.folder = tmp_path / "made" / "here"
    return call


@pytest.mark.slow("a run of two steps for each change that a run makes on the disk")
def test_a_run(killed):
    out = str(killed.folder / "run")
    tiny = ["--generator.base-width", "2", "--discriminator.base-width", "4", "--generator.z-dim", "4"]
    tiny += ["--batch-size", "8", "--steps", "2", "--train.save-every", "1", "--train.log-every", "1"]
    tiny += ["--train.sample-every", "1", "--evaluate-every", "0", "--generator.sampling-norm", "running"]
    start = ["train", "--preset", "demo", *tiny, "--out", out]
    # Whatever is there: either it can be gone on with, or started by the command that started it.
    ends, folders = killed([start], [["train", "--resume", out], start], before(9, 14, 24))
    weights = load_weights(folders[-1] / "run" / "generator.safetensors").generator.state_dict()
    for end, folder in zip(ends, folders, strict=True):
        resumed, started = end["again"]
        assert (resumed == 0) != (started == 0), end
        found = load_weights(folder / "run" / "generator.safetensors").generator.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in weights.items()), end
        lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "loss_d" in line] == [1, 2], end
        assert not list((folder / "run" / "checkpoints").glob(".*.tmp"))


@pytest.mark.slow("a packing for each change that it makes on the disk")
@pytest.mark.parametrize("shards", [(), ("--shard-gb", "0.0006")])
def test_packing(killed, shards):
    out = str(killed.folder / "digits.npy")
    pack = ["data", "pack", "digits", "--size", "16", "--out", out, *shards]
    ends, folders = killed([pack], [pack], before(5, 9))
    expected = read_packed(folders[-1] / "digits.npy")
    for end, folder in zip(ends, folders, strict=True):
        assert end["again"] == [0], end
        assert read_packed(folder / "digits.npy").fingerprint == expected.fingerprint
        left = [path.name for path in folder.rglob("*") if "partial" in path.name]
        assert left == [], end


@pytest.mark.slow("an evaluation and an export for each change that they make on the disk")
def test_evaluation_and_export(killed, monkeypatch):
    golden = Path(__file__).parents[1] / "golden" / "versions" / "2" / "run" / "generator.safetensors"
    monkeypatch.setenv("SAGAN_CACHE", str(killed.folder / "cache"))
    values = ["evaluate", str(golden), "--data", "digits", "--features", "pixels", "--num", "20"]
    values += ["--out", str(killed.folder / "values.json")]
    ends, folders = killed([values], [values], before(2, 5))
    told = json.loads((folders[-1] / "values.json").read_text())["values"]
    for end, folder in zip(ends, folders, strict=True):
        assert end["again"] == [0], end
        assert json.loads((folder / "values.json").read_text())["values"] == told
