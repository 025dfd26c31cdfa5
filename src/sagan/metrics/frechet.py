"""Frechet distance between two Gaussians."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Gaussian(NamedTuple):
    """Mean (d,) and covariance (d, d) of features, float64; the covariance has N - 1 in its denominator."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def gaussian(features: NDArray[np.floating]) -> Gaussian:
    """Fit a Gaussian to features (N, d).

    Raises:
        ValueError: If there are fewer than 2 rows, or a number is not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be (N, d) with N at least 2, found {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features hold NaN or infinity; the images or the feature network are broken")
    features = features.astype(np.float64)
    return Gaussian(features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Compute |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), in squared feature units, at least 0.

    The trace of the root is the sum of the roots of the eigenvalues of the symmetric S_a^(1/2) S_b S_a^(1/2), which
    stays real also where a covariance is singular.

    Raises:
        ValueError: If the two have different widths.

    Source: Dowson and Landau 1982; Heusel et al. 2017, equation 6.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"the Gaussians have {len(a.mean)} and {len(b.mean)} features; they must be of one network")
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(0.0))) @ vectors.T
    trace_root = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(0.0)).sum()
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * trace_root
    return max(0.0, float(distance))
