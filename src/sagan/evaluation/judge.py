"""How good are pictures? Generated ones against real ones, every number with the way it was made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data import ImageSet
from sagan.evaluation.nearest_pictures import NearestPictures, nearest_pictures
from sagan.evaluation.passes import Pixels, collect, sampled_batches, sampled_classes, weights_sha256
from sagan.evaluation.reference import (
    HashedBatches,
    Reference,
    ReferenceStatistics,
    real_batches,
    reference_statistics,
    statistics_of_batches,
)
from sagan.evaluation.values import METRICS, Metric, measure, metric_name, too_few
from sagan.evaluation.within_classes import ClassDistance, class_members, intra_distance
from sagan.generators.pretrained import TrainedGenerator
from sagan.machine import versions
from sagan.metrics.class_accuracy import ClassLabels, imagenet_folders
from sagan.metrics.features import FeatureNetwork, network_protocol
from sagan.metrics.report import UNKNOWN, Protocol, Report, Value, compare, comparison_notes, differing_fields

Batches = Iterable[Pixels | torch.Tensor]
PUBLISHED_NUM = 50_000
MIN_PICTURES = 5


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
        shared = {
            name: field
            for name, field in values[0].protocol.items()
            if all(name in value.protocol and value.protocol[name] == field for value in values)
        }
        lines += ["", f"made with: {_fields(shared)}"]
        # Metrics that were made alike share a line.
        own: dict[str, list[str]] = {}
        for value in values:
            rest = {name: field for name, field in value.protocol.items() if name not in shared}
            own.setdefault(_fields(rest), []).append(value.metric)
        lines += [f"  {', '.join(metrics)}: {told}" for told, metrics in own.items() if told]
        lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in self.report.versions.items()))
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
    if neighbours and not (isinstance(reference, Reference) and isinstance(generated, (TrainedGenerator, ImageSet))):
        raise ValueError(
            "the picture of nearest neighbours needs the pictures themselves on both sides, not statistics or passing "
            "batches"
        )
    if "intra" in metrics:
        if not isinstance(reference, Reference):
            raise ValueError("the distance within classes needs the real pictures with their classes, not statistics")
        if not isinstance(generated, (TrainedGenerator, ImageSet)):
            raise ValueError("the distance within classes needs a generator, or generated pictures with classes")
        class_members(generated, reference, intra_num)

    # The real pictures
    made_from: Protocol
    real: ReferenceStatistics | None = None
    if isinstance(reference, Reference):
        made_from = reference.protocol
    else:
        if not isinstance(reference, ReferenceStatistics):
            reference = statistics_of_batches(network, _batches(reference), device=device, progress=progress)
        real = reference
        expected = network_protocol(network)
        differing = differing_fields({name: real.protocol.get(name) for name in expected}, expected)
        if differing:
            told = "; ".join(f"{name}: {one!r} against {other!r}" for name, (one, other) in differing.items())
            raise ValueError(f"the statistics of the real pictures were made with another network ({told})")
        made_from = {k: v for k, v in real.protocol.items() if k.startswith("reference") or k == "size_px"}
    size, num_real = int(str(made_from["size_px"])), int(str(made_from["reference_count"]))

    # The generated ones
    if isinstance(generated, ImageSet) and isinstance(reference, Reference):
        check_alike(generated, reference.images)
    side = _generated_side(generated, size, num, seed, truncation)
    fewest = num_real if side.num is None else min(num_real, side.num)
    least = 6 if "prdc" in metrics else MIN_PICTURES
    if set(metrics) - {"intra"} and fewest < least:
        raise ValueError(
            f"{fewest} pictures are too few to judge by: these metrics need at least {least} on each side, and more "
            f"than {network.width:,} to mean much"
        )
    hashed = HashedBatches(side.batches, size)
    made, told_of = side.protocol, side.subject | (subject or {})

    values: list[Value] = []
    beside = None
    if set(metrics) - {"intra"} or neighbours:
        if isinstance(reference, Reference) and (set(metrics) - {"is", "intra"} or neighbours):
            real = reference_statistics(
                network, reference, class_labels=labels, device=device, cache_dir=cache_dir, progress=progress
            )
        drawn = collect(
            network,
            hashed,
            side.num,
            score_splits=score_splits if "is" in metrics else 0,
            class_labels=labels,
            classes=None if labels is None else side.classes(),
            device=device,
            description="features of generated pictures",
            progress=progress,
        )
        protocol = made | {"generated": drawn.moments.count} | made_from
        if not isinstance(generated, TrainedGenerator):
            told_of.setdefault("sha256", hashed.sha256)
        collected = None if real is None else real.collected
        values = measure(network, drawn, collected, metrics, protocol, progress=progress)
        if neighbours and isinstance(reference, Reference) and isinstance(generated, (TrainedGenerator, ImageSet)):
            how = {"seed": seed, "truncation": truncation, "device": device, "progress": progress}
            beside = nearest_pictures(network, drawn, generated, reference, neighbours, **how)  # type: ignore[arg-type]
    found: list[ClassDistance] = []
    if "intra" in metrics and isinstance(reference, Reference) and isinstance(generated, (TrainedGenerator, ImageSet)):
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
        per_class = intra_num if isinstance(generated, TrainedGenerator) else "all"
        fewest = min(min(distance.generated, distance.real) for distance in found)
        values.append(
            Value(
                metric=metric_name("intra", network),
                value=float(np.mean([distance.value for distance in found])),
                higher_is_better=False,
                protocol=network_protocol(network) | made | made_from | {"generated_per_class": per_class},
                warnings=too_few(fewest, network.width, " of a class"),
            )
        )
    by_class = {d.class_name: {"value": d.value, "generated": d.generated, "real": d.real} for d in found}
    report = Report(subject=told_of, values=tuple(values), versions=versions(), classes=by_class)
    return Evaluation(report, tuple(sorted(found, key=lambda distance: -distance.value)), beside)


class _Side(NamedTuple):
    """The generated pictures, however they come."""

    batches: Batches
    num: int | None
    classes: Callable[[], NDArray[np.int64] | None]
    protocol: Protocol
    subject: Protocol


def _generated_side(
    generated: TrainedGenerator | ImageSet | Batches, size: int, num: int | None, seed: int, truncation: float | None
) -> _Side:
    unknown: Protocol = {"ema": UNKNOWN, "batch_norm": UNKNOWN, "seed": UNKNOWN, "truncation": UNKNOWN}
    if isinstance(generated, TrainedGenerator):
        if generated.config.size_px != size:
            raise ValueError(f"the generator makes pictures of {generated.config.size_px} px, the reference has {size}")
        count = PUBLISHED_NUM if num is None else num
        weights = str(generated.provenance.get("weights"))
        made: Protocol = {
            "ema": weights.startswith("moving average"),
            "batch_norm": str(generated.provenance.get("batch_norm")),
            "seed": seed,
            "truncation": truncation,
        }
        return _Side(
            sampled_batches(generated, count, seed, truncation),
            count,
            lambda: sampled_classes(generated, count, seed),
            made,
            {"weights": weights, "generator_sha256": weights_sha256(generated)},
        )
    if isinstance(generated, ImageSet):
        if generated.images.shape[1] != size:
            raise ValueError(f"the pictures have {generated.images.shape[1]} px, the reference has {size}")
        everything = Reference(generated, np.arange(len(generated.labels)), "all")
        return _Side(real_batches(everything), len(generated.labels), lambda: generated.labels, unknown, {})
    given = len(generated) if isinstance(generated, (np.ndarray, torch.Tensor)) else num
    return _Side(_batches(generated), given, lambda: None, unknown, {})


def check_alike(generated: ImageSet, real: ImageSet) -> None:
    """Refuse pictures that were brought to one form from sizes or channels that do not belong together.

    Raises:
        ValueError: If sizes differ, the real pictures had all to be enlarged, or only one side is grey.
    """
    sizes = [images.images.shape[1] for images in (generated, real)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"the pictures have {sizes[0]} px, the reference has {sizes[1]}")
    if real.info.traits.get("enlarged", 0) == len(real.labels):
        raise ValueError(
            f"all real pictures are smaller than the generated ones ({sizes[0]} px); make those smaller, or "
            "take a reference of at least their size"
        )
    grey = [images.info.traits.get("grey", 0) == len(images.labels) for images in (generated, real)]
    if grey[0] != grey[1]:
        raise ValueError(
            f"the generated pictures are {'grey' if grey[0] else 'in colour'}, the real ones "
            f"{'grey' if grey[1] else 'in colour'}; bring both to one form first"
        )


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


def comparison(a: Report, b: Report, names: Sequence[str]) -> str:
    """Write the comparable values of two reports side by side, and what a reader must know beside them.

    Raises:
        ProtocolError: If they were made in different ways.
    """
    pairs = compare(a, b)
    width = max(len(first.metric) for first, _ in pairs)
    lines = [f"{'':<{width}}  {names[0]:>20}  {names[1]:>20}"]
    for first, second in pairs:
        lines.append(f"{first.metric:<{width}}  {_number(first):>20}  {_number(second):>20}  {_better(first)}")
    return "\n".join(lines + [f"note: {note}" for note in comparison_notes(a, b)])


def _fields(protocol: Protocol) -> str:
    return ", ".join(f"{name} {field}" for name, field in protocol.items() if field is not None)


def _number(value: Value) -> str:
    spread = "" if value.spread is None else f" +- {value.spread:.2g}"
    return f"{value.value:.4g}{spread}"


def _better(value: Value) -> str:
    return "(higher is better)" if value.higher_is_better else "(lower is better)"
