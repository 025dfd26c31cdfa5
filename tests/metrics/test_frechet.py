import numpy as np
import pytest
import scipy.linalg

from sagan.metrics.frechet import Gaussian, frechet_distance, gaussian


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


def test_wrong_features_are_refused():
    with pytest.raises(ValueError, match="N at least 2"):
        gaussian(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="N at least 2"):
        gaussian(np.zeros(4))
    with pytest.raises(ValueError, match="NaN or infinity"):
        gaussian(np.array([[0.0, np.nan], [1.0, 2.0]]))
    with pytest.raises(ValueError, match="2 and 3 features; they must be of one network"):
        frechet_distance(normal([0, 0], np.eye(2)), normal([0, 0, 0], np.eye(3)))
