"""What a checkpoint of before there were hooks holds of each."""

from dataclasses import replace

import pytest
import torch

from sagan.runs.states import states_of
from sagan.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint


def as_before(contents):
    """Write the states of hooks where checkpoints had them before there were hooks."""
    contents = dict(contents)
    hooks = contents.pop("hooks")
    contents["reporter"] = {
        **hooks["means"],
        **hooks.get("scores", {"best": None, "monitor": {}}),
        **hooks["rollback"],
        "health": hooks["watch"],
    }
    return contents


@pytest.mark.long("trains and resumes")
def test_a_checkpoint_of_before_resumes_exactly(tmp_path, last, run, tiny):
    fields = {"log_every": 4, "evaluate_every": 4}
    small = {"num": 20, "real": 40}
    first, longer = (replace(c, monitor=replace(c.monitor, **small)) for c in (tiny(6, **fields), tiny(9, **fields)))
    run(longer, tmp_path / "whole")
    run(first, tmp_path / "parts")
    path = checkpoints(tmp_path / "parts" / "checkpoints")[-1]
    contents = load_checkpoint(path)
    for item in ("format", "format_version"):
        contents.pop(item)
    save_checkpoint(path, as_before(contents))
    assert "hooks" not in load_checkpoint(path)
    run(longer, resume=tmp_path / "parts")
    ends = [last(tmp_path / name) for name in ("whole", "parts")]
    for network in ("G", "D"):
        assert all(torch.equal(value, ends[1][network][key]) for key, value in ends[0][network].items())
    assert ends[0]["hooks"]["watch"] == ends[1]["hooks"]["watch"]
    assert ends[0]["hooks"]["rollback"] == ends[1]["hooks"]["rollback"]
    assert ends[0]["hooks"]["scores"]["best"] == ends[1]["hooks"]["scores"]["best"]


def test_all_that_a_checkpoint_of_before_held_finds_its_hook():
    sums = {"loss_d": torch.tensor(3.0)}
    held = {
        "sums": sums,
        "count": 2,
        "best": {"score": 1.5, "step": 4},
        "monitor": {"metrics": ["fd"]},
        "healthy_step": 4,
        "health": {"healthy": False, "active": {"diverged": 5}, "against": {}, "seen_right": []},
    }
    assert states_of({"step": 6, "reporter": held}) == {
        "means": {"sums": sums, "count": 2},
        "watch": held["health"],
        "scores": {"best": held["best"], "monitor": held["monitor"]},
        "rollback": {"healthy_step": 4},
    }
    # From before health was watched, and from before anything was kept.
    assert states_of({"step": 6, "reporter": {"sums": {}, "count": 0}})["rollback"] == {"healthy_step": 6}
    assert states_of({"step": 6})["means"] == {"sums": {}, "count": 0}
