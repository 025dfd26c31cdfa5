"""What is measured of the samples while a run trains, by a chosen cheap set of metrics."""

from pathlib import Path

import torch

from sagan.data import ImageSet
from sagan.evaluation import Reference, evaluate, reference_of, reference_statistics
from sagan.metrics.config import MonitorConfig
from sagan.metrics.efficientnet import load_efficientnet, width_for
from sagan.metrics.features import FeatureNetwork
from sagan.metrics.inception import load_inception
from sagan.metrics.pixels import PixelNetwork
from sagan.metrics.report import Report, Value
from sagan.pretrained import TrainedGenerator

SAMPLE_SEED = 1


class Monitor:
    """Measures samples of a generator against the pictures that it is trained on.

    Args:
        config: What to measure.
        images: The data set of the run.
        holdout: Fraction, most pictures and seed of what is held out of training.
        device: Where features are computed.
        cache_dir: Folder of the cache of statistics, or None for the usual one.
        progress: Show a bar while the statistics of the real pictures are computed for the first time.

    Raises:
        WeightsError: If the feature network's weights are not to be had.
    """

    def __init__(
        self,
        config: MonitorConfig,
        images: ImageSet,
        holdout: tuple[float, int, int],
        *,
        device: torch.device,
        cache_dir: str | None = None,
        progress: bool = True,
    ) -> None:
        self.config = config
        reference: Reference = reference_of(images, "train", *holdout, at_most=config.real)
        few = min(config.num, len(reference.indices))
        self.network = _network(config, few)
        # Neither pixels nor Apple's GPUs: float64 statistics live on the CPU anyway.
        self.device = "cuda" if device.type == "cuda" else "cpu"
        self.real = reference_statistics(
            self.network, reference, device=self.device, cache_dir=cache_dir, progress=progress
        )

    def measure(self, generator: TrainedGenerator) -> Report:
        """Measure; the generator, its mode and the random state stay as they were.

        The samples are those of the same noise and classes each time, so that a curve shows training alone.
        """
        step = generator.provenance.get("step")
        return evaluate(
            generator,
            self.real,
            self.network,
            metrics=self.config.metrics,
            num=self.config.num,
            score_splits=1,
            seed=SAMPLE_SEED,
            subject={"step": step if isinstance(step, int) else None},
            device=self.device,
            progress=False,
        ).report


def best_by(report: Report, config: MonitorConfig) -> Value:
    """Give the value that the best checkpoint is kept by: of the first metric; of `prdc` the coverage."""
    if config.metrics[0] == "prdc":
        return next(value for value in report.values if value.metric.startswith("coverage"))
    return report.values[0]


def _network(config: MonitorConfig, num_images: int) -> FeatureNetwork:
    file = None if config.feature_weights is None else Path(config.feature_weights)
    if config.features == "pixels":
        return PixelNetwork()
    if config.features == "inception":
        return load_inception(file)
    return load_efficientnet(file, width=width_for(num_images))
