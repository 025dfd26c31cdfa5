"""Before the first step: what a run goes on with, and what keeps it from starting."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from sagan.runs.folder import RunError
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints


@pytest.mark.long("trains and resumes")
def test_resume_goes_back_where_the_latest_checkpoint_is_damaged(tmp_path: Path, tiny_full) -> None:
    out, said = tmp_path / "run", io.StringIO()
    train(tiny_full(6), out=out, console=Console(file=io.StringIO()))
    latest = checkpoints(out / "checkpoints")[-1]
    latest.write_bytes(latest.read_bytes()[:3000])
    assert train(tiny_full(7), resume=out, console=Console(file=said, soft_wrap=True)).step == 7
    assert "going back to the one before" in said.getvalue()
    assert "resuming at step 3" in said.getvalue()


@pytest.mark.long("trains and resumes")
def test_a_resumed_run_goes_on_with_the_users_hooks_and_equals_an_uninterrupted_one(tmp_path, counter, last, run, tiny):
    whole, first, second = counter(), counter(), counter()
    run(tiny(7), tmp_path / "whole", hooks=[whole])
    run(tiny(4), tmp_path / "parts", hooks=[first])
    run(tiny(7), resume=tmp_path / "parts", hooks=[second])
    assert second.starts == [(4, 2)]
    assert torch.equal(whole.sum, second.sum) and whole.lines == second.lines == 4
    kept = [last(tmp_path / name)["hooks"]["Counter"] for name in ("whole", "parts")]
    assert kept[0]["lines"] == kept[1]["lines"] == 4 and torch.equal(kept[0]["sum"], kept[1]["sum"])
    # Left out, its state is named and dropped.
    _, said = run(tiny(8), resume=tmp_path / "parts")
    assert "keeps the state of a hook 'Counter', which is not among the hooks now" in said
    assert "Counter" not in last(tmp_path / "parts")["hooks"]


@pytest.mark.usefixtures("own_cache")
def test_missing_weights_are_told_before_pictures_are_read(tmp_path, console, tiny_measured, monkeypatch):
    def read(*_, **__):
        raise AssertionError("pictures were read")

    monkeypatch.setattr("sagan.runs.prepare.open_dataset", read)
    config = tiny_measured(2, {"features": "inception", "feature_weights": str(tmp_path / "absent.pth")})
    with pytest.raises(ValueError, match=r"absent\.pth is not a file"):
        train(config, out=tmp_path / "run", console=console)
    assert not (tmp_path / "run").exists()


@pytest.mark.long("trains three times")
def test_blocks_are_frozen_only_where_there_are_weights_to_keep(tmp_path, tiny, run):
    config = tiny(2)
    frozen = replace(config, train=replace(config.train, freeze_d=1))
    with pytest.raises(RunError, match="give weights to start from with --init-from"):
        run(frozen, tmp_path / "alone")
    assert not (tmp_path / "alone").exists()
    run(config, tmp_path / "first")
    run(frozen, tmp_path / "second", init_from=tmp_path / "first")
    states = [
        torch.load(checkpoints(tmp_path / name / "checkpoints")[-1], weights_only=True) for name in ("first", "second")
    ]
    assert all(
        torch.equal(states[0]["D"][key], value)
        for key, value in states[1]["D"].items()
        if "blocks.0.conv" in key and "original" in key
    )
    run(resume=tmp_path / "second", config=replace(frozen, train=replace(frozen.train, total_steps=3)))
