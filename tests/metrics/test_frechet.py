from contextlib import nullcontext

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch

from sagan.metrics import frechet
from sagan.metrics.frechet import Gaussian, SampledGaussian, frechet_distance, gaussian


@pytest.fixture
def random():
    return np.random.default_rng(0)


def normal(mean, covariance):
    return Gaussian(np.array(mean, dtype=np.float64), np.array(covariance, dtype=np.float64))


def test_trap_17_golden_distance_of_two_gaussians():
    a, b = normal([0, 0], np.eye(2)), normal([1, 0], np.diag([4.0, 1.0]))
    assert frechet_distance(a, b) == pytest.approx(2.0, abs=1e-12)  # 1 + (2 - 1)^2


def test_trap_17_a_set_has_no_distance_to_itself(random):
    a = gaussian(random.normal(size=(300, 40)))
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)


def test_trap_17_the_distance_is_symmetric(random):
    a = gaussian(random.normal(size=(200, 20)))
    b = gaussian(random.normal(size=(200, 20)) @ random.normal(size=(20, 20)) + 1.0)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)


def test_the_distance_equals_the_matrix_root(random):
    a = gaussian(random.normal(size=(500, 12)) @ random.normal(size=(12, 12)))
    b = gaussian(random.normal(size=(500, 12)) @ random.normal(size=(12, 12)) - 0.5)
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2.0 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def root_of(eigenvalues, seed):
    """Make a factor A, in random directions, of a covariance A A^T with these eigenvalues."""
    directions = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return directions * np.sqrt(eigenvalues)


def product(factor):
    return factor @ factor.T


def by_singular_values(mean_a, a, mean_b, b):
    """Compute the distance from factors (d, r) of the covariances, which nothing was lost in."""
    trace_root = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return ((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2.0 * trace_root


@pytest.mark.parametrize("width", [1, 7, 2 * frechet.BLOCK, 2 * frechet.BLOCK + 3])
def test_the_distance_equals_scipy_and_torch_fidelity(width):
    """Widths below, on and between the blocks of the triangular product."""
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    a = normal(np.zeros(width), product(root_of(np.geomspace(5.0, 1e-3, width), 1)))
    b = normal(np.linspace(0.0, 0.1, width), product(root_of(np.geomspace(3.0, 1e-2, width), 2)))
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2.0 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    parts = ({"mu": part.mean, "sigma": part.covariance} for part in (a, b))
    theirs = fidelity.fid_statistics_to_metric(*parts, verbose=False)[fidelity.KEY_METRIC_FID]
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("smallest", [1e-6, 1e-10, 1e-13, 0.0])
@pytest.mark.parametrize("other", ["alike", "sound"])
def test_badly_conditioned_covariances_keep_their_digits(smallest, other):
    """Half of the eigenvalues are tiny: with 1e-13 a Cholesky factor may exist and must not be trusted blindly."""
    half = np.where(np.arange(60) < 30, 1.0, smallest)
    root_a, root_b = root_of(half, 3), root_of(half if other == "alike" else np.full(60, 2.0), 4)
    a, b = normal(np.zeros(60), product(root_a)), normal(np.full(60, 0.1), product(root_b))
    expected = by_singular_values(a.mean, root_a, b.mean, root_b)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(("n_a", "n_b"), [(500, 20), (20, 500), (30, 20)])
def test_fewer_samples_than_features(random, n_a, n_b):
    rows = random.normal(size=(n_a, 40)), random.normal(size=(n_b, 40)) + 0.2
    a, b = (gaussian(part) for part in rows)
    roots = [(part - part.mean(0)).T / np.sqrt(len(part) - 1) for part in rows]
    assert frechet_distance(a, b) == pytest.approx(by_singular_values(a.mean, roots[0], b.mean, roots[1]), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def exactly(a, b):
    """Compute the distance of two Gaussians, and their traces, with 60 digits."""
    with mpmath.workdps(60):
        first, second = (mpmath.matrix(side.covariance.tolist()) for side in (a, b))
        values, vectors = mpmath.eigsy(first)
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        inner = root * second * root
        inner = (inner + inner.T) / 2
        roots = sum(mpmath.sqrt(max(value, 0)) for value in mpmath.eigsy(inner, eigvals_only=True))
        traces = sum(first[i, i] + second[i, i] for i in range(first.rows))
        moved = sum((mpmath.mpf(x) - mpmath.mpf(y)) ** 2 for x, y in zip(a.mean.tolist(), b.mean.tolist(), strict=True))
        return float(moved + traces - 2 * roots), float(traces)


@pytest.mark.parametrize("smallest", [1.0, 1e-4, 1e-8, 1e-11])
@pytest.mark.parametrize("width", [2, 13])
def test_the_distance_equals_the_one_of_sixty_digits(width, smallest):
    """To 1e-8 of the traces, also where both covariances are nearly singular."""
    a = normal(np.zeros(width), product(root_of(np.geomspace(4.0, smallest, width), 5)))
    b = normal(np.full(width, 0.1), product(root_of(np.geomspace(1.0, smallest / 3.0, width), 6)))
    for one, other in ((a, b), (a, a)):
        expected, traces = exactly(one, other)
        assert frechet_distance(one, other) == pytest.approx(expected, abs=1e-8 * traces)


@pytest.mark.parametrize("n_b", [7, 200])
@pytest.mark.parametrize("copies", [1, 2])
def test_a_thin_gaussian_equals_the_one_of_sixty_digits(random, n_b, copies):
    """Also where pictures come twice, so that the rank is half of the rows."""
    rows = np.concatenate([random.normal(size=(6, 16)) * np.geomspace(1.0, 1e-4, 16)] * copies)
    a, b = gaussian(rows), gaussian(random.normal(size=(n_b, 16)))
    assert isinstance(a, SampledGaussian)
    expected, traces = exactly(a, b)
    for distance in (frechet_distance(a, b), frechet_distance(b, a)):
        assert distance == pytest.approx(expected, abs=1e-8 * traces)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-8 * traces)


def test_from_where_on_covariances_are_nearly_singular(monkeypatch):
    """Below a ratio of 1e-9 of the eigenvalues singular values are taken, above it the quicker eigenvalues."""
    solved = []
    for name in ("svdvals", "eigvalsh"):
        solve = getattr(torch.linalg, name)
        monkeypatch.setattr(
            torch.linalg, name, lambda matrix, name=name, solve=solve: (solved.append(name), solve(matrix))[1]
        )
    for ratio in (2e-9, 0.5e-9):
        side = normal(np.zeros(3), np.diag([1.0, 0.5, ratio]))
        assert frechet_distance(side, side) == pytest.approx(0.0, abs=1e-8)
    assert solved == ["eigvalsh", "svdvals"]


@pytest.mark.parametrize(
    ("smallest", "solver"),
    [(0.5, "eigvalsh"), (6.5e-6, "eigvalsh"), (4.5e-6, "svdvals"), (1e-9, "svdvals"), (0.0, "svdvals")],
)
def test_a_long_product_is_squared_only_where_no_digit_is_lost(monkeypatch, smallest, solver):
    """What rounding may leave, 10 * eps * (1/2 + 1/2 + 1/2 / smallest), reaches 1e-10 of the sum at 5.6e-6."""
    solved = []
    for name in ("svdvals", "eigvalsh"):
        solve = getattr(torch.linalg, name)
        monkeypatch.setattr(
            torch.linalg, name, lambda matrix, name=name, solve=solve: (solved.append(name), solve(matrix))[1]
        )
    expected = [1.0, 1.0, smallest]
    turned = root_of(np.ones(3), 8) * np.array(expected)
    long = np.linalg.qr(np.random.default_rng(9).normal(size=(40, 3)))[0] @ turned.T
    for matrix, scale in ((long, 1.0), (long.T, 1.0), (long, 1e-3), (long.T, 1e3)):  # units of features decide nothing
        found = frechet._singular_values(torch.from_numpy(scale * matrix)).numpy() / scale
        np.testing.assert_allclose(np.sort(found)[::-1], expected, atol=2e-10 if solver == "eigvalsh" else 2e-15)
        assert solved[-1] == solver


@pytest.mark.parametrize("width", [frechet.BLOCK - 1, 2 * frechet.BLOCK + 3])
def test_products_of_columns_are_computed_in_blocks(random, width):
    long = random.normal(size=(width + 9, width))
    np.testing.assert_allclose(
        np.tril(frechet._gram(torch.from_numpy(long)).numpy()), np.tril(long.T @ long), atol=1e-10
    )


@pytest.mark.parametrize("count", [2, 3, 30])
def test_the_rows_of_few_samples_have_full_rank_and_lose_nothing(random, count):
    features = random.normal(size=(count, 40)) + 1e3
    fit = gaussian(features)
    assert fit.rows.shape == (count - 1, 40) == (np.linalg.matrix_rank(fit.rows), 40)
    np.testing.assert_allclose(fit.covariance, np.cov(features, rowvar=False), atol=1e-11)
    np.testing.assert_allclose(fit.mean, features.mean(0))


def test_nearly_singular_covariances_lose_no_digit():
    """Singular values keep them to rounding; eigenvalues would leave 5e-9 of the traces."""
    covariance = product(root_of(np.where(np.arange(60) < 30, 1.0, 1e-10), 3))
    a, b = normal(np.zeros(60), covariance), normal(np.full(60, 1.0), covariance)
    assert frechet_distance(a, b) == pytest.approx(60.0, abs=1e-12 * 2 * np.trace(covariance))


def test_what_is_no_covariance_is_refused():
    plain = normal(np.zeros(3), np.eye(3))
    skew = np.eye(3)
    skew[0, 1] = 0.01
    cases = {
        "the second covariance is not symmetric": normal(np.zeros(3), skew),
        "the second covariance has the eigenvalue -0.5 beside 1": normal(np.zeros(3), np.diag([1.0, 1.0, -0.5])),
        "the second covariance has the eigenvalue -1 beside -1": normal(np.zeros(3), -np.eye(3)),
        r"a mean of shape \(2,\) and a covariance of shape \(3, 3\)": normal(np.zeros(2), np.eye(3)),
        r"a mean of shape \(3,\) and rows of shape \(2, 4\)": SampledGaussian(np.zeros(3), np.zeros((2, 4))),
        "the second Gaussian holds NaN": SampledGaussian(np.zeros(3), np.full((2, 3), np.nan)),
    }
    for message, wrong in cases.items():
        with pytest.raises(ValueError, match=message):
            frechet_distance(plain, wrong)


@pytest.mark.parametrize(("share", "refused"), [(2e-6, True), (0.5e-6, False)])
def test_a_millionth_of_the_largest_is_taken_for_rounding(share, refused):
    below, skew = np.diag([3.0, 1.0, -3.0 * share]), np.diag([3.0, 1.0, 1.0])
    skew[0, 1] = 3.0 * share
    for wrong, message in ((below, "has the eigenvalue"), (skew, "is not symmetric")):
        with pytest.raises(ValueError, match=f"the first covariance {message}") if refused else nullcontext():
            assert frechet_distance(normal(np.zeros(3), wrong), normal(np.zeros(3), np.eye(3))) > 0.1


def test_rounding_below_zero_is_no_mistake():
    """A covariance of rank 2 that was stored in single precision has eigenvalues of about -1e-8."""
    rows = np.random.default_rng(7).normal(size=(2, 12))
    stored = (rows.T @ rows).astype(np.float32).astype(np.float64)
    assert np.linalg.eigvalsh(stored)[0] < 0.0
    exact = normal(np.zeros(12), rows.T @ rows)
    assert frechet_distance(normal(np.zeros(12), stored), exact) == pytest.approx(0.0, abs=1e-5)


def test_constant_features():
    still = normal([1.0, 2.0], np.zeros((2, 2)))
    assert frechet_distance(still, still) == 0.0
    assert frechet_distance(still, normal([1.0, 3.0], np.eye(2))) == pytest.approx(3.0, abs=1e-12)


def test_closed_forms():
    assert frechet_distance(normal([3.0], [[4.0]]), normal([1.0], [[25.0]])) == pytest.approx(13.0, abs=1e-12)
    a, b = np.array([1.0, 4.0, 9.0]), np.array([16.0, 1.0, 4.0])  # that commute: the sum of (root - root)^2
    assert frechet_distance(normal(np.zeros(3), np.diag(a)), normal(np.zeros(3), np.diag(b))) == pytest.approx(11.0)


@pytest.mark.parametrize("smallest", [1e-2, 1e-11, 0.0])
@pytest.mark.parametrize("form", ["full", "thin", "thin and long"])
def test_closed_forms_of_many_features(smallest, form):
    """Covariances with the same directions: the sum of (root - root)^2, to 1e-8 of the traces, nearly singular too."""
    width, rank = 300, 300 if form == "full" else 40
    directions = np.linalg.qr(np.random.default_rng(10).normal(size=(width, width)))[0]
    roots_a, roots_b = (
        np.sqrt(np.geomspace(9.0, 1e-11, width)) * (np.arange(width) < rank),
        np.linspace(2.0, 0.1, width),
    )
    roots_a[: rank // 2], roots_b[width // 2 :] = 1.0, np.sqrt(smallest)
    rows_a, rows_b = ((directions * roots).T for roots in (roots_a, roots_b))
    mixed = np.linalg.qr(np.random.default_rng(11).normal(size=(400, width)))[0]
    moved = np.full(width, 0.05)
    a = (
        SampledGaussian(np.zeros(width), rows_a[:rank])
        if form != "full"
        else normal(np.zeros(width), rows_a.T @ rows_a)
    )
    b = SampledGaussian(moved, mixed @ rows_b) if form == "thin and long" else normal(moved, rows_b.T @ rows_b)
    expected, traces = moved @ moved + ((roots_a - roots_b) ** 2).sum(), (roots_a**2).sum() + (roots_b**2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-8 * traces)
    assert frechet_distance(b, a) == pytest.approx(expected, abs=1e-8 * traces)


def test_statistics_are_left_alone(random):
    """Also where they are read-only, as statistics from a file may be."""
    a, b = gaussian(random.normal(size=(50, 5))), gaussian(random.normal(size=(50, 5)))
    before = a.covariance.copy()
    for part in (*a, *b):
        part.setflags(write=False)
    frechet_distance(a, b)
    np.testing.assert_array_equal(a.covariance, before)


def test_the_number_of_threads_is_left_alone(random, monkeypatch):
    """It computes with one thread and gives back what was set, also when it fails."""
    a, used = gaussian(random.normal(size=(50, 5))), []
    solve = torch.linalg.eigvalsh

    def watched(matrix):
        used.append(torch.get_num_threads())
        return solve(matrix)

    monkeypatch.setattr(torch.linalg, "eigvalsh", watched)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        frechet_distance(a, a)
        assert used == [1]
        assert torch.get_num_threads() == 2
        monkeypatch.setattr(torch.linalg, "cholesky_ex", None)
        with pytest.raises(TypeError):
            frechet_distance(a, a)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_singular_covariances_are_fine(random):
    """Fewer samples than features; in a common plane the distance is that within the plane."""
    few, others = random.normal(size=(5, 30)), random.normal(size=(6, 30))
    assert np.isfinite(frechet_distance(gaussian(few), gaussian(others)))
    plane = np.linalg.qr(random.normal(size=(30, 2)))[0]
    a, b = random.normal(size=(100, 2)), 2.0 * random.normal(size=(100, 2)) + 1.0
    expected = frechet_distance(gaussian(a), gaussian(b))
    assert frechet_distance(gaussian(a @ plane.T), gaussian(b @ plane.T)) == pytest.approx(expected, rel=1e-6)


def test_never_below_zero():
    tiny = normal([0.0, 0.0], np.full((2, 2), 1e-30))
    assert frechet_distance(tiny, tiny) >= 0.0


def test_the_fit_has_n_minus_one_and_is_in_float64(random):
    features = random.normal(size=(7, 3)).astype(np.float32)
    fit = gaussian(features)
    centred = features.astype(np.float64) - features.astype(np.float64).mean(0)
    np.testing.assert_allclose(fit.covariance, centred.T @ centred / 6, rtol=1e-12)
    assert fit.mean.dtype == fit.covariance.dtype == np.float64
    assert gaussian(random.normal(size=(5, 1))).covariance.shape == (1, 1)


def test_a_large_mean_costs_no_digits(random):
    features = random.normal(size=(1000, 2)).astype(np.float32)
    shifted = gaussian(features.astype(np.float64) + 1e6)
    np.testing.assert_allclose(shifted.covariance, gaussian(features).covariance, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("smallest", [0.0, 0.5, 1.0, 2.0, 4.0])
def test_the_root_has_the_rank_that_numpy_finds(smallest):
    # numpy.linalg.matrix_rank counts what is larger than the largest times d times epsilon, not what is as large.
    # The last one is 0, so that there is no Cholesky factor.
    covariance = np.diag([1.0, smallest * 3 * np.finfo(np.float64).eps, 0.0])
    root = frechet._root("first", Gaussian(np.zeros(3), covariance))
    assert root.factor.shape == (3, np.linalg.matrix_rank(covariance, hermitian=True))


@pytest.mark.parametrize(
    ("counts", "kept"),
    [((20, 20), (False, False)), ((4, 20), (True, True)), ((4, 4), (True, True)), ((None, 4), (False, True))],
)
def test_rows_are_kept_where_a_product_of_them_is_small(counts, kept):
    random = np.random.default_rng(0)
    sides = []
    for count in counts:
        rows = random.standard_normal((count or 1, 8))
        sides.append(normal(np.zeros(8), np.eye(8)) if count is None else SampledGaussian(np.zeros(8), rows))
    found = frechet._smallest_form(*sides)
    assert tuple(isinstance(side, SampledGaussian) for side in found) == kept
    for before, after in zip(sides, found, strict=True):
        np.testing.assert_allclose(after.covariance, before.covariance)


def test_wrong_features_are_refused():
    with pytest.raises(ValueError, match="N at least 2"):
        gaussian(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="N at least 2"):
        gaussian(np.zeros(4))
    with pytest.raises(ValueError, match="NaN or infinity"):
        gaussian(np.array([[0.0, np.nan], [1.0, 2.0]]))
    with pytest.raises(ValueError, match="2 and 3 features; they must be of one network"):
        frechet_distance(normal([0, 0], np.eye(2)), normal([0, 0, 0], np.eye(3)))
    with pytest.raises(ValueError, match="holds NaN or infinity; compute its statistics again"):
        frechet_distance(normal([0, 0], np.eye(2)), normal([0, np.nan], np.eye(2)))
    with pytest.raises(ValueError, match="holds NaN or infinity; compute its statistics again"):
        frechet_distance(normal([0, 0], np.eye(2)), normal([0, 0], np.full((2, 2), np.inf)))
    for side in (
        Gaussian(np.zeros((2, 1)), np.eye(2)),
        Gaussian(np.zeros(2), np.eye(3)),
        Gaussian(np.zeros(2), np.ones((3, 2))),
        Gaussian(np.zeros(2), np.zeros((2, 2, 2))),
        SampledGaussian(np.zeros((2, 2)), np.zeros((4, 2))),
        SampledGaussian(np.zeros(2), np.zeros((4, 3))),
    ):
        with pytest.raises(ValueError, match="do not fit together"):
            frechet_distance(side, side)


def test_numbers_that_no_feature_gives_are_refused_and_all_others_have_a_distance(random):
    fine = gaussian(random.normal(size=(30, 4)))
    few = gaussian(random.normal(size=(3, 4)))
    for side in (fine._replace(mean=np.full(4, 1e200)), fine._replace(covariance=1e200 * np.eye(4))):
        for pair in ((side, fine), (fine, side), (few, side)):
            with pytest.raises(ValueError, match=r"Gaussian holds 1e\+200, larger than what features give; compute"):
                frechet_distance(*pair)
    with pytest.raises(ValueError, match="larger than what features give"):
        frechet_distance(few._replace(rows=few.rows * 1e200), fine)
    largest = np.array([[-frechet.LARGEST] * 4, [frechet.LARGEST] * 4])
    for a in (gaussian(largest), gaussian(largest.repeat(4, 0))):
        for b in (a, fine, few, gaussian(-largest)):
            assert np.isfinite(frechet_distance(a, b))
            assert np.isfinite(frechet_distance(b, a))
