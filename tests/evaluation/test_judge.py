"""Evaluation end to end with a small feature network: values, protocols, and what is refused."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import Cells, by_name, evaluate

import sagan
from sagan.data import open_dataset
from sagan.data.config import DataConfig
from sagan.evaluation import EvaluateConfig, ReferenceStatistics, reference_of
from sagan.evaluation.judge import _fitting_network
from sagan.evaluation.reference import read_statistics
from sagan.metrics.features import network_protocol
from sagan.metrics.report import report_from_json


def test_pictures_against_themselves_are_perfect(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells())
    values = by_name(result)
    assert values["FD(cells)"].value == pytest.approx(0.0, abs=1e-9)
    assert values["precision(cells)"].value == values["recall(cells)"].value == values["coverage(cells)"].value == 1.0
    assert abs(values["KD(cells)"].value) < 0.02
    # Three colours, each picture nearly certain of its own.
    assert 1.5 < values["IS(cells)"].value < 3.0


def test_every_value_says_how_it_was_made(dataset, generator):
    reference = reference_of(dataset, "heldout", 0.25, 1000, 7)
    result = evaluate(generator, reference, Cells(), num=40, seed=3, score_splits=2)
    for value in result.report.values:
        assert network_protocol(Cells()).items() <= value.protocol.items()
        assert value.protocol["generated"] == 40
        assert value.protocol["seed"] == 3
        assert value.protocol["ema"] is False
        assert value.protocol["batch_norm"] == "standing"
        if not value.metric.startswith("IS"):
            assert value.protocol["reference_sha256"] == dataset.fingerprint
            assert value.protocol["reference_count"] == 30
            assert value.protocol["reference_split"] == "heldout, holdout 0.25 at most 1000, seed 7"
    assert "reference_sha256" not in by_name(result)["IS(cells)"].protocol
    assert report_from_json(result.report.to_json()) == result.report
    assert "FD(cells)" in result.text()
    assert dataset.fingerprint in result.text()


def test_trap_25_evaluation_leaves_the_generator_as_it_was(dataset, generator):
    def digest():
        buffer = io.BytesIO()
        torch.save(generator.network.state_dict(), buffer)
        modes = [module.training for module in generator.network.modules()]
        return hashlib.sha256(buffer.getvalue()).hexdigest(), modes, torch.get_rng_state().tolist()

    before = digest()
    evaluate(generator, reference_of(dataset), Cells(), metrics=["fd", "intra"], num=20, intra_num=10)
    assert digest() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["fda"]}, "takes some of fd, is, kd, prdc, accuracy, intra, found fda; did you mean fd"),
        ({"metrics": ["dog"]}, "found dog$"),
        ({"metrics": []}, "found none"),
        ({"num": 5, "metrics": ["is"]}, "needs at least 10"),
        ({"num": 3, "metrics": ["prdc"]}, "at least"),
    ],
)
def test_what_cannot_be_measured_is_refused(dataset, generator, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate(generator, reference_of(dataset), Cells(), **change)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"metrics": ["fd", "intra"], "intra_num": 1}, "intra_num must be at least 2, found 1"),
        ({"metrics": ["fd", "prdc"], "num": 5}, "5 pictures are too few to judge by: these metrics need at least 6"),
        ({"metrics": ["fd"], "num": 3}, "3 pictures are too few"),
    ],
)
def test_what_cannot_succeed_is_refused_before_the_first_picture(dataset, generator, how, message):
    network = Cells()
    with pytest.raises(ValueError, match=message):
        evaluate(generator, reference_of(dataset), network, **how)
    assert network.seen == 0


def test_a_device_that_is_not_there_is_refused_before_anything_is_opened():
    config = EvaluateConfig(device="foo", features="pixels")
    with pytest.raises(ValueError, match="device foo: PyTorch knows no such device"):
        sagan.evaluation.evaluate("nowhere", "nowhere", config)
    with pytest.raises(ValueError, match="device foo: PyTorch knows no such device"):
        sagan.evaluation.export_statistics("nowhere", 16, config)


@pytest.mark.parametrize("side", ["generator", "data"])
def test_a_side_that_is_not_given_is_refused(dataset, side):
    with pytest.raises(ValueError, match=f"{side} is None; give {side} a path"):
        sagan.evaluation.evaluate(**{"generator": dataset, "data": dataset, side: None}, network=Cells())


def test_names_of_inception_are_said_to_be_others_with_another_network(dataset, capsys):
    typed = ("Inception_Score", "kernel-distance", "fid")
    sagan.evaluation.evaluate(dataset, dataset, EvaluateConfig(metrics=typed), network=Cells())
    said = capsys.readouterr().err
    assert "inception-score: with cells this is IS(cells), not IS\n" in said
    assert "fid: with cells this is FD(cells), not FID\n" in said
    assert "kd" not in said
    assert "kernel-distance:" not in said


@pytest.mark.parametrize(
    ("fields", "network", "message"),
    [
        ({"metrics": ("is",), "features": "pixels"}, None, "has no classes, so there is no Inception Score"),
        ({"metrics": ("accuracy",)}, Cells(), "must know which labels of cells stand for each class"),
        ({"metrics": ()}, Cells(), "found none"),
        ({"metrics": (), "features": "efficientnet-lite0"}, None, "found none"),
    ],
)
def test_what_the_network_cannot_measure_is_refused_before_anything_is_opened(fields, network, message):
    with pytest.raises(ValueError, match=message):
        sagan.evaluation.evaluate("nowhere", "nowhere", EvaluateConfig(**fields), network=network)


def test_nothing_is_exported_where_nothing_can_be_judged(dataset, tmp_path):
    config = EvaluateConfig(metrics=("fd",), export_statistics=tmp_path / "statistics.npz")
    few = dataset.images[:3]
    with pytest.raises(ValueError, match="too few"):
        sagan.evaluation.evaluate([few], dataset, replace(config, num=3), network=Cells(), progress=False)
    assert not config.export_statistics.exists()
    assert sagan.evaluation.evaluate(dataset, dataset, config, network=Cells(), progress=False).exported
    assert config.export_statistics.exists()


GIVEN = {
    "str": str,
    "path": Path,
    "configuration": lambda file: DataConfig(path=str(file)),
    "pictures": lambda file: open_dataset(DataConfig(path=str(file)), 16, progress=False),
    "reference": lambda file: reference_of(open_dataset(DataConfig(path=str(file)), 16, progress=False)),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_real_pictures_are_taken_in_whatever_way_they_are_given(dataset, tmp_path, kind):
    given, file = GIVEN[kind](tmp_path / "real.npz"), tmp_path / "statistics.npz"
    value = by_name(sagan.evaluation.evaluate(dataset, given, EvaluateConfig(metrics=("fd",)), network=Cells()))
    assert value["FD(cells)"].value == pytest.approx(0.0, abs=1e-9)
    config = EvaluateConfig(metrics=("fd",), export_statistics=file)
    said = sagan.evaluation.export_statistics(given, 16, config, network=Cells(), progress=False)
    assert said == f"statistics of 120 real pictures (cells): {file}"
    found = read_statistics(file, network_protocol(Cells()))
    assert found.pictures["reference_sha256"] == dataset.fingerprint
    features = Cells()(torch.from_numpy(dataset.images[:])).features.double().numpy()
    np.testing.assert_allclose(found.collected.moments.gaussian().mean, features.mean(0), rtol=1e-6)
    with pytest.raises(ValueError, match="these are statistics already"):
        sagan.evaluation.export_statistics(found, 16, config, network=Cells(), progress=False)


@pytest.mark.parametrize(
    ("count", "protocol", "asked"),
    [
        # The statistics decide where they are of this network; their protocol was read from a file.
        (100, {"network": "efficientnet-lite0", "feature_width": "1280"}, (100, "pictures", "1280")),
        (100, {"network": "pixels", "feature_width": "192"}, (100, "pictures", None)),
        (None, {}, (50_000, "pictures", None)),
    ],
)
def test_the_number_of_features_follows_statistics_of_the_same_network(count, protocol, asked, monkeypatch):
    def fitting(config, fewest, of, stored):
        found.append((fewest, of, stored))
        return Cells(), ""

    found = []
    monkeypatch.setattr("sagan.evaluation.judge.fitting_network", fitting)
    stored = ReferenceStatistics(None, json.loads(json.dumps(protocol)))
    network = _fitting_network(Cells(), count, stored, EvaluateConfig(features="efficientnet-lite0"), False)
    assert found == [asked]
    assert isinstance(network, Cells)


def test_the_number_of_features_follows_the_smaller_set(dataset, monkeypatch):
    def fitting(config, fewest, of, stored):
        found.append((fewest, of, stored))
        return Cells(), ""

    found = []
    monkeypatch.setattr("sagan.evaluation.judge.fitting_network", fitting)
    reference = reference_of(dataset)
    for metrics, intra_num, count in (
        (None, 5000, 200),
        (("fd",), 5000, 30),
        (("intra",), 5000, 30),
        (("intra",), 8, 9),
    ):
        config = EvaluateConfig(features="efficientnet-lite0", metrics=metrics, intra_num=intra_num)
        _fitting_network(Cells(), count, reference, config, False)
    least = min(reference.class_counts)
    assert [fewest for fewest, _, _ in found] == [120, 30, least, 8]
    assert [of for _, of, _ in found] == ["pictures", "pictures", "pictures of a class", "pictures of a class"]
