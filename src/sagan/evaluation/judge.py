"""How good are pictures? Generated ones against real ones, every number with the way it was made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path

from sagan.data import DataConfig, ImageSet
from sagan.evaluation.case import Case, device_of, named
from sagan.evaluation.config import PUBLISHED_NUM, EvaluateConfig, Metric
from sagan.evaluation.measures import MEASURES, Found, Measure, Needs, no_labels
from sagan.evaluation.networks import early_network, fitting_network, width_is_open
from sagan.evaluation.old import takes_old_signature
from sagan.evaluation.outcome import Evaluation
from sagan.evaluation.passes import collect, say
from sagan.evaluation.reference import (
    HashedBatches,
    Reference,
    ReferenceStatistics,
    reference_statistics,
    statistics_of_batches,
    write_statistics,
)
from sagan.evaluation.sides import (
    Batches,
    Given,
    Judged,
    Real,
    Side,
    check_alike,
    chosen_part,
    generated_side,
    in_batches,
    is_given,
    open_images,
    open_judged,
    open_real,
)
from sagan.generators.pretrained import TrainedGenerator
from sagan.machine import versions
from sagan.metrics.class_accuracy import ClassLabels, imagenet_folders, read_class_labels
from sagan.metrics.features import FeatureNetwork, network_protocol
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.names import NAMED_BY_INCEPTION, TYPED, metrics_of, plain
from sagan.metrics.report import Protocol, Report
from sagan.sizes import Size, written


@takes_old_signature
def evaluate(
    generator: Given,
    data: Real,
    config: EvaluateConfig | None = None,
    *,
    measures: Sequence[Measure] = (),
    network: FeatureNetwork | None = None,
    progress: bool = True,
) -> Evaluation:
    """Judge a generator, or pictures that any other one made, by real pictures.

    Args:
        generator: A trained generator, the path of a run or a weights file, the path of pictures (folder, zip, .npz),
            decoded pictures, one array of pictures, or any iterable of batches, uint8 (n, H, W, 3).
        data: The real pictures: a path or name as ``--data`` takes, decoded pictures, some of them
            (:func:`reference_of`), their statistics (:func:`read_statistics`), one array, or any iterable of batches.
        config: What is measured, and how.
        measures: Measures of your own, beside those of the configuration.
        network: What makes features, if it is none of ``config.features``.
        progress: Say on standard error what is decided, and show progress bars with the time left.

    Returns:
        The report; the generator is left as it was.

    Raises:
        WeightsError: If there are no weights of the feature network.
        ValueError: If a measure is unknown or impossible here, or sizes differ.
    """
    config = config or EvaluateConfig()
    device_of(config)
    _refuse_idle(generator, data, config)
    _typed(config, own=bool(measures))
    labels = _read_labels(config)
    early = network or early_network(config)
    asked = _asked(early, config, measures, progress)
    judged = open_judged(generator, progress)
    real = open_real(data, judged, config, progress)
    network = network or _fitting_network(early, judged.count(config.num), real, config, progress)
    case = Case(
        network=network,
        config=config,
        generated=judged.kept,
        reference=real if isinstance(real, Reference) else None,
        progress=progress,
    )

    for measure in asked:
        measure.check(case)
    needs = reduce(or_, (measure.needs for measure in asked))
    if needs.classes:
        case = replace(case, class_labels=_class_labels(case, labels))
    seen, side = _both_sides(case, judged, real, needs)
    case, subject = _make_passes(case, seen, side, needs)
    found = [_computed(measure, case) for measure in asked]
    evaluation = _evaluation(found, side.subject | judged.subject | subject)
    return evaluation if config.export_statistics is None else _exporting(evaluation, real, network, config, progress)


def export_statistics(
    data: str | Path | DataConfig | ImageSet | Reference | ReferenceStatistics,
    size_px: Size,
    config: EvaluateConfig,
    *,
    network: FeatureNetwork | None = None,
    progress: bool = True,
) -> str:
    """Write the statistics of real pictures to ``config.export_statistics``, to judge by them elsewhere.

    Args:
        data: The real pictures.
        size_px: The size of the generated pictures that will be judged, as 64 or "64x96" (height x width).
        config: Which part of the pictures, and the feature network; ``num`` samples will be judged by them.
        network: What makes features, if it is none of ``config.features``.
        progress: As in :func:`evaluate`.

    Returns:
        What was written, in a sentence.

    Raises:
        ValueError: If no file is named, or they are statistics already.
    """
    device_of(config)
    early = network or early_network(config)
    real = data
    if not isinstance(real, (Reference, ReferenceStatistics)):
        images = real if isinstance(real, ImageSet) else open_images(real, size_px, progress)
        real = chosen_part(images, config)
    network = network or _fitting_network(early, config.num, real, config, progress)
    return _export(real, network, config, progress)


# ------------------------------------------------------------------------------------------------- decisions


def _refuse_idle(generator: Given, data: Real, config: EvaluateConfig) -> None:
    """Refuse sides that are not given, and what would do nothing beside the other arguments."""
    for name, side in (("generator", generator), ("data", data)):
        if side is None:
            raise ValueError(f"{name} is None; give {name} a path, pictures or what else `help(sagan.evaluate)` lists")
    named = isinstance(data, (str, Path, DataConfig, ImageSet)) or is_given(data)
    if config.export_statistics is not None and not (named or isinstance(data, Reference)):
        raise _nothing_to_export()
    idle, beside = [], "--statistics"
    if not named:
        default = EvaluateConfig()
        fields = ("split", "holdout_fraction", "holdout_max", "split_seed")
        idle = [name for name in fields if getattr(config, name) != getattr(default, name)]
        idle += ["feature_width"] if isinstance(data, ReferenceStatistics) and config.feature_width else []
        beside = "--statistics" if isinstance(data, ReferenceStatistics) else "pictures that are chosen already"
    elif isinstance(generator, (DataConfig, ImageSet)):
        idle = [name for name, given in (("truncation", config.truncation), ("seed", config.seed)) if given]
        beside = "--generated"
    if idle:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise ValueError(f"{names} would do nothing beside {beside}")


def _read_labels(config: EvaluateConfig) -> Mapping[str, Sequence[int]] | None:
    given = config.class_labels
    return read_class_labels(Path(given)) if isinstance(given, (str, Path)) else given


def _fitting_network(
    early: FeatureNetwork, count: int | None, real: object, config: EvaluateConfig, progress: bool
) -> FeatureNetwork:
    """Choose the number of features, where it is open, by the statistics, or by the pictures in the smaller set."""
    if not width_is_open(config):
        return early
    stored, of, fewest = None, "pictures", PUBLISHED_NUM if count is None else count
    if isinstance(real, ReferenceStatistics) and real.protocol.get("network") == config.features:
        stored = real.protocol.get("feature_width")
    if isinstance(real, Reference):
        fewest = min(fewest, len(real.indices))
        if "intra" in metrics_of(config.metrics or ("fd",)):
            of, fewest = "pictures of a class", min([config.intra_num, *real.class_counts])
    network, why = fitting_network(config, fewest, of, stored)
    say(why, progress)
    return network


def _typed(config: EvaluateConfig, *, own: bool) -> tuple[Metric, ...] | None:
    """Read the metrics that are asked for; none may be, beside other things to do. None leaves them open."""
    if config.metrics is None:
        return None
    return metrics_of(config.metrics) if config.metrics or not (own or config.neighbours) else ()


def _asked(network: FeatureNetwork, config: EvaluateConfig, own: Sequence[Measure], progress: bool) -> list[Measure]:
    """Choose the measures, say what is decided or meant, and refuse what this network cannot measure."""
    typed, classes = _typed(config, own=bool(own)), bool(network.num_classes)
    default: tuple[Metric, ...] = ("fd", "is", "kd", "prdc") if classes else ("fd", "kd", "prdc")
    names = default if typed is None else typed
    if typed is None:
        why = "has classes, so `is` is among them" if classes else "has no classes, so `is` is not among them"
        say(f"metrics: {', '.join(names)} by default; {network.name} {why}", progress)
    wanted = {*names, *(["neighbours"] if config.neighbours else [])}
    asked = [measure for measure in MEASURES if measure.name in wanted]
    for name in dict.fromkeys(plain(name) for name in config.metrics or ()):
        if network.name != INCEPTION and name in NAMED_BY_INCEPTION:
            measure = next(measure for measure in asked if measure.name == TYPED[name])
            called = named(measure.title, network)
            say(f"{name}: with {network.name} this is {called}, not {measure.with_inception}", progress)
    for measure in (*asked, *own):
        measure.check_network(network, config)
    return [*asked, *own]


def _class_labels(case: Case, given: Mapping[str, Sequence[int]] | None) -> ClassLabels:
    """Find which of the network's labels stand for which class.

    Raises:
        ValueError: If there are no classes, those of both sides differ, or nobody says what stands for them.
    """
    network, generated = case.network, case.generated
    if generated is None or not generated.class_names:
        raise ValueError("the class accuracy needs samples with classes: a conditional generator, or class folders")
    names = generated.class_names
    if case.reference is not None and case.reference.images.class_names != names:
        real = case.reference.images.class_names
        raise ValueError(
            f"the class accuracy needs the same classes on both sides: the generated side has {', '.join(names[:5])}"
            f"{' ...' if len(names) > 5 else ''}, the real one {', '.join(real[:5]) or 'none'}"
        )
    labels = given or imagenet_folders(names, network.num_classes)
    if labels is None:
        raise no_labels(network)
    return ClassLabels(labels, names, network.num_classes)


# ------------------------------------------------------------------------------------------------- passes


def _exporting(
    evaluation: Evaluation, real: object, network: FeatureNetwork, config: EvaluateConfig, progress: bool
) -> Evaluation:
    """Write the statistics of the real pictures; where that fails the values are given all the same."""
    try:
        return replace(evaluation, exported=_export(real, network, config, progress))
    except OSError as error:
        return replace(evaluation, not_exported=error)


def _export(real: object, network: FeatureNetwork, config: EvaluateConfig, progress: bool) -> str:
    if not isinstance(real, Reference) or config.export_statistics is None:
        raise _nothing_to_export()
    how = {"device": device_of(config), "cache_dir": config.cache_dir}
    statistics = reference_statistics(network, real, progress=progress, **how)  # type: ignore[arg-type]
    write_statistics(Path(config.export_statistics), statistics)
    return f"statistics of {len(real.indices):,} real pictures ({network.name}): {config.export_statistics}"


def _nothing_to_export() -> ValueError:
    return ValueError("these are statistics already; --export-statistics FILE.npz goes with the pictures, --data")


def _both_sides(
    case: Case, judged: Judged, real: Reference | ReferenceStatistics | Batches, needs: Needs
) -> tuple[Reference | ReferenceStatistics, Side]:
    """Bring both sides into the form that the passes take, and refuse what does not belong together."""
    if isinstance(real, ReferenceStatistics):
        real.require(network_protocol(case.network))
    elif not isinstance(real, Reference):
        real = statistics_of_batches(case.network, in_batches(real), device=case.device, progress=case.progress)
    told = _told_of(real)
    if isinstance(case.generated, ImageSet) and isinstance(real, Reference):
        check_alike(case.generated, real.images)
    side = generated_side(judged, _size_of(told), case.config)
    num_real = int(str(told["reference_count"]))
    fewest = num_real if side.num is None else min(num_real, side.num)
    if fewest < needs.least:
        raise ValueError(
            f"{fewest} pictures are too few to judge by: these metrics need at least {needs.least} on each side, and "
            f"more than {case.network.width:,} to mean much"
        )
    return real, side


def _size_of(told: Protocol) -> int | str:
    return written(str(told["size_px"]))


def _told_of(real: Reference | ReferenceStatistics) -> Protocol:
    return real.protocol if isinstance(real, Reference) else real.pictures


def _make_passes(case: Case, real: Reference | ReferenceStatistics, side: Side, needs: Needs) -> tuple[Case, Protocol]:
    """Run the network once over each side, as far as it is needed; give what was found, and what was judged."""
    told = _told_of(real)
    if not needs.drawn:
        return replace(case, protocol=side.protocol | told), {}
    if isinstance(real, Reference) and needs.real:
        real = reference_statistics(
            case.network,
            real,
            class_labels=case.class_labels,
            device=case.device,
            cache_dir=case.config.cache_dir,
            progress=case.progress,
        )
    hashed = HashedBatches(side.batches, _size_of(told))
    drawn = collect(
        case.network,
        hashed,
        side.num,
        score_splits=case.config.score_splits if needs.scores else 0,
        class_labels=case.class_labels,
        classes=side.classes() if needs.classes else None,
        device=case.device,
        description="features of generated pictures",
        progress=case.progress,
    )
    protocol = side.protocol | {"generated": drawn.moments.count} | told
    found = real.collected if isinstance(real, ReferenceStatistics) else None
    subject: Protocol = {} if isinstance(case.generated, TrainedGenerator) else {"sha256": hashed.sha256}
    return replace(case, protocol=protocol, drawn=drawn, real=found), subject


def _computed(measure: Measure, case: Case) -> Found:
    found: object = measure.compute(case)
    if not isinstance(found, Found):
        raise TypeError(
            f"{type(measure).__name__}.compute gave {type(found).__name__}; it must give a sagan.evaluation.Found, as "
            "in Found([case.value(...)])"
        )
    return found


def _evaluation(found: Sequence[Found], subject: Protocol) -> Evaluation:
    """Put together what the measures found."""
    classes = [distance for one in found for distance in one.classes]
    report = Report(
        subject=subject,
        values=tuple(value for one in found for value in one.values),
        versions=versions(),
        classes={d.class_name: {"value": d.value, "generated": d.generated, "real": d.real} for d in classes},
    )
    pictures = [one.pictures for one in found if one.pictures is not None]
    worst_first = tuple(sorted(classes, key=lambda distance: -distance.value))
    return Evaluation(report, worst_first, pictures[0] if pictures else None)
