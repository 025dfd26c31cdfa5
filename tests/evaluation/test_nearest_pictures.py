"""Samples beside the real pictures nearest to them."""

import numpy as np
import pytest
from cells import Cells, evaluate

from sagan.evaluation import (
    reference_of,
)


def test_the_nearest_pictures_of_copies_are_the_originals(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"], neighbours=4)
    assert result.neighbours is not None
    assert (result.neighbours.indices[:, 0] == np.arange(4)).all()
    assert result.neighbours.distances[:, 0] == pytest.approx(0.0)
    assert (np.diff(result.neighbours.distances) >= 0).all()
    assert min(result.neighbours.picture.size) > 100
