"""Over-fitting: the measures against what they must give, and the watch on drawn sequences, false alarms included."""

import math

import numpy as np
import pytest

from sagan.training.config import TrainConfig
from sagan.training.health import COPIES, OVERFITTING, SYMPTOMS, Watch
from sagan.training.overfitting import (
    LEAST_PICTURES,
    MOST_PICTURES,
    QUANTILE,
    copied,
    gap_error,
    known_pictures,
    learnt_by_heart,
    nearest_two,
)

SEEDS = range(20)


def symptom(name):
    return next(symptom for symptom in SYMPTOMS if symptom.name == name)


# Logits


def test_trap_by_heart_is_zero_where_held_out_pictures_look_trained_on_and_one_where_they_look_generated():
    assert learnt_by_heart(2.0, 2.0, -2.0) == 0.0
    assert learnt_by_heart(2.0, 3.0, -2.0) == 0.0
    assert learnt_by_heart(2.0, -2.0, -2.0) == 1.0
    assert learnt_by_heart(2.0, 1.0, -2.0) == 0.25
    assert learnt_by_heart(2.0, 1.0, -2.0, error=0.25) == 0.125
    assert learnt_by_heart(2.0, 1.0, -2.0, error=0.75) == 0.0
    assert math.isnan(learnt_by_heart(0.5, 0.0, 0.5))
    assert math.isnan(learnt_by_heart(2.0, 1.0, -2.0, error=math.nan))


def test_the_error_of_a_gap_is_what_gaps_vary_by():
    rng = np.random.default_rng(0)
    drawn = [(rng.normal(0, 1.0, 40), rng.normal(0, 3.0, 10)) for _ in range(4000)]
    spread = np.std([one.mean() - other.mean() for one, other in drawn])
    assert np.sqrt(np.mean([gap_error(*pair) ** 2 for pair in drawn])) == pytest.approx(spread, rel=0.05)
    assert math.isnan(gap_error(np.zeros(9), np.zeros(1)))


def looks(rng, steps, heart, heldout):
    """Draw what lines of a run say: logits of 200 trained and ``heldout`` other pictures, those by ``heart`` lower.

    The held-out pictures are the same in every line, and differ from others as a few pictures do.
    """
    own = rng.normal(0.0, 0.6, heldout)
    for step in steps:
        trained = rng.normal(1.0, 0.6, 200)
        others = 1.0 - 2.0 * heart(step) + own + rng.normal(0.0, 0.2, heldout)
        yield step, learnt_by_heart(trained.mean(), others.mean(), -1.0, gap_error(trained, others))


@pytest.mark.parametrize("heldout", [5, 50])
@pytest.mark.parametrize("heart", [0.0, 0.2])
def test_lines_of_healthy_runs_are_not_flagged_whatever_the_seed(heldout, heart):
    for seed in SEEDS:
        watch = Watch(TrainConfig())
        for step, share in looks(np.random.default_rng(seed), range(50, 10_000, 50), lambda _: heart, heldout):
            assert watch.fit(step, {"logits": share}) == [], (seed, step, share)


@pytest.mark.parametrize(("heldout", "least"), [(5, 12), (50, len(SEEDS))])
def test_pictures_learnt_by_heart_are_said_soon_after_they_are_and_once(heldout, least):
    found = []
    for seed in SEEDS:
        watch, said = Watch(TrainConfig()), []
        drawn = looks(np.random.default_rng(seed), range(50, 6000, 50), lambda step: min(1.0, step / 3000), heldout)
        for step, share in drawn:
            said += watch.fit(step, {"logits": share})
        found += said[:1]
        assert len(said) <= 1 or heldout < 10, seed
    # Of five held-out pictures some are so unlike each other that their mean says little.
    assert len(found) >= least
    for finding in found:
        assert (finding.name, finding.over) == (OVERFITTING, False)
        assert finding.step > 1000 and (finding.step < 3000 or heldout < 10)
        assert finding.times == symptom(OVERFITTING).patience > 1
        assert "--train.augment color translation cutout" in str(finding)


def test_a_single_line_says_nothing_and_what_is_over_is_said():
    shares = [0.9 if step % 4 == 0 else 0.1 for step in range(200)]
    watch = Watch(TrainConfig())
    assert not any(watch.fit(50 * step, {"logits": share}) for step, share in enumerate(shares))
    found = [watch.fit(20_000 + 50 * step, {"logits": 0.9 if step < 10 else 0.1}) for step in range(20)]
    assert [(f.name, f.over) for some in found for f in some] == [(OVERFITTING, False), (OVERFITTING, True)]


# Copies


def points(rng, n):
    """Draw pictures of a set: points that vary in a few ways much and in all a little."""
    ways = np.random.default_rng(99).normal(size=(6, 48))
    return rng.normal(size=(n, 6)) @ ways + 0.3 * rng.normal(size=(n, 48))


def test_the_nearest_two_are_those_of_a_sort():
    found = np.random.default_rng(0).random((5, 9))
    np.testing.assert_array_equal(nearest_two(found), np.sort(found, axis=1)[:, :2])


def test_other_pictures_of_the_set_are_no_copies_and_copies_are():
    blurred, limit = [], symptom(COPIES).limit
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        training, heldout, others = points(rng, 100), points(rng, 5), points(rng, 100)
        known = known_pictures([training], heldout)
        assert known is not None
        assert copied(others, known) <= limit / 2, seed
        assert copied(training[rng.integers(0, 100, 100)] + 0.05 * rng.normal(size=(100, 48)), known) == 1.0
        half = np.concatenate([training[:50], others[:50]])
        assert limit < 0.5 <= copied(half, known) <= 0.5 + 2 * QUANTILE
        blurred.append(copied(training.mean(0) + 0.2 * points(rng, 100), known))
    # Blurred samples lie in the middle, near to many; several looks in a row count.
    assert np.mean(blurred) < 0.8 * limit and np.mean(np.array(blurred) > limit) <= 0.2, blurred


def test_a_copy_of_a_mirror_image_is_a_copy():
    rng = np.random.default_rng(3)
    training = points(rng, 60)
    mirrored = training[:, ::-1].copy()
    plain, both = (known_pictures(some, points(rng, 10)) for some in ([training], [training, mirrored]))
    assert plain is not None and both is not None
    assert copied(mirrored, plain) < 0.2 and copied(mirrored, both) == copied(training, both) == 1.0


def test_a_set_of_copies_accuses_nobody():
    rng = np.random.default_rng(0)
    training = np.repeat(points(rng, 40), 2, axis=0)
    known = known_pictures([training], points(rng, 5))
    assert known is not None and copied(training, known) == 0.0


@pytest.mark.parametrize("count", [LEAST_PICTURES - 1, MOST_PICTURES + 1])
def test_too_few_and_too_many_pictures_are_not_looked_at(count):
    assert known_pictures([np.zeros((count, 2))], np.zeros((0, 2))) is None


def test_copies_are_said_after_several_looks_and_healthy_shares_never():
    watch = Watch(TrainConfig())
    shares = np.random.default_rng(0).binomial(100, QUANTILE, 200) / 100
    assert not any(watch.fit(250 * look, {"copies": float(share)}) for look, share in enumerate(shares))
    found = [watch.fit(250 * (200 + look), {"copies": 0.6}) for look in range(6)]
    assert [[f.name for f in some] for some in found] == [[], [], [COPIES], [], [], []]
