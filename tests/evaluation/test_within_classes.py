"""The distance within each class: interrupted and continued, planned, and under the right name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cells import NAMES, Cells, by_name, evaluate

from sagan.evaluation import (
    intra_distance,
    plan_intra,
    reference_of,
)
from sagan.evaluation.within_classes import BATCH_SIZE, IntraPlan
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.report import report_from_json


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
