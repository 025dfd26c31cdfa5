"""What a run of an experiment may choose. Without PyTorch."""

from dataclasses import dataclass
from pathlib import Path

from sagan.evaluation.config import FeatureName
from sagan.experiments.scales import ScaleName


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Which experiment is run, at what scale, with what changed, and where its results go."""

    name: str
    """The experiment, e.g. `table1`."""
    data: str | None = None
    """Pictures, as in `sagan train`; the experiment `structure` has its own, and scale smoke takes the digits."""
    scale: ScaleName = "small"
    """paper: as published; small: narrow networks, minutes a row; smoke: a few steps."""
    seeds: int | None = None
    """Seeds 0 to N - 1 of each row; unset is the scale's."""
    rows: tuple[str, ...] = ()
    """Only these rows, by their names."""
    out: Path = Path("results/paper")
    """Folder of all results; runs with their checkpoints lie in its folder `runs`."""
    size: int | None = None
    """Image size in pixels, where the scale has several (small: 32, 64)."""
    steps: int | None = None
    """Steps of every row; unset is the scale's."""
    batch_size: int | None = None
    """Images in a batch; unset is the scale's."""
    base_width: int | None = None
    """Base width of both networks; unset is the scale's."""
    features: FeatureName | None = None
    """Feature network; unset is the scale's. Only with inception the distance is called FID."""
    feature_weights: Path | None = None
    """A local file of the feature network's weights."""
    num: int | None = None
    """Samples that rows are judged by; unset is the scale's."""
    jobs: int | None = None
    """Rows at a time; unset is one for each GPU, else for each core."""
    dry_run: bool = False
    """Say what would run and what it takes, and stop."""

    def __post_init__(self) -> None:
        for field in ("seeds", "steps", "num", "jobs"):
            number = getattr(self, field)
            if number is not None and number < 1:
                raise ValueError(f"--{field} must be at least 1, found {number}")
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"--out {self.out} is a file; choose a folder")
