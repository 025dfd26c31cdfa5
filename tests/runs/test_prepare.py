"""Before the first step: what a run goes on with, and what keeps it from starting."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan.data import DataConfig, DataError, pack_dataset
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


@pytest.mark.usefixtures("own_cache")
def test_too_few_pictures_are_refused_before_they_are_decoded_and_in_a_sentence(tmp_path, console, tiny, monkeypatch):
    (tmp_path / "few").mkdir()
    for i in range(7):
        Image.new("RGB", (16, 16), (30 * i, 90, 30)).save(tmp_path / "few" / f"{i}.png")
    monkeypatch.setattr("sagan.data.pack.decode_to_size", lambda *_: pytest.fail("a picture was decoded"))
    config = replace(tiny(2), data=replace(tiny(2).data, path=str(tmp_path / "few")))
    with pytest.raises(
        DataError, match=r"few has 7 pictures .* batch of 8; take --batch-size 7 or less or add pictures$"
    ):
        train(config, out=tmp_path / "run", console=console, keep_fields=())
    assert console.file.getvalue() == ""  # no run folder, network or advice before
    held = replace(config.data, holdout_fraction=0.3)
    fewer = replace(config, data=held, train=replace(config.train, batch_size=6))
    with pytest.raises(
        DataError, match=r"5 pictures to train on.*hold at most 1 out with --data.holdout-max 1, or add"
    ):
        train(fewer, out=tmp_path / "run", console=console)


@pytest.mark.usefixtures("own_cache")
def test_too_few_pictures_that_are_packed_already_are_refused_before_networks_are_built(
    tmp_path, console, tiny, monkeypatch
):
    np.savez(tmp_path / "few.npz", images=np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8))
    data = DataConfig(path=str(tmp_path / "few.npz"))
    pack_dataset(data, 16, tmp_path / "packed.npy", progress=False)
    monkeypatch.setattr("sagan.runs.prepare.build", lambda *_: pytest.fail("networks were built"))
    with pytest.raises(DataError, match=r"has 7 pictures to train on, fewer than one batch of 8"):
        train(
            replace(tiny(2), data=replace(data, path=str(tmp_path / "packed.npy"))),
            out=tmp_path / "run",
            console=console,
        )
    assert console.file.getvalue() == ""
