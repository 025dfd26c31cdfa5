"""What a run of an experiment may choose. Without PyTorch."""

from dataclasses import dataclass, field
from pathlib import Path

from sagan.data.config import Keep
from sagan.evaluation.config import FeatureName
from sagan.experiments.scales import ScaleName
from sagan.training.config import EngineConfig


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """Which experiment is run, at what scale, with what changed, and where its results go."""

    name: str
    """The experiment, e.g. `table1`; several joined by commas, or `all` on the same pictures. Rows that they share are
    trained once."""
    data: str | None = None
    """Pictures, as in `sagan train`; the experiment `structure` has its own, and scale smoke takes the digits."""
    scale: ScaleName = "small"
    """paper: as published; small: narrow networks, half an hour a row on a core; smoke: a few steps."""
    seeds: int | None = None
    """Seeds 0 to N - 1 of each row; unset is the scale's."""
    rows: tuple[str, ...] = ()
    """Only these rows, by their names."""
    out: Path = Path("results/paper")
    """Folder of all results; runs with their checkpoints lie in its folder `runs`."""
    size: int | None = None
    """Image size in pixels, where the scale has several (small: 32, 64)."""
    steps: int | None = None
    """Steps of every row; unset is the scale's. Rows of `ttur` take four times as many."""
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
    """Rows at a time; unset is one for each GPU, else for each core. One GPU can have several narrow ones."""
    stop_after_s: float | None = None
    """Seconds after which rows that still train save and stop, as by SIGTERM; none is started that could not end
    before. The same command goes on."""
    keep: Keep = "disk"
    """Where rows keep their pictures while they train, as in `sagan train`; the results are the same."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """What rows compute on, as in `sagan train`; it names no other rows, and one that has begun keeps its own."""
    dry_run: bool = False
    """Say what would run and what it takes, and stop."""

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "num", "jobs"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"--{name} must be at least 1, found {number}")
        if self.stop_after_s is not None and not self.stop_after_s > 0.0:
            raise ValueError(f"--stop-after-s must be above 0, found {self.stop_after_s}")
        if self.rows and (self.name == "all" or "," in self.name):
            raise ValueError(f"--rows goes with one experiment, found {self.name}")
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"--out {self.out} is a file; choose a folder")
