"""Evaluation end to end with a small feature network: values, protocols, the cache, and what is refused."""

import hashlib
import io

import numpy as np
import pytest
import torch

from sagan.data import DataConfig, open_dataset
from sagan.evaluation import Evaluation, collect, comparison, evaluate, metric_name, reference_of
from sagan.metrics.features import Features, check_images, network_protocol
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.report import ProtocolError, compare, report_from_json
from sagan.models.generator import Generator, GeneratorConfig
from sagan.pretrained import TrainedGenerator
from sagan.sampling import sampling_copy

NAMES = ("red", "green", "blue")


class Cells:
    """Twelve features: the mean colour of each quarter; three logits: the mean colour of the picture."""

    name = "cells"
    weights_sha256 = "0" * 64
    width = 12
    num_classes = 3
    image_px = 16
    resize = "none"
    logits = "colours"

    def __init__(self) -> None:
        self.seen = 0

    def to(self, device):
        return self

    def __call__(self, images):
        check_images(images)
        self.seen += len(images)
        cells = images.float().reshape(len(images), 2, 8, 2, 8, 3).mean((2, 4)).flatten(1) / 255.0
        return Features(cells, 8.0 * cells.reshape(len(images), 4, 3).mean(1))


@pytest.fixture
def dataset(tmp_path, pictures, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    batch = pictures(0, 120)
    file = tmp_path / "real.npz"
    np.savez(file, images=batch.images.numpy(), labels=batch.labels.numpy(), class_names=np.array(NAMES))
    return open_dataset(DataConfig(path=str(file)), 16, progress=False)


@pytest.fixture
def generator(open_gates):
    torch.manual_seed(0)
    G = open_gates(Generator(GeneratorConfig(size_px=16, num_classes=3, z_dim=8, base_width=2)))
    ready = sampling_copy(G, batches=2, batch_size=8, seed=0)
    return TrainedGenerator(ready, NAMES, {"weights": "as trained", "batch_norm": "standing", "step": 1})


def by_name(result):
    return {value.metric: value for value in result.report.values}


def test_pictures_against_themselves_are_perfect(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), progress=False)
    values = by_name(result)
    assert values["FD(cells)"].value == pytest.approx(0.0, abs=1e-9)
    assert values["precision(cells)"].value == values["recall(cells)"].value == values["coverage(cells)"].value == 1.0
    assert abs(values["KD(cells)"].value) < 0.02
    # Three colours, each picture nearly certain of its own.
    assert 1.5 < values["IS(cells)"].value < 3.0


def test_the_distance_is_that_of_all_features(dataset, generator):
    network = Cells()
    result = evaluate(generator, reference_of(dataset), network, metrics=["fd"], num=70, seed=3, progress=False)
    from sagan.evaluation import sampled_batches

    samples = torch.from_numpy(np.concatenate(list(sampled_batches(generator, 70, 3))))
    expected = frechet_distance(
        gaussian(network(samples).features.numpy()),
        gaussian(network(torch.from_numpy(np.array(dataset.images))).features.numpy()),
    )
    assert result.report.values[0].value == pytest.approx(expected, rel=1e-6)
    assert expected > 0.1


def test_every_value_says_how_it_was_made(dataset, generator):
    reference = reference_of(dataset, "heldout", 0.25, 1000, 7)
    result = evaluate(generator, reference, Cells(), num=40, seed=3, score_splits=2, progress=False)
    for value in result.report.values:
        assert network_protocol(Cells()).items() <= value.protocol.items()
        assert value.protocol["generated"] == 40
        assert value.protocol["seed"] == 3
        assert value.protocol["weights"] == "as trained"
        assert value.protocol["batch_norm"] == "standing"
        if not value.metric.startswith("IS"):
            assert value.protocol["reference_sha256"] == dataset.fingerprint
            assert value.protocol["reference_count"] == 30
            assert value.protocol["reference_split"] == "heldout, holdout 0.25 at most 1000, seed 7"
    assert "reference_sha256" not in by_name(result)["IS(cells)"].protocol
    assert report_from_json(result.report.to_json()) == result.report
    assert "FD(cells)" in result.text()
    assert dataset.fingerprint in result.text()


def test_values_made_in_different_ways_are_not_compared(dataset, generator):
    def report(**how):
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], progress=False, **how).report

    assert "FD(cells)" in comparison(compare(report(num=20), report(num=20)), ["a", "b"])
    with pytest.raises(ProtocolError, match="generated: 20 against 30"):
        compare(report(num=20), report(num=30))


def test_splits_do_not_overlap(dataset):
    held = {"fraction": 0.2, "maximum": 1000, "seed": 1}
    train, held_out = (set(reference_of(dataset, split, **held).indices) for split in ("train", "heldout"))
    assert len(held_out) == 24
    assert train.isdisjoint(held_out)
    assert len(train | held_out) == 120
    with pytest.raises(ValueError, match="a reference needs at least 2"):
        reference_of(dataset, "heldout", 0.0, 1000, 0)


def test_trap_25_evaluation_leaves_the_generator_as_it_was(dataset, generator):
    def digest():
        buffer = io.BytesIO()
        torch.save(generator.network.state_dict(), buffer)
        modes = [module.training for module in generator.network.modules()]
        return hashlib.sha256(buffer.getvalue()).hexdigest(), modes, torch.get_rng_state().tolist()

    before = digest()
    evaluate(generator, reference_of(dataset), Cells(), metrics=["fd", "intra"], num=20, intra_num=10, progress=False)
    assert digest() == before


def test_real_statistics_are_computed_once(dataset, generator):
    first, again = Cells(), Cells()
    results = [
        evaluate(generator, reference_of(dataset), network, metrics=["fd", "prdc"], num=20, progress=False)
        for network in (first, again)
    ]
    assert (first.seen, again.seen) == (140, 20)
    assert results[0].report == results[1].report


@pytest.mark.parametrize("damage", ["truncated", "empty"])
def test_damaged_statistics_are_made_again(dataset, generator, tmp_path, damage):
    def value():
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=20, progress=False).report

    before = value()
    (file,) = (tmp_path / "cache" / "statistics").iterdir()
    file.write_bytes(file.read_bytes()[:1000] if damage == "truncated" else b"")
    assert value() == before


def test_statistics_with_other_kept_features_are_made_again(dataset, generator, tmp_path):
    def value():
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["prdc"], num=20, progress=False).report

    before = value()
    (file,) = (tmp_path / "cache" / "statistics").iterdir()
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays["kept/indices"], arrays["kept/features"] = arrays["kept/indices"][:50], arrays["kept/features"][:50]
    np.savez(file, **arrays)
    assert value() == before


def test_another_split_does_not_take_the_cached_statistics(dataset, generator):
    network = Cells()
    for reference in (reference_of(dataset), reference_of(dataset, "train", 0.2, 1000, 0)):
        evaluate(generator, reference, network, metrics=["fd"], num=20, progress=False)
    assert network.seen == 120 + 20 + 96 + 20


def test_intra_judges_each_class_by_itself(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["intra"], intra_num=40, progress=False)
    value = by_name(result)["intra-FD(cells)"]
    assert [found.value for found in result.classes] == sorted((f.value for f in result.classes), reverse=True)
    assert {found.class_name for found in result.classes} == set(NAMES)
    assert value.value == pytest.approx(np.mean([found.value for found in result.classes]))
    assert value.protocol["generated_per_class"] == 40
    assert {f.class_name: f.real for f in result.classes} == {
        name: int((dataset.labels == label).sum()) for label, name in enumerate(NAMES)
    }


def test_too_few_pictures_are_said(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=12, progress=False)
    assert "12 pictures for 12 features" in result.report.values[0].warnings[0]
    assert np.isfinite(result.report.values[0].value)
    assert "note: FD(cells)" in result.text()


def test_the_nearest_pictures_of_copies_are_the_originals(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"], neighbours=4, progress=False)
    assert result.neighbours is not None
    assert (result.neighbours.indices[:, 0] == np.arange(4)).all()
    assert result.neighbours.distances[:, 0] == pytest.approx(0.0)
    assert (np.diff(result.neighbours.distances) >= 0).all()
    assert min(result.neighbours.picture.size) > 100


def test_names_say_which_network(dataset):
    network = Cells()
    assert metric_name("fd", network) == "FD(cells)"
    network.name = INCEPTION
    assert [metric_name(metric, network) for metric in ("fd", "is", "kd", "intra")] == ["FID", "IS", "KID", "intra-FID"]


def test_kept_features_are_bounded_and_moments_see_all(monkeypatch):
    monkeypatch.setattr("sagan.evaluation.passes.KEPT", 30)
    collected = collect(Cells(), [np.zeros((50, 16, 16, 3), np.uint8)] * 2, 100, progress=False)
    assert (len(collected.kept), collected.moments.count) == (30, 100)


@pytest.mark.parametrize(
    ("count", "message"), [(9, "9 pictures were announced, found more"), (11, "11 pictures were announced, found 10")]
)
def test_a_wrong_count_is_refused(count, message):
    with pytest.raises(ValueError, match=message):
        collect(Cells(), [np.zeros((10, 16, 16, 3), np.uint8)], count, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["fid"]}, "metrics are fd, is, kd, prdc, accuracy, intra, found fid"),
        ({"metrics": []}, "found none"),
        ({"num": 5, "metrics": ["is"]}, "needs at least 10"),
        ({"num": 3, "metrics": ["prdc"]}, "at least"),
    ],
)
def test_what_cannot_be_measured_is_refused(dataset, generator, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate(generator, reference_of(dataset), Cells(), progress=False, **change)


def test_sizes_must_agree(dataset, tmp_path):
    other = open_dataset(DataConfig(path=str(tmp_path / "real.npz")), 32, progress=False)
    with pytest.raises(ValueError, match="the pictures have 32 px, the reference has 16"):
        evaluate(other, reference_of(dataset), Cells(), progress=False)


def test_other_classes_have_no_distance_within(dataset, generator):
    stranger = TrainedGenerator(generator.network, ("a", "b", "c"), generator.provenance)
    with pytest.raises(ValueError, match="same classes on both sides"):
        evaluate(stranger, reference_of(dataset), Cells(), metrics=["intra"], progress=False)


def test_an_evaluation_without_classes_prints_none(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"], progress=False)
    assert isinstance(result, Evaluation)
    assert "within classes" not in result.text()
