"""Feature networks by name."""

from pathlib import Path
from typing import Literal

from sagan.metrics.dinov2 import load_dinov2
from sagan.metrics.efficientnet import load_efficientnet, width_for
from sagan.metrics.features import FeatureNetwork
from sagan.metrics.inception import load_inception
from sagan.metrics.pixels import PixelNetwork

FeatureName = Literal[
    "inception",
    "efficientnet-lite0",
    "dinov2-vit-s-14",
    "dinov2-vit-b-14",
    "dinov2-vit-l-14",
    "dinov2-vit-g-14",
    "pixels",
]


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
