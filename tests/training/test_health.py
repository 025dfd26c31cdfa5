"""What is watched: each symptom begins and ends once, kept healthy runs are never flagged, measures against oracles."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sagan.ops.spectral import frozen_spectral, spectral_norm, spectral_norms
from sagan.training import health
from sagan.training.config import TrainConfig
from sagan.training.health import (
    LEAST_PER_CLASS,
    SYMPTOMS,
    Watch,
    cells,
    largest_sigma,
    real_pictures,
    spread,
    variety,
)


@pytest.fixture
def any_steps(monkeypatch):
    """Let observations count however few steps they reach over."""
    monkeypatch.setattr(health, "MIN_STEPS", 0)


RESULTS = Path(__file__).parents[2] / "results"
HEALTHY = {"loss_d": 1.5, "loss_g": 0.4, "real_logits": 0.4, "fake_logits": -0.3}
VARIED = {"within": 0.9, "between": 0.8}


def line(watch, step, sigma=1.1, **changes):
    return [(finding.name, finding.over) for finding in watch.log_line(step, HEALTHY | changes, sigma)]


def look(watch, step, **changes):
    return [(finding.name, finding.over) for finding in watch.look(step, VARIED | changes)]


@pytest.mark.parametrize("run", ["digits-demo", "cifar10-32", "clothing-64"])
def test_kept_healthy_runs_are_not_flagged(run):
    watch = Watch(TrainConfig())
    records = [json.loads(text) for text in (RESULTS / run / "log.jsonl").read_text().splitlines()]
    means = [
        {key: record[key] for key in HEALTHY} | {"step": record["step"]} for record in records if "loss_d" in record
    ]
    assert len(means) > 40
    for record in means:
        assert not watch.log_line(record["step"], record, sigma=1.0)
        assert watch.healthy  # not even the first sign, so that each of its checkpoints could be gone back to


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("diverged", {"loss_d": 25.0}),
        ("diverged", {"loss_g": -25.0}),
        ("discriminator saturated", {"loss_d": 0.01, "real_logits": 3.0, "fake_logits": -3.0}),
        ("discriminator fooled", {"real_logits": -0.5, "fake_logits": 0.2}),
        ("discriminator fooled", {"real_logits": -0.031, "fake_logits": -0.031}),
        ("spectral norm drift", {"sigma": 2.5}),
    ],
)
@pytest.mark.usefixtures("any_steps")
def test_a_symptom_in_the_log_is_said_once_when_it_begins_and_once_when_it_is_over(name, changes):
    patience = next(symptom.patience for symptom in SYMPTOMS if symptom.name == name)
    watch = Watch(TrainConfig())
    assert line(watch, 0) == []
    said = [line(watch, step, **changes) for step in range(1, 40)]
    assert said[: patience - 1] == [[]] * (patience - 1)
    assert said[patience - 1] == [(name, False)]
    assert said[patience:] == [[]] * (39 - patience)
    assert watch.active == {name: patience} and not watch.healthy and not watch.sound
    said = [line(watch, step) for step in range(40, 80)]
    assert said[patience - 1] == [(name, True)]
    assert sum(map(len, said)) == 1
    assert watch.healthy


def test_one_bad_line_now_and_then_is_no_symptom_but_no_healthy_state_either():
    watch = Watch(TrainConfig())
    for step in range(60):
        assert line(watch, step, **({"loss_d": 30.0} if step % 3 else {})) == []
        assert watch.healthy == (step % 3 == 0)


def test_lines_of_every_step_need_as_many_steps():
    watch = Watch(TrainConfig())
    said = [line(watch, step, loss_d=30.0) for step in range(1, 40)]
    assert said.index([("diverged", False)]) == 30 and sum(map(len, said)) == 1


def test_what_is_not_finite_is_said_at_once_and_once():
    watch = Watch(TrainConfig())
    assert line(watch, 1, loss_g=float("nan")) == [("not finite", False)]
    assert line(watch, 2, loss_g=float("inf")) == []
    assert watch.active == {"not finite": 1}


@pytest.mark.parametrize(("name", "kind"), [("variety within classes lost", "within"), ("classes alike", "between")])
@pytest.mark.usefixtures("any_steps")
def test_lost_variety_is_said_soon_where_there_was_some_and_late_where_it_has_not_come_yet(name, kind):
    grace = next(symptom.grace_steps for symptom in SYMPTOMS if symptom.name == name)
    lost, never = Watch(TrainConfig()), Watch(TrainConfig())
    assert look(lost, 10) == []
    assert [look(lost, step, **{kind: 0.1}) for step in (20, 30, 40, 50)] == [[], [], [(name, False)], []]
    assert [look(never, step, **{kind: 0.1}) for step in range(0, grace, 10)] == [[]] * (grace // 10)
    assert never.healthy
    assert [look(never, grace + step, **{kind: 0.1}) for step in (0, 10, 20)] == [[], [], [(name, False)]]


def test_looks_wait_for_the_moving_average_to_forget_the_untrained_weights():
    watch = Watch(TrainConfig(ema_decay=0.999))
    assert [look(watch, step, within=0.0, between=0.0) for step in range(0, 3000, 100)] == [[]] * 30
    assert watch.healthy


@pytest.mark.usefixtures("any_steps")
def test_a_watch_goes_on_from_its_state():
    whole, parts = Watch(TrainConfig()), Watch(TrainConfig())
    for step in range(2):
        line(whole, step, loss_d=30.0), line(parts, step, loss_d=30.0)
    state = json.loads(json.dumps(parts.state_dict()))
    parts = Watch(TrainConfig())
    parts.load_state_dict(state)
    assert line(parts, 2, loss_d=30.0) == line(whole, 2, loss_d=30.0) == [("diverged", False)]
    assert parts.state_dict() == whole.state_dict()


@pytest.mark.usefixtures("any_steps")
def test_what_a_rollback_does_not_cure_leaves_a_run_sound():
    watch = Watch(TrainConfig())
    for step in range(1, 9):
        watch.fit(step, {"logits": 0.9, "copies": 0.9})
        assert watch.sound and not watch.healthy
    assert set(watch.active) == {health.OVERFITTING, health.COPIES}
    assert not line(watch, 9, sigma=9.0) and not watch.sound  # the first sign of another one


def test_a_finding_carries_numbers_limit_and_help():
    watch = Watch(TrainConfig())
    for step in (50, 100, 150):
        found = watch.log_line(step, HEALTHY | {"real_logits": -1.0}, 1.0)
    (finding,) = found
    record = json.loads(json.dumps(finding.record()))
    assert (record["step"], record["health"], record["over"]) == (150, "discriminator fooled", False)
    assert record["value"] == pytest.approx(-0.7) and record["limit"] == 0.02 and record["times"] == 3
    assert "--train.lr-d" in record["helps"] and record["helps"] in str(finding)


# Measures


def test_largest_sigma_is_that_of_a_singular_value_decomposition_and_moves_nothing():
    torch.manual_seed(0)
    network = nn.Sequential(spectral_norm(nn.Linear(12, 9)), nn.ReLU(), spectral_norm(nn.Conv2d(9, 7, 3)))
    for _, weight in spectral_norms(network):
        # Far from where u and v look, so that they are wrong.
        weight.data += 0.6 * torch.randn_like(weight)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = largest_sigma(network, iterations=200)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with torch.no_grad(), frozen_spectral(network):
        true = max(float(torch.linalg.matrix_norm(network[i].weight.flatten(1), 2)) for i in (0, 2))
    assert true > 1.2
    assert found == pytest.approx(true, rel=1e-4)
    assert largest_sigma(nn.Linear(3, 3)) == 1.0


def test_spread_is_what_a_loop_over_pairs_finds():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(12, 5)), np.repeat([0, 1, 2], 4)
    within, _ = spread(points, labels)
    pairs = [np.linalg.norm(points[i] - points[j]) for i in range(12) for j in range(i) if labels[i] == labels[j]]
    assert within == pytest.approx(np.mean(pairs))
    # Unbiased: over many draws of points from classes at known places it averages to the true squared distance.
    places = np.array([[0.0, 0.0], [3.0, 0.0]])
    draws = [
        spread(places[[0, 0, 0, 1, 1, 1]] + rng.normal(size=(6, 2)), np.array([0, 0, 0, 1, 1, 1]))[1]
        for _ in range(4000)
    ]
    assert np.mean(draws) == pytest.approx(9.0, abs=0.25)


def test_cells_are_means_of_pixels():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    points = cells(images).reshape(2, 8, 8, 3)
    assert points[1, 2, 3, 0] == pytest.approx(images[1, 4:6, 6:8, 0].mean() / 255)


@pytest.mark.parametrize(("height", "width"), [(16, 20), (16, 28), (28, 16)])
def test_cells_of_sides_that_8_does_not_divide_share_pixels(height, width):
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    points = cells(images)
    assert points.shape == (2, 192)
    for i, j in np.ndindex(8, 8):
        rows = slice(i * height // 8, -(-(i + 1) * height // 8))
        columns = slice(j * width // 8, -(-(j + 1) * width // 8))
        expected = images[:, rows, columns].mean((1, 2)) / 255
        np.testing.assert_allclose(points.reshape(2, 8, 8, 3)[:, i, j], expected, rtol=1e-12)
    mirrored = cells(np.ascontiguousarray(images[:, :, ::-1])).reshape(2, 8, 8, 3)
    np.testing.assert_allclose(mirrored, points.reshape(2, 8, 8, 3)[:, :, ::-1], rtol=1e-12)


def coloured(rng, num, colours, noise):
    labels = np.repeat(np.arange(len(colours)), num)
    images = np.array(colours)[labels][:, None, None] + rng.normal(0, noise, (len(labels), 1, 1, 3))
    return np.broadcast_to(images, (len(labels), 16, 16, 3)).clip(0, 255).astype(np.uint8), labels


RED_AND_BLUE = ([200, 50, 50], [50, 50, 200])


def test_variety_of_real_pictures_is_one_and_of_copies_and_of_mixed_classes_nought():
    rng = np.random.default_rng(0)
    images, labels = coloured(rng, 100, RED_AND_BLUE, 20)
    real = real_pictures(images, labels, 10)
    found = variety(*coloured(rng, 100, RED_AND_BLUE, 20), real)
    assert found["within"] == pytest.approx(1.0, abs=0.15) and found["between"] == pytest.approx(1.0, abs=0.05)
    copies = variety(*coloured(rng, 10, RED_AND_BLUE, 0), real)
    assert copies["within"] < 1e-6 and copies["between"] == pytest.approx(1.0, abs=0.05)
    mixed = variety(images, rng.permutation(labels), real)
    assert mixed["within"] > 1.0 and mixed["between"] < 0.25


def test_classes_that_real_pictures_cannot_tell_apart_are_not_asked_of_samples():
    rng = np.random.default_rng(0)
    images, labels = coloured(rng, 100, ([100, 100, 100], [104, 100, 100]), 30)
    assert set(variety(images, labels, real_pictures(images, labels, 10))) == {"within"}
    images, labels = coloured(rng, 100, ([100, 100, 100],), 30)
    assert set(variety(images, labels, real_pictures(images, labels, 10))) == {"within"}


@pytest.mark.parametrize("count", [1, 2, 6, LEAST_PER_CLASS - 1])
@pytest.mark.parametrize("classes", [1, 12, 60])
def test_of_few_pictures_nothing_is_asked(count, classes):
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (classes * count, 16, 16, 3), dtype=np.uint8)
    labels = np.repeat(np.arange(classes), count)
    real = real_pictures(images, labels, 4)
    assert np.isnan(real.within) and np.isnan(real.between)
    assert variety(images, labels, real) == {}


@pytest.mark.parametrize("seed", range(20))
def test_classes_that_are_alike_never_divide_by_less_than_nothing(seed):
    # The squared distance is corrected for noise and falls below 0 about half of the time.
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (12 * 8, 16, 16, 3), dtype=np.uint8)
    labels = np.repeat(np.arange(12), 8)
    real = real_pictures(images, labels, 4)
    assert real.within > 0.0
    assert np.isnan(real.between) or real.between > 0.0
    found = variety(images[::2], labels[::2], real)
    assert all(np.isfinite(value) and value >= 0.0 for value in found.values())


def test_equal_pictures_are_no_yardstick():
    images = np.full((40, 16, 16, 3), 90, np.uint8)
    labels = np.repeat(np.arange(4), 10)
    assert variety(images, labels, real_pictures(images, labels, 5)) == {}
