"""A run that collapses goes back, trains on otherwise, and leaves nothing of the steps it took back."""

import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from sagan import Hook
from sagan.runs import hooks as hooks_of_runs
from sagan.runs.checkpoints import Checkpoints
from sagan.runs.rollback import Rollback
from sagan.runs.train import DivergedError
from sagan.training import health
from sagan.training.checkpoint import checkpoint_path, checkpoints, load_checkpoint, save_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.hooks import Hooks, Record


@pytest.mark.slow("trains until it collapses and goes back")
def test_a_rollback_undoes_all_that_was_written_after_that_step(
    tmp_path, nan_at, monkeypatch, counter, last, run, tiny
):
    # The values get better and better, so that the best one is always the latest.
    values = iter(range(99, 0, -1))
    measure = hooks_of_runs.Monitor.measure

    def measured(self, generator):
        report = measure(self, generator)
        better = replace(report.values[0], value=float(next(values)))
        return replace(report, values=(better, *report.values[1:]))

    monkeypatch.setattr(hooks_of_runs.Monitor, "measure", measured)
    out, mine, found = tmp_path / "run", counter(), {}

    class Look(Hook):
        def on_start(self, record):
            if record.state.rollbacks:
                found.update(
                    samples=sorted(path.name for path in (out / "samples").glob("*.png")),
                    evaluations=sorted(path.name for path in (out / "evaluations").glob("*")),
                    lines=max(int(line["step"]) for line in record.history),
                )
                found["best in the checkpoint"] = last(out)["hooks"]["scores"]["best"]["step"]

        def on_step(self, record):
            if record.state.rollbacks and "best.pt" not in found:
                found["best.pt"] = load_checkpoint(out / "checkpoints" / "best.pt")["step"]

    config = tiny(12, on_collapse="rollback", sample_every=5, evaluate_every=5, save_every=3)
    config = replace(config, monitor=replace(config.monitor, num=20, real=40))
    nan_at((11, 0))
    run(config, out, hooks=[mine, Look()])
    assert found == {
        "samples": ["step-00000005.png"],
        "evaluations": ["step-00000005.json"],
        "lines": mine.starts[1][0] // 2 * 2,
        "best in the checkpoint": 5,
        "best.pt": 5,
    }
    # A line every two steps, and the values of step 5.
    (start, fresh), (back, lines) = mine.starts
    assert (start, fresh) == (0, 0) and back in (6, 9) and lines >= back // 2 + 1
    contents = load_checkpoint(out / "checkpoints" / "best.pt")
    assert (contents["step"], contents["rollbacks"]) == (12, 1)


@pytest.mark.long("trains until it collapses and goes back")
def test_a_run_goes_back_and_trains_on_with_other_draws_and_lower_rates(tmp_path, nan_at, log_of, tiny, told):
    config = tiny(12, on_collapse="rollback", rollback_lr_factor=0.25)
    told(config, tmp_path / "without")
    nan_at((7, 0))
    said = told(config, tmp_path / "run")
    assert "rolled back from step 8 to 6 (1 of at most 3)" in said and "0.25 times the learning rates" in said
    records = log_of(tmp_path / "run")
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
    both = [{r["step"]: r["loss_d"] for r in log_of(tmp_path / name) if "loss_d" in r} for name in ("run", "without")]
    assert both[0][6] == both[1][6] and both[0][8] != both[1][8]
    assert (tmp_path / "run" / "generator.safetensors").exists()


@pytest.mark.slow("trains until it collapses and goes back")
def test_draws_after_a_rollback_differ_even_with_the_same_learning_rates(tmp_path, nan_at, tiny, told):
    config = tiny(9, on_collapse="rollback", rollback_lr_factor=1.0)
    told(config, tmp_path / "without")
    nan_at((8, 0))
    told(config, tmp_path / "run")
    ends = [load_checkpoint(checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("run", "without")]
    assert ends[0]["step"] == ends[1]["step"] == 9
    assert any(not torch.equal(ends[0]["G"][key], ends[1]["G"][key]) for key in ends[0]["G"])


@pytest.mark.long("trains until it collapses and goes back")
def test_trap_24_a_run_that_went_back_resumes_bit_for_bit(tmp_path, nan_at, tiny, told):
    nan_at((8, 0))
    fields = {"on_collapse": "rollback", "ema_decay": 0.9, "sample_every": 3}
    told(tiny(13, **fields), tmp_path / "whole")
    told(tiny(10, **fields), tmp_path / "parts")
    told(tiny(13, **fields), None, resume=tmp_path / "parts")
    whole, parts = (load_checkpoint(checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 13 and whole["rollbacks"] == parts["rollbacks"] == 1
    for network in ("G", "D", "ema"):
        for key, value in whole[network].items():
            assert torch.equal(value, parts[network][key]), (network, key)
    assert whole["hooks"]["watch"] == parts["hooks"]["watch"]


@pytest.mark.long("trains until it collapses and goes back")
def test_the_count_of_rollbacks_reaches_the_checkpoint_before_the_next_step(tmp_path, nan_at, tiny, told):
    # Killed right after it went back: who resumes must not repeat the collapse.
    nan_at((8, 0), (7, 1))
    with pytest.raises(DivergedError, match=r"after 1 rollbacks \(--train.max-rollbacks\)"):
        told(tiny(12, on_collapse="rollback", max_rollbacks=1), tmp_path / "run")
    latest = load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])
    assert (latest["step"], latest["rollbacks"]) == (6, 1)
    said = told(tiny(12, on_collapse="rollback", max_rollbacks=2), None, resume=tmp_path / "run")
    assert "rolled back from step 8 to 6 (2 of at most 2)" in said


def test_a_collapsed_run_stops_where_it_is_to_stop(tmp_path, monkeypatch, no_grace, tiny, told):
    log_line = health.Watch.log_line
    fooled = {"real_logits": 0.0, "fake_logits": 1.0}
    monkeypatch.setattr(
        health.Watch, "log_line", lambda self, step, means, sigma: log_line(self, step, means | fooled, sigma)
    )
    with pytest.raises(
        DivergedError, match=r"stopped at step 6: .*discriminator fooled.*; the latest healthy .* step-0"
    ):
        told(tiny(12, on_collapse="stop"), tmp_path / "run")


@pytest.mark.slow("trains until it collapses and goes back")
def test_the_latest_healthy_checkpoint_is_kept_and_gone_back_to(tmp_path, monkeypatch, no_grace, tiny, told):
    # From step 8 on D is called fooled: the checkpoints of steps 9 and 12 are not healthy, that of step 6 is.
    log_line = health.Watch.log_line
    fooled = {"real_logits": 0.0, "fake_logits": 1.0}
    monkeypatch.setattr(
        health.Watch,
        "log_line",
        lambda self, step, means, sigma: log_line(self, step, means | (fooled if step >= 8 else {}), sigma),
    )
    told(tiny(12, keep_last=1), tmp_path / "run")
    found = [load_checkpoint(path) for path in checkpoints(tmp_path / "run" / "checkpoints")]
    assert [contents["step"] for contents in found] == [6, 9, 12]  # two that load stay, and the latest healthy one
    assert [contents["hooks"]["watch"]["healthy"] for contents in found] == [True, False, False]
    # Who switches it on afterwards goes back from the first line of the log on, and no further than it may.
    with pytest.raises(DivergedError, match="after 1 rollbacks"):
        told(tiny(14, on_collapse="rollback", max_rollbacks=1, keep_last=1), None, resume=tmp_path / "run")
    found = [load_checkpoint(path) for path in checkpoints(tmp_path / "run" / "checkpoints")]
    assert [(contents["step"], contents["rollbacks"]) for contents in found] == [(6, 1), (9, 1)]


@pytest.mark.long("trains until it collapses")
def test_a_healthy_checkpoint_that_no_longer_fits_ends_the_run_with_a_sentence(tmp_path, nan_at, tiny, run):
    folder = tmp_path / "run" / "checkpoints"

    class Harm(Hook):
        def on_step(self, record):
            if record.step == 7:
                path = checkpoint_path(folder, 6)
                contents = load_checkpoint(path)
                save_checkpoint(path, contents | {"G": {key: value[None] for key, value in contents["G"].items()}})

    nan_at((8, 0))
    with pytest.raises(DivergedError, match=r"stopped at step [89]: not finite; .*step-0*6\.pt .*does not fit .*: G/"):
        run(tiny(12, on_collapse="rollback"), tmp_path / "run", hooks=[Harm()])


class State:
    """A training state without networks."""

    def __init__(self):
        self.step = self.rollbacks = 0

    def state_dict(self):
        return {"step": self.step, "rollbacks": self.rollbacks}

    def load_state_dict(self, state):
        self.step, self.rollbacks = state["step"], state["rollbacks"]

    def misfit(self, contents):
        return None


@pytest.fixture
def watched(tmp_path, engine):
    """Make the hooks that go back and save, and a function that does a step of which something is seen."""

    def make(**fields):
        train = TrainConfig(total_steps=100, log_every=1, save_every=2, **{"on_collapse": "rollback"} | fields)
        record = Record(train, State(), engine)
        rollback, saving = Rollback(train, tmp_path, Console(quiet=True)), Checkpoints(tmp_path, {})
        rollback.name, saving.name = "rollback", "checkpoints"
        hooks = Hooks([rollback, saving], record)

        def step(*symptoms, sign=False):
            record.state.step += 1
            record.symptoms, record.healthy = symptoms, not (symptoms or sign)
            record.sound = not (set(symptoms) - {*health.NO_CURE_BACK} or sign)
            hooks.step({})
            if hooks.due():
                hooks.save()

        hooks.save()
        return hooks, record, step

    return make


def test_over_fitting_does_not_keep_a_run_from_going_back_to_what_is_later(tmp_path, watched):
    _, record, step = watched()
    step()
    step()  # step 2, the latest healthy one
    for _ in range(6):
        step(health.OVERFITTING)
    for _ in range(4):  # the first sign of what is a collapse: no such checkpoint is gone back to
        step(health.OVERFITTING, sign=True)
    assert (record.healthy_step, record.back_step) == (2, 8)
    assert [int(path.stem[5:]) for path in checkpoints(tmp_path)] == [2, 8, 10, 12]
    saved = load_checkpoint(checkpoint_path(tmp_path, 12))["hooks"]["rollback"]
    assert saved == {"healthy_step": 2, "back_step": 8}
    step(health.OVERFITTING, health.NOT_FINITE)
    assert (record.step, record.state.rollbacks, record.healthy_step, record.back_step) == (8, 1, 2, 8)
    assert [int(path.stem[5:]) for path in checkpoints(tmp_path)] == [2, 8]


def test_a_checkpoint_of_before_has_one_step_to_go_back_to(tmp_path, watched):
    hooks, _, _ = watched()
    hooks.load_state_dict({"rollback": {"healthy_step": 4}})
    assert hooks.state_dict()["rollback"] == {"healthy_step": 4, "back_step": 4}


def test_where_the_later_one_was_not_kept_the_healthy_one_is_gone_back_to(tmp_path, watched):
    _, record, step = watched()
    for _ in range(2):
        step()
    for _ in range(4):
        step(health.COPIES)
    checkpoint_path(tmp_path, 6).unlink()
    step(health.COPIES, "diverged")
    assert (record.step, record.state.rollbacks) == (2, 1)


def test_a_step_that_could_not_be_saved_is_not_gone_back_to(tmp_path, watched, monkeypatch):
    _, record, step = watched()
    for _ in range(4):
        step(health.COPIES)

    def full(path, contents):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sagan.runs.checkpoints.save_checkpoint", full)
    step(health.COPIES)
    step(health.COPIES)
    assert record.unsaved == 6
    step(health.COPIES, "diverged")
    assert (record.step, record.state.rollbacks) == (4, 1)
