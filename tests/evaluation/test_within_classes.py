"""The distance within each class: interrupted and continued, planned, and under the right name."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from cells import NAMES, Cells, by_name, evaluate

import sagan
from sagan.evaluation import EvaluateConfig, intra_distance, plan_intra, reference_of, sampled_batches
from sagan.evaluation.within_classes import BATCH_SIZE, IntraPlan
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.report import report_from_json
from sagan.ops.norm import ConditionalBatchNorm2d


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


def test_other_classes_have_no_distance_within(dataset, generator):
    stranger = TrainedGenerator(generator.network, ("a", "b", "c"), generator.provenance)
    with pytest.raises(ValueError, match="same classes on both sides"):
        evaluate(stranger, reference_of(dataset), Cells(), metrics=["intra"])


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


def test_finished_classes_of_any_length_take_bounded_memory(dataset, generator, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        intra(generator, dataset, Interrupting((dataset.labels == 0).sum() + 60))
    (file,) = (tmp_path / "cache" / "within-classes").iterdir()
    os.truncate(file, 2**40)
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    with pytest.raises(ValueError, match=r"\.jsonl cannot be read: it has more than 1 MiB; remove it"):
        intra(generator, dataset, Cells())


def test_distances_are_given_where_finished_classes_cannot_be_kept(dataset, generator, tmp_path, capsys):
    expected = intra(generator, dataset, Cells(), cache_dir=str(tmp_path / "elsewhere"))
    reference_of(dataset)
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "within-classes").write_text("no folder")
    assert intra(generator, dataset, Cells(), progress=True) == expected
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("After an interruption all classes are measured anew") == 1


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


def test_the_plan_knows_the_memory_beside_the_networks(dataset, generator):
    # Ten arrays of the covariance's size in float64; a batch of pictures in float32 as they are and as the network
    # wants them. The sizes differ, so that none can stand for another.
    network, size = Cells(), dataset.images.shape[1]
    network.image_px = 24
    plan = plan_intra(network, generator, reference_of(dataset), 50)
    assert plan.peak_bytes == 10 * 12 * 12 * 8 + BATCH_SIZE * (24 * 24 + size * size) * 3 * 4


@pytest.mark.parametrize(
    ("classes", "distance_s", "seconds", "words"),
    [
        (10, 3.0, 50.0, "about a minute"),
        (10, 4.0, 60.0, "about a minute"),
        (20, 4.5, 110.0, "about 2 min"),
        (10, 357.9, 3599.0, "about 60 min"),
        (10, 358.0, 3600.0, "about 1.0 h"),
        (1000, 36.0, 36020.0, "about 10.0 h"),
    ],
)
def test_the_time_is_that_of_pictures_and_distances(classes, distance_s, seconds, words):
    plan = IntraPlan(classes, 0, pictures=80, pictures_per_s=4.0, distance_s=distance_s, peak_bytes=3 << 20)
    assert plan.seconds == pytest.approx(seconds)
    assert f"{words}, 3 MiB beside the networks" in plan.text()
    assert ", 4 MiB beside" in plan._replace(peak_bytes=(4 << 20) - 1).text()  # to the nearest


class Bar:
    """A progress bar that keeps what it is told."""

    def __init__(self):
        self.tasks, self.said, self.done = [], [], 0

    def add_task(self, description, total):
        self.tasks.append((description, total))
        return 7

    def update(self, task, description):
        assert task == 7
        self.said.append(description)

    def advance(self, task, count):
        assert task == 7
        self.done += count


def test_the_bar_names_the_class_and_counts_all_pictures(dataset, monkeypatch):
    bar, shown = Bar(), []

    @contextmanager
    def noting(show):
        shown.append(show)
        yield bar

    monkeypatch.setattr("sagan.evaluation.within_classes.progress_bar", noting)
    for _ in range(2):  # the second time all classes are done already
        intra_distance(Cells(), dataset, reference_of(dataset), 10, progress=True)
    assert shown == [True, False]
    assert bar.tasks == [("within classes", 240), ("within classes", 0)]  # each class is seen on both sides
    assert bar.said == [f"within classes, {number} of 3: {name}" for number, name in enumerate(NAMES, 1)]
    assert bar.done == 240


def test_given_classes_have_distances_within_and_are_kept_in_the_report(dataset):
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=["intra"])
    assert result.report.values[0].value == pytest.approx(0.0, abs=1e-9)
    assert set(result.report.classes) == set(NAMES)
    assert sum(found["generated"] for found in result.report.classes.values()) == 120
    assert report_from_json(result.report.to_json()).classes == result.report.classes
    half = replace(dataset, labels=np.where(dataset.labels == 2, 0, dataset.labels))
    with pytest.raises(ValueError, match=r"class blue has .* real pictures in this split and 0 generated ones"):
        evaluate(half, reference_of(dataset), Cells(), metrics=["intra"])


def test_each_distance_stands_under_its_own_class(dataset):
    # Only the green pictures are darkened: their distance alone is far, in the list, the report and the text.
    images, generated = np.array(dataset.images), replace(dataset, images=np.array(dataset.images))
    green = dataset.labels == NAMES.index("green")
    generated.images[green] = images[green] // 3
    result = evaluate(generated, reference_of(dataset), Cells(), metrics=["intra"])
    far, *near = result.classes
    assert far.class_name == "green"
    assert far.real == int(green.sum())
    assert all(one.value == pytest.approx(0.0, abs=1e-6) for one in near)
    assert result.report.classes["green"]["value"] == far.value > 0.1
    listed = result.text().split("the worst first:\n")[1].splitlines()
    assert "green" in listed[0]


COUNTS = {"zebra": (24, 40), "apple": (32, 8), "mango": (8, 16), "cello": (48, 24)}
"""Generated and real pictures of each class, in an order that is neither the alphabet's nor that of the counts."""


def in_classes(file, side, brighter):
    """Write copies of eight pictures of each class, in a mixed order; some classes are brighter in every pixel."""
    eight = {name: np.random.default_rng(label).integers(20, 150, (8, 16, 16, 3)) for label, name in enumerate(COUNTS)}
    parts = [np.tile(eight[name] + brighter.get(name, 0), (n[side] // 8, 1, 1, 1)) for name, n in COUNTS.items()]
    labels = np.repeat(np.arange(len(COUNTS)), [len(part) for part in parts])
    order = np.random.default_rng(side).permutation(len(labels))
    images = np.concatenate(parts).astype(np.uint8)[order]
    np.savez(file, images=images, labels=labels[order], class_names=np.array(list(COUNTS)))
    return file


@pytest.mark.parametrize("wrong", list(COUNTS))
def test_the_class_that_is_wrong_is_the_one_that_is_named(tmp_path, monkeypatch, wrong):
    """From files to what a user reads: one class is far too bright, the one named before it a little."""
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    names = list(COUNTS)
    slightly = names[names.index(wrong) - 1]
    generated = in_classes(tmp_path / "generated.npz", 0, {wrong: 60, slightly: 12})
    real = in_classes(tmp_path / "real.npz", 1, {})
    config = EvaluateConfig(metrics=("intra",), features="pixels")
    result = sagan.evaluate(generated, real, config, progress=False)

    assert [one.class_name for one in result.classes[:2]] == [wrong, slightly]
    assert {one.class_name: (one.generated, one.real) for one in result.classes} == COUNTS
    assert result.classes[0].value == pytest.approx(192 * (60 / 255) ** 2, rel=0.02)
    assert result.classes[1].value == pytest.approx(192 * (12 / 255) ** 2, rel=0.1)
    assert all(one.value < 0.02 for one in result.classes[2:])

    told = {
        one.class_name: {"value": one.value, "generated": one.generated, "real": one.real} for one in result.classes
    }
    assert json.loads(result.report.to_json())["classes"] == told
    lines = result.text().split("the worst first:\n")[1].splitlines()[:2]
    assert [line.split(maxsplit=1)[1] for line in lines] == [f"{n} ({COUNTS[n][1]} real)" for n in (wrong, slightly)]
    (value,) = result.report.values
    assert value.value == pytest.approx(sum(one.value for one in result.classes) / 4)


def test_samples_of_a_class_are_judged_by_the_real_pictures_of_that_class(dataset, generator):
    """Of a generator: under each name stands what its samples of that class, drawn here, are away from its pictures."""
    gains = [layer.gain for layer in generator.network.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    with torch.no_grad():  # untrained, the generator would draw the same for every class
        for gain in (gain for gain in gains if len(gain) == 3):
            gain.copy_(torch.tensor([[0.2], [1.0], [3.0]]).expand_as(gain))
    config = EvaluateConfig(metrics=("intra",), intra_num=40, seed=5)
    result = sagan.evaluate(generator, reference_of(dataset), config, network=Cells(), progress=False)
    for label, name in enumerate(NAMES):
        samples = np.concatenate(list(sampled_batches(generator, 40, 5, None, label)))
        sides = (torch.from_numpy(images) for images in (samples, np.array(dataset.images)[dataset.labels == label]))
        expected = frechet_distance(*(gaussian(Cells()(images).features.numpy()) for images in sides))
        assert result.report.classes[name]["value"] == pytest.approx(expected, rel=1e-6)
    assert len({round(one.value, 6) for one in result.classes}) == 3
