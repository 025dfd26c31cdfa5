"""Evaluation end to end with a small feature network: values, protocols, the cache, and what is refused."""

import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sagan.evaluation
from sagan.data import DataConfig, open_dataset
from sagan.evaluation import (
    Collected,
    EvaluateConfig,
    Evaluation,
    collect,
    comparison,
    intra_distance,
    measure,
    metric_name,
    plan_intra,
    read_statistics,
    reference_of,
    reference_statistics,
    sampled_batches,
    write_statistics,
)
from sagan.generators.pretrained import TrainedGenerator, load
from sagan.generators.weights import save_weights
from sagan.metrics.features import Features, check_images, network_protocol
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.report import ProtocolError, compare, report_from_json
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.sampling import sample_labels, sampling_copy

NAMES = ("red", "green", "blue")


def evaluate(side, reference, network, **fields):
    """Judge with a configuration of these fields, silently."""
    return sagan.evaluation.evaluate(side, reference, EvaluateConfig(**fields), network=network, progress=False)


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
    result = evaluate(dataset, reference_of(dataset), Cells())
    values = by_name(result)
    assert values["FD(cells)"].value == pytest.approx(0.0, abs=1e-9)
    assert values["precision(cells)"].value == values["recall(cells)"].value == values["coverage(cells)"].value == 1.0
    assert abs(values["KD(cells)"].value) < 0.02
    # Three colours, each picture nearly certain of its own.
    assert 1.5 < values["IS(cells)"].value < 3.0


def test_the_distance_is_that_of_all_features(dataset, generator):
    network = Cells()
    result = evaluate(generator, reference_of(dataset), network, metrics=["fd"], num=70, seed=3)
    samples = torch.from_numpy(np.concatenate(list(sampled_batches(generator, 70, 3))))
    expected = frechet_distance(
        gaussian(network(samples).features.numpy()),
        gaussian(network(torch.from_numpy(np.array(dataset.images))).features.numpy()),
    )
    assert result.report.values[0].value == pytest.approx(expected, rel=1e-6)
    assert expected > 0.1


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


def test_values_made_in_different_ways_are_not_compared(dataset, generator):
    def report(**how):
        return evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], **how).report

    assert "FD(cells)" in comparison(report(num=20), report(num=20), ["a", "b"])
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
    evaluate(generator, reference_of(dataset), Cells(), metrics=["fd", "intra"], num=20, intra_num=10)
    assert digest() == before


def test_real_statistics_are_computed_once(dataset, generator):
    first, again = Cells(), Cells()
    results = [
        evaluate(generator, reference_of(dataset), network, metrics=["fd", "prdc"], num=20)
        for network in (first, again)
    ]
    assert (first.seen, again.seen) == (140, 20)
    assert results[0].report == results[1].report


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
    assert value() == before


def test_another_split_does_not_take_the_cached_statistics(dataset, generator):
    network = Cells()
    for reference in (reference_of(dataset), reference_of(dataset, "train", 0.2, 1000, 0)):
        evaluate(generator, reference, network, metrics=["fd"], num=20)
    assert network.seen == 120 + 20 + 96 + 20


def test_intra_judges_each_class_by_itself(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["intra"], intra_num=40)
    value = by_name(result)["intra-FD(cells)"]
    assert [found.value for found in result.classes] == sorted((f.value for f in result.classes), reverse=True)
    assert {found.class_name for found in result.classes} == set(NAMES)
    assert value.value == pytest.approx(np.mean([found.value for found in result.classes]))
    assert value.protocol["generated_per_class"] == 40
    assert {f.class_name: f.real for f in result.classes} == {
        name: int((dataset.labels == label).sum()) for label, name in enumerate(NAMES)
    }


def test_too_few_pictures_are_said(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=12)
    assert "12 pictures for 12 features" in result.report.values[0].warnings[0]
    assert np.isfinite(result.report.values[0].value)
    assert "note: FD(cells)" in result.text()


def test_the_nearest_pictures_of_copies_are_the_originals(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"], neighbours=4)
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
        evaluate(generator, reference_of(dataset), Cells(), **change)


def test_sizes_must_agree(dataset, tmp_path):
    other = open_dataset(DataConfig(path=str(tmp_path / "real.npz")), 32, progress=False)
    with pytest.raises(ValueError, match="the pictures have 32 px, the reference has 16"):
        evaluate(other, reference_of(dataset), Cells())


def test_other_classes_have_no_distance_within(dataset, generator):
    stranger = TrainedGenerator(generator.network, ("a", "b", "c"), generator.provenance)
    with pytest.raises(ValueError, match="same classes on both sides"):
        evaluate(stranger, reference_of(dataset), Cells(), metrics=["intra"])


def test_an_evaluation_without_classes_prints_none(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["fd"])
    assert isinstance(result, Evaluation)
    assert "within classes" not in result.text()


# ------------------------------------------------------------ pictures and statistics from anywhere


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


# ------------------------------------------------------------ several processes

HALF = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
from test_evaluation import Cells
from sagan.evaluation import collect
from sagan.generators.pretrained import load
from sagan.evaluation import sampled_batches
first, count, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
generator = load({weights!r})
found = collect(Cells(), sampled_batches(generator, count, 5, first=first), count, first=first, total=70,
                score_splits=7, progress=False)
np.savez(out, **found.to_arrays())
"""


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


# ------------------------------------------------------------ class accuracy


def test_real_colours_are_named_as_they_are(dataset):
    labels = {name: [index] for index, name in enumerate(NAMES)}
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["accuracy"], class_labels=labels)
    values = by_name(result)
    assert values["class accuracy(cells)"].value == 1.0
    assert values["class accuracy(cells) of the real pictures"].value == 1.0
    swapped = labels | {"red": [1], "green": [0]}
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["accuracy"], class_labels=swapped)
    share = float((dataset.labels == 2).mean())
    values = by_name(result)
    assert values["class accuracy(cells)"].value == pytest.approx(share)
    # Statistics under other labels are not taken from the cache.
    assert values["class accuracy(cells) of the real pictures"].value == pytest.approx(share)


def test_accuracy_of_samples_is_counted_by_the_class_that_was_asked_for(dataset, generator):
    labels = {name: [index] for index, name in enumerate(NAMES)}
    result = evaluate(
        generator,
        reference_of(dataset),
        Cells(),
        metrics=["accuracy"],
        num=60,
        seed=4,
        class_labels=labels,
    )
    samples = np.concatenate(list(sampled_batches(generator, 60, 4)))
    asked = sample_labels(4, range(60), 3, stream="evaluation").numpy()
    named = Cells()(torch.from_numpy(samples)).logits.argmax(1).numpy()
    assert by_name(result)["class accuracy(cells)"].value == pytest.approx((named == asked).mean())
    assert len(set(asked.tolist())) == 3


def test_accuracy_says_what_it_lacks(dataset, generator):
    def accuracy(side, **how):
        return evaluate(side, reference_of(dataset), Cells(), metrics=["accuracy"], num=20, **how)

    with pytest.raises(ValueError, match=r"--class-labels FILE\.json"):
        accuracy(generator)
    with pytest.raises(ValueError, match="needs samples with classes"):
        accuracy(np.array(dataset.images), class_labels={"red": [0]})
    stranger = TrainedGenerator(generator.network, ("a", "b", "c"), generator.provenance)
    with pytest.raises(ValueError, match="the generated side has a, b, c, the real one red, green, blue"):
        accuracy(stranger, class_labels={"a": [0], "b": [1], "c": [2]})


# ------------------------------------------------------------ distances within classes


class Interrupting(Cells):
    """Stops, as Ctrl-C does, after so many pictures."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def __call__(self, images):
        if self.seen >= self.after:
            raise KeyboardInterrupt
        return super().__call__(images)


def intra(generator, dataset, network, **how):
    return intra_distance(network, generator, reference_of(dataset), 50, **({"progress": False} | how))


def test_distances_within_classes_go_on_where_they_stopped(dataset, generator, tmp_path):
    reference = Cells()
    expected = intra(generator, dataset, reference, cache_dir=str(tmp_path / "elsewhere"))
    first = (dataset.labels == 0).sum() + 50
    with pytest.raises(KeyboardInterrupt):
        intra(generator, dataset, Interrupting(first + 10))
    (file,) = (tmp_path / "cache" / "within-classes").iterdir()
    file.write_text(file.read_text() + '{"class_name": "gre')  # half a line, as a crash leaves it
    again = Cells()
    assert intra(generator, dataset, again) == expected
    assert again.seen == reference.seen - first  # the first class was not done again
    last = Cells()
    assert intra(generator, dataset, last) == expected
    assert last.seen == 0


def test_other_weights_or_numbers_do_not_take_finished_classes(dataset, generator):
    intra(generator, dataset, Cells())
    for how in ({"seed": 1}, {"truncation": 1.0}):
        network = Cells()
        intra(generator, dataset, network, **how)
        assert network.seen == 120 + 150
    with torch.no_grad():
        generator.network.linear.bias[0] += 0.5
    network = Cells()
    intra(generator, dataset, network)
    assert network.seen == 120 + 150


def test_the_plan_counts_what_is_left(dataset, generator, capsys):
    plan = plan_intra(Cells(), generator, reference_of(dataset), 50)
    assert (plan.classes, plan.done, plan.pictures) == (3, 0, 120 + 150)
    assert plan.pictures_per_s > 0
    assert plan.seconds >= plan.pictures / plan.pictures_per_s
    with pytest.raises(KeyboardInterrupt):
        intra(generator, dataset, Interrupting((dataset.labels == 0).sum() + 60))
    plan = plan_intra(Cells(), generator, reference_of(dataset), 50)
    assert (plan.classes, plan.done, plan.pictures) == (2, 1, int((dataset.labels > 0).sum()) + 100)
    assert "2 classes (1 more are done already)" in plan.text()
    intra(generator, dataset, Cells(), progress=True)
    said = capsys.readouterr().err
    assert "within classes: 2 classes" in said
    assert "the same command goes on there" in said


def test_given_classes_have_distances_within_and_are_kept_in_the_report(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["intra"])
    assert result.report.values[0].value == pytest.approx(0.0, abs=1e-9)
    assert set(result.report.classes) == set(NAMES)
    assert sum(found["generated"] for found in result.report.classes.values()) == 120
    assert report_from_json(result.report.to_json()).classes == result.report.classes
    half = replace(dataset, labels=np.where(dataset.labels == 2, 0, dataset.labels))
    with pytest.raises(ValueError, match=r"class blue has .* real pictures in this split and 0 generated ones"):
        evaluate(half, reference_of(dataset), Cells(), metrics=["intra"])


# ------------------------------------------------------------ what is refused before any work


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"metrics": ["fd", "intra"], "intra_num": 1}, "a distance needs at least 2 of each"),
        ({"metrics": ["fd", "prdc"], "num": 5}, "5 pictures are too few to judge by: these metrics need at least 6"),
        ({"metrics": ["fd"], "num": 3}, "3 pictures are too few"),
    ],
)
def test_what_cannot_succeed_is_refused_before_the_first_picture(dataset, generator, how, message):
    network = Cells()
    with pytest.raises(ValueError, match=message):
        evaluate(generator, reference_of(dataset), network, **how)
    assert network.seen == 0


def test_statistics_of_another_network_are_refused(dataset):
    class Other(Cells):
        name = "other"

    statistics = reference_statistics(Other(), reference_of(dataset), progress=False)
    with pytest.raises(ValueError, match=r"made with another network \(network: 'other' against 'cells'\)"):
        evaluate(dataset, statistics, Cells(), metrics=["fd"])


def test_the_inception_score_alone_looks_at_no_real_picture(dataset, generator):
    network = Cells()
    evaluate(generator, reference_of(dataset), network, metrics=["is"], num=20)
    assert network.seen == 20


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


# ------------------------------------------------------------ comparing a run with anything else


def test_pictures_of_another_generator_compare_with_a_run(dataset, generator):
    samples = np.concatenate(list(sampled_batches(generator, 40, 0)))
    ours, theirs = (
        evaluate(side, reference_of(dataset), Cells(), metrics=["fd"], num=40).report for side in (generator, samples)
    )
    text = comparison(ours, theirs, ["ours", "theirs"])
    assert ours.values[0].value == pytest.approx(theirs.values[0].value)
    assert "unknown of given pictures, so not compared: batch_norm, ema, seed, truncation" in text
    more = evaluate(samples[:30], reference_of(dataset), Cells(), metrics=["fd"]).report
    with pytest.raises(ProtocolError, match="generated: 40 against 30"):
        comparison(ours, more, ["ours", "more"])


def test_a_comparison_notes_versions_and_what_it_leaves_out(dataset, generator):
    def report(metrics):
        return evaluate(generator, reference_of(dataset), Cells(), metrics=metrics, num=40).report

    older = replace(report(["fd"]), versions=report(["fd"]).versions | {"torch": "1.0"})
    text = comparison(report(["fd", "is"]), older, ["a", "b"])
    assert "note: other versions: torch" in text
    assert "against 1.0" in text
    assert "in one of the two only: IS(cells)" in text
