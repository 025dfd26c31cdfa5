"""The watch in real runs: each failure is forced and named, a healthy run is not flagged, a NaN ends a run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from sagan.models.generator import Generator
from sagan.ops.spectral import SpectralNorm
from sagan.runs import means
from sagan.runs.log import read_log
from sagan.runs.means import LOOK_BATCH
from sagan.runs.train import DivergedError, train
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.health import JUDGED, RAN_AWAY_LIMIT


@pytest.fixture
def by_heart_from(monkeypatch):
    """Let D take held-out pictures, of which there are fewer, for generated ones from a step on."""

    def force(step):
        def logits(state, batch, engine, at_once):
            held_out = len(batch.labels) < LOOK_BATCH
            return torch.linspace(2.9, 3.1, len(batch.labels)) - (50.0 if held_out and state.step >= step else 0.0)

        monkeypatch.setattr(means, "picture_logits", logits)

    return force


@pytest.fixture
def named(log_of):
    """Name what the log of a run says of its health."""
    return lambda out: {record["health"] for record in log_of(out) if "health" in record}


def test_divergence_stops_without_a_broken_checkpoint(tmp_path: Path, console: Console, tiny_full, named) -> None:
    out = tmp_path / "run"
    with pytest.raises(DivergedError, match=r"not finite|no run comes back from beyond"):
        train(tiny_full(40, lr_g=1e30, lr_d=1e30, save_every=2), out=out, console=console)
    for path in (out / "checkpoints").glob("*.pt"):
        contents = load_checkpoint(path)
        assert all(bool(torch.isfinite(value).all()) for key in ("G", "D") for value in contents[key].values())


@pytest.mark.long("trains long enough to be watched")
def test_a_healthy_run_is_not_flagged(tmp_path, log_of, tiny, told, named):
    said = told(
        tiny(48, batch_size=16, log_every=4, sample_every=16, evaluate_every=24, save_every=24), tmp_path / "run"
    )
    records = log_of(tmp_path / "run")
    assert not named(tmp_path / "run") and "health:" not in said
    lines = [record for record in records if "loss_d" in record]
    assert len(lines) == 12 and all(1.0 <= line["sigma/D"] < 2.0 for line in lines)
    looks = [record for record in records if "variety/within" in record]
    assert [record["step"] for record in looks] == [16, 32, 48]


@pytest.mark.long("trains long enough to be watched")
def test_learning_rates_times_a_hundred_are_seen(tmp_path, tiny, told, named):
    # D and G stop dead, far from anything; which one wins is chance.
    said = told(tiny(60, log_every=2, lr_g=0.1, lr_d=0.4, save_every=60), tmp_path / "run")
    assert named(tmp_path / "run") & {"diverged", "discriminator fooled", "discriminator saturated"}
    assert "What usually helps: " in said


@pytest.mark.long("trains long enough to be watched")
def test_a_frozen_discriminator_is_seen(tmp_path, tiny, told, named):
    told(tiny(40, lr_d=1e-12, lr_g=1e-2, save_every=40), tmp_path / "run")
    assert "discriminator fooled" in named(tmp_path / "run")


@pytest.mark.long("trains long enough to be watched")
def test_a_constant_generator_is_seen(tmp_path, monkeypatch, no_grace, tiny, told, named):
    forward = Generator.forward
    monkeypatch.setattr(Generator, "forward", lambda self, z, y=None: 0.0 * forward(self, z, y) + 0.3)
    told(tiny(40, lr_d=1e-2, sample_every=10, save_every=40), tmp_path / "run")
    assert {"variety within classes lost", "classes alike", "discriminator saturated"} <= named(tmp_path / "run")


@pytest.mark.long("trains long enough to be watched")
def test_a_generator_that_ignores_the_classes_is_seen(tmp_path, monkeypatch, no_grace, tiny, told, named):
    forward = Generator.forward
    monkeypatch.setattr(Generator, "forward", lambda self, z, y=None: forward(self, z, torch.zeros_like(y)))
    told(tiny(8, sample_every=2, save_every=8), tmp_path / "run")
    assert "classes alike" in named(tmp_path / "run")


def test_spectral_vectors_that_stand_still_are_seen(tmp_path, monkeypatch, no_grace, tiny, told, named):
    iterate = SpectralNorm.iterate  # as they are at the start, 15 iterations, and no more
    monkeypatch.setattr(SpectralNorm, "iterate", lambda *given: iterate(*given) if given[2:] > (1,) else None)
    monkeypatch.setattr(SpectralNorm, "moves", False)
    told(tiny(8, lr_g=0.5, lr_d=0.1), tmp_path / "run")
    assert "spectral norm drift" in named(tmp_path / "run")


def test_an_injected_nan_stops_a_run_that_does_not_go_back(tmp_path, nan_at, log_of, tiny, told):
    nan_at((7, 0))
    with pytest.raises(DivergedError, match="not finite"):
        told(tiny(12), tmp_path / "run")
    (record,) = [record for record in log_of(tmp_path / "run") if "health" in record]
    assert (record["health"], record["value"]) == ("not finite", "nan")
    assert load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])["step"] == 6


@pytest.mark.long("trains a few steps")
@pytest.mark.parametrize("on_collapse", ["warn", "rollback"])
def test_rates_of_a_million_are_named_at_the_first_line(tmp_path, console, tiny, named, log_of, on_collapse) -> None:
    out = tmp_path / "run"
    said = r"training diverged by step 2: (loss_|real_|fake_)\w+ is -?\d.*, and no run comes back from beyond 100,000"
    if on_collapse == "rollback":  # each way back halves the rates, which are still far too high
        said = "stopped at step 2: ran away, after 1 rollbacks"
    config = tiny(40, lr_g=1e6, lr_d=1e6, on_collapse=on_collapse, max_rollbacks=1)
    with pytest.raises(DivergedError, match=said):
        train(config, out=out, console=console)
    assert "ran away" in named(out)
    assert "health: ran away at step 2: " in console.file.getvalue()
    assert [path.name for path in checkpoints(out / "checkpoints")] == ["step-00000000.pt"]


def test_the_limit_lies_far_above_every_run_of_ours() -> None:
    results = Path(__file__).parents[2] / "results"
    means = [
        abs(float(line[name]))
        for file in results.rglob("log.jsonl")
        for line in read_log(file).records
        for name in JUDGED
        if name in line
    ]
    assert len(means) > 1000 and max(means) * 100 < RAN_AWAY_LIMIT


@pytest.mark.long("trains long enough to be watched")
def test_held_out_pictures_that_look_generated_say_when_to_stop(tmp_path, by_heart_from, told, tiny, named) -> None:
    by_heart_from(40)
    out = tmp_path / "run"
    said = told(tiny(120, log_every=5, save_every=10, keep_last=1), out)
    assert named(out) & {"over-fitting", "copies"} == {"over-fitting"}
    # Lines from step 40 on say so; five in a row, over 30 steps, are waited for.
    assert "health: over-fitting at step 70: held-out logits, on the way from trained (0) to generated (1)" in said
    (kept,) = re.findall(r"stop here, and take (step-\d+.pt), the latest checkpoint from before it; for another", said)
    contents = load_checkpoint(out / "checkpoints" / kept)  # which is kept whatever comes
    assert 0 < contents["step"] < 40 and contents["hooks"]["watch"]["healthy"]


@pytest.mark.long("trains long enough to be watched")
def test_over_fitting_ends_a_run_that_is_to_stop_and_lets_others_go_on(
    tmp_path, by_heart_from, told, tiny, named
) -> None:
    by_heart_from(10)
    with pytest.raises(
        DivergedError, match=r"stopped at step 40: .*over-fitting; the latest healthy checkpoint is step-"
    ):
        told(tiny(60, log_every=5, on_collapse="stop"), tmp_path / "stops")
    told(tiny(60, log_every=5, on_collapse="rollback"), tmp_path / "goes on")
    assert "rolled back" not in named(tmp_path / "goes on") and "over-fitting" in named(tmp_path / "goes on")


@pytest.mark.slow("trains with several seeds")
@pytest.mark.parametrize("seed", range(3))
def test_healthy_runs_are_told_nothing_of_over_fitting(tmp_path, seed, log_of, told, tiny, named) -> None:
    config = tiny(160, batch_size=16, log_every=5, sample_every=20, save_every=160)
    told(replace(config, seed=seed), tmp_path / "run")
    assert not named(tmp_path / "run") & {"over-fitting", "copies"}
    records = log_of(tmp_path / "run")
    assert len([line for line in records if "overfitting/logits" in line]) > 16
    assert len([line for line in records if "overfitting/copies" in line]) == 8


@pytest.fixture
def broken_gradient(monkeypatch):
    """Let one gradient of D be NaN in one backward of a run; gives how D looked before it."""
    seen = {}

    def break_at(number, name="blocks.0.conv1.weight"):
        from sagan.training import step

        plain = step.update_weights

        def breaking(optimizer, network, which, refused):
            if which == "D":
                seen["count"] = seen.get("count", 0) + 1
                if seen["count"] == number:
                    parameter = next(p for n, p in network.named_parameters() if n.startswith(name.split(".weight")[0]))
                    parameter.grad.view(-1)[0] = float("nan")
                    seen["before"] = [p.detach().clone() for p in network.parameters()]
                    seen["parameters"] = list(network.parameters())
            plain(optimizer, network, which, refused)

        monkeypatch.setattr(step, "update_weights", breaking)
        return seen

    return break_at


def test_a_gradient_that_is_not_finite_is_not_applied_and_named(tmp_path, console, tiny, named, broken_gradient):
    seen = broken_gradient(3)
    with pytest.raises(
        DivergedError, match=r"by step 3: a gradient is not finite \(D/blocks\.0\.\S+\), and the update"
    ):
        train(tiny(8, log_every=4, save_every=2), out=tmp_path / "run", console=console)
    assert all(torch.equal(one, other) for one, other in zip(seen["before"], seen["parameters"], strict=True))
    assert [path.stem for path in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000000", "step-00000002"]
    assert named(tmp_path / "run") == {"not finite"}


@pytest.mark.long("trains a few steps")
def test_after_such_a_gradient_a_run_goes_back_if_asked(tmp_path, tiny, told, log_of, broken_gradient):
    broken_gradient(4)
    said = told(tiny(8, log_every=2, save_every=2, on_collapse="rollback"), tmp_path / "run")
    assert "a gradient (D/blocks.0." in said and "rolled back from step 4 to " in said
    assert log_of(tmp_path / "run")[-1]["step"] == 8
