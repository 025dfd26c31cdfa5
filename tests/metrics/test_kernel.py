import numpy as np
import pytest
import torch

from sagan.metrics.kernel import kernel_distance


@pytest.fixture
def sets():
    random = np.random.default_rng(0)
    return random.normal(size=(90, 12)), 1.3 * random.normal(size=(70, 12)) + 0.2


def explicit(x, y):
    """Compute the unbiased estimate pair by pair."""
    m, d = x.shape

    def kernel(a, b):
        return (a @ b / d + 1.0) ** 3

    within = sum(kernel(z[i], z[j]) for z in (x, y) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within - 2.0 * sum(kernel(a, b) for a in x for b in y) / m**2


def test_the_estimate_equals_an_explicit_loop(sets):
    x, y = sets[0][:20], sets[1][:20]
    result = kernel_distance(x, y, num_subsets=1, subset_size=20)
    assert result.mean == pytest.approx(explicit(x, y), rel=1e-10)
    assert result.std == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_to_torch_fidelity(sets, dtype):
    fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = (part.astype(dtype) for part in sets)
    theirs = fidelity.kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=8, kid_subset_size=50, verbose=False
    )
    ours = kernel_distance(x, y, num_subsets=8, subset_size=50)
    assert ours.mean == pytest.approx(theirs[fidelity.KEY_METRIC_KID_MEAN], rel=1e-4)
    assert ours.std == pytest.approx(theirs[fidelity.KEY_METRIC_KID_STD], rel=1e-4)
    assert ours.subset_size == 50
    assert ours.warnings == ()


def test_the_seed_chooses_the_subsets(sets):
    first, again, other = (kernel_distance(*sets, num_subsets=4, subset_size=20, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.mean != other.mean


def test_the_sides_differ_in_their_draws_alone(sets):
    """Of the same rows the estimate is symmetric; which rows are drawn is not, nor what is said of too few."""
    x, y = sets[0][:20], sets[1][:20]
    all_rows = {"num_subsets": 1, "subset_size": 20}
    assert kernel_distance(x, y, **all_rows).mean == pytest.approx(kernel_distance(y, x, **all_rows).mean, rel=1e-10)
    found = kernel_distance(*sets, num_subsets=3, subset_size=15, seed=9)
    random = np.random.RandomState(9)
    draws = [[rows[random.choice(len(rows), 15, replace=False)] for rows in sets] for _ in range(3)]
    assert found.mean == pytest.approx(np.mean([explicit(*some) for some in draws]), rel=1e-10)
    exchanged = kernel_distance(*sets[::-1], num_subsets=3, subset_size=15, seed=9)
    assert abs(exchanged.mean - found.mean) > 1e-3 * found.mean


def test_equal_distributions_have_no_distance_on_average():
    random = np.random.default_rng(0)
    x, y, far = random.normal(size=(500, 8)), random.normal(size=(500, 8)), random.normal(size=(500, 8)) + 1.0
    near = kernel_distance(x, y, num_subsets=50, subset_size=100)
    assert abs(near.mean) < near.std
    assert kernel_distance(x, far, num_subsets=50, subset_size=100).mean > 20 * near.std


def test_fewer_samples_than_a_subset_are_said(sets):
    result = kernel_distance(*sets, num_subsets=3)
    assert result.subset_size == 70
    assert len(result.warnings) == 1
    assert "subsets of 70 samples instead of 1000, as there are 90 generated and 70 real" in result.warnings[0]
    assert result.mean == kernel_distance(*sets, num_subsets=3, subset_size=70).mean


def test_progress_is_told(sets):
    told = []
    kernel_distance(*sets, num_subsets=3, subset_size=10, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_wrong_input_is_refused(sets):
    x, y = sets
    with pytest.raises(ValueError, match="needs at least 2 samples of each set, found 1 and 70"):
        kernel_distance(x[:1], y)
    with pytest.raises(ValueError, match=r"reference features must be \(N, 12\), found \(70, 11\)"):
        kernel_distance(x, y[:, :11])
    with pytest.raises(ValueError, match="reference features hold NaN"):
        kernel_distance(x, np.full((5, 12), np.nan))
    with pytest.raises(ValueError, match="num_subsets must be at least 1"):
        kernel_distance(x, y, num_subsets=0)
    with pytest.raises(ValueError, match="subset_size at least 2"):
        kernel_distance(x, y, subset_size=1)
