import numpy as np
import pytest
import torch

from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.pixels import PixelNetwork


def pixel_features(images):
    return PixelNetwork()(torch.from_numpy(images)).features.numpy()


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_features_are_the_means_of_64_cells(random):
    images = random.integers(0, 256, (3, 16, 32, 3), dtype=np.uint8)
    features = pixel_features(images)
    assert features.shape == (3, 192)
    for n, row, column, channel in ((0, 0, 0, 0), (2, 7, 7, 2), (1, 3, 5, 1)):
        cell = images[n, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4, channel]
        assert features[n, (row * 8 + column) * 3 + channel] == pytest.approx(cell.mean() / 255.0)


def test_cells_of_sides_that_8_does_not_divide_share_pixels(random):
    images = random.integers(0, 256, (3, 16, 20, 3), dtype=np.uint8)
    cells = pixel_features(images).reshape(3, 8, 8, 3)
    assert cells[2, 3, 0, 1] == pytest.approx(images[2, 6:8, 0:3, 1].mean() / 255.0)
    assert cells[2, 3, 1, 1] == pytest.approx(images[2, 6:8, 2:5, 1].mean() / 255.0)


def test_there_are_no_classes():
    assert PixelNetwork()(torch.zeros(2, 8, 8, 3, dtype=torch.uint8)).logits.shape == (2, 0)


def test_range():
    assert (pixel_features(np.full((2, 8, 8, 3), 255, np.uint8)) == 1.0).all()
    assert (pixel_features(np.zeros((2, 64, 64, 3), np.uint8)) == 0.0).all()


def test_the_monitor_sees_lost_variety_and_shifted_colours(random):
    real = random.integers(0, 256, (600, 16, 16, 3), dtype=np.uint8)
    distance = lambda images: frechet_distance(gaussian(pixel_features(real)), gaussian(pixel_features(images)))  # noqa: E731
    fresh = distance(random.integers(0, 256, (600, 16, 16, 3), dtype=np.uint8))
    collapsed = distance(np.repeat(real[:3], 200, axis=0))
    darker = distance(real // 2)
    assert fresh < 0.5 * collapsed
    assert fresh < 0.5 * darker


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3)), r"must be uint8 in 0..255, found float64"),
        (np.zeros((2, 3, 8, 8), np.uint8), "permute"),
        (np.zeros((8, 8, 3), np.uint8), r"must be \(N, H, W, 3\)"),
        (np.zeros((2, 4, 8, 3), np.uint8), "at least 8, found 4x8"),
    ],
)
def test_other_arrays_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        pixel_features(images)
