"""What the measures are given: both sides, the feature network, and after the passes what these left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from sagan.data import ImageSet
from sagan.data.parallel import progress_bar
from sagan.evaluation.config import EvaluateConfig
from sagan.evaluation.passes import KEPT, Collected
from sagan.evaluation.reference import Reference
from sagan.generators.pretrained import TrainedGenerator
from sagan.machine import usable_device
from sagan.metrics.class_accuracy import ClassLabels
from sagan.metrics.features import FeatureNetwork, network_protocol
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.report import Protocol, Value

Sides = Literal["both", "generated", "real"]
IN_TRAINING = (
    "the discriminator looked through {} while the generator was trained, so this value is better than its pictures "
    "are (Kynkaanniemi et al. 2022); take another network to compare it with others"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is judged, by what and how."""

    network: FeatureNetwork
    """What makes features."""
    config: EvaluateConfig = field(default_factory=EvaluateConfig)
    """What was asked for."""
    generated: TrainedGenerator | ImageSet | None = None
    """The generator, or the pictures to judge; None where they only pass by in batches."""
    reference: Reference | None = None
    """The real pictures; None where there are only their statistics, or they pass by."""
    class_labels: ClassLabels | None = None
    """Which labels of the network stand for each class, where a measure asks for it."""
    protocol: Protocol = field(default_factory=dict)
    """How both sides were made; the fields of the network and of each measure are added to it."""
    drawn: Collected | None = None
    """After the passes: what the network found in the generated pictures."""
    real: Collected | None = None
    """After the passes: what it found in the real ones."""
    progress: bool = True
    """Show what is done on standard error."""

    @property
    def device(self) -> str:
        """Where features are computed."""
        return device_of(self.config)

    @property
    def network_in_training(self) -> bool:
        """Whether the generator's discriminator looked through the network that judges now."""
        made_by = self.generated.provenance if isinstance(self.generated, TrainedGenerator) else {}
        return made_by.get("d_features") == self.network.name

    def both(self) -> tuple[Collected, Collected]:
        """Give what the passes over generated and real pictures left.

        Raises:
            ValueError: If one of them was not made.
        """
        if self.drawn is None or self.real is None:
            raise ValueError("only the Inception Score needs no real pictures")
        return self.drawn, self.real

    def kept(self) -> Protocol:
        """Give the fields of a measure that uses the features of some pictures, at most KEPT of each side."""
        return {"kept": KEPT, "kept_seed": self.both()[0].kept.seed}

    def value(
        self,
        name: str,
        value: float,
        *,
        higher_is_better: bool,
        with_inception: str | None = None,
        spread: float | None = None,
        sides: Sides = "both",
        own: Protocol | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Value:
        """Make a value with its protocol: the network's fields, those of the sides that it is made from, its own.

        Args:
            name: What the value is called; the network is added to it, see :func:`named`.
            value: The number.
            higher_is_better: Which way is better.
            with_inception: What it is called with the Inception network of 2015.
            spread: Population standard deviation over splits or subsets, where there is one.
            sides: Which of the two sides another value must share to be comparable.
            own: Parameters of the measure.
            warnings: What a reader must know before quoting it.
        """
        of_real = {key for key in self.protocol if key.startswith("reference")}
        told = {*self.protocol} if sides == "both" else of_real | {"size_px"}
        if sides == "generated":
            told = {*self.protocol} - of_real
        made = {key: held for key, held in self.protocol.items() if key in told}
        if sides != "real" and self.network_in_training:
            made["network_in_training"] = True
            warnings = (*warnings, IN_TRAINING.format(self.network.name))
        return Value(
            metric=named(name, self.network, with_inception),
            value=value,
            spread=spread,
            higher_is_better=higher_is_better,
            protocol=network_protocol(self.network) | made | (own or {}),
            warnings=warnings,
        )

    @contextmanager
    def task(self, description: str) -> Iterator[Callable[[int, int], None]]:
        """Show a progress bar; gives what to call with the work done and all the work."""
        with progress_bar(self.progress) as bar:
            shown = bar.add_task(description, total=None)
            yield lambda done, total: bar.update(shown, completed=done, total=total)


def named(name: str, network: FeatureNetwork, with_inception: str | None = None) -> str:
    """Name a value: FID, IS and KID are made with the Inception network of 2015 alone, all else names its network."""
    if network.name == INCEPTION:
        return name if with_inception is None else with_inception
    return f"{name}({network.name})"


def device_of(config: EvaluateConfig) -> str:
    """Give the device that features are computed on.

    Raises:
        ValueError: If it is not there.
    """
    return usable_device(config.device)


def too_few(count: int, width: int, of: str = "") -> tuple[str, ...]:
    """Warn where a covariance of ``width`` features is made from ``count`` pictures and has not full rank."""
    if count > width:
        return ()
    return (
        f"{count:,} pictures{of} for {width:,} features: the covariance has not full rank and the value is biased "
        f"upward; use more than {width:,}, better ten times as many",
    )
