"""What a sweep is asked for: an experiment at a scale on a data set, with what was changed of the scale."""

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from sagan.data.there import NAMES
from sagan.evaluation.config import FeatureName
from sagan.experiments.catalogue import ALL, EXPERIMENTS, SweepError, experiment_of
from sagan.experiments.config import PaperConfig
from sagan.experiments.scales import Scale, ScaleName, scale_of
from sagan.metrics.config import MonitorConfig
from sagan.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a sweep runs: an experiment at a scale on a data set, with what was changed."""

    experiment: str
    """Name in :data:`sagan.experiments.catalogue.EXPERIMENTS`."""
    scale: ScaleName
    """Name of the scale."""
    data: str
    """The pictures, as ``sagan train --data`` takes them."""
    seeds: int
    """Seeds 0 to seeds - 1."""
    size: int | None = None
    """Image size in pixels, where the scale has several."""
    steps: int | None = None
    """Steps of every row, in place of the scale's."""
    batch_size: int | None = None
    """Batch, in place of the scale's."""
    base_width: int | None = None
    """Base width of both networks, in place of the scale's."""
    num: int | None = None
    """Samples that rows are judged by, in place of the scale's."""
    features: FeatureName | None = None
    """Feature network, in place of the scale's."""


def groups_of(name: str) -> list[list[str]]:
    """Give the experiments that a name stands for: one, several joined by commas, or ``all``; groups in their order.

    Raises:
        SweepError: If one of them is unknown.
    """
    names = [one for group in ALL for one in group] if name == "all" else list(dict.fromkeys(name.split(",")))
    for one in names:
        experiment_of(one)
    groups = [[one for one in names if one in group] for group in ALL]
    return [group for group in (*groups, [one for one in names if one not in {*chain(*ALL)}]) if group]


def settings_of(config: PaperConfig, experiment: str) -> Settings:
    """Give what of a configuration decides about an experiment's numbers; where and how it runs does not."""
    return Settings(
        experiment=experiment,
        scale=config.scale,
        data=config.data or "",
        seeds=config.seeds or 0,
        size=config.size,
        steps=config.steps,
        batch_size=config.batch_size,
        base_width=config.base_width,
        num=config.num,
        features=config.features,
    )


def with_defaults(settings: Settings) -> Settings:
    """Fill in what was left open: the data of the experiment or of the scale, and the scale's number of seeds.

    Raises:
        SweepError: If the experiment is unknown, or it does not say which pictures.
    """
    experiment = experiment_of(settings.experiment)
    data = settings.data or experiment.data or ("digits" if settings.scale == "smoke" else "")
    if not data:
        raise SweepError(
            f"which pictures? {settings.experiment} needs --data with a folder, zip, .npz or packed file, or a name: "
            "digits, pairs, fashion-mnist, cifar10, cifar100"
        )
    if experiment.data is not None and data != experiment.data:
        raise SweepError(f"{experiment.name} is about the data set {experiment.data}: leave --data away")
    if Path(data).expanduser().exists() and data not in NAMES:
        data = str(Path(data).expanduser().resolve())
    if settings.seeds < 0:
        raise SweepError(f"--seeds must be at least 1, found {settings.seeds}")
    return replace(settings, data=data, seeds=settings.seeds or scale_of(settings.scale, settings.size).seeds)


def changed(scale: Scale, settings: Settings, feature_weights: str | None) -> Scale:
    """Give the scale with what the settings change.

    Raises:
        SweepError: If the scale is the paper's and its budget is to change.
        ValueError: If a changed field is impossible.
    """
    if scale.name == "paper" and {settings.steps, settings.batch_size, settings.base_width} != {None}:
        raise SweepError(
            "--steps, --batch-size and --base-width change the scale small; `paper` is the published budget, and its "
            "recipes have their own"
        )
    base, judging, monitor = scale.base, scale.judging, scale.base.monitor
    train, G, D = _budget(base.train, settings), base.generator, base.discriminator
    if settings.base_width is not None:
        G, D = replace(G, base_width=settings.base_width), replace(D, base_width=settings.base_width)
    if settings.features is not None:
        judging = replace(judging, features=settings.features)
        monitor = _monitor(monitor, settings.features)
    if settings.num is not None:
        judging = replace(judging, num=settings.num)
        if EXPERIMENTS[settings.experiment].measures == ("pairs",):
            judging = replace(judging, pairs_num=settings.num)
        monitor = replace(monitor, num=min(monitor.num, settings.num))
    monitor = replace(monitor, feature_weights=feature_weights)
    base = replace(base, train=train, generator=G, discriminator=D, monitor=monitor)
    return replace(scale, base=base, judging=replace(judging, feature_weights=feature_weights))


def _budget(train: TrainConfig, settings: Settings) -> TrainConfig:
    """Change steps and batch; cadences keep their share of the run."""
    if settings.steps is not None:
        share = settings.steps / train.total_steps
        cadences = {
            name: max(1, round(getattr(train, name) * share))
            for name in ("log_every", "sample_every", "evaluate_every", "save_every")
        }
        train = replace(train, total_steps=settings.steps, **cadences)
    return train if settings.batch_size is None else replace(train, batch_size=settings.batch_size)


def _monitor(monitor: MonitorConfig, features: FeatureName) -> MonitorConfig:
    """Watch a run with the features that it will be judged by, where they are not too slow for that."""
    return MonitorConfig(
        features="pixels" if features.startswith("dinov2") else features,  # type: ignore[arg-type]
        metrics=("fd",) if features not in ("inception", "efficientnet-lite0") else monitor.metrics,
        num=monitor.num,
        real=monitor.real,
    )
