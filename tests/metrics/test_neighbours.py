import numpy as np
import pytest
import torch

from sagan.metrics import neighbours
from sagan.metrics.neighbours import density_coverage, nearest, precision_recall


@pytest.fixture
def sets():
    """Generated samples that are narrower than the real ones and partly elsewhere."""
    random = np.random.default_rng(0)
    return 0.8 * random.normal(size=(130, 5)) + 0.5, random.normal(size=(110, 5))


@pytest.fixture(params=[1, 110 * 7, 2**24])
def block_size(request, monkeypatch):
    """Blocks of one row, of a few, and of all."""
    monkeypatch.setattr(neighbours, "PAIRS", request.param)


def explicit_radii(x, k):
    return [sorted(np.linalg.norm(x - row, axis=1))[k] for row in x]  # the first is the row itself


# Precision and recall.


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_to_torch_fidelity(sets, k, dtype, block_size):
    # Precision is the share of generated samples inside the manifold of the real ones, recall that of the real ones
    # inside the generated one (Kynkaanniemi et al. 2019, equation 2). torch-fidelity had them exchanged (its issue 58);
    # the version that the tests pin takes the generated features first and has them as the paper does.
    fidelity = pytest.importorskip("torch_fidelity.metric_prc")
    fakes, reals = (torch.from_numpy(part).to(dtype) for part in sets)
    theirs = fidelity.prc_features_to_metric(fakes, reals, prc_neighborhood=k, verbose=False)
    ours = precision_recall(fakes, reals, k)
    assert ours.precision == pytest.approx(theirs[fidelity.KEY_METRIC_PRECISION], rel=1e-6)
    assert ours.recall == pytest.approx(theirs[fidelity.KEY_METRIC_RECALL], rel=1e-6)
    assert 0.0 < ours.recall < ours.precision <= 1.0


def test_precision_and_recall_are_not_mistaken_for_each_other():
    """All generated samples lie in one of two real heaps: good, but half of what there is."""
    random = np.random.default_rng(1)
    heap, other = random.normal(size=(50, 3)), random.normal(size=(50, 3)) + 100.0
    result = precision_recall(heap[:40] + 1e-3, np.concatenate([heap, other]))
    assert result.precision == 1.0
    assert 0.3 < result.recall <= 0.5


def test_the_edge_belongs_to_the_ball():
    """Real 0, 1, 2, 10 with k = 1: balls of radius 1, 1, 1, 8; generated 3 and 18 lie on edges, 19 outside."""
    real = np.array([[0.0], [1.0], [2.0], [10.0]])
    generated = np.array([[3.0], [18.0], [-1.5], [19.0]])
    assert precision_recall(generated, real, k=1).precision == 0.5
    assert precision_recall(real, generated, k=1).recall == 0.5  # the same with the roles exchanged


# Density and coverage.


@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_equal_an_explicit_loop(sets, k, block_size):
    fakes, reals = sets
    radii = explicit_radii(reals, k)
    inside = [
        [np.linalg.norm(real - fake) < radius for fake in fakes] for real, radius in zip(reals, radii, strict=True)
    ]
    result = density_coverage(fakes, reals, k)
    assert result.density == pytest.approx(np.sum(inside) / (k * len(fakes)), rel=1e-12)
    assert result.coverage == pytest.approx(np.mean([any(row) for row in inside]), rel=1e-12)


def test_a_copy_of_the_real_set_has_density_and_coverage_one(block_size):
    """Each neighbour on the edge is left out in every block, though its distance is computed in another way there."""
    reals = np.random.default_rng(2).normal(size=(200, 30)) + 50.0
    assert density_coverage(reals, reals) == (1.0, 1.0)
    assert precision_recall(reals, reals) == (1.0, 1.0)


def test_far_samples_have_neither():
    reals = np.random.default_rng(3).normal(size=(50, 3))
    assert density_coverage(reals + 1e3, reals) == (0.0, 0.0)
    assert precision_recall(reals + 1e3, reals) == (0.0, 0.0)


def test_one_outlier_does_not_make_density():
    """The reason for density: a real outlier's ball holds everything, which counts once among k, not as success."""
    random = np.random.default_rng(4)
    reals = np.concatenate([random.normal(size=(100, 2)), [[1000.0, 0.0]]])
    fakes = random.normal(size=(100, 2)) + np.array([300.0, 0.0])
    assert precision_recall(fakes, reals).precision == 1.0
    result = density_coverage(fakes, reals)
    assert result.density == pytest.approx(1 / 5)
    assert result.coverage == pytest.approx(1 / 101)


# Nearest neighbours.


def test_nearest_equals_an_explicit_search(sets, block_size):
    queries, reference = sets
    result = nearest(queries.astype(np.float32), torch.from_numpy(reference), 4)
    distances = np.linalg.norm(queries.astype(np.float32)[:, None].astype(np.float64) - reference[None], axis=2)
    np.testing.assert_array_equal(result.indices, distances.argsort(1)[:, :4])
    np.testing.assert_allclose(result.distances, np.sort(distances, 1)[:, :4], rtol=1e-12)


def test_copies_are_found_at_distance_zero(block_size):
    reference = np.random.default_rng(5).normal(size=(40, 64)).astype(np.float32) + 100.0
    result = nearest(reference[[7, 3]], reference)
    np.testing.assert_array_equal(result.indices, [[7], [3]])
    np.testing.assert_array_equal(result.distances, [[0.0], [0.0]])


def test_equal_distances_come_in_the_order_of_the_reference():
    result = nearest(np.array([[0.0]]), np.array([[2.0], [-1.0], [1.0], [-2.0]]), 4)
    np.testing.assert_array_equal(result.indices, [[1, 2, 0, 3]])
    np.testing.assert_array_equal(result.distances, [[1.0, 1.0, 2.0, 2.0]])


# All of them.


def test_values_do_not_depend_on_the_order(sets):
    fakes, reals = sets
    random = np.random.default_rng(6)
    shuffled = random.permutation(fakes), random.permutation(reals)
    assert precision_recall(*shuffled) == precision_recall(fakes, reals)
    assert density_coverage(*shuffled) == density_coverage(fakes, reals)


@pytest.mark.parametrize(
    ("metric", "pairs"),
    [(precision_recall, 130**2 + 110**2 + 130 * 110), (density_coverage, 110**2 + 130 * 110), (nearest, 130 * 110)],
)
def test_progress_rises_to_the_whole(sets, metric, pairs, monkeypatch):
    monkeypatch.setattr(neighbours, "PAIRS", 110 * 50)
    told = []
    metric(*sets, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (pairs, pairs)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) > 2


@pytest.mark.parametrize(("pairs", "rows"), [(1, 1), (110, 1), (219, 1), (220, 2), (110 * 130, 130)])
def test_a_block_has_as_many_rows_as_fit_and_at_least_one(sets, pairs, rows, monkeypatch):
    monkeypatch.setattr(neighbours, "PAIRS", pairs)
    told = []
    nearest(*sets, progress=lambda done, _: told.append(done))
    assert told[0] == rows * 110
    assert len(told) == -(-130 // rows)


def test_a_block_takes_at_most_128_mib(sets):
    assert neighbours.PAIRS * np.dtype(np.float64).itemsize == 128 * 2**20
    told = []
    nearest(*sets, progress=lambda *counts: told.append(counts))
    assert told == [(130 * 110, 130 * 110)]  # few fit in one


def test_the_sets_are_left_alone(sets):
    before = [part.copy() for part in sets]
    for metric in (precision_recall, density_coverage, nearest):
        metric(*sets)
    for part, copy in zip(sets, before, strict=True):
        np.testing.assert_array_equal(part, copy)


@pytest.mark.parametrize("metric", [precision_recall, density_coverage])
def test_too_few_samples_are_refused(sets, metric):
    fakes, reals = sets
    with pytest.raises(ValueError, match="with k = 7 need at least 8 samples of each set, found 7 generated and 110"):
        metric(fakes[:7], reals, 7)
    with pytest.raises(ValueError, match="at least 8 samples of each set, found 130 generated and 7 real"):
        metric(fakes, reals[:7], 7)
    with pytest.raises(ValueError, match="at least 8 samples of each set, found 130 generated and 2 real"):
        metric(fakes, reals[:2], 7)
    with pytest.raises(ValueError, match="k must be at least 1, found 0"):
        metric(fakes, reals, 0)
    metric(fakes[:8], reals[:8], 7)


@pytest.mark.parametrize("metric", [precision_recall, density_coverage, nearest])
def test_wrong_features_are_refused(sets, metric):
    fakes, reals = sets
    broken = reals.copy()
    broken[3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        metric(fakes, broken)
    with pytest.raises(ValueError, match=r"must be \(N, 5\), found \(110, 4\)"):
        metric(fakes, reals[:, :4])


def test_more_neighbours_than_samples_are_refused(sets):
    with pytest.raises(ValueError, match="k must be from 1 to the 110 reference samples, found 111"):
        nearest(*sets, 111)
