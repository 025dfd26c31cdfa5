"""How good are pictures? Generated ones against real ones, every number with the way it was made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data import ImageSet
from sagan.evaluation.nearest_pictures import NearestPictures, nearest_pictures
from sagan.evaluation.passes import Pixels, collect, sampled_batches, sampled_classes
from sagan.evaluation.reference import (
    HashedBatches,
    Reference,
    ReferenceStatistics,
    real_batches,
    reference_statistics,
    statistics_of_batches,
)
from sagan.evaluation.values import METRICS, Metric, measure, metric_name, too_few
from sagan.evaluation.within_classes import ClassDistance, intra_distance
from sagan.metrics.class_accuracy import ClassLabels, imagenet_folders
from sagan.metrics.features import FeatureNetwork, network_protocol
from sagan.metrics.report import Protocol, Report, Value
from sagan.pretrained import TrainedGenerator
from sagan.runfolder import versions

Batches = Iterable[Pixels | torch.Tensor]
PUBLISHED_NUM = 50_000


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` gives."""

    report: Report
    classes: tuple[ClassDistance, ...] = ()
    """With ``intra``: each class, the worst first."""
    neighbours: NearestPictures | None = None
    """If it was asked for."""

    def text(self) -> str:
        """Write the values for people: a table, then what all of them share, then warnings."""
        values = self.report.values
        width = max(len(value.metric) for value in values)
        lines = [f"{value.metric:<{width}}  {_number(value)}  {_better(value)}" for value in values]
        if self.classes:
            shown = self.classes if len(self.classes) <= 20 else (*self.classes[:10], *self.classes[-10:])
            lines += ["", "within classes, the worst first:"]
            lines += [f"  {found.value:>10.4g}  {found.class_name} ({found.real:,} real)" for found in shown]
        # What most values have and all that have it agree on is said once.
        held: Protocol = {}
        for value in reversed(values):
            held |= value.protocol
        shared = {
            name: field
            for name, field in held.items()
            if all(value.protocol.get(name, field) == field for value in values)
            and 2 * sum(name in value.protocol for value in values) >= len(values)
        }
        told = [f"{name} {field}" for name, field in shared.items() if field is not None]
        lines += ["", "made with: " + ", ".join(told)]
        for value in values:
            own = [f"{k} {v}" for k, v in value.protocol.items() if k not in shared and v is not None]
            own += ["no reference"] if "reference_sha256" in shared.keys() - value.protocol.keys() else []
            if own:
                lines.append(f"  {value.metric}: " + ", ".join(own))
        lines += [f"note: {value.metric}: {text}" for value in values for text in value.warnings]
        return "\n".join(lines)


def evaluate(
    generated: TrainedGenerator | ImageSet | Batches,
    reference: Reference | ReferenceStatistics | Batches,
    network: FeatureNetwork,
    *,
    metrics: Sequence[Metric] = ("fd", "is", "kd", "prdc"),
    num: int | None = None,
    intra_num: int = 5_000,
    score_splits: int = 10,
    class_labels: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    truncation: float | None = None,
    neighbours: int = 0,
    subject: Protocol | None = None,
    device: str = "cpu",
    cache_dir: str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Judge a generator, or pictures that any other one made, by real pictures.

    Args:
        generated: A trained generator, decoded pictures of the reference's size, one array of pictures, or any iterable
            of batches, uint8 (n, H, W, 3).
        reference: The real pictures (see :func:`reference_of`), their statistics (:func:`reference_statistics`,
            :func:`read_statistics`), one array of pictures, or any iterable of batches, uint8 (n, H, W, 3).
        network: What makes features: :func:`sagan.metrics.inception.load_inception` for FID and IS,
            :func:`sagan.metrics.efficientnet.load_efficientnet` without network.
        metrics: ``fd`` Frechet distance, ``is`` Inception Score, ``kd`` kernel distance, ``prdc`` precision, recall,
            density and coverage, ``accuracy`` the share of samples that the network's own classes name as asked,
            ``intra`` the Frechet distance within each class.
        num: Samples to draw, default 50,000; given pictures are all taken, and an iterable of batches must say how many
            it has if ``is`` is asked for.
        intra_num: Samples of each class for ``intra``.
        score_splits: Splits of the Inception Score.
        class_labels: For ``accuracy``: which labels of the network stand for each class. ImageNet's 1,000 folders need
            none with a network of 1,000 labels.
        seed: Seed of the samples.
        truncation: See :meth:`TrainedGenerator.sample`; the protocol says it.
        neighbours: Draw so many samples beside their nearest real pictures; 0 draws none.
        subject: What the report says it judged.
        device: Where features are computed.
        cache_dir: Folder of reference statistics; default $SAGAN_CACHE, else the platform's cache folder.
        progress: Show progress bars with the time left on standard error.

    Returns:
        The report; the generator is left as it was.

    Raises:
        ValueError: If a metric is unknown or impossible here, or sizes differ.
    """
    unknown = set(metrics) - set(METRICS)
    if unknown or not metrics:
        raise ValueError(f"metrics are {', '.join(METRICS)}, found {', '.join(sorted(unknown)) or 'none'}")
    if "is" in metrics and network.num_classes < 2:
        raise ValueError(f"{network.name} has no classes, so there is no Inception Score; leave `is` out of metrics")
    labels = _class_labels(generated, reference, network, class_labels) if "accuracy" in metrics else None

    # The real pictures
    others = set(metrics) - {"intra"} or neighbours
    if isinstance(reference, Reference):
        made_from = reference.protocol
        real = reference_statistics(
            network, reference, class_labels=labels, device=device, cache_dir=cache_dir, progress=progress
        ) if others else None  # fmt: skip
    else:
        if not isinstance(reference, ReferenceStatistics):
            reference = statistics_of_batches(network, _batches(reference), device=device, progress=progress)
        real = reference
        made_from = {
            field: value
            for field, value in real.protocol.items()
            if field.startswith("reference") or field == "size_px"
        }
    size = int(str(made_from["size_px"]))

    # The generated ones
    made: Protocol = {"weights": None, "batch_norm": None, "seed": None, "truncation": None}
    classes: NDArray[np.int64] | None = None
    count: int | None
    batches: Batches
    if isinstance(generated, TrainedGenerator):
        if generated.config.size_px != size:
            raise ValueError(f"the generator makes pictures of {generated.config.size_px} px, the reference has {size}")
        count = PUBLISHED_NUM if num is None else num
        batches = sampled_batches(generated, count, seed, truncation)
        made = {
            "weights": str(generated.provenance.get("weights")),
            "batch_norm": str(generated.provenance.get("batch_norm")),
            "seed": seed,
            "truncation": truncation,
        }
        if labels is not None:
            classes = sampled_classes(generated, count, seed)
    elif "intra" in metrics:
        raise ValueError("the distance within classes needs a generator to draw each class from")
    elif isinstance(generated, ImageSet):
        if generated.images.shape[1] != size:
            raise ValueError(f"the pictures have {generated.images.shape[1]} px, the reference has {size}")
        everything = Reference(generated, np.arange(len(generated.labels)), "all")
        batches, count, classes = real_batches(everything), len(generated.labels), generated.labels
    else:
        count = len(generated) if isinstance(generated, (np.ndarray, torch.Tensor)) else num
        batches = _batches(generated)
    hashed = HashedBatches(batches, size)

    values: list[Value] = []
    beside = None
    if others:
        assert real is not None
        drawn = collect(
            network,
            hashed,
            count,
            score_splits=score_splits if "is" in metrics else 0,
            class_labels=labels,
            classes=classes,
            device=device,
            description="features of generated pictures",
            progress=progress,
        )
        protocol = made | {"generated": drawn.moments.count} | made_from
        values = measure(network, drawn, real.collected, metrics, protocol, progress=progress)
        if neighbours:
            if not isinstance(reference, Reference) or not isinstance(generated, (TrainedGenerator, ImageSet)):
                raise ValueError(
                    "the picture of nearest neighbours needs the pictures themselves on both sides, not statistics or "
                    "passing batches"
                )
            beside = nearest_pictures(
                network, drawn, real.collected, generated, reference, neighbours, seed, truncation
            )
    found: list[ClassDistance] = []
    if "intra" in metrics:
        if not isinstance(reference, Reference):
            raise ValueError("the distance within classes needs the real pictures with their classes, not statistics")
        assert isinstance(generated, TrainedGenerator)
        found = intra_distance(
            network,
            generated,
            reference,
            intra_num,
            seed=seed,
            truncation=truncation,
            device=device,
            cache_dir=cache_dir,
            progress=progress,
        )
        fewest = min(intra_num, *(distance.real for distance in found))
        values.append(
            Value(
                metric=metric_name("intra", network),
                value=float(np.mean([distance.value for distance in found])),
                higher_is_better=False,
                protocol=network_protocol(network) | made | made_from | {"generated_per_class": intra_num},
                warnings=too_few(fewest, network.width, " of a class"),
            )
        )
    told = dict(subject or {})
    if not isinstance(generated, TrainedGenerator):
        told.setdefault("sha256", hashed.sha256)
    report = Report(subject=told, values=tuple(values), versions=versions())
    return Evaluation(report, tuple(sorted(found, key=lambda distance: -distance.value)), beside)


def _batches(pictures: Batches) -> Batches:
    """Give one array of pictures as a single batch; batches stay what they are."""
    return [pictures] if isinstance(pictures, (np.ndarray, torch.Tensor)) else pictures


def _class_labels(
    generated: object,
    reference: object,
    network: FeatureNetwork,
    given: Mapping[str, Sequence[int]] | None,
) -> ClassLabels:
    """Find which of the network's labels stand for which class.

    Raises:
        ValueError: If there are no classes, those of both sides differ, or nobody says what stands for them.
    """
    if not isinstance(generated, (TrainedGenerator, ImageSet)) or not generated.class_names:
        raise ValueError("the class accuracy needs samples with classes: a conditional generator, or class folders")
    names = generated.class_names
    if isinstance(reference, Reference) and reference.images.class_names != names:
        raise ValueError(
            f"the class accuracy needs the same classes on both sides: the generated side has {', '.join(names[:5])}"
            f"{' ...' if len(names) > 5 else ''}, the real one {', '.join(reference.images.class_names[:5]) or 'none'}"
        )
    labels = given or imagenet_folders(names, network.num_classes)
    if labels is None:
        raise ValueError(
            f"the class accuracy must know which labels of {network.name} stand for each class: give them with "
            '--class-labels FILE.json, e.g. {"cat": [281, 282, 283, 284, 285], ...}'
        )
    return ClassLabels(labels, names, network.num_classes)


def comparison(pairs: Sequence[tuple[Value, Value]], names: Sequence[str]) -> str:
    """Write pairs of comparable values side by side."""
    width = max(len(first.metric) for first, _ in pairs)
    lines = [f"{'':<{width}}  {names[0]:>20}  {names[1]:>20}"]
    for first, second in pairs:
        lines.append(f"{first.metric:<{width}}  {_number(first):>20}  {_number(second):>20}  {_better(first)}")
    return "\n".join(lines)


def _number(value: Value) -> str:
    spread = "" if value.spread is None else f" +- {value.spread:.2g}"
    return f"{value.value:.4g}{spread}"


def _better(value: Value) -> str:
    return "(higher is better)" if value.higher_is_better else "(lower is better)"
