import itertools

import numpy as np
import pytest
import torch

from sagan.metrics.frechet import SampledGaussian, gaussian
from sagan.metrics.statistics import DEFERRED, KeptFeatures, Moments, _ranks


@pytest.fixture
def features():
    random = np.random.default_rng(0)
    return random.normal(size=(300, 6)) @ random.normal(size=(6, 6)) + 100.0


def cut(rows, sizes):
    edges = np.cumsum([0, *sizes])
    return [rows[start:stop] for start, stop in itertools.pairwise(edges)]


def assert_equal(a, b):
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-10)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-10, atol=1e-10 * np.abs(b.covariance).max())


# Moments.


@pytest.mark.parametrize("sizes", [[300], [1] * 300, [7, 0, 93, 200], [299, 1]])
def test_moments_do_not_depend_on_batches(features, sizes):
    moments = Moments(6)
    for batch in cut(features, sizes):
        moments.update(batch)
    assert moments.count == 300
    assert_equal(moments.gaussian(), gaussian(features))


def test_moments_do_not_depend_on_the_order(features):
    moments = Moments(6)
    for batch in cut(np.random.default_rng(1).permutation(features), [100, 150, 50]):
        moments.update(batch)
    assert_equal(moments.gaussian(), gaussian(features))


@pytest.mark.parametrize("sizes", [[150, 150], [299, 1], [300, 0], [0, 300]])
def test_moments_of_two_processes_equal_one(features, sizes):
    first, second = Moments(6), Moments(6)
    for moments, part in zip((first, second), cut(features, sizes), strict=True):
        moments.update(part)
    first.merge(second)
    assert first.count == 300
    assert_equal(first.gaussian(), gaussian(features))
    assert second.count == sizes[1], "merging changed the other"


def test_moments_of_float32_are_computed_in_float64(features):
    single = features.astype(np.float32)
    moments = Moments(6)
    moments.update(torch.from_numpy(single))
    assert moments.gaussian().covariance.dtype == np.float64
    assert_equal(moments.gaussian(), gaussian(single.astype(np.float64)))


def test_bfloat16_tensors_are_taken():
    moments = Moments(2)
    moments.update(torch.tensor([[1.0, 2.0], [3.0, 6.0]], dtype=torch.bfloat16, requires_grad=True))
    np.testing.assert_array_equal(moments.gaussian().mean, [2.0, 4.0])


def test_moments_keep_digits_under_a_large_mean(features):
    moments = Moments(6)
    for batch in cut(features + 1e7, [100, 200]):
        moments.update(batch)
    np.testing.assert_allclose(moments.gaussian().covariance, gaussian(features).covariance, rtol=1e-6)


def test_moments_go_through_a_file(features, tmp_path):
    moments = Moments(6)
    moments.update(features[:200])
    np.savez(tmp_path / "moments.npz", **moments.to_arrays())
    with np.load(tmp_path / "moments.npz", allow_pickle=False) as arrays:
        read = Moments.from_arrays(arrays)
    read.update(features[200:])
    moments.update(features[200:])
    np.testing.assert_array_equal(read.gaussian().covariance, moments.gaussian().covariance)
    np.testing.assert_array_equal(read.gaussian().mean, moments.gaussian().mean)
    assert read.count == 300


def test_moments_of_nothing_yet_go_through_a_file_and_negative_counts_do_not(features):
    empty = Moments.from_arrays(Moments(6).to_arrays())
    assert empty.count == 0
    empty.update(features)
    whole = Moments(6)
    whole.update(features)
    np.testing.assert_allclose(empty.gaussian().mean, whole.gaussian().mean, rtol=1e-12)
    for name, value in (("count", -1), ("mean", np.full(6, np.nan)), ("scatter", np.full((6, 6), np.inf))):
        with pytest.raises(ValueError, match="hold NaN, infinity or a negative count"):
            Moments.from_arrays(whole.to_arrays() | {name: np.array(value)})


def test_what_moments_give_does_not_change_later(features):
    moments = Moments(6)
    moments.update(features[:100])
    given, arrays = moments.gaussian(), moments.to_arrays()
    moments.update(features[100:])
    assert_equal(given, gaussian(features[:100]))
    assert_equal(Moments.from_arrays(arrays).gaussian(), gaussian(features[:100]))


def test_bad_features_are_refused_and_leave_nothing(features):
    moments = Moments(6)
    moments.update(features)
    broken = features.copy()
    broken[5, 2] = np.nan
    with pytest.raises(ValueError, match="features hold NaN or infinity; the images or the feature network"):
        moments.update(broken)
    broken[5, 2] = -np.inf
    with pytest.raises(ValueError, match="features hold NaN or infinity"):
        moments.update(broken)
    with pytest.raises(ValueError, match=r"features must be \(N, 6\), found \(300, 5\)"):
        moments.update(features[:, :5])
    with pytest.raises(TypeError, match="floating point, found uint8"):
        moments.update(np.zeros((4, 6), np.uint8))
    assert_equal(moments.gaussian(), gaussian(features))


def test_moments_refuse_what_makes_no_sense(features):
    one = Moments(6)
    one.update(features[:1])
    with pytest.raises(ValueError, match="needs at least 2 samples, found 1"):
        one.gaussian()
    with pytest.raises(ValueError, match="width 5 into width 6"):
        one.merge(Moments(5))
    with pytest.raises(ValueError, match="width must be at least 1"):
        Moments(0)
    arrays = one.to_arrays()
    with pytest.raises(ValueError, match="lack scatter, found count, mean"):
        Moments.from_arrays({key: arrays[key] for key in ("count", "mean")})
    with pytest.raises(ValueError, match="make them again"):
        Moments.from_arrays(arrays | {"scatter": np.zeros((5, 5))})
    with pytest.raises(ValueError, match="make them again"):
        Moments.from_arrays(arrays | {"mean": np.full(6, np.nan)})


@pytest.mark.parametrize("sizes", [[20], [1] * 20, [7, 0, 13]])
def test_fewer_samples_than_features_are_kept_as_they_are(sizes, tmp_path):
    """They take less room than a covariance, and go on as if nothing had happened, also from a file."""
    few = np.random.default_rng(3).normal(size=(20, 64)) + 5.0
    moments = Moments(64)
    for batch in cut(few, sizes):
        moments.update(batch)
    fit = moments.gaussian()
    assert isinstance(fit, SampledGaussian)
    assert fit.rows.shape == (19, 64)
    assert_equal(moments.gaussian(), gaussian(few))
    np.savez(tmp_path / "few.npz", **moments.to_arrays())
    with np.load(tmp_path / "few.npz", allow_pickle=False) as arrays:
        read = Moments.from_arrays(arrays)
    more = np.random.default_rng(4).normal(size=(DEFERRED * 64, 64))
    read.update(more)
    assert not isinstance(read.gaussian(), SampledGaussian)
    assert_equal(read.gaussian(), gaussian(np.concatenate([few, more])))
    for one, other in ((few, more), (more, few), (few[:10], few[10:])):
        left, right = Moments(64), Moments(64)
        left.update(one)
        right.update(other)
        left.merge(right)
        assert_equal(left.gaussian(), gaussian(np.concatenate([one, other])))


# KeptFeatures.


def keep(features, limit, order=None, sizes=None, seed=0):
    order = np.arange(len(features)) if order is None else order
    kept = KeptFeatures(limit, seed)
    for some in cut(order, sizes or [len(order)]):
        kept.update(features[some], some)
    return kept


def test_the_choice_depends_on_neither_batches_nor_order(features):
    expected = keep(features, 50)
    order = np.random.default_rng(2).permutation(300)
    for other in (keep(features, 50, sizes=[1] * 300), keep(features, 50, order, sizes=[60, 0, 40, 200])):
        np.testing.assert_array_equal(other.indices(), expected.indices())
        np.testing.assert_array_equal(other.features(), expected.features())
    assert len(expected) == 50
    assert expected.features().dtype == np.float32
    np.testing.assert_array_equal(expected.features(), features[expected.indices()].astype(np.float32))


def test_two_processes_keep_what_one_keeps(features):
    expected = keep(features, 50)
    first, second = keep(features, 50, np.arange(0, 300, 2)), keep(features, 50, np.arange(1, 300, 2))
    first.merge(second)
    np.testing.assert_array_equal(first.indices(), expected.indices())
    np.testing.assert_array_equal(first.features(), expected.features())
    first.merge(KeptFeatures(50))  # a process without samples
    assert len(first) == 50


def test_all_are_kept_where_the_limit_allows(features):
    kept = keep(features, 1000, np.random.default_rng(3).permutation(300))
    np.testing.assert_array_equal(kept.indices(), np.arange(300))
    np.testing.assert_array_equal(kept.features(), features.astype(np.float32))


def test_the_choice_is_uniform():
    """Each of four quarters of the indices has its share, as with random numbers, and seeds choose differently."""
    rows = np.zeros((8000, 1), np.float32)
    first, second = keep(rows, 2000, seed=0).indices(), keep(rows, 2000, seed=1).indices()
    quarters = np.histogram(first, bins=4, range=(0, 8000))[0]
    assert np.abs(quarters - 500).max() < 5 * np.sqrt(500 * 0.75)
    common = len(np.intersect1d(first, second))
    assert abs(common - 500) < 5 * np.sqrt(500 * 0.75)


def test_kept_features_go_through_a_file(features, tmp_path):
    kept = keep(features[:200], 50, seed=2**64 - 1)
    np.savez(tmp_path / "kept.npz", **kept.to_arrays())
    with np.load(tmp_path / "kept.npz", allow_pickle=False) as arrays:
        read = KeptFeatures.from_arrays(arrays)
    read.update(features[200:], np.arange(200, 300))
    np.testing.assert_array_equal(read.features(), keep(features, 50, seed=2**64 - 1).features())
    empty = KeptFeatures.from_arrays(KeptFeatures(7).to_arrays())
    empty.merge(keep(features[:3], 7))
    assert len(empty) == 3


def split_mix(state):
    """Compute the number that SplitMix64 gives next, in Python's integers."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def test_ranks_are_numbers_of_split_mix():
    assert split_mix(1234567) == 6457827717110365317  # the first of the vector that implementations are tested with
    indices = [0, 1, 2, 49_999, 2**40]
    for seed in (0, 7, 2**64 - 1):
        expected = [split_mix((index + split_mix(seed)) % 2**64) for index in indices]
        assert _ranks(np.array(indices), seed).tolist() == expected


def test_kept_features_refuse_what_makes_no_sense(features):
    kept = keep(features, 50)
    before = kept.features()
    twice = int(kept.indices()[0])
    with pytest.raises(ValueError, match=f"sample {twice} was given twice"):
        kept.update(features[[twice]], np.array([twice]))
    with pytest.raises(ValueError, match="NaN or infinity"):
        kept.update(np.full((1, 6), np.nan), np.array([1000]))
    with pytest.raises(ValueError, match="one sample index for each of the 2 rows"):
        kept.update(features[:2], np.arange(3))
    with pytest.raises(ValueError, match="whole numbers from 0 on"):
        kept.update(features[:2], np.array([-1, 4]))
    with pytest.raises(ValueError, match="whole numbers from 0 on"):
        kept.update(features[:2], np.array([1.0, 4.0]))
    with pytest.raises(ValueError, match=r"must be \(N, 6\), found \(2, 3\)"):
        kept.update(features[:2, :3], np.array([1000, 1001]))
    np.testing.assert_array_equal(kept.features(), before)
    with pytest.raises(ValueError, match="limit 50, seed 1 into those kept with limit 50, seed 0"):
        kept.merge(KeptFeatures(50, seed=1))
    with pytest.raises(ValueError, match="no sample was given"):
        KeptFeatures(5).features()
    with pytest.raises(ValueError, match="limit must be at least 1"):
        KeptFeatures(0)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed must be"):
            KeptFeatures(1, seed=seed)
    assert (KeptFeatures(1, seed=2**64 - 1).limit, KeptFeatures(1).seed) == (1, 0)
    with pytest.raises(ValueError, match="under a limit of 3"):
        KeptFeatures.from_arrays(kept.to_arrays() | {"limit": np.array(3)})


def symmetric(scatter, value):
    """Put a value beside the diagonal, on both sides."""
    scatter[0, 1] = scatter[1, 0] = value
    return scatter


WRONG = {
    "numbers larger": [("mean", lambda a: np.full(6, 1e200)), ("scatter", lambda a: np.full((6, 6), 1e308))],
    "is not symmetric": [("scatter", np.tril)],
    "below 0 on its diagonal": [("scatter", np.negative)],
    "diagonal is too small": [
        ("scatter", lambda a: a - np.diag(np.diagonal(a))),
        ("scatter", lambda a: symmetric(a, 1.1 * np.sqrt(a[0, 0] * a[1, 1]))),
    ],
    "of another kind": [
        ("scatter", lambda a: a.astype(complex)),
        ("mean", lambda a: a.astype(int)),
        ("count", lambda a: a + 0.5),
    ],
}


@pytest.mark.parametrize(("said", "name", "change"), [(said, *one) for said, some in WRONG.items() for one in some])
def test_moments_that_no_samples_have_are_refused(features, said, name, change):
    moments = Moments(6)
    moments.update(features)
    arrays = moments.to_arrays()
    with pytest.raises(ValueError, match=said):
        Moments.from_arrays(arrays | {name: change(arrays[name].copy())})


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_moments_of_any_samples_are_taken(features, scale, count):
    for some in (features, features * [1, 0, 1e-9, 1, 1, 1], np.full((300, 6), 0.1), features + 1e6):
        moments = Moments(6)
        for row in (some[:count] * scale).astype(np.float32):
            moments.update(row[None])
        arrays = moments.to_arrays()
        np.testing.assert_array_equal(Moments.from_arrays(arrays).to_arrays()["scatter"], arrays["scatter"])
