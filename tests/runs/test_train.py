"""A run as a person meets it: from a configuration to a whole folder, gone on with, stopped, and left alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan import Hook
from sagan.data import DataConfig, DataError
from sagan.generators.pretrained import EXPORTED, load
from sagan.generators.weights import load_weights
from sagan.recipes.config import from_json
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints, load_checkpoint


def equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))  # type: ignore[arg-type]
    return a == b


STATE = ("step", "G", "D", "optimizer_g", "optimizer_d", "ema")


def test_a_run_that_samples_with_running_averages_computes_no_others(
    tmp_path: Path, console: Console, tiny_full
) -> None:
    base = tiny_full(4, g_batch_size=16)
    generator = replace(base.generator, sampling_norm="running", bn_momentum=0.25)
    out = tmp_path / "run"
    train(replace(base, generator=generator), out=out, console=console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "standing statistics" not in said
    assert "batch 8; 16 generated in a generator update" in said
    weights = load_weights(out / EXPORTED)
    made = "running averages, momentum 0.25, unbiased variance"
    assert weights.provenance["batch_norm"] == made
    report = json.loads((out / "evaluations" / "step-00000004.json").read_text())
    assert made in json.dumps(report)
    kept = load_checkpoint(checkpoints(out / "checkpoints")[-1])["ema"]
    assert torch.equal(weights.generator.norm.running_var, kept["norm.running_var"])


@pytest.mark.long("trains several runs")
def test_run_folder_holds_everything(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "a run"
    result = train(tiny_full(10), out=out, console=console)
    assert (result.step, result.finished, result.signal) == (10, True, None)
    assert from_json((out / "config.json").read_text()).generator.num_classes == 10
    assert (out / "classes.txt").read_text().split() == [str(digit) for digit in range(10)]
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    training = [r for r in records if "loss_d" in r]
    assert [r["step"] for r in training] == [2, 4, 6, 8, 10]
    wanted = {
        "loss_d",
        "loss_g",
        "real_logits",
        "fake_logits",
        "heldout_logits",
        "images_per_s",
        "gamma/G/8",
        "gamma/D/8",
    }
    assert wanted <= training[0].keys()
    assert [r["step"] for r in records if "score/FD(pixels 8x8)" in r] == [4, 8, 10]
    assert sorted(p.name for p in (out / "samples").glob("*.png")) == [
        "step-00000004.png",
        "step-00000008.png",
        "step-00000010.png",
    ]
    # keep_last = 2, and the best one
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == [
        "best.pt",
        "step-00000009.pt",
        "step-00000010.pt",
    ]
    with Image.open(out / "curves.png") as curves, Image.open(out / "attention.png") as attention:
        assert np.asarray(curves.convert("L")).std() > 5
        assert np.asarray(attention.convert("L")).std() > 5
    assert list((out / "tensorboard").glob("events*"))
    images = load(out / "generator.safetensors").sample(4)
    assert images.shape == (4, 16, 16, 3)
    assert np.array_equal(images, load(out).sample(4))


@pytest.mark.long("trains several runs")
def test_trap_24_resume_is_bit_for_bit(tmp_path: Path, console: Console, tiny_full) -> None:
    config = tiny_full(7)
    train(config, out=tmp_path / "whole", console=console)
    train(tiny_full(4), out=tmp_path / "parts", console=console)
    train(tiny_full(7), resume=tmp_path / "parts", console=console)
    whole = load_checkpoint(checkpoints(tmp_path / "whole" / "checkpoints")[-1])
    parts = load_checkpoint(checkpoints(tmp_path / "parts" / "checkpoints")[-1])
    assert whole["step"] == parts["step"] == 7
    for key in STATE:
        assert equal(whole[key], parts[key]), key
    assert np.array_equal(load(tmp_path / "whole").sample(3), load(tmp_path / "parts").sample(3))


@pytest.mark.long("trains several runs")
def test_log_hook_is_called_outside_of_steps_only(tmp_path: Path, console: Console, tiny_full) -> None:
    # What is looked at in between must not change what is computed: with and without pictures and monitor.
    train(tiny_full(5), out=tmp_path / "busy", console=console)
    train(tiny_full(5, sample_every=0, evaluate_every=0, log_every=5), out=tmp_path / "quiet", console=console)
    busy, quiet = (load_checkpoint(checkpoints(tmp_path / n / "checkpoints")[-1]) for n in ("busy", "quiet"))
    for key in STATE:
        assert equal(busy[key], quiet[key]), key


@pytest.mark.long("trains several runs")
def test_a_failed_start_leaves_the_folder_free(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    with pytest.raises(DataError, match="there is no"):
        train(replace(tiny_full(2), data=DataConfig(path=str(tmp_path / "typo"))), out=out, console=console)
    assert not out.exists()
    assert train(tiny_full(2), out=out, console=console).finished


@pytest.mark.long("trains several runs")
def test_a_hook_stops_the_run_which_says_why_and_can_go_on(tmp_path, last, run, tiny):
    class Stop(Hook):
        def on_line(self, record, line):
            if record.step == 4:
                record.stop("good enough")

    result, said = run(tiny(9), tmp_path / "run", hooks=[Stop()])
    assert (result.step, result.finished, result.signal, result.reason) == (4, False, None, "good enough")
    assert "stopped at step 4, saved (good enough). To go on:\n  sagan train --resume" in said
    assert last(tmp_path / "run")["step"] == 4
    result, _ = run(None, resume=tmp_path / "run")
    assert (result.step, result.finished, result.reason) == (9, True, None)


def test_training_nothing_is_refused(console: Console) -> None:
    with pytest.raises(ValueError, match=r"train what\? Give a configuration"):
        train(console=console)
    with pytest.raises(ValueError, match=r"train what\? Give a configuration"):
        train("pictures", console=console)  # type: ignore[arg-type]
