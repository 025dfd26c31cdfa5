"""From what two passes left to values with their protocols."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

from sagan.data.parallel import progress_bar
from sagan.evaluation.passes import KEPT, Collected
from sagan.metrics.features import FeatureNetwork, network_protocol
from sagan.metrics.frechet import frechet_distance
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.kernel import kernel_distance
from sagan.metrics.neighbours import density_coverage, precision_recall
from sagan.metrics.report import Protocol, Value

Metric = Literal["fd", "is", "kd", "prdc", "accuracy", "intra"]
METRICS: tuple[Metric, ...] = get_args(Metric)


def metric_name(metric: Metric, network: FeatureNetwork) -> str:
    """Name a value: FID, IS and KID are made with the Inception network of 2015 alone, all else names its network."""
    if network.name == INCEPTION:
        return {"fd": "FID", "is": "IS", "kd": "KID", "prdc": "", "accuracy": "class accuracy", "intra": "intra-FID"}[
            metric
        ]
    short = {"fd": "FD", "is": "IS", "kd": "KD", "prdc": "", "accuracy": "class accuracy", "intra": "intra-FD"}[metric]
    return f"{short}({network.name})"


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
    values = []
    shared = network_protocol(network) | protocol
    without_reference = {name: field for name, field in shared.items() if not name.startswith("reference")}
    kept: Protocol = {"kept": KEPT, "kept_seed": generated.kept.seed}
    if reference is None and set(metrics) - {"is"}:
        raise ValueError("only the Inception Score needs no real pictures")
    if "fd" in metrics and reference is not None:
        with task(progress, "Frechet distance") as advance:
            distance = frechet_distance(generated.moments.gaussian(), reference.moments.gaussian(), advance)
        values.append(
            Value(
                metric=metric_name("fd", network),
                value=distance,
                higher_is_better=False,
                protocol=shared,
                warnings=too_few(min(generated.moments.count, reference.moments.count), network.width),
            )
        )
    if "is" in metrics:
        if generated.scores is None:
            raise ValueError("the Inception Score needs scores: collect the generated pictures with score_splits")
        score = generated.scores.score()
        values.append(
            Value(
                metric=metric_name("is", network),
                value=score.mean,
                spread=score.std,
                higher_is_better=True,
                protocol=without_reference
                | {"splits": generated.scores.num_splits, "shuffle_seed": generated.scores.seed},
            )
        )
    if "kd" in metrics and reference is not None:
        with task(progress, "kernel distance") as advance:
            found = kernel_distance(generated.kept.features(), reference.kept.features(), progress=advance)
        values.append(
            Value(
                metric=metric_name("kd", network),
                value=found.mean,
                spread=found.std,
                higher_is_better=False,
                protocol=shared | kept | {"subsets": 100, "subset_size": found.subset_size, "draw_seed": 2020},
                warnings=found.warnings,
            )
        )
    if "prdc" in metrics and reference is not None:
        suffix = "" if network.name == INCEPTION else f"({network.name})"
        for names, compute, k in (
            ("precision, recall", precision_recall, 3),
            ("density, coverage", density_coverage, 5),
        ):
            with task(progress, names) as advance:
                balls = compute(generated.kept.features(), reference.kept.features(), k, progress=advance)
            values += [
                Value(
                    metric=f"{name}{suffix}",
                    value=value,
                    higher_is_better=True,
                    protocol=shared | kept | {"neighbours": k},
                )
                for name, value in balls._asdict().items()
            ]
    if "accuracy" in metrics:
        if generated.accuracy is None:
            raise ValueError("the class accuracy needs class_labels and the classes of the generated pictures")
        name = metric_name("accuracy", network)
        labels: Protocol = {"class_labels_sha256": generated.accuracy.labels.sha256}
        values.append(
            Value(
                metric=name,
                value=generated.accuracy.accuracy(),
                higher_is_better=True,
                protocol=without_reference | labels,
            )
        )
        if reference is not None and reference.accuracy is not None:
            of_reference = {k: v for k, v in protocol.items() if k.startswith("reference") or k == "size_px"}
            values.append(
                Value(
                    metric=f"{name} of the real pictures",
                    value=reference.accuracy.accuracy(),
                    higher_is_better=True,
                    protocol=network_protocol(network) | of_reference | labels,
                )
            )
    return values


def too_few(count: int, width: int, of: str = "") -> tuple[str, ...]:
    """Warn where a covariance of ``width`` features is made from ``count`` pictures and has not full rank."""
    if count > width:
        return ()
    return (
        f"{count:,} pictures{of} for {width:,} features: the covariance has not full rank and the value is biased "
        f"upward; use more than {width:,}, better ten times as many",
    )


@contextmanager
def task(progress: bool, description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; gives what to call with the work done and all the work."""
    with progress_bar(progress) as bar:
        shown = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(shown, completed=done, total=total)
