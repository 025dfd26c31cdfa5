"""What is measured of the samples while a run trains, by a chosen cheap set of metrics."""

import sys
from dataclasses import replace

import torch

from sagan.data import ImageSet
from sagan.evaluation import EvaluateConfig, evaluate, load_network, reference_of, reference_statistics
from sagan.evaluation.measures import MEASURES
from sagan.evaluation.networks import no_inception
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.config import MonitorConfig
from sagan.metrics.names import METRICS
from sagan.metrics.report import Report, Value
from sagan.metrics.weights import WeightsError

SAMPLE_SEED = 1


class Monitor:
    """Measures samples of a generator against the pictures that it is trained on.

    Args:
        config: What to measure.
        images: The data set of the run.
        holdout: Fraction, most pictures and seed of what is held out of training.
        device: Where features are computed.
        cache_dir: Folder of the cache of statistics, or None for the usual one.
        progress: Show a bar while the statistics of the real pictures are computed for the first time, and lines while
            samples are measured where standard error is no terminal.

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
        self.config, self.progress = config, progress
        reference = reference_of(images, "train", *holdout, at_most=config.real)
        few = min(config.num, len(reference.indices))
        self.network = load_network(config.features, config.feature_weights, num_images=few)
        # Neither pixels nor Apple's GPUs: float64 statistics live on the CPU anyway.
        self.device = "cuda" if device.type == "cuda" else "cpu"
        self.real = reference_statistics(
            self.network, reference, device=self.device, cache_dir=cache_dir, progress=progress
        )

    def measure(self, generator: TrainedGenerator) -> Report:
        """Measure; the generator, its mode and the random state stay as they were.

        The samples are those of the same noise and classes each time, so that a curve shows training alone.
        """
        config = EvaluateConfig(
            metrics=self.config.metrics, num=self.config.num, score_splits=1, seed=SAMPLE_SEED, device=self.device
        )
        piped = not sys.stderr.isatty()  # at a terminal the bar of the training is there already
        report = evaluate(generator, self.real, config, network=self.network, progress=self.progress and piped).report
        step = generator.provenance.get("step")
        return replace(report, subject=report.subject | {"step": step if isinstance(step, int) else None})


def check_weights(config: MonitorConfig) -> None:
    """Check that the feature network has its weights, before anything else takes time.

    Raises:
        WeightsError: If they are not to be had; it says the ways out.
    """
    try:
        load_network(config.features, config.feature_weights, num_images=config.num)
    except WeightsError as error:
        if config.features != "inception" or config.feature_weights is not None:
            raise
        raise no_inception(error, "--monitor.") from None


def best_by(report: Report, config: MonitorConfig) -> Value:
    """Give the value that the best checkpoint is kept by: of the first metric; of `prdc` the coverage."""
    first = next(measure for measure in MEASURES if measure.name == config.metrics[0])
    called = {"coverage"} if first.name == "prdc" else {first.title, first.with_inception}
    return next(value for value in report.values if value.metric.partition("(")[0] in called)


def best_before(config: MonitorConfig) -> str:
    """Give the metric that versions before 0.2 kept the best checkpoint by: the first of a report."""
    return min(config.metrics, key=METRICS.index) if config.metrics[0] != "prdc" else "prdc"
