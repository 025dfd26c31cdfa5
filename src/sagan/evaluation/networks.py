"""Feature networks by name."""

from pathlib import Path

from sagan.evaluation.config import EvaluateConfig, FeatureName
from sagan.metrics.dinov2 import load_dinov2
from sagan.metrics.efficientnet import WIDE_FROM, load_efficientnet, width_for
from sagan.metrics.features import FeatureNetwork
from sagan.metrics.inception import load_inception
from sagan.metrics.pixels import PixelNetwork
from sagan.metrics.weights import WeightsError


def load_network(
    name: FeatureName,
    file: str | Path | None = None,
    *,
    num_images: int,
    width: int | None = None,
) -> FeatureNetwork:
    """Load a feature network.

    Args:
        name: Which.
        file: A local file of its weights; None takes the installed or downloaded one.
        num_images: Pictures in the smaller of the two sets: EfficientNet-Lite0 gives fewer features for few.
        width: Features of EfficientNet-Lite0, 320 or 1280, whatever the number of pictures.

    Raises:
        WeightsError: If its weights are not to be had, damaged, or of another network.
        ValueError: If a file or a width is named for a network that takes none.
    """
    if width is not None and name != "efficientnet-lite0":
        raise ValueError(f"only efficientnet-lite0 has a choice of widths, not {name}")
    if name == "inception":
        return load_inception(file)
    if name == "efficientnet-lite0":
        if width not in (None, 320, 1280):
            raise ValueError(f"width must be 320 or 1280, found {width}")
        return load_efficientnet(file, width=width or width_for(num_images))  # type: ignore[arg-type]
    if file is not None:
        raise ValueError(f"{name} takes no weights file; leave it away")
    return PixelNetwork() if name == "pixels" else load_dinov2(name)


def width_is_open(config: EvaluateConfig) -> bool:
    """Tell whether the number of features is chosen by that of the pictures."""
    return config.features == "efficientnet-lite0" and config.feature_width is None


def early_network(config: EvaluateConfig) -> FeatureNetwork:
    """Load the feature network before anything else takes time; with all its features where their number is open.

    Raises:
        WeightsError: If its weights are not to be had, damaged, or of another network.
        ValueError: If a file or a width is named for a network that takes none.
    """
    try:
        return load_network(config.features, config.feature_weights, num_images=WIDE_FROM, width=config.feature_width)
    except WeightsError as error:
        if config.features != "inception" or config.feature_weights is not None:
            raise
        raise no_inception(error, "--") from None


def fitting_network(config: EvaluateConfig, fewest: int, of: str, stored: object = None) -> tuple[FeatureNetwork, str]:
    """Load EfficientNet-Lite0 with as many features as fit, and give the reason in a line.

    Args:
        config: Names the file, if any.
        fewest: Pictures in the smaller of the two sets.
        of: What these are, e.g. ``pictures of a class``.
        stored: The number of features in the statistics to judge by; None if they are yet to be made.
    """
    width = None if stored is None else int(str(stored))
    network = load_network("efficientnet-lite0", config.feature_weights, num_images=fewest, width=width)
    few = "fewer than" if fewest < WIDE_FROM else "not fewer than"
    why = f"since {fewest:,} {of} are {few} {WIDE_FROM:,}" if stored is None else "as in the statistics to judge by"
    return network, f"features: {network.width:,} of {network.name}, {why}"


def no_inception(error: WeightsError, flags: str) -> WeightsError:
    """Say what to do where there are no weights of the Inception network.

    Args:
        error: What was tried.
        flags: How flags of the feature network begin.
    """
    return WeightsError(
        "there are no weights of the Inception network here, and they could not be downloaded. Three ways out: "
        f"{flags}feature-weights FILE; {flags}features efficientnet-lite0, a Python package that needs no network and "
        f"gives FD(efficientnet-lite0) instead of FID; or a network connection. In detail: {error}"
    )
