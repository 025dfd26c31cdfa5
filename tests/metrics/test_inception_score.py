import numpy as np
import pytest
import torch

from sagan.metrics.inception_score import ScoreSums


def score(logits, num_splits=10, order=None, batch=None, **arguments):
    n, k = logits.shape
    sums = ScoreSums(num_splits, k, n, **arguments)
    order = np.arange(n) if order is None else order
    for start in range(0, n, batch or n):
        indices = order[start : start + (batch or n)]
        sums.update(logits[indices], indices)
    return sums.score()


def one_hot(classes, num_classes):
    return np.where(np.eye(num_classes)[classes] > 0, 1e4, 0.0)


@pytest.fixture
def logits():
    return (4.0 * np.random.default_rng(0).normal(size=(1003, 37))).astype(np.float32)


# Trap 19.


def test_trap_19_balanced_one_hot_classes_score_their_number():
    result = score(one_hot(np.arange(1000) % 10, 10), num_splits=1)
    assert result.mean == pytest.approx(10.0, abs=1e-9)
    assert result.std == 0.0


def test_trap_19_sorted_by_class_without_shuffle_scores_one_with_shuffle_about_ten():
    by_class = one_hot(np.repeat(np.arange(10), 500), 10)
    assert score(by_class, shuffle=False).mean == pytest.approx(1.0, abs=1e-9)
    assert 9.8 < score(by_class).mean < 10.0


def test_trap_19_uniform_predictions_score_one():
    result = score(np.zeros((200, 1008)))
    assert result.mean == pytest.approx(1.0, abs=1e-12)
    assert result.std == pytest.approx(0.0, abs=1e-12)


def test_trap_19_the_spread_is_of_the_population():
    """Two splits, of two classes and of one: scores 2 and 1, whose population spread is 1/2."""
    result = score(one_hot(np.array([0, 1, 2, 2]), 4), num_splits=2, shuffle=False)
    assert result == pytest.approx((1.5, 0.5))


# Agreement.


@pytest.mark.parametrize("num_splits", [1, 2, 10, 1003])
@pytest.mark.parametrize("shuffle", [True, False])
def test_equal_to_torch_fidelity(logits, num_splits, shuffle):
    """1003 is no multiple of 10: the splits have different sizes."""
    fidelity = pytest.importorskip("torch_fidelity.metric_isc")
    theirs = fidelity.isc_features_to_metric(torch.from_numpy(logits), splits=num_splits, shuffle=shuffle)
    ours = score(logits, num_splits, shuffle=shuffle)
    assert ours.mean == pytest.approx(theirs[fidelity.KEY_METRIC_ISC_MEAN], rel=1e-10)
    assert ours.std == pytest.approx(theirs[fidelity.KEY_METRIC_ISC_STD], rel=1e-8, abs=1e-12)


def test_another_seed_is_another_shuffle_as_in_torch_fidelity(logits):
    fidelity = pytest.importorskip("torch_fidelity.metric_isc")
    theirs = fidelity.isc_features_to_metric(torch.from_numpy(logits), rng_seed=5)
    assert score(logits, seed=5).mean == pytest.approx(theirs[fidelity.KEY_METRIC_ISC_MEAN], rel=1e-10)
    assert score(logits, seed=5).mean != score(logits).mean


# How samples come does not matter.


@pytest.mark.parametrize("batch", [1, 64, 1000])
def test_independent_of_batches_and_order(logits, batch):
    order = np.random.default_rng(1).permutation(len(logits))
    assert score(logits, order=order, batch=batch) == pytest.approx(score(logits), rel=1e-12)


def test_two_processes_equal_one(logits):
    first, second = (ScoreSums(10, 37, 1003) for _ in range(2))
    even, odd = np.arange(0, 1003, 2), np.arange(1, 1003, 2)
    first.update(logits[even], even)
    second.update(torch.from_numpy(logits[odd]), odd)
    first.merge(ScoreSums.from_arrays(second.to_arrays()))
    assert first.score() == pytest.approx(score(logits), rel=1e-12)


def test_logits_of_any_size_are_fine():
    """Softmax of 1e6 overflows when written naively; a class with probability 0 adds nothing."""
    logits = np.array([[1e6, 0.0, -1e6], [1e6, 0.0, -1e6], [-1e6, 0.0, 1e6], [-1e6, 0.0, 1e6]])
    assert score(logits, num_splits=1).mean == pytest.approx(2.0, abs=1e-12)


# Refusals.


def test_wrong_input_is_refused(logits):
    sums = ScoreSums(10, 37, 1003)
    with pytest.raises(ValueError, match="logits hold NaN or infinity"):
        sums.update(np.full((1, 37), np.nan), np.array([0]))
    with pytest.raises(ValueError, match=r"logits must be \(N, 37\), found \(3, 36\)"):
        sums.update(np.zeros((3, 36)), np.arange(3))
    with pytest.raises(ValueError, match="sample 1003 is outside the 1003 samples"):
        sums.update(logits[:1], np.array([1003]))
    sums.update(logits[:-1], np.arange(1002))
    with pytest.raises(ValueError, match="announced for 1003 samples and got 1002"):
        sums.score()
    sums.update(logits[-1:], np.array([1002]))
    assert sums.score() == pytest.approx(score(logits), rel=1e-12)
    sums.update(logits[:1], np.array([0]))
    with pytest.raises(ValueError, match="got 1004; give each sample once"):
        sums.score()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="with 10 splits needs at least 10 samples, found 9"):
        ScoreSums(10, 5, 9)
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        ScoreSums(10, 1, 100)
    with pytest.raises(ValueError, match="num_splits must be from 1"):
        ScoreSums(0, 5, 100)
    with pytest.raises(ValueError, match="seed must be"):
        ScoreSums(10, 5, 100, seed=-1)
    with pytest.raises(ValueError, match="seed must be"):
        ScoreSums(10, 5, 100, seed=2**32)
    with pytest.raises(ValueError, match="num_splits must be from 1"):
        ScoreSums(2**15, 5, 2**15)
    sums = ScoreSums(1, 2, 1, seed=2**32 - 1)
    sums.update(np.zeros((0, 2)), np.zeros(0, np.int64))
    sums.update(np.zeros((1, 2)), np.zeros(1, np.int64))
    assert sums.score() == (1.0, 0.0)
    with pytest.raises(ValueError, match=r"cannot merge scores of .*'seed': 1"):
        ScoreSums(10, 5, 100).merge(ScoreSums(10, 5, 100, seed=1))
    arrays = ScoreSums(10, 5, 100).to_arrays()
    with pytest.raises(ValueError, match="stored scores lack 'p'"):
        ScoreSums.from_arrays({key: arrays[key] for key in ("arguments", "count")})
    with pytest.raises(ValueError, match="p of shape"):
        ScoreSums.from_arrays(arrays | {"p": np.zeros((10, 4))})
