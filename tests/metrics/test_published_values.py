"""Values that torch-fidelity publishes, for whoever has the real weights and CIFAR-10; skipped elsewhere.

    SAGAN_INCEPTION_WEIGHTS=weights-inception-2015-12-05-6726825d.pth \
    SAGAN_CIFAR10=cifar-10-binary.tar.gz ./dev pytest -n 0 tests/metrics/test_published_values.py

The subsets are those of torch-fidelity's utils/util_dump_dataset_as_images.py (5,000 pictures, RandomState(2020), read
back in the order of their names), the values those of its tests and its README. On one CPU core this takes hours.
"""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from sagan.evaluation import EvaluateConfig, evaluate
from sagan.metrics.inception import load_inception

WEIGHTS, ARCHIVE = (os.environ.get(name) for name in ("SAGAN_INCEPTION_WEIGHTS", "SAGAN_CIFAR10"))

pytestmark = pytest.mark.skipif(
    not (WEIGHTS and ARCHIVE), reason="needs SAGAN_INCEPTION_WEIGHTS and SAGAN_CIFAR10, files that users download"
)


def pictures(split):
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    with tarfile.open(str(ARCHIVE)) as archive:
        files = {Path(member.name).name: member for member in archive if member.isfile()}
        stored = b"".join(archive.extractfile(files[name]).read() for name in names)
    records = np.frombuffer(stored, np.uint8).reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def subset(images):
    return images[np.sort(np.random.RandomState(2020).choice(len(images), 5000, replace=False))]


def test_seeded_subsets_of_cifar10():
    report = evaluate(
        subset(pictures("train")),
        subset(pictures("valid")),
        EvaluateConfig(metrics=["fd", "is", "kd"]),
        network=load_inception(WEIGHTS),
    ).report
    values = {value.metric: value for value in report.values}
    assert values["FID"].value == pytest.approx(10.32333, abs=1e-2)
    assert values["IS"].value == pytest.approx(10.75051, abs=1e-2)
    assert values["IS"].spread == pytest.approx(0.5778723, abs=1e-3)
    assert values["KID"].value == pytest.approx(-2.907863e-05, abs=1e-6)
    assert values["KID"].spread == pytest.approx(0.0001023118, abs=1e-6)


def test_inception_score_of_the_training_pictures():
    images = pictures("train")
    report = evaluate(images, images[:100], EvaluateConfig(metrics=["is"]), network=load_inception(WEIGHTS)).report
    assert report.values[0].value == pytest.approx(11.23678, abs=1e-3)
