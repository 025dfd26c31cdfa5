"""What an evaluation may choose. Nothing here imports PyTorch, so that a command line can be read without it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sagan.metrics.names import METRICS, Metric, metrics_of
from sagan.places import check_file, check_place
from sagan.words import did_you_mean

FeatureName = Literal[
    "inception",
    "efficientnet-lite0",
    "dinov2-vit-s-14",
    "dinov2-vit-b-14",
    "dinov2-vit-l-14",
    "dinov2-vit-g-14",
    "pixels",
]
FeatureWidth = Literal[320, 1280]
Split = Literal["all", "train", "heldout"]

PUBLISHED_NUM = 50_000

__all__ = ["METRICS", "PUBLISHED_NUM", "EvaluateConfig", "FeatureName", "Metric", "Split"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured, by which features, of how many samples, against which real pictures.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    metrics: tuple[str, ...] | None = None
    """fd Frechet distance, is Inception Score, kd kernel distance, prdc precision, recall, density and coverage,
    accuracy how many samples the network's classes name as asked, intra the Frechet distance within each class; fid,
    kid, precision and so on mean these. Unset is fd, kd, prdc, and is where the network has classes."""
    features: FeatureName = "inception"
    """Feature network. With inception values are FID, IS and KID (weights: downloaded once, 91 MiB); with
    efficientnet-lite0, a Python package, they are FD(efficientnet-lite0) and so on and need no network; DINOv2
    comes through torch-fidelity and torch.hub."""
    feature_weights: Path | str | None = None
    """A local file of the feature network's weights."""
    feature_width: FeatureWidth | None = None
    """Features of efficientnet-lite0; unset is 320 below 10,000 pictures (with intra: of a class), else 1280."""
    num: int | None = None
    """Samples to draw; unset is the published number, 50,000. Given pictures are all taken."""
    intra_num: int = 5_000
    """Samples of each class for intra. Time and memory are told first; an interrupted call goes on."""
    class_labels: Mapping[str, Sequence[int]] | Path | str | None = None
    """For accuracy: which labels of the network stand for each class, or a .json file {"class": [labels], ...};
    ImageNet's 1,000 folders need none."""
    score_splits: int = 10
    """Splits of the Inception Score."""
    split: Split = "all"
    """Judge by all of the data, by what the run trained on, or by what it held out."""
    holdout_fraction: float | None = None
    """Share held out; unset is the run's, 0.05 where there is no run."""
    holdout_max: int | None = None
    """At most so many are held out; unset is the run's, else 1000."""
    split_seed: int | None = None
    """Seed of the split; unset is the run's, else 0."""
    seed: int = 0
    """Seed of the samples."""
    truncation: float | None = None
    """Redraw noise beyond this absolute value; the protocol says it."""
    neighbours: int = 0
    """Samples to draw beside the real pictures nearest to them: is it copying? 0 draws none."""
    export_statistics: Path | None = None
    """A .npz file for the statistics of the real pictures, to judge by elsewhere without them."""
    device: str = "auto"
    """Where features are computed; `auto` takes a CUDA GPU where there is one."""
    cache_dir: str | None = None
    """Folder of the statistics of real pictures; unset is $SAGAN_CACHE, else the platform's cache folder."""

    def __post_init__(self) -> None:
        if self.metrics is not None:  # as they are typed: what they mean is said beside the network that measures
            given: Sequence[str] = self.metrics
            typed = (given,) if isinstance(given, str) else tuple(given)
            object.__setattr__(self, "metrics", typed)
            if typed:
                metrics_of(typed)
        for field, kind in (("features", FeatureName), ("feature_width", FeatureWidth), ("split", Split)):
            _check_choice(field, getattr(self, field), get_args(kind))
        numbers = (("num", self.num, 2), ("intra_num", self.intra_num, 2), ("score_splits", self.score_splits, 1))
        for field, number, least in (*numbers, ("neighbours", self.neighbours, 0)):
            if number is not None and number < least:
                raise ValueError(f"{field} must be at least {least}, found {number}")
        if self.export_statistics is not None:
            check_place("export_statistics", self.export_statistics, (".npz",), folder=True)
        for field in ("class_labels", "feature_weights"):
            path = getattr(self, field)
            if isinstance(path, (str, Path)):
                check_file(field, path)


def _check_choice(field: str, value: object, known: Sequence[object]) -> None:
    """Refuse what is none of a field's values; None leaves it open where that is its default."""
    if value in known or (value is None and getattr(EvaluateConfig, field) is None):
        return
    names = [str(name) for name in known]
    hint = did_you_mean(str(value), names)
    raise ValueError(f"{field} must be one of {', '.join(names)}, found {value!r}{f'; {hint}' if hint else ''}")
