"""Collapse in real runs: each failure is forced and named, a healthy run is not flagged, and a run can go back."""

import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from sagan.data import DataConfig
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.generator import Generator
from sagan.ops.spectral import SpectralNorm
from sagan.recipes.config import RunConfig
from sagan.runs.train import DivergedError, train
from sagan.training import health, loop
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.state import ROLLBACK_OFFSET
from sagan.training.step import train_step


def tiny(steps, **train_fields):
    fields = {
        "total_steps": steps,
        "batch_size": 8,
        "lr_g": 1e-3,
        "lr_d": 4e-3,
        "log_every": 2,
        "sample_every": 0,
        "evaluate_every": 0,
        "save_every": 3,
    }
    return RunConfig(
        data=DataConfig(path="digits"),
        generator=GeneratorConfig(size_px=16, base_width=2, z_dim=8),
        discriminator=DiscriminatorConfig(size_px=16, base_width=4),
        train=TrainConfig(**fields | train_fields),
    )


def run(config, out, **kwargs):
    said = io.StringIO()
    train(config, out=out, console=Console(file=said, soft_wrap=True), **kwargs)
    return said.getvalue()


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def named(out):
    return {record["health"] for record in log(out) if "health" in record}


@pytest.fixture
def no_grace(monkeypatch):
    """Judge from the first step on, as if samples had been varied before and lines were far apart."""
    monkeypatch.setattr(health, "SYMPTOMS", [replace(symptom, grace_steps=0) for symptom in health.SYMPTOMS])
    monkeypatch.setattr(health, "MIN_STEPS", 0)


@pytest.fixture
def nan_at(monkeypatch):
    """Put a NaN into a weight of D after given steps, given as (step, rollbacks)."""

    def plan(*places):
        def spoilt(state, *arguments):
            metrics = train_step(state, *arguments)
            if (state.step, state.rollbacks) in places:
                next(state.D.parameters()).data.flatten()[0] = torch.nan
            return metrics

        monkeypatch.setattr(loop, "train_step", spoilt)

    return plan


def test_a_healthy_run_is_not_flagged(tmp_path):
    said = run(
        tiny(48, batch_size=16, log_every=4, sample_every=16, evaluate_every=24, save_every=24), tmp_path / "run"
    )
    records = log(tmp_path / "run")
    assert not named(tmp_path / "run") and "health:" not in said
    lines = [record for record in records if "loss_d" in record]
    assert len(lines) == 12 and all(1.0 <= line["sigma/D"] < 2.0 for line in lines)
    looks = [record for record in records if "variety/within" in record]
    assert [record["step"] for record in looks] == [16, 32, 48]


def test_learning_rates_times_a_hundred_are_seen(tmp_path):
    # D and G stop dead, far from anything; which one wins is chance.
    said = run(tiny(60, log_every=2, lr_g=0.1, lr_d=0.4, save_every=60), tmp_path / "run")
    assert named(tmp_path / "run") & {"diverged", "discriminator fooled", "discriminator saturated"}
    assert "What usually helps: " in said


def test_a_frozen_discriminator_is_seen(tmp_path):
    run(tiny(40, lr_d=1e-12, lr_g=1e-2, save_every=40), tmp_path / "run")
    assert "discriminator fooled" in named(tmp_path / "run")


def test_a_constant_generator_is_seen(tmp_path, monkeypatch, no_grace):
    forward = Generator.forward
    monkeypatch.setattr(Generator, "forward", lambda self, z, y=None: 0.0 * forward(self, z, y) + 0.3)
    run(tiny(40, lr_d=1e-2, sample_every=10, save_every=40), tmp_path / "run")
    assert {"variety within classes lost", "classes alike", "discriminator saturated"} <= named(tmp_path / "run")


def test_a_generator_that_ignores_the_classes_is_seen(tmp_path, monkeypatch, no_grace):
    forward = Generator.forward
    monkeypatch.setattr(Generator, "forward", lambda self, z, y=None: forward(self, z, torch.zeros_like(y)))
    run(tiny(8, sample_every=2, save_every=8), tmp_path / "run")
    assert "classes alike" in named(tmp_path / "run")


def test_spectral_vectors_that_stand_still_are_seen(tmp_path, monkeypatch, no_grace):
    monkeypatch.setattr(SpectralNorm, "iterate", lambda *_: None)
    monkeypatch.setattr(SpectralNorm, "moves", False)
    run(tiny(8), tmp_path / "run")
    assert "spectral norm drift" in named(tmp_path / "run")


def test_an_injected_nan_stops_a_run_that_does_not_go_back(tmp_path, nan_at):
    nan_at((7, 0))
    with pytest.raises(DivergedError, match="not finite"):
        run(tiny(12), tmp_path / "run")
    (record,) = [record for record in log(tmp_path / "run") if "health" in record]
    assert (record["health"], record["value"]) == ("not finite", "nan")
    assert load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])["step"] == 6


def test_a_run_goes_back_and_trains_on_with_other_draws_and_lower_rates(tmp_path, nan_at):
    config = tiny(12, on_collapse="rollback", rollback_lr_factor=0.25)
    run(config, tmp_path / "without")
    nan_at((7, 0))
    said = run(config, tmp_path / "run")
    assert "rolled back from step 8 to 6 (1 of at most 3)" in said and "0.25 times the learning rates" in said
    records = log(tmp_path / "run")
    (back,) = [record for record in records if "health" in record]
    assert (back["step"], back["from_step"], back["because"], back["lr_factor"]) == (6, 8, "not finite", 0.25)
    assert [record["step"] for record in records if "loss_d" in record] == [2, 4, 6, 8, 10, 12]
    # What was taken out of the log is kept.
    cut = [json.loads(line) for line in (tmp_path / "run" / "rolled-back-1.jsonl").read_text().splitlines()]
    assert [record["step"] for record in cut] == [8, 8]
    assert {record.get("health") for record in cut} == {None, "not finite"}
    run_end, without = (
        load_checkpoint(checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("run", "without")
    )
    assert (run_end["step"], run_end["rollbacks"], without["rollbacks"]) == (12, 1, 0)
    assert run_end["optimizer_d"]["param_groups"][0]["lr"] == 4e-3 * 0.25
    both = [{r["step"]: r["loss_d"] for r in log(tmp_path / name) if "loss_d" in r} for name in ("run", "without")]
    assert both[0][6] == both[1][6] and both[0][8] != both[1][8]
    assert (tmp_path / "run" / "generator.safetensors").exists()


def test_draws_after_a_rollback_differ_even_with_the_same_learning_rates(tmp_path, nan_at):
    config = tiny(9, on_collapse="rollback", rollback_lr_factor=1.0)
    run(config, tmp_path / "without")
    nan_at((8, 0))
    run(config, tmp_path / "run")
    ends = [load_checkpoint(checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("run", "without")]
    assert ends[0]["step"] == ends[1]["step"] == 9
    assert any(not torch.equal(ends[0]["G"][key], ends[1]["G"][key]) for key in ends[0]["G"])


def test_trap_24_a_run_that_went_back_resumes_bit_for_bit(tmp_path, nan_at):
    nan_at((8, 0))
    fields = {"on_collapse": "rollback", "ema_decay": 0.9, "sample_every": 3}
    run(tiny(13, **fields), tmp_path / "whole")
    run(tiny(10, **fields), tmp_path / "parts")
    run(tiny(13, **fields), None, resume=tmp_path / "parts")
    whole, parts = (load_checkpoint(checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 13 and whole["rollbacks"] == parts["rollbacks"] == 1
    for network in ("G", "D", "ema"):
        for key, value in whole[network].items():
            assert torch.equal(value, parts[network][key]), (network, key)
    assert whole["hooks"]["watch"] == parts["hooks"]["watch"]


def test_the_count_of_rollbacks_reaches_the_checkpoint_before_the_next_step(tmp_path, nan_at):
    # Killed right after it went back: who resumes must not repeat the collapse.
    nan_at((8, 0), (7, 1))
    with pytest.raises(DivergedError, match=r"after 1 rollbacks \(--train.max-rollbacks\)"):
        run(tiny(12, on_collapse="rollback", max_rollbacks=1), tmp_path / "run")
    latest = load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])
    assert (latest["step"], latest["rollbacks"]) == (6, 1)
    said = run(tiny(12, on_collapse="rollback", max_rollbacks=2), None, resume=tmp_path / "run")
    assert "rolled back from step 8 to 6 (2 of at most 2)" in said


def test_a_collapsed_run_stops_where_it_is_to_stop(tmp_path, monkeypatch, no_grace):
    log_line = health.Watch.log_line
    fooled = {"real_logits": 0.0, "fake_logits": 1.0}
    monkeypatch.setattr(
        health.Watch, "log_line", lambda self, step, means, sigma: log_line(self, step, means | fooled, sigma)
    )
    with pytest.raises(
        DivergedError, match=r"stopped at step 6: .*discriminator fooled.*; the latest healthy .* step-0"
    ):
        run(tiny(12, on_collapse="stop"), tmp_path / "run")


def test_the_latest_healthy_checkpoint_is_kept_and_gone_back_to(tmp_path, monkeypatch, no_grace):
    # From step 8 on D is called fooled: the checkpoints of steps 9 and 12 are not healthy, that of step 6 is.
    log_line = health.Watch.log_line
    fooled = {"real_logits": 0.0, "fake_logits": 1.0}
    monkeypatch.setattr(
        health.Watch,
        "log_line",
        lambda self, step, means, sigma: log_line(self, step, means | (fooled if step >= 8 else {}), sigma),
    )
    run(tiny(12, keep_last=1), tmp_path / "run")
    found = [load_checkpoint(path) for path in checkpoints(tmp_path / "run" / "checkpoints")]
    assert [contents["step"] for contents in found] == [6, 12]
    assert [contents["hooks"]["watch"]["healthy"] for contents in found] == [True, False]
    # Who switches it on afterwards goes back from the first line of the log on, and no further than it may.
    with pytest.raises(DivergedError, match="after 1 rollbacks"):
        run(tiny(14, on_collapse="rollback", max_rollbacks=1, keep_last=1), None, resume=tmp_path / "run")
    found = [load_checkpoint(path) for path in checkpoints(tmp_path / "run" / "checkpoints")]
    assert [(contents["step"], contents["rollbacks"]) for contents in found] == [(6, 1), (9, 1)]


def test_draws_are_moved_by_the_documented_offset(tiny_state):
    state, _ = tiny_state()
    state.step = 5
    assert state.draw_step == 5
    state.rollbacks = 2
    assert state.draw_step == 5 + 2 * ROLLBACK_OFFSET
