"""One pass of a network: what it keeps, and the parts of several processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cells import Cells

from sagan.data.parallel import progress_bar
from sagan.evaluation import (
    Collected,
    collect,
    measure,
    reference_of,
    reference_statistics,
    sampled_batches,
)
from sagan.generators.pretrained import load
from sagan.generators.weights import save_weights
from sagan.metrics.class_accuracy import ClassLabels
from sagan.metrics.frechet import SampledGaussian


def test_kept_features_are_bounded_and_moments_see_all(monkeypatch):
    monkeypatch.setattr("sagan.evaluation.passes.KEPT", 30)
    collected = collect(Cells(), [np.zeros((50, 16, 16, 3), np.uint8)] * 2, 100, progress=False)
    assert (len(collected.kept), collected.moments.count) == (30, 100)


class FineCells(Cells):
    """The same features with more digits than are kept."""

    def __call__(self, images):
        found = super().__call__(images)
        return found._replace(features=found.features.double() + 1e-9)


@pytest.mark.parametrize(
    ("network", "count", "kept", "thin"),
    [
        (Cells, 9, 10_000, True),
        (Cells, 2, 10_000, True),
        (Cells, 12, 10_000, False),
        (Cells, 9, 8, False),
        (FineCells, 9, 10_000, False),
    ],
)
def test_fewer_pictures_than_features_come_from_a_file_as_they_were(monkeypatch, network, count, kept, thin):
    """A distance from the features themselves takes less time than one from a singular covariance."""
    monkeypatch.setattr("sagan.evaluation.passes.KEPT", kept)
    pictures = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)
    collected = collect(network(), [pictures[:1], pictures[1:]], count, progress=False)
    read = Collected.from_arrays(collected.to_arrays())
    fit, before = read.moments.gaussian(), collected.moments.gaussian()
    assert isinstance(fit, SampledGaussian) == thin
    np.testing.assert_allclose(fit.mean, before.mean, rtol=1e-12)
    np.testing.assert_allclose(fit.covariance, before.covariance, atol=1e-12)
    assert len(read.kept) == min(count, kept)


@pytest.mark.parametrize(
    ("count", "message"), [(9, "9 pictures were announced, found more"), (11, "11 pictures were announced, found 10")]
)
def test_a_wrong_count_is_refused(count, message):
    with pytest.raises(ValueError, match=message):
        collect(Cells(), [np.zeros((10, 16, 16, 3), np.uint8)], count, progress=False)


def test_samples_are_those_of_their_indices_whatever_the_first_is(generator):
    whole = np.concatenate(list(sampled_batches(generator, 130, 5)))
    parts = list(sampled_batches(generator, 70, 5, first=60))
    assert [len(part) for part in parts] == [50, 20]
    assert (np.concatenate(parts) == whole[60:]).all()
    assert len(whole) == 130


def test_indices_and_classes_go_on_where_another_process_began(generator):
    pictures = list(sampled_batches(generator, 70, 5))
    whole = collect(Cells(), pictures, 70, total=70, score_splits=7, progress=False)
    together = np.concatenate(pictures)
    first = collect(Cells(), [together[:10]], 10, total=70, score_splits=7, progress=False)
    second = collect(Cells(), [together[10:]], 60, first=10, total=70, score_splits=7, progress=False)
    first.merge(second)
    assert (first.kept.indices() == whole.kept.indices()).all()
    assert (first.kept.features() == whole.kept.features()).all()
    assert first.scores.score() == pytest.approx(whole.scores.score(), rel=1e-12)


def test_accuracies_of_parts_are_counted_together():
    labels = ClassLabels({"red": [0], "green": [1], "blue": [2]}, ("red", "green", "blue"), 3)
    pictures = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3)).astype(np.uint8)
    classes = np.arange(30) % 3

    def part(first, last):
        how = {"first": first, "classes": classes[first:last], "class_labels": labels, "progress": False}
        return collect(Cells(), [pictures[first:last]], last - first, **how)

    whole, merged = part(0, 30), part(0, 7)
    merged.merge(part(7, 30))
    assert merged.accuracy.count.tolist() == whole.accuracy.count.tolist() == [10, 10, 10]
    assert merged.accuracy.right.tolist() == whole.accuracy.right.tolist()
    with pytest.raises(ValueError, match="one has scores or accuracies and the other has not"):
        merged.merge(collect(Cells(), [pictures[:1]], 1, first=30, progress=False))


def test_a_pass_shows_how_far_it_is_unless_it_is_told_not_to(monkeypatch):
    shown = []

    def noting(show):
        shown.append(show)
        return progress_bar(False)

    monkeypatch.setattr("sagan.evaluation.passes.progress_bar", noting)
    for how in ({}, {"progress": True}, {"progress": False}):
        collect(Cells(), [np.zeros((10, 16, 16, 3), np.uint8)], 10, **how)
    assert shown == [True, True, False]


HALF = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
from cells import Cells
from sagan.evaluation import collect
from sagan.generators.pretrained import load
from sagan.evaluation import sampled_batches
first, count, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
generator = load({weights!r})
found = collect(Cells(), sampled_batches(generator, count, 5, first=first), count, first=first, total=70,
                score_splits=7, progress=False)
np.savez(out, **found.to_arrays())
"""


@pytest.mark.long("two processes")
def test_two_processes_equal_one(generator, dataset, tmp_path):
    weights = tmp_path / "generator.safetensors"
    save_weights(generator.network, weights, generator.class_names, generator.provenance)
    script = HALF.format(tests=str(Path(__file__).parent), weights=str(weights))
    parts = [(0, 30), (30, 40)]
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(first), str(count), str(tmp_path / f"{first}.npz")])
        for first, count in parts
    ]
    assert [process.wait() for process in running] == [0, 0]
    halves = []
    for first, _ in parts:
        with np.load(tmp_path / f"{first}.npz") as stored:
            halves.append(Collected.from_arrays(dict(stored)))
    joined = halves[1]  # in the wrong order
    joined.merge(halves[0])
    whole = collect(Cells(), sampled_batches(load(weights), 70, 5), 70, score_splits=7, progress=False)
    network, real = Cells(), reference_statistics(Cells(), reference_of(dataset), progress=False).collected
    values = [measure(network, side, real, ["fd", "is", "kd", "prdc"], {}, progress=False) for side in (joined, whole)]
    for one, other in zip(*values, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-9, abs=1e-12), one.metric
        assert (one.spread or 0.0) == pytest.approx(other.spread or 0.0, rel=1e-9), one.metric


def test_parts_that_do_not_belong_together_are_refused():
    images = [np.zeros((10, 16, 16, 3), np.uint8)]
    plain = collect(Cells(), images, 10, progress=False)
    with pytest.raises(ValueError, match="one has scores or accuracies and the other has not"):
        plain.merge(collect(Cells(), images, 10, first=10, score_splits=2, progress=False))
    with pytest.raises(ValueError, match="given twice"):
        plain.merge(collect(Cells(), images, 10, progress=False))


@pytest.mark.parametrize("count", [9, 40])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("moments/mean", lambda a: a + 2.0 * np.abs(a).max() + 100.0),
        ("moments/scatter", lambda a: a * 1e-6),
        ("kept/features", lambda a: a + np.float32(1e30)),
        ("kept/features", lambda a: a[:, 1:]),
    ],
)
def test_moments_that_are_not_of_the_features_beside_them_are_refused(count, name, change):
    pictures = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)
    arrays = collect(Cells(), [pictures], count, progress=False).to_arrays()
    Collected.from_arrays(arrays)
    with pytest.raises(ValueError, match=r"not that of the features beside it|keeps \d+ of each picture"):
        Collected.from_arrays(arrays | {name: change(arrays[name])})


@pytest.mark.parametrize("change", [lambda a: a * 1.1, lambda a: a + np.eye(len(a))])
def test_a_wrong_scatter_of_few_pictures_is_not_passed_over(change):
    """Their features stand in for it."""
    pictures = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3)).astype(np.uint8)
    arrays = collect(Cells(), [pictures], 9, progress=False).to_arrays()
    with pytest.raises(ValueError, match="its scatter is not that of the features"):
        Collected.from_arrays(arrays | {"moments/scatter": change(arrays["moments/scatter"])})
