"""Pictures from anywhere, on both sides, and what does not belong together."""

import hashlib

import numpy as np
import pytest
import torch
from cells import Cells, evaluate

from sagan.data import DataConfig, open_dataset
from sagan.evaluation import (
    reference_of,
)


def test_sizes_must_agree(dataset, tmp_path):
    other = open_dataset(DataConfig(path=str(tmp_path / "real.npz")), 32, progress=False)
    with pytest.raises(ValueError, match="the pictures have 32 px, the reference has 16"):
        evaluate(other, reference_of(dataset), Cells())


def test_any_iterable_of_batches_is_judged_as_the_data_set_is(dataset, generator):
    expected = evaluate(dataset, reference_of(dataset), Cells())
    images = np.array(dataset.images)
    cuts = (images[start : start + 17] for start in range(0, len(images), 17))
    for given in (images, torch.from_numpy(images), cuts):
        found = evaluate(given, iter([images[:50], images[50:]]), Cells(), num=120)
        for value, other in zip(expected.report.values, found.report.values, strict=True):
            assert other.metric == value.metric
            assert other.value == pytest.approx(value.value, rel=1e-9, abs=1e-9)
            assert other.protocol["generated"] == 120
    assert found.report.values[0].protocol["reference_split"] == "pixels as given"
    # The hash is of the content: other pictures cannot be mistaken for these.
    assert found.report.subject["sha256"] == hashlib.sha256(images.tobytes()).hexdigest()


def test_batches_of_unknown_number_have_no_inception_score(dataset):
    images = np.array(dataset.images)
    found = evaluate(iter([images]), reference_of(dataset), Cells(), metrics=["fd"])
    assert found.report.values[0].protocol["generated"] == 120
    with pytest.raises(ValueError, match="must know how many there are: pass num"):
        evaluate(iter([images]), reference_of(dataset), Cells(), metrics=["is"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((20, 16, 16, 3), np.float32), "must be uint8 in 0..255, found float32"),
        (np.full((20, 16, 16, 3), np.nan, np.float32), "hold NaN or infinity"),
        (np.zeros((20, 16, 16, 1), np.uint8), r"must be \(N, H, W, 3\)"),
        (np.zeros((20, 3, 16, 16), np.uint8), r"permute \(N, 3, H, W\)"),
        (np.zeros((20, 16, 24, 3), np.uint8), "found 16x24"),
        (np.zeros((20, 8, 8, 3), np.uint8), "found 8x8"),
        ([[1, 2, 3]], "found one list"),
        (np.zeros((0, 16, 16, 3), np.uint8), "at least"),
    ],
)
def test_pictures_that_are_none_get_one_sentence(dataset, given, message):
    with pytest.raises(ValueError, match=message):
        evaluate(given, reference_of(dataset), Cells(), metrics=["fd"])


def test_pictures_of_other_sizes_or_colours_are_refused(dataset, tmp_path):
    images = np.array(dataset.images)

    def opened(name, pictures, size_px=16):
        np.savez(tmp_path / name, images=pictures)
        return open_dataset(DataConfig(path=str(tmp_path / name)), size_px, progress=False)

    grey = opened("grey.npz", images[..., :1])
    with pytest.raises(ValueError, match="the generated pictures are grey, the real ones in colour"):
        evaluate(grey, reference_of(dataset), Cells(), metrics=["fd"])
    small = opened("small.npz", images[:, ::2, ::2])
    with pytest.raises(ValueError, match=r"all real pictures are smaller than the generated ones \(16 px\)"):
        evaluate(dataset, reference_of(small), Cells(), metrics=["fd"])
