"""What is measured while a run trains."""

from dataclasses import dataclass
from typing import Literal, get_args

from sagan.metrics.names import metrics_of

MonitorFeatures = Literal["pixels", "efficientnet-lite0", "inception"]
MonitorMetric = Literal["fd", "is", "kd", "prdc"]


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """What `--evaluate-every` measures: a cheap set; its curves are drawn, the best checkpoint is kept.

    The text under each field says what it is, in which unit.

    Raises:
        ValueError: If a value is out of its range; the message begins with the field.
    """

    features: MonitorFeatures = "pixels"
    """Feature network: `pixels` (no network, a few seconds), `efficientnet-lite0` (a Python package), `inception`."""
    metrics: tuple[str, ...] = ("fd",)
    """Any of fd, is, kd, prdc (or fid, kid, precision and so on); `best.pt` is the best by the first (prdc: by
    coverage)."""
    num: int = 1000
    """Samples drawn for each measurement."""
    real: int = 10_000
    """Training pictures that they are compared with, at most; statistics of them are computed once and cached."""
    feature_weights: str | None = None
    """A local file of the feature network's weights; unset is the installed or downloaded one."""

    def __post_init__(self) -> None:
        if self.features not in get_args(MonitorFeatures):
            known = ", ".join(get_args(MonitorFeatures))
            raise ValueError(f"features must be one of {known}, found {self.features!r}")
        # Stored by the names of old: a run's configuration does not depend on how it was typed.
        object.__setattr__(self, "metrics", metrics_of(self.metrics, get_args(MonitorMetric)))
        if self.features == "pixels" and "is" in self.metrics:
            raise ValueError("metrics: the features `pixels` have no classes and so no `is`; take another network")
        for field, least in (("num", 10), ("real", 10)):
            if getattr(self, field) < least:
                raise ValueError(f"{field} must be at least {least}, found {getattr(self, field)}")
