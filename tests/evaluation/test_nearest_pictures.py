"""Samples beside the real pictures nearest to them."""

import numpy as np
import pytest
import torch
from cells import Cells, evaluate

from sagan.evaluation import (
    reference_of,
)
from sagan.evaluation.passes import BATCH_SIZE
from sagan.metrics.neighbours import nearest


def test_the_nearest_pictures_of_copies_are_the_originals(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"], neighbours=4)
    assert result.neighbours is not None
    assert (result.neighbours.indices[:, 0] == np.arange(4)).all()
    assert result.neighbours.distances[:, 0] == pytest.approx(0.0)
    assert (np.diff(result.neighbours.distances) >= 0).all()
    assert min(result.neighbours.picture.size) > 100


def test_the_nearest_pictures_are_found_in_every_batch_of_the_reference(dataset):
    # More pictures than go through the network at a time; each is its own nearest.
    reference, num = reference_of(dataset), 110
    assert num > 2 * BATCH_SIZE
    result = evaluate(dataset, reference, Cells(), metrics=["fd"], neighbours=num)
    assert result.neighbours.indices.shape == result.neighbours.distances.shape == (num, 6)
    assert result.neighbours.indices[:, 0].tolist() == list(range(num))
    features = Cells()(torch.from_numpy(np.array(dataset.images))).features.numpy()
    everything = nearest(features[:num], features, result.neighbours.indices.shape[1])
    assert (result.neighbours.indices == everything.indices).all()


def test_a_row_of_the_picture_is_a_sample_and_the_pictures_nearest_to_it(dataset, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "sagan.evaluation.nearest_pictures.sample_grid", lambda *args, **how: given.update(how, all=args)
    )
    found = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"], neighbours=4).neighbours
    (pictures,) = given["all"]
    assert (given["columns"], len(pictures), len(given["row_labels"])) == (7, 4 * 7, 4)
    rows = np.asarray(pictures).reshape(4, 7, *dataset.images.shape[1:])
    assert np.array_equal(rows[:, 0], dataset.images[:4])
    assert np.array_equal(rows[:, 1:], np.asarray(dataset.images)[found.indices])
