"""The real pictures: their splits, and their statistics in the cache and in files."""

import errno
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
from cells import Cells, evaluate

from sagan import whole
from sagan.evaluation import (
    read_statistics,
    reference_of,
    reference_statistics,
    write_statistics,
)
from sagan.metrics.features import network_protocol


def test_splits_do_not_overlap(dataset):
    held = {"fraction": 0.2, "maximum": 1000, "seed": 1}
    train, held_out = (set(reference_of(dataset, split, **held).indices) for split in ("train", "heldout"))
    assert len(held_out) == 24
    assert train.isdisjoint(held_out)
    assert len(train | held_out) == 120
    with pytest.raises(ValueError, match="a reference needs at least 2"):
        reference_of(dataset, "heldout", 0.0, 1000, 0)


def test_at_most_so_many_pictures_are_drawn_from_the_split(dataset):
    every = np.arange(120)
    for at_most in (None, 120, 121):
        reference = reference_of(dataset, at_most=at_most)
        assert (reference.split, reference.indices.tolist()) == ("all", every.tolist())
    fewer = reference_of(dataset, at_most=119)
    assert len(fewer.indices) == 119
    assert (np.diff(fewer.indices) > 0).all()
    assert fewer.split.startswith("all; 119 of them, drawn with seed")
    assert fewer.class_counts == [int((dataset.labels[fewer.indices] == label).sum()) for label in range(3)]
    assert sum(fewer.class_counts) == 119
    # Nothing was held out, so all is what a run trained on.
    assert reference_of(dataset, "train", 0.0, 1000, 0).split == "all"
    held = reference_of(dataset, "train", 0.2, 1000, 1)
    assert held.split == "train, holdout 0.2 at most 1000, seed 1"
    assert len(held.indices) == 96


def test_real_statistics_are_computed_once(dataset, generator):
    first, again = Cells(), Cells()
    results = [
        evaluate(generator, reference_of(dataset), network, metrics=["fd", "prdc"], num=20)
        for network in (first, again)
    ]
    assert (first.seen, again.seen) == (140, 20)
    assert results[0].report == results[1].report


def test_the_protocol_of_the_pictures_names_nothing_of_the_network(dataset):
    statistics = reference_statistics(Cells(), reference_of(dataset), progress=False)
    assert statistics.protocol.keys() > network_protocol(Cells()).keys()
    assert statistics.pictures.keys().isdisjoint(network_protocol(Cells()))
    assert statistics.pictures["size_px"] == dataset.images.shape[1]


@pytest.mark.parametrize("damage", ["truncated", "empty"])
def test_damaged_statistics_are_made_again(dataset, generator, tmp_path, damage):
    def value():
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=20).report

    before = value()
    (file,) = (tmp_path / "cache" / "statistics").iterdir()
    file.write_bytes(file.read_bytes()[:1000] if damage == "truncated" else b"")
    assert value() == before


def test_statistics_with_other_kept_features_are_made_again(dataset, generator, tmp_path):
    def value():
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["prdc"], num=20).report

    before = value()
    (file,) = (tmp_path / "cache" / "statistics").iterdir()
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays["kept/indices"], arrays["kept/features"] = arrays["kept/indices"][:50], arrays["kept/features"][:50]
    np.savez(file, **arrays)
    with pytest.raises(ValueError, match="holds features of 50 pictures under a limit of 10,000; make it again"):
        read_statistics(file, network_protocol(Cells()))
    assert value() == before
    assert len(read_statistics(file, network_protocol(Cells())).collected.kept) == 120


def test_statistics_that_cannot_be_kept_are_used_all_the_same(dataset, generator, tmp_path, capsys):
    def value():
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=20).report

    expected = value()
    statistics = tmp_path / "cache" / "statistics"
    shutil.rmtree(statistics)
    statistics.write_text("no folder")
    assert value() == expected
    assert "could not be written" not in capsys.readouterr().err
    reference_statistics(Cells(), reference_of(dataset))
    said = " ".join(capsys.readouterr().err.split())
    assert f"there is no folder {statistics}; make it, or choose another place. They are computed again each" in said


def test_values_are_given_where_statistics_cannot_be_exported(dataset, generator, tmp_path, monkeypatch):
    def judged(file):
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=20, export_statistics=file)

    fine = judged(tmp_path / "real-again.npz")
    assert (fine.exported is not None, fine.not_exported) == (True, None)
    monkeypatch.setattr(whole, "settle", Mock(side_effect=OSError(errno.ENOSPC, "no space")))
    refused = judged(tmp_path / "full.npz")
    assert refused.report == fine.report
    assert refused.exported is None
    assert "full.npz could not be written: the disk is full (" in str(refused.not_exported)
    assert not (tmp_path / "full.npz").exists()


def test_another_split_does_not_take_the_cached_statistics(dataset, generator):
    network = Cells()
    for reference in (reference_of(dataset), reference_of(dataset, "train", 0.2, 1000, 0)):
        evaluate(generator, reference, network, metrics=["fd"], num=20)
    assert network.seen == 120 + 20 + 96 + 20


def test_exported_statistics_judge_without_the_pictures(dataset, generator, tmp_path):
    network = Cells()
    write_statistics(tmp_path / "real.npz", reference_statistics(network, reference_of(dataset), progress=False))
    imported = read_statistics(tmp_path / "real.npz", network_protocol(network))
    network.seen = 0
    found = evaluate(generator, imported, network, num=30, score_splits=2)
    assert network.seen == 30
    expected = evaluate(generator, reference_of(dataset), Cells(), num=30, score_splits=2)
    assert found.report == expected.report
    with pytest.raises(ValueError, match="needs the real pictures with their classes"):
        evaluate(generator, imported, network, metrics=["intra"])
    with pytest.raises(ValueError, match="needs the pictures themselves"):
        evaluate(generator, imported, network, metrics=["fd"], num=20, neighbours=2)


def test_statistics_of_another_protocol_are_refused_and_left_alone(dataset, tmp_path):
    network = Cells()
    file = tmp_path / "real.npz"
    write_statistics(file, reference_statistics(network, reference_of(dataset), progress=False))
    before = file.read_bytes()
    network.weights_sha256 = "1" * 64
    with pytest.raises(ValueError, match=r"statistics of another kind \(weights_sha256: '000.*wanted '111"):
        read_statistics(file, network_protocol(network))
    assert file.read_bytes() == before
    with pytest.raises(ValueError, match="no such file"):
        read_statistics(tmp_path / "absent.npz", {})
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match="holds no statistics of pictures, or is damaged"):
        read_statistics(tmp_path / "text.npz", {})


def test_statistics_of_another_network_are_refused(dataset):
    class Other(Cells):
        name = "other"

    statistics = reference_statistics(Other(), reference_of(dataset), progress=False)
    with pytest.raises(ValueError, match=r"statistics of another kind \(network: 'other', wanted 'cells'\)"):
        evaluate(dataset, statistics, Cells(), metrics=["fd"])
