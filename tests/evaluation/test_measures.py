"""From measures to what a user reads: names, values, and measures of one's own."""

import numpy as np
import pytest
import torch
from cells import NAMES, Cells, by_name, evaluate

from sagan.evaluation import (
    metric_name,
    reference_of,
    sampled_batches,
)
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.inception import NAME as INCEPTION
from sagan.sampling import sample_labels


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


def test_too_few_pictures_are_said(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=12)
    assert "12 pictures for 12 features" in result.report.values[0].warnings[0]
    assert np.isfinite(result.report.values[0].value)
    assert "note: FD(cells)" in result.text()


def test_names_say_which_network(dataset):
    network = Cells()
    assert metric_name("fd", network) == "FD(cells)"
    network.name = INCEPTION
    assert [metric_name(metric, network) for metric in ("fd", "is", "kd", "intra")] == ["FID", "IS", "KID", "intra-FID"]


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


def test_the_inception_score_alone_looks_at_no_real_picture(dataset, generator):
    network = Cells()
    evaluate(generator, reference_of(dataset), network, metrics=["is"], num=20)
    assert network.seen == 20
