"""The demonstration's measure, on generators whose quality is known."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from sagan.data import DataConfig, open_dataset
from sagan.experiments.digits import mean_distance, measure_digits, to_8x8
from sagan.generators.pretrained import TrainedGenerator


class Known:
    """Stands in for a generator: gives real pictures, ``shift`` classes off, ``distinct`` different ones a class."""

    config = SimpleNamespace(num_classes=10, size_px=16)

    def __init__(self, shift: int = 0, distinct: int = 100) -> None:
        self.shift, self.distinct = shift, distinct
        self.real = open_dataset(DataConfig(path="digits"), 16)

    def sample(self, num: int, classes: list[int], seed: int) -> NDArray[np.uint8]:
        groups = [self.real.images[self.real.labels == (c + self.shift) % 10][: self.distinct] for c in classes]
        return np.stack([groups[i % 10][i // 10 % self.distinct] for i in range(num)])


def measure(known: Known) -> tuple[float, float]:
    report = measure_digits(cast("TrainedGenerator", known))
    assert report.samples == 1000
    assert report.accuracy_real > 0.95
    return report.accuracy, report.variety


def test_real_digits_are_right_and_varied() -> None:
    accuracy, variety = measure(Known())
    assert accuracy > 0.95
    assert variety == pytest.approx(1.0, abs=0.1)


def test_wrong_classes_and_one_picture_a_class_are_seen() -> None:
    accuracy, variety = measure(Known(shift=1, distinct=1))
    assert accuracy < 0.05
    assert variety < 1e-6


def test_pixels_are_averaged_down() -> None:
    images = np.zeros((1, 16, 16, 3), np.uint8)
    images[0, 2:4, 4:6] = 255
    cells = to_8x8(images).reshape(8, 8)
    assert cells[1, 2] == 1.0
    assert cells.sum() == 1.0


def test_mean_distance_is_over_pairs() -> None:
    images = np.zeros((3, 1, 1, 3), np.uint8)
    images[1, 0, 0] = (3, 4, 0)
    assert mean_distance(images) == pytest.approx((5 + 0 + 5) / 3)


def test_another_data_set_is_refused() -> None:
    known = Known()
    known.config = SimpleNamespace(num_classes=3, size_px=16)
    with pytest.raises(ValueError, match="10 classes"):
        measure_digits(cast("TrainedGenerator", known))
