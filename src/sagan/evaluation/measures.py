"""The measures: what each needs, what it refuses, how it is computed, and how its values say what they are.

A new one is a class here, a place in :data:`MEASURES`, and a name in metrics/names.py; a user's own is given to
:func:`sagan.evaluate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from sagan.evaluation.case import Case, named, too_few
from sagan.evaluation.config import EvaluateConfig, Metric
from sagan.evaluation.nearest_pictures import NearestPictures, nearest_pictures
from sagan.evaluation.passes import Collected
from sagan.evaluation.within_classes import ClassDistance, check_classes, within_classes
from sagan.metrics.class_accuracy import IMAGENET_CLASSES
from sagan.metrics.features import FeatureNetwork
from sagan.metrics.frechet import frechet_distance
from sagan.metrics.kernel import kernel_distance
from sagan.metrics.neighbours import density_coverage, precision_recall
from sagan.metrics.report import Protocol, Value


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a measure must be given; those of several are joined by ``|``, and each pass is made once."""

    drawn: bool = True
    """Features of the generated pictures: their moments, and those of some of them."""
    real: bool = True
    """The same of the real pictures; statistics suffice."""
    scores: bool = False
    """Sums for the Inception Score of the generated pictures."""
    classes: bool = False
    """How many pictures the network names as asked."""
    least: int = 5
    """Pictures on each side, at least."""

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            drawn=self.drawn or other.drawn,
            real=self.real or other.real,
            scores=self.scores or other.scores,
            classes=self.classes or other.classes,
            least=max(self.least, other.least),
        )


class Found(NamedTuple):
    """What a measure gives."""

    values: Sequence[Value] = ()
    classes: Sequence[ClassDistance] = ()
    """The distance within each class."""
    pictures: NearestPictures | None = None
    """Samples beside the real pictures nearest to them."""


class Measure:
    """Something to measure. ``compute`` must be there; the rest has defaults."""

    name: ClassVar[str] = "own"
    """What it is asked for by; several measures may share a name."""
    title: ClassVar[str] = ""
    """What its value is called; the feature network is added in brackets."""
    with_inception: ClassVar[str | None] = None
    """What its value is called with the Inception network of 2015, where that has a name of its own."""
    needs: ClassVar[Needs] = Needs()

    def check_network(self, network: FeatureNetwork, config: EvaluateConfig) -> None:
        """Refuse what this network cannot measure, before any picture is opened.

        Raises:
            ValueError: If it cannot.
        """

    def check(self, case: Case) -> None:
        """Refuse what cannot be measured, before any pass.

        Raises:
            ValueError: If it cannot.
        """

    def compute(self, case: Case) -> Found:
        """Compute values from what the passes left (:attr:`Case.drawn`, :attr:`Case.real`)."""
        raise NotImplementedError(f"{type(self).__name__} computes nothing: write its method compute(case)")


class FrechetDistance(Measure):
    """FID with the Inception network. Source: Heusel et al. 2017."""

    name = "fd"
    title = "FD"
    with_inception = "FID"

    def compute(self, case: Case) -> Found:
        """Compute the distance of two Gaussians."""
        drawn, real = case.both()
        with case.task("Frechet distance") as advance:
            distance = frechet_distance(drawn.moments.gaussian(), real.moments.gaussian(), advance)
        fewest = min(drawn.moments.count, real.moments.count)
        return Found(
            [
                case.value(
                    self.title,
                    distance,
                    with_inception=self.with_inception,
                    higher_is_better=False,
                    warnings=too_few(fewest, case.network.width),
                )
            ]
        )


class InceptionScore(Measure):
    """The score of the generated pictures alone. Source: Salimans et al. 2016."""

    name = "is"
    title = "IS"
    with_inception = "IS"
    needs = Needs(real=False, scores=True)

    def check_network(self, network: FeatureNetwork, config: EvaluateConfig) -> None:
        """Refuse a network without classes."""
        if network.num_classes < 2:
            raise ValueError(
                f"{network.name} has no classes, so there is no Inception Score; leave `is` out of metrics"
            )

    def compute(self, case: Case) -> Found:
        """Compute mean and spread over the splits."""
        sums = None if case.drawn is None else case.drawn.scores
        if sums is None:
            raise ValueError("the Inception Score needs scores: collect the generated pictures with score_splits")
        score = sums.score()
        own: Protocol = {"splits": sums.num_splits, "shuffle_seed": sums.seed}
        return Found(
            [case.value(self.title, score.mean, spread=score.std, higher_is_better=True, sides="generated", own=own)]
        )


class KernelDistance(Measure):
    """KID with the Inception network. Source: Binkowski et al. 2018."""

    name = "kd"
    title = "KD"
    with_inception = "KID"

    def compute(self, case: Case) -> Found:
        """Compute mean and spread over subsets of the kept features."""
        drawn, real = case.both()
        with case.task("kernel distance") as advance:
            found = kernel_distance(drawn.kept.features(), real.kept.features(), progress=advance)
        own: Protocol = {"subsets": 100, "subset_size": found.subset_size, "draw_seed": 2020}
        return Found(
            [
                case.value(
                    self.title,
                    found.mean,
                    with_inception=self.with_inception,
                    spread=found.std,
                    higher_is_better=False,
                    own=case.kept() | own,
                    warnings=found.warnings,
                )
            ]
        )


class PrecisionRecall(Measure):
    """Of generated samples those near real ones, and of real ones those near generated. Kynkaanniemi et al. 2019."""

    name = "prdc"
    needs = Needs(least=6)
    k = 3

    def compute(self, case: Case) -> Found:
        """Compute both from the balls around the kept features."""
        drawn, real = case.both()
        with case.task("precision, recall") as advance:
            found = precision_recall(drawn.kept.features(), real.kept.features(), self.k, progress=advance)
        own = case.kept() | {"neighbours": self.k}
        shares = (("precision", found.precision), ("recall", found.recall))
        return Found([case.value(name, share, higher_is_better=True, own=own) for name, share in shares])


class DensityCoverage(Measure):
    """How densely samples lie among real pictures, and how many real ones they reach. Source: Naeem et al. 2020."""

    name = "prdc"
    needs = Needs(least=6)
    k = 5

    def compute(self, case: Case) -> Found:
        """Compute both from the balls around the kept features of the real pictures."""
        drawn, real = case.both()
        with case.task("density, coverage") as advance:
            found = density_coverage(drawn.kept.features(), real.kept.features(), self.k, progress=advance)
        own = case.kept() | {"neighbours": self.k}
        shares = (("density", found.density), ("coverage", found.coverage))
        return Found([case.value(name, share, higher_is_better=True, own=own) for name, share in shares])


def no_labels(network: FeatureNetwork) -> ValueError:
    """Say that nobody tells which labels of the network stand for each class."""
    return ValueError(
        f"the class accuracy must know which labels of {network.name} stand for each class: give them with "
        '--class-labels FILE.json, e.g. {"cat": [281, 282, 283, 284, 285], ...}'
    )


class ClassAccuracy(Measure):
    """How many samples the network's own classes name as asked, and of the real pictures as the yardstick."""

    name = "accuracy"
    title = "class accuracy"
    needs = Needs(classes=True)

    def check_network(self, network: FeatureNetwork, config: EvaluateConfig) -> None:
        """Refuse a network whose labels nobody names; those of ImageNet name themselves, if the classes are its."""
        if config.class_labels is None and network.num_classes != IMAGENET_CLASSES:
            raise no_labels(network)

    def compute(self, case: Case) -> Found:
        """Compute the share of both sides."""
        counts = None if case.drawn is None else case.drawn.accuracy
        if counts is None:
            raise ValueError("the class accuracy needs class_labels and the classes of the generated pictures")
        own: Protocol = {"class_labels_sha256": counts.labels.sha256}
        values = [case.value(self.title, counts.accuracy(), higher_is_better=True, sides="generated", own=own)]
        if case.real is not None and case.real.accuracy is not None:
            share = case.real.accuracy.accuracy()
            value = case.value(self.title, share, higher_is_better=True, sides="real", own=own)
            values.append(replace(value, metric=f"{value.metric} of the real pictures"))
        return Found(values)


class WithinClasses(Measure):
    """The mean Frechet distance within each class. Source: Miyato and Koyama 2018, section 4.1."""

    name = "intra"
    title = "intra-FD"
    with_inception = "intra-FID"
    needs = Needs(drawn=False, real=False, least=0)

    def check(self, case: Case) -> None:
        """Refuse statistics, and classes that do not fit."""
        check_classes(case)

    def compute(self, case: Case) -> Found:
        """Make passes of its own, a class at a time."""
        found = within_classes(case)
        drawn = _in_words([distance.generated for distance in found])
        fewest = min(min(distance.generated, distance.real) for distance in found)
        # Its samples are others than those of the common pass.
        own = replace(case, protocol={key: held for key, held in case.protocol.items() if key != "generated"})
        value = own.value(
            self.title,
            float(np.mean([distance.value for distance in found])),
            with_inception=self.with_inception,
            higher_is_better=False,
            own={"generated_per_class": drawn},
            warnings=too_few(fewest, case.network.width, " of a class"),
        )
        return Found([value], classes=found)


def _in_words(counts: Sequence[int]) -> int | str:
    """Say how many pictures classes have: their number, or where they differ the range and the sum."""
    least, most = min(counts), max(counts)
    return least if least == most else f"{least:,} to {most:,}, {sum(counts):,} in all"


class Neighbours(Measure):
    """The picture of samples beside the real ones nearest to them; it has no value."""

    name = "neighbours"
    needs = Needs(real=False, least=0)

    def check(self, case: Case) -> None:
        """Refuse sides of which the pictures are not there."""
        if case.reference is None or case.generated is None:
            raise ValueError(
                "the picture of nearest neighbours needs the pictures themselves on both sides, not statistics or "
                "passing batches"
            )

    def compute(self, case: Case) -> Found:
        """Look through the whole reference, which passes by once."""
        return Found(pictures=nearest_pictures(case, case.config.neighbours))


MEASURES: tuple[Measure, ...] = (
    FrechetDistance(),
    InceptionScore(),
    KernelDistance(),
    PrecisionRecall(),
    DensityCoverage(),
    ClassAccuracy(),
    WithinClasses(),
    Neighbours(),
)
"""All of ours, in the order in which a report has them."""


def metric_name(metric: Metric, network: FeatureNetwork) -> str:
    """Name the value of a metric: FID, IS and KID are made with the Inception network of 2015 alone.

    Of ``prdc`` it is what stands behind each of the four names.
    """
    measure = next(measure for measure in MEASURES if measure.name == metric)
    return named(measure.title, network, measure.with_inception)


def measure(
    network: FeatureNetwork,
    generated: Collected,
    reference: Collected | None,
    metrics: Sequence[Metric],
    protocol: Protocol,
    *,
    progress: bool = True,
) -> list[Value]:
    """Compute the metrics of two sets of pictures from what :func:`collect` left.

    Args:
        network: The network that both were collected with.
        generated: Of the pictures to judge; with scores if ``is`` is asked for.
        reference: Of the real pictures; None if `is` is all that is asked for.
        metrics: Which; ``intra`` is not among these, see :func:`intra_distance`.
        protocol: How the pictures were made; the fields of the network and of each metric are added to it.
        progress: Show a progress bar on standard error.

    Raises:
        ValueError: If a metric needs what was not collected.
    """
    case = Case(network=network, drawn=generated, real=reference, protocol=protocol, progress=progress)
    if set(metrics) - {"is"}:
        case.both()
    asked = [one for one in MEASURES if one.name in metrics and one.needs.drawn]
    return [value for one in asked for value in one.compute(case).values]
