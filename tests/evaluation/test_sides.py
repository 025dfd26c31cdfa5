"""Pictures from anywhere, on both sides, and what does not belong together."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import Cells, evaluate
from PIL import Image

import sagan.evaluation
from sagan.data import DataConfig, open_dataset
from sagan.evaluation import EvaluateConfig, reference_of
from sagan.evaluation.reference import HashedBatches, Reference
from sagan.evaluation.sides import (
    Judged,
    check_trained_on,
    chosen_part,
    holdout_of,
    is_generator,
    open_images,
    open_judged,
    open_real,
)
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.report import ProtocolError, compare
from sagan.recipes.config import to_json


def test_a_split_that_nothing_says_more_of_is_that_of_a_run(dataset):
    held = DataConfig(holdout_fraction=0.25)
    said = chosen_part(dataset, EvaluateConfig(split="heldout", holdout_fraction=0.25))
    assert said.split == f"heldout, holdout 0.25 at most {held.holdout_max}, seed 0"


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


@pytest.mark.parametrize("make", [str, Path, lambda file: DataConfig(path=str(file))])
def test_real_pictures_are_opened_from_a_path_and_from_a_configuration(dataset, tmp_path, make):
    images = open_images(make(tmp_path / "real.npz"), 16, progress=False)
    assert images.fingerprint == dataset.fingerprint


def test_pictures_of_another_size_say_both_sizes():
    rectangles = [np.zeros((2, 8, 6, 3), np.uint8)] * 2
    passed = HashedBatches(rectangles)
    assert len(list(passed)) == 2
    assert passed.size_px == "8x6"
    for size, batches in ((8, rectangles), (None, [np.zeros((2, 8, 8, 3), np.uint8), *rectangles])):
        with pytest.raises(ValueError, match=r"here 8x8 pixels \(height x width\) as the others, found 8x6"):
            list(HashedBatches(batches, size))


@pytest.mark.parametrize("name", ["config.json", "checkpoints", "generator.safetensors"])
def test_a_folder_is_a_run_by_what_lies_in_it(name, tmp_path):
    (tmp_path / "cat.png").touch()
    assert not is_generator(tmp_path)
    (tmp_path / name).touch()
    assert is_generator(tmp_path)


@pytest.mark.parametrize(
    ("name", "made", "generator"),
    [("a.pt", True, True), ("a.safetensors", True, True), ("a.npz", True, False), ("runs/mine", False, True)],
)
def test_a_file_is_a_generator_by_its_name_and_what_is_missing_was_meant_as_one(name, made, generator, tmp_path):
    if made:
        (tmp_path / name).touch()
    assert is_generator(tmp_path / name) is generator


def test_what_was_held_out_stands_in_the_provenance_or_in_the_runs_folder(tmp_path, tiny_config):
    said = {"holdout_fraction": 0.2, "holdout_max": 30, "seed": 4}
    held, seed = holdout_of(tmp_path, said, "heldout")
    assert (held.holdout_fraction, held.holdout_max, seed) == (0.2, 30, 4)
    with pytest.raises(ValueError, match="does not say which pictures its run held out"):
        holdout_of(tmp_path, {}, "heldout")
    with pytest.raises(ValueError, match="this generator does not say"):
        holdout_of(None, {}, "train")
    assert holdout_of(tmp_path, {}, "all") == (DataConfig(), 0)
    config = replace(tiny_config(), seed=7, data=DataConfig(path="x", holdout_fraction=0.3, holdout_max=20))
    (tmp_path / "config.json").write_text(to_json(config))
    held, seed = holdout_of(tmp_path, {}, "heldout")
    assert (held.holdout_fraction, held.holdout_max, seed) == (0.3, 20, 7)


def test_real_pictures_are_read_as_the_generators_were(generator, tmp_path, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
    for index in range(24):
        values = np.roll(np.linspace(0, 16383, 400), 17 * index).reshape(20, 20).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{index:02}.png")
    trained = {"decoding": {"range": {"16-bit": [0.0, 4095.0]}, "why": ["..."]}}
    alike = TrainedGenerator(generator.network, (), {**generator.provenance, "data": trained})
    found = sagan.evaluation.evaluate(alike, tmp_path, EvaluateConfig(num=24, metrics=["fd"]), network=Cells())
    assert "note: read as the run's pictures were, with --data.range=0:4095" in capsys.readouterr().err
    assert found.report.values[0].protocol["reference_decoding"] == "range 0:4095"
    apart = sagan.evaluation.evaluate(generator, tmp_path, EvaluateConfig(num=24, metrics=["fd"]), network=Cells())
    assert apart.report.values[0].protocol["reference_decoding"] == "range 16-bit 0:16383"
    with pytest.raises(ProtocolError, match="reference_decoding: 'range 0:4095' against 'range 16-bit 0:16383'"):
        compare(found.report, apart.report)
    by_type = DataConfig(path=str(tmp_path), range="type")
    plain = sagan.evaluation.evaluate(alike, by_type, EvaluateConfig(num=24, metrics=["fd"]), network=Cells())
    assert "reference_decoding" not in plain.report.values[0].protocol
    with pytest.raises(ProtocolError, match="reference_decoding: 'range 0:4095' against None"):
        compare(found.report, plain.report)


def test_the_same_pixels_in_other_words_are_compared(generator, dataset):
    other = replace(dataset, info=replace(dataset.info, decoding={"range": "0:255"}))
    values = [evaluate(generator, reference_of(images), Cells(), num=24, metrics=["fd"]) for images in (dataset, other)]
    assert [value.report.values[0].protocol.get("reference_decoding") for value in values] == [None, "range 0:255"]
    assert len(compare(values[0].report, values[1].report)) == 1


def test_judged_pictures_say_how_they_were_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "made").mkdir()
    for index in range(3):
        values = np.full((16, 16), 4095, np.uint16) * (np.arange(16) % 2).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / "made" / f"{index:02}.png")
    judged = open_judged(tmp_path / "made", progress=False)
    assert judged.subject == {"pictures": "made", "decoding": "range 16-bit 0:4095"}


def test_pictures_of_runs_that_read_them_otherwise_get_the_flags(dataset):
    read = replace(dataset, info=replace(dataset.info, decoding={"range": {"16-bit": [0.0, 4095.0]}}))
    flags = "add --data.range type --data.background white if"
    with pytest.raises(ValueError, match=flags):
        check_trained_on({"data": {"fingerprint": "0"}}, read)
    for data, images in (({"fingerprint": "0", "decoding": {"range": "type"}}, read), ({"fingerprint": "0"}, dataset)):
        with pytest.raises(ValueError, match=r"\(--split all\)$"):
            check_trained_on({"data": data}, images)


def test_pictures_in_python_come_to_their_size_as_the_run_did(generator, tmp_path):
    trained = TrainedGenerator(generator.network, generator.class_names, {"data": {"decoding": {"fit": "squeeze"}}})
    wide = np.zeros((4, 16, 32, 3), np.uint8)
    wide[:, :, :8] = 255  # a crop does not see it
    config = EvaluateConfig(cache_dir=str(tmp_path))
    real = open_real((wide, [0, 1, 0, 1]), Judged(trained, {}), config, progress=False)
    assert isinstance(real, Reference) and (real.images.images[:][:, :, :3] == 255).all()
