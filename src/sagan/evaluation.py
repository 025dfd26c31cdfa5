"""How good are pictures? Generated ones against real ones, every number with the way it was made."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sagan.data import ImageSet, cache_folder
from sagan.data.parallel import progress_bar
from sagan.figures import sample_grid
from sagan.metrics.features import FeatureNetwork, extract, network_protocol
from sagan.metrics.frechet import frechet_distance
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.inception_score import ScoreSums
from sagan.metrics.kernel import kernel_distance
from sagan.metrics.neighbours import density_coverage, nearest, precision_recall
from sagan.metrics.report import Protocol, Report, Value, differing_fields
from sagan.metrics.statistics import KeptFeatures, Moments
from sagan.pretrained import TrainedGenerator
from sagan.runfolder import versions
from sagan.sampling import generate, sample_labels, sample_latents

Metric = Literal["fd", "is", "kd", "prdc", "intra"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Split = Literal["all", "train", "heldout"]
Pixels = NDArray[np.uint8]

# Features that are kept for the kernel distance and for neighbours, of the generated and of the real pictures each.
KEPT = 10_000
BATCH_SIZE = 50


class Reference(NamedTuple):
    """Real pictures to judge by: some of a data set."""

    images: ImageSet
    indices: NDArray[np.int64]
    """Which of them."""
    split: str
    """What they are called, e.g. ``heldout, 0.05, at most 1000, seed 0``."""

    @property
    def protocol(self) -> Protocol:
        """What makes a value comparable."""
        return {
            "reference_sha256": self.images.fingerprint,
            "reference_split": self.split,
            "reference_count": len(self.indices),
            "size_px": self.images.images.shape[1],
        }


def reference_of(
    images: ImageSet, split: Split = "all", fraction: float = 0.05, maximum: int = 1000, seed: int = 0
) -> Reference:
    """Choose the real pictures to judge by.

    Args:
        images: The data set, decoded at the size of the generated pictures.
        split: All of it, what a run with these numbers trained on, or what it held out.
        fraction: Share of the pictures held out.
        maximum: At most so many are held out.
        seed: The run's seed.

    Raises:
        ValueError: If fewer than two pictures are left.
    """
    if split == "all":
        chosen, name = np.arange(len(images.labels)), "all"
    else:
        train, held_out = images.split(fraction, maximum, seed)
        chosen = train if split == "train" else held_out
        name = f"{split}, holdout {fraction} at most {maximum}, seed {seed}"
    if len(chosen) < 2:
        raise ValueError(f"the split {name} has {len(chosen)} pictures; a reference needs at least 2")
    return Reference(images, chosen, name)


@dataclass(frozen=True)
class Collected:
    """What one pass of a feature network over pictures leaves."""

    moments: Moments
    """Of the features of all of them."""
    kept: KeptFeatures
    """Features of at most :data:`KEPT` of them."""
    scores: ScoreSums | None = None
    """For the Inception Score, if it was asked for."""


def collect(
    network: FeatureNetwork,
    batches: Iterable[Pixels],
    count: int,
    *,
    score_splits: int = 0,
    device: str = "cpu",
    description: str = "features",
    progress: bool = True,
) -> Collected:
    """Run a feature network once over pictures and keep what the metrics need.

    Memory does not grow with the number of pictures: d x d numbers of 8 bytes for d features, at most KEPT x d of 4,
    and one batch.

    Args:
        network: The feature network.
        batches: uint8 (n, H, W, 3), together ``count`` pictures in their order.
        count: How many pictures there are.
        score_splits: Splits of the Inception Score; 0 leaves it out.
        device: Where to compute.
        description: What the progress bar says.
        progress: Show a progress bar with the time left on standard error.

    Raises:
        ValueError: If the batches are not as described, or hold another number of pictures.
    """
    moments, kept = Moments(network.width), KeptFeatures(KEPT)
    scores = (
        ScoreSums(num_splits=score_splits, num_classes=network.num_classes, num_samples=count) if score_splits else None
    )
    seen = 0
    with progress_bar(progress) as bar:
        task = bar.add_task(description, total=count)
        for part in extract(network, batches, device=device, batch_size=BATCH_SIZE):
            indices = np.arange(seen, seen + len(part.features))
            seen += len(indices)
            if seen > count:
                break
            moments.update(part.features)
            kept.update(part.features, indices)
            if scores is not None:
                scores.update(part.logits, indices)
            bar.update(task, completed=seen)
    if seen != count:
        raise ValueError(f"{count:,} pictures were announced, found {'more' if seen > count else f'{seen:,}'}")
    return Collected(moments, kept, scores)


def real_batches(reference: Reference, indices: NDArray[np.int64] | None = None) -> Iterator[Pixels]:
    """Yield real pictures in batches, uint8 (n, H, W, 3): the reference's, or those of the given indices."""
    chosen = reference.indices if indices is None else indices
    for start in range(0, len(chosen), BATCH_SIZE):
        yield np.asarray(reference.images.images[chosen[start : start + BATCH_SIZE]])


def sampled_batches(
    generator: TrainedGenerator, num: int, seed: int, truncation: float | None = None, label: int | None = None
) -> Iterator[Pixels]:
    """Yield ``num`` samples in batches, uint8 (n, H, W, 3), of one class, or of classes drawn uniformly.

    Sample i depends on the seed, i and its class alone.
    """
    for start in range(0, num, BATCH_SIZE):
        part = range(start, min(start + BATCH_SIZE, num))
        z = sample_latents(seed, part, generator.config.z_dim, truncation, stream="evaluation")
        y = sample_labels(seed, part, generator.config.num_classes, stream="evaluation")
        if label is not None and y is not None:
            y = y.new_full((len(part),), label)
        yield generate(generator.network, z, y, BATCH_SIZE)


def reference_statistics(
    network: FeatureNetwork,
    reference: Reference,
    *,
    device: str = "cpu",
    cache_dir: str | None = None,
    progress: bool = True,
) -> Collected:
    """Give the statistics of real pictures, from the cache folder where the same were computed before.

    The file there is found by the content of the pictures, the split, the network and its weights. A damaged one is
    made again.
    """
    protocol = network_protocol(network) | reference.protocol | {"kept": KEPT}
    key = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:24]
    file = cache_folder(cache_dir) / "statistics" / f"{key}.npz"
    if file.exists():
        try:
            return read_statistics(file, protocol)
        except ValueError:
            file.unlink()
    collected = collect(
        network,
        real_batches(reference),
        len(reference.indices),
        device=device,
        description="features of real pictures",
        progress=progress,
    )
    write_statistics(file, collected, protocol)
    return collected


def write_statistics(file: Path, collected: Collected, protocol: Protocol) -> None:
    """Write statistics of pictures with the way they were made; an older file is replaced in one move."""
    parts = {"moments": collected.moments.to_arrays(), "kept": collected.kept.to_arrays()}
    arrays = {f"{part}/{name}": array for part, held in parts.items() for name, array in held.items()}
    made = np.frombuffer(json.dumps(protocol).encode(), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as stream:
            np.savez(stream, protocol=made, **arrays)  # type: ignore[arg-type]
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def read_statistics(file: Path, protocol: Protocol) -> Collected:
    """Read what :func:`write_statistics` wrote.

    Raises:
        ValueError: If the file is damaged, or was made in another way than ``protocol`` says.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        made: Protocol = json.loads(arrays.pop("protocol").tobytes())
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        raise ValueError(f"{file} holds no statistics of pictures, or is damaged ({error}); make it again") from error
    differing = differing_fields(made, protocol)
    if differing:
        told = "; ".join(f"{name}: {one!r}, wanted {other!r}" for name, (one, other) in differing.items())
        raise ValueError(f"{file} holds statistics of another kind ({told}); make it again")

    def part(name: str) -> dict[str, NDArray[np.generic]]:
        return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}

    moments, kept = Moments.from_arrays(part("moments")), KeptFeatures.from_arrays(part("kept"))
    if (kept.limit, len(kept)) != (KEPT, min(KEPT, moments.count)):
        raise ValueError(
            f"{file} holds features of {len(kept):,} pictures under a limit of {kept.limit:,}; make it again"
        )
    return Collected(moments, kept)


def metric_name(metric: Metric, network: FeatureNetwork) -> str:
    """Name a value: FID, IS and KID are made with the Inception network of 2015 alone, all else names its network."""
    if network.name == INCEPTION:
        return {"fd": "FID", "is": "IS", "kd": "KID", "prdc": "", "intra": "intra-FID"}[metric]
    short = {"fd": "FD", "is": "IS", "kd": "KD", "prdc": "", "intra": "intra-FD"}[metric]
    return f"{short}({network.name})"


def measure(
    network: FeatureNetwork,
    generated: Collected,
    reference: Collected,
    metrics: Sequence[Metric],
    protocol: Protocol,
    *,
    progress: bool = True,
) -> list[Value]:
    """Compute the metrics of two sets of pictures from what :func:`collect` left.

    Args:
        network: The network that both were collected with.
        generated: Of the pictures to judge; with scores if ``is`` is asked for.
        reference: Of the real pictures.
        metrics: Which; ``intra`` is not among these, see :func:`intra_distance`.
        protocol: How the pictures were made; the fields of the network and of each metric are added to it.
        progress: Show a progress bar on standard error.
    """
    values = []
    shared = network_protocol(network) | protocol
    few = min(generated.moments.count, reference.moments.count)
    if "fd" in metrics:
        distance = frechet_distance(generated.moments.gaussian(), reference.moments.gaussian())
        values.append(
            Value(
                metric=metric_name("fd", network),
                value=distance,
                higher_is_better=False,
                protocol=shared,
                warnings=_too_few(few, network.width),
            )
        )
    if "is" in metrics:
        if generated.scores is None:
            raise ValueError("the Inception Score needs scores: collect the generated pictures with score_splits")
        score = generated.scores.score()
        without_reference = {name: field for name, field in shared.items() if not name.startswith("reference")}
        values.append(
            Value(
                metric=metric_name("is", network),
                value=score.mean,
                spread=score.std,
                higher_is_better=True,
                protocol=without_reference | {"splits": generated.scores.num_splits},
            )
        )
    if "kd" in metrics:
        with _task(progress, "kernel distance") as advance:
            found = kernel_distance(generated.kept.features(), reference.kept.features(), progress=advance)
        values.append(
            Value(
                metric=metric_name("kd", network),
                value=found.mean,
                spread=found.std,
                higher_is_better=False,
                protocol=shared | {"kept": KEPT, "subsets": 100, "subset_size": found.subset_size, "draw_seed": 2020},
                warnings=found.warnings,
            )
        )
    if "prdc" in metrics:
        suffix = "" if network.name == INCEPTION else f"({network.name})"
        for names, compute, k in (
            ("precision, recall", precision_recall, 3),
            ("density, coverage", density_coverage, 5),
        ):
            with _task(progress, names) as advance:
                balls = compute(generated.kept.features(), reference.kept.features(), k, progress=advance)
            values += [
                Value(
                    metric=f"{name}{suffix}",
                    value=value,
                    higher_is_better=True,
                    protocol=shared | {"kept": KEPT, "neighbours": k},
                )
                for name, value in balls._asdict().items()
            ]
    return values


class ClassDistance(NamedTuple):
    """How far the samples of one class are from its real pictures."""

    class_name: str
    value: float
    generated: int
    real: int


def intra_distance(
    network: FeatureNetwork,
    generator: TrainedGenerator,
    reference: Reference,
    num: int,
    *,
    seed: int = 0,
    truncation: float | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> list[ClassDistance]:
    """Compute the Frechet distance within each class: ``num`` samples of it against all its real pictures.

    One class is in memory at a time. The mean over the classes is intra-FID (Miyato and Koyama 2018, section 4.1).

    Raises:
        ValueError: If the classes of generator and pictures differ, or a class has fewer than 2 real pictures.
    """
    names = reference.images.class_names
    if not names or names != generator.class_names:
        raise ValueError(
            f"the distance within classes needs the same classes on both sides: the generator has "
            f"{len(generator.class_names)}, the pictures {len(names)}, or they have other names"
        )
    labels = reference.images.labels[reference.indices]
    found = []
    for label, name in enumerate(names):
        real = reference.indices[labels == label]
        if len(real) < 2:
            raise ValueError(f"class {name} has {len(real)} real pictures in this split; a distance needs at least 2")
        where = f"class {label + 1} of {len(names)}, {name}"
        sides = [
            collect(network, batches, count, device=device, description=f"{where}: {side}", progress=progress)
            for side, batches, count in (
                ("real", real_batches(reference, real), len(real)),
                ("generated", sampled_batches(generator, num, seed, truncation, label), num),
            )
        ]
        value = frechet_distance(*(side.moments.gaussian() for side in sides))
        found.append(ClassDistance(name, value, num, len(real)))
    return found


class NearestPictures(NamedTuple):
    """Samples beside the real pictures nearest to them: do they copy?"""

    picture: Image.Image
    """A row for each sample: the sample, then the nearest, nearest first."""
    indices: NDArray[np.int64]
    """(rows, columns) of the real pictures in their data set."""
    distances: NDArray[np.float64]
    """(rows, columns), in feature units."""


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
        lines += [
            "",
            "made with: " + ", ".join(f"{name} {field}" for name, field in shared.items() if field is not None),
        ]
        for value in values:
            own = {k: v for k, v in value.protocol.items() if k not in shared and v is not None}
            if own:
                lines.append(f"  {value.metric}: " + ", ".join(f"{name} {field}" for name, field in own.items()))
        lines += [f"note: {value.metric}: {text}" for value in values for text in value.warnings]
        return "\n".join(lines)


def evaluate(
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    network: FeatureNetwork,
    *,
    metrics: Sequence[Metric] = ("fd", "is", "kd", "prdc"),
    num: int = 50_000,
    intra_num: int = 5_000,
    score_splits: int = 10,
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
        generated: A trained generator, or decoded pictures of the reference's size.
        reference: The real pictures; see :func:`reference_of`.
        network: What makes features: :func:`sagan.metrics.inception.load_inception` for FID and IS,
            :func:`sagan.metrics.efficientnet.load_efficientnet` without network.
        metrics: ``fd`` Frechet distance, ``is`` Inception Score, ``kd`` kernel distance, ``prdc`` precision, recall,
            density and coverage, ``intra`` the Frechet distance within each class.
        num: Samples to draw; given pictures are all taken.
        intra_num: Samples of each class for ``intra``.
        score_splits: Splits of the Inception Score.
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
    size = reference.images.images.shape[1]
    if isinstance(generated, TrainedGenerator):
        if generated.config.size_px != size:
            raise ValueError(f"the generator makes pictures of {generated.config.size_px} px, the reference has {size}")
        batches, count = sampled_batches(generated, num, seed, truncation), num
        made: Protocol = {
            "weights": str(generated.provenance.get("weights")),
            "batch_norm": str(generated.provenance.get("batch_norm")),
            "seed": seed,
            "truncation": truncation,
        }
    else:
        if "intra" in metrics:
            raise ValueError("the distance within classes needs a generator to draw each class from")
        if generated.images.shape[1] != size:
            raise ValueError(f"the pictures have {generated.images.shape[1]} px, the reference has {size}")
        everything = Reference(generated, np.arange(len(generated.labels)), "all")
        batches, count = real_batches(everything), len(generated.labels)
        made = {"weights": None, "batch_norm": None, "seed": None, "truncation": None}

    values: list[Value] = []
    beside = None
    protocol = made | {"generated": count} | reference.protocol
    if set(metrics) - {"intra"} or neighbours:
        real = reference_statistics(network, reference, device=device, cache_dir=cache_dir, progress=progress)
        drawn = collect(
            network,
            batches,
            count,
            score_splits=score_splits if "is" in metrics else 0,
            device=device,
            description="features of generated pictures",
            progress=progress,
        )
        values = measure(network, drawn, real, metrics, protocol, progress=progress)
        if neighbours:
            beside = _nearest_pictures(network, drawn, real, generated, reference, neighbours, seed, truncation)
    classes: list[ClassDistance] = []
    if "intra" in metrics:
        assert isinstance(generated, TrainedGenerator)
        classes = intra_distance(
            network, generated, reference, intra_num, seed=seed, truncation=truncation, device=device, progress=progress
        )
        fewest = min(intra_num, *(found.real for found in classes))
        values.append(
            Value(
                metric=metric_name("intra", network),
                value=float(np.mean([found.value for found in classes])),
                higher_is_better=False,
                protocol=network_protocol(network) | protocol | {"generated": None, "generated_per_class": intra_num},
                warnings=_too_few(fewest, network.width, " of a class"),
            )
        )
    report = Report(subject=subject or {}, values=tuple(values), versions=versions())
    return Evaluation(report, tuple(sorted(classes, key=lambda found: -found.value)), beside)


def _nearest_pictures(
    network: FeatureNetwork,
    drawn: Collected,
    real: Collected,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    rows: int,
    seed: int,
    truncation: float | None,
    columns: int = 6,
) -> NearestPictures:
    """Draw the first ``rows`` samples, each beside its nearest real pictures."""
    shown = drawn.kept.indices()[:rows]
    found = nearest(drawn.kept.features()[:rows], real.kept.features(), min(columns, len(real.kept)))
    if isinstance(generated, ImageSet):
        samples = np.asarray(generated.images[shown])
    else:
        picked = [int(index) for index in shown]
        z = sample_latents(seed, picked, generated.config.z_dim, truncation, stream="evaluation")
        y = sample_labels(seed, picked, generated.config.num_classes, stream="evaluation")
        samples = generate(generated.network, z, y)
    near = reference.indices[real.kept.indices()[found.indices]]  # (rows, columns)
    pictures = [
        np.concatenate([sample[None], np.asarray(reference.images.images[indices])])
        for sample, indices in zip(samples, near, strict=True)
    ]
    picture = sample_grid(
        np.concatenate(pictures),
        columns=1 + found.indices.shape[1],
        row_labels=[f"{distance:.3g}" for distance in found.distances[:, 0]],
        title="generated, then the nearest real pictures",
        caption=(
            f"features of {network.name}, {network.width}; nearest of {len(real.kept):,} real pictures "
            f"({reference.split}); left: distance to the nearest"
        ),
    )
    return NearestPictures(picture, near, found.distances)


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


def _too_few(count: int, width: int, of: str = "") -> tuple[str, ...]:
    if count > width:
        return ()
    return (
        f"{count:,} pictures{of} for {width:,} features: the covariance has not full rank and the value is biased "
        f"upward; use more than {width:,}, better ten times as many",
    )


@contextmanager
def _task(progress: bool, description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; gives what to call with the work done and all the work."""
    with progress_bar(progress) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
