"""From measures to what a user reads: names, values, and measures of one's own."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cells import NAMES, Cells, by_name, evaluate

import sagan.evaluation
from sagan.evaluation import (
    EvaluateConfig,
    Measure,
    collect,
    comparison,
    measure,
    metric_name,
    reference_of,
    sampled_batches,
)
from sagan.evaluation.case import Case, too_few
from sagan.evaluation.measures import InceptionScore
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.features import network_protocol
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.kernel import kernel_distance
from sagan.metrics.neighbours import precision_recall
from sagan.metrics.report import ProtocolError, compare, report_from_json
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


def test_every_measure_says_which_way_is_better_and_with_which_numbers_it_was_made(dataset):
    labels = {name: [index] for index, name in enumerate(NAMES)}
    metrics = ["fd", "is", "kd", "prdc", "accuracy", "intra"]
    result = evaluate(dataset, reference_of(dataset), Cells(), metrics=metrics, class_labels=labels)
    values = by_name(result)
    lower = {"FD(cells)", "KD(cells)", "intra-FD(cells)"}
    assert {name for name, value in values.items() if not value.higher_is_better} == lower
    assert {name.split("(")[0] for name in values.keys() - lower} == {
        *("IS", "precision", "recall", "density", "coverage", "class accuracy")
    }
    kernel = values["KD(cells)"].protocol  # those of torch-fidelity
    assert [kernel[name] for name in ("subsets", "draw_seed", "subset_size", "kept")] == [100, 2020, 120, 10_000]
    assert values["IS(cells)"].protocol["shuffle_seed"] == 2020


def test_the_inception_score_of_what_was_collected_needs_no_real_side(generator):
    drawn = collect(Cells(), sampled_batches(generator, 20, 0), 20, score_splits=2, progress=False)
    (value,) = measure(Cells(), drawn, None, ("is",), {}, progress=False)
    assert value.metric == "IS(cells)"
    assert value.value == drawn.scores.score().mean
    with pytest.raises(ValueError, match="real"):
        measure(Cells(), drawn, None, ("is", "fd"), {}, progress=False)


def test_which_way_is_better_has_to_be_named():
    case = Case(network=Cells(), drawn=None, real=None, protocol={}, progress=False)
    assert not case.value("FD", 1.0, higher_is_better=False).higher_is_better
    with pytest.raises(TypeError, match="positional"):
        case.value("FD", 1.0, False)


def test_classes_that_are_two_have_a_score_and_one_has_none():
    network = Cells()
    network.num_classes = 2
    InceptionScore().check_network(network, EvaluateConfig())
    network.num_classes = 1
    with pytest.raises(ValueError, match="cells has no classes, so there is no Inception Score"):
        InceptionScore().check_network(network, EvaluateConfig())


def test_too_few_pictures_are_said(dataset, generator):
    result = evaluate(generator, reference_of(dataset), Cells(), metrics=["fd"], num=12)
    assert "12 pictures for 12 features" in result.report.values[0].warnings[0]
    assert np.isfinite(result.report.values[0].value)
    assert "note: FD(cells)" in result.text()


@pytest.mark.parametrize(("count", "full"), [(11, False), (12, False), (13, True), (1300, True)])
def test_a_covariance_has_full_rank_of_one_picture_more_than_features(count, full):
    words = f"{count:,} pictures of a class for 12 features: the covariance has not full rank"
    assert [text.partition(" and the value")[0] for text in too_few(count, 12, " of a class")] == [words] * (not full)


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


# ------------------------------------------------------------ from measures to what a user reads


def test_precision_and_recall_are_not_exchanged(dataset):
    # Copies of a few real pictures: each lies among the real ones, and most of the real ones lie far from them.
    copies = np.repeat(np.array(dataset.images)[dataset.labels == 0][:8], 3, axis=0)
    result = evaluate(copies, reference_of(dataset), Cells(), metrics=["precision"])
    values = by_name(result)
    assert values["precision(cells)"].value == 1.0
    assert values["recall(cells)"].value < 0.5
    assert values["coverage(cells)"].value < 0.5
    real = torch.from_numpy(np.array(dataset.images))
    expected = precision_recall(Cells()(torch.from_numpy(copies)).features, Cells()(real).features)
    assert (expected.precision, expected.recall) == (
        values["precision(cells)"].value,
        values["recall(cells)"].value,
    )
    lines = {line.split()[0]: line.split()[1] for line in result.text().splitlines() if "is better" in line}
    assert lines["precision(cells)"] == "1"
    assert float(lines["recall(cells)"]) < 0.5
    written = {value["metric"]: value["value"] for value in json.loads(result.report.to_json())["values"]}
    assert written["precision(cells)"] > written["recall(cells)"]


def in_a_report(result):
    """Give what a reader finds: the values in the report, and the same in its text and its JSON."""
    values = {value.metric.removesuffix("(cells)"): value.value for value in result.report.values}
    told = {line.split("(")[0]: float(line.split()[1]) for line in result.text().splitlines() if "is better" in line}
    written = {
        one["metric"].removesuffix("(cells)"): one["value"] for one in json.loads(result.report.to_json())["values"]
    }
    assert told == pytest.approx(values, rel=1e-3)
    assert written == values
    return values


def balls(points, k):
    """Give the distances (N, N) among points, and from each the one to its k-th nearest other."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return apart, np.sort(apart, axis=1)[:, k]


def by_hand(generated, real):
    """Compute all four from features, each by the words of its definition."""
    between = np.linalg.norm(generated[:, None] - real[None], axis=2)
    in_real, in_generated = between <= balls(real, 3)[1][None], between <= balls(generated, 3)[1][:, None]
    wide = between <= balls(real, 5)[1][None]
    return {
        "precision": in_real.any(1).mean(),
        "recall": in_generated.any(0).mean(),
        "density": wide.sum(1).mean() / 5,
        "coverage": wide.any(0).mean(),
    }


def test_precision_recall_density_and_coverage_stand_under_their_own_names():
    """Two modes against all ten of them: what is seen is right and much is missing, or the other way round."""
    random = np.random.default_rng(3)
    colours = random.integers(20, 236, (10, 1, 1, 3))

    def drawn(modes, each):
        base = np.repeat(colours[modes], each, axis=0)
        return (base + random.integers(-15, 16, (len(base), 16, 16, 3))).astype(np.uint8)

    few, all_modes = drawn([2, 7], 40), drawn(range(10), 20)
    features = [Cells()(torch.from_numpy(side)).features.numpy().astype(np.float64) for side in (few, all_modes)]
    config = EvaluateConfig(metrics=("precision",))
    cases = ((few, all_modes, features), (all_modes, few, features[::-1]))
    tight, spread = (
        in_a_report(sagan.evaluate(generated, real, config, network=Cells(), progress=False))
        for generated, real, _ in cases
    )
    for found, (*_, sides) in zip((tight, spread), cases, strict=True):
        assert list(found) == ["precision", "recall", "density", "coverage"]
        assert found == pytest.approx(by_hand(*sides))
    assert tight["precision"] > 0.5 > 0.3 > tight["recall"] > 0.0
    assert spread["recall"] > 0.5 > 0.3 > spread["precision"] > 0.0
    assert tight["density"] > 0.5 > 0.3 > tight["coverage"] > 0.0
    assert spread["coverage"] > 0.5 > 0.3 > spread["density"] > 0.0


def test_the_kernel_distance_is_from_the_generated_to_the_real(dataset):
    """The number is nearly the same the other way round: rows are drawn of the generated side first."""
    generated = np.array(dataset.images)[::2] // 2 + 40
    found = sagan.evaluate(
        generated, reference_of(dataset), EvaluateConfig(metrics=("kid",)), network=Cells(), progress=False
    )
    (value,) = found.report.values
    # Up to as many pictures as are kept, their features are all there, in the order of the pictures.
    sides = [Cells()(torch.from_numpy(np.array(images))).features for images in (generated, dataset.images)]
    expected, exchanged = kernel_distance(*sides), kernel_distance(*sides[::-1])
    assert value.value == pytest.approx(expected.mean, rel=1e-6)
    assert value.spread == pytest.approx(expected.std, rel=1e-6)
    assert abs(exchanged.mean - expected.mean) > 1e-4 * expected.mean
    assert "as there are 60 generated and 120 real" in value.warnings[0]


def test_a_measure_of_ones_own_from_the_docs(dataset, generator):
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "(Measure)" in code]
    assert len(block.strip().splitlines()) <= 20
    names = {"generator": generator, "data": reference_of(dataset), "network": Cells()}
    exec(block, names)
    value = by_name(names["result"])["mean shift(cells)"]
    real = Cells()(torch.from_numpy(np.array(dataset.images))).features.double().mean(0)
    drawn = torch.from_numpy(np.concatenate(list(sampled_batches(generator, 100, 0))))
    shift = float((Cells()(drawn).features.double().mean(0) - real).norm())
    assert value.value == pytest.approx(shift, rel=1e-5)
    fields = network_protocol(Cells()) | {"generated": 100, "seed": 0, "reference_sha256": dataset.fingerprint}
    assert fields.items() <= value.protocol.items()
    report = names["result"].report
    assert report_from_json(report.to_json()) == report
    assert "mean shift(cells)" in comparison(report, report, ["a", "b"])
    assert "mean shift(cells)" in names["result"].text()
    other = sagan.evaluation.evaluate(
        generator,
        reference_of(dataset),
        EvaluateConfig(metrics=(), num=50),
        measures=[names["MeanShift"]()],
        network=Cells(),
        progress=False,
    )
    assert [one.metric for one in other.report.values] == ["mean shift(cells)"]
    with pytest.raises(ProtocolError, match="generated: 100 against 50"):
        compare(report, other.report)


def test_a_typed_fid_is_said_to_be_another_distance(dataset, generator, capsys):
    config = EvaluateConfig(metrics=("FID", "precision"), num=20)
    sagan.evaluation.evaluate(generator, reference_of(dataset), config, network=Cells())
    said = capsys.readouterr().err
    assert "fid: with cells this is FD(cells), not FID\n" in said


def test_the_program_says_why(dataset, generator, capsys):
    config = EvaluateConfig(features="pixels", num=20)
    result = sagan.evaluation.evaluate(generator, reference_of(dataset), config)
    assert "metrics: fd, kd, prdc by default; pixels 8x8 has no classes" in capsys.readouterr().err
    assert "FD(pixels 8x8)" in by_name(result)


def test_a_measure_that_gives_no_found_is_told_what_to_give():
    class Forgetful(Measure):
        def compute(self, case):
            return 1.0

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8) for _ in range(2)]
    config = EvaluateConfig(metrics=(), features="pixels")
    with pytest.raises(TypeError, match=r"Forgetful.compute gave float; it must give a sagan.evaluation.Found"):
        sagan.evaluate(*pictures, config, measures=[Forgetful()], progress=False)
