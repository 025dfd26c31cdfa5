"""The examples of docs/hooks.md, a page and no source file: run, killed and resumed, and on two processes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sagan.training.checkpoint import checkpoints, load_checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
PROGRAM = Path(__file__).with_name("hooks_page.py")
pytestmark = pytest.mark.slow("runs every example, killed and resumed, and on two processes")


def blocks():
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def start(folder, kill_at=0, **environment):
    folder.mkdir(exist_ok=True)
    # Weights & Biases has a test of its own.
    (folder / "page.py").write_text("\n".join(block for block in blocks() if "wandb" not in block))
    command = [sys.executable, "-W", "error", str(PROGRAM), str(folder), str(kill_at)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=os.environ | environment, text=True, **streams)


def ended(process):
    said = process.communicate()[0]
    return process.returncode, said


def lines(path):
    """Give the lines of a log without what differs from run to run."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("images_per_s", "elapsed_s")} for line in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happens to, and what it said."""
    folder = tmp_path_factory.mktemp("whole")
    code, said = ended(start(folder))
    assert code == 0, said
    return folder, said


def test_the_page_has_an_example_of_about_ten_lines_for_each():
    classes = {re.search(r"class (\w+)", block)[1]: block for block in blocks() if "class " in block}
    assert {"Hello", "Elsewhere", "StopEarly", "OneClass"} <= classes.keys()
    for name, block in classes.items():
        assert len([line for line in block.splitlines() if line.strip() and "import" not in line]) <= 16, name


def test_the_examples_do_what_the_page_says(whole):
    folder, said = whole
    step, finished, reason = said.split(maxsplit=2)
    assert finished == "False" and reason.startswith("elapsed_s is no better for 8 values")
    log, mine = lines(folder / "run" / "log.jsonl"), lines(folder / "mine" / "log.jsonl")
    assert log[1:] == mine and log[-1]["step"] == int(step)
    assert int(step) == 9  # eight that are no better than the first
    drawn = sorted(path.name for path in (folder / "mine").glob("*.png"))
    assert drawn == [f"class-3-{k:08d}.png" for k in range(2, int(step) + 1, 2)]


def test_killed_and_resumed_they_leave_what_an_uninterrupted_run_leaves(whole, tmp_path):
    folder, said = whole
    code, died = ended(start(tmp_path / "parts", kill_at=5))
    assert code == -signal.SIGKILL, died
    assert lines(tmp_path / "parts" / "mine" / "log.jsonl")[-1]["step"] == 5  # and the checkpoint is of step 3
    assert load_checkpoint(checkpoints(tmp_path / "parts" / "run" / "checkpoints")[-1])["step"] == 3
    assert ended(start(tmp_path / "parts")) == (0, said)
    for name in ("run/log.jsonl", "mine/log.jsonl"):
        assert lines(folder / name) == lines(tmp_path / "parts" / name), name
    ends = [load_checkpoint(checkpoints(f / "run" / "checkpoints")[-1]) for f in (folder, tmp_path / "parts")]
    assert [end["hooks"]["StopEarly"]["since"] for end in ends] == [8, 8]
    for network in ("G", "D", "ema"):
        assert all(torch.equal(value, ends[1][network][key]) for key, value in ends[0][network].items())
    pictures = [{p.name: p.read_bytes() for p in (f / "mine").glob("*.png")} for f in (folder, tmp_path / "parts")]
    assert pictures[0] == pictures[1]


def test_on_two_processes_both_stop_after_the_same_step_and_one_writes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [start(tmp_path, RANK=str(rank), **shared) for rank in range(2)]
    (code, first), (other, second) = (ended(process) for process in processes)
    assert (code, other) == (0, 0), first + second
    step = int(first.split()[0])
    assert second.split() == [str(step), "False", *["asked", "for", "by", "a", "hook", "on", "another", "process"]]
    assert "elapsed_s is no better" in first and step == 9
    assert [line["step"] for line in lines(tmp_path / "mine" / "log.jsonl") if "loss_d" in line] == [
        *range(1, step + 1)
    ]
    held = load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])
    assert (held["step"], held["machine"]["processes"], held["hooks"]["StopEarly"]["since"]) == (step, 2, 8)
