"""From pictures to features: what a feature network is, and how it is run over many pictures."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sagan.metrics import report

CPU_PART = 8
"""Pictures that a network looks at together on a CPU."""


class Features(NamedTuple):
    """What a feature network says of N pictures, float32."""

    features: Tensor
    """Features (N, width)."""
    logits: Tensor
    """Class logits (N, num_classes)."""


class FeatureNetwork(Protocol):
    """A network that turns uint8 pictures of any size into features. It resizes and normalises them itself."""

    @property
    def name(self) -> str:
        """What values made with it are called by, e.g. ``efficientnet-lite0`` in FD(efficientnet-lite0)."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 sum of its weights file, in hexadecimal."""

    @property
    def width(self) -> int:
        """Number of features of a picture."""

    @property
    def num_classes(self) -> int:
        """Number of class logits."""

    @property
    def image_px(self) -> int:
        """Height and width that pictures are resized to."""

    @property
    def resize(self) -> str:
        """How pictures are resized, in words."""

    @property
    def logits(self) -> str:
        """What the logits are, in words, e.g. ``without bias``."""

    def to(self, device: torch.device, /) -> object:
        """Move the weights to a device."""

    def __call__(self, images: Tensor, /) -> Features:
        """Compute features and logits, on the device of the network.

        Shape: uint8 (N, H, W, 3) -> float32 (N, width) and (N, num_classes).

        Raises:
            ValueError: If the images are anything else.
        """


UNKNOWN_WEIGHTS = "unknown weights"
"""What weights are called whose SHA-256 sum is none of the published ones."""


def network_protocol(network: FeatureNetwork) -> report.Protocol:
    """Give the fields that two values must share for their features to be comparable.

    A network that says of itself ``weights_known = False`` has the field ``network_weights``, too: what follows from
    the sum of its weights for a reader who does not know the published ones by heart.
    """
    unknown = not getattr(network, "weights_known", True)
    told: report.Protocol = {"network_weights": UNKNOWN_WEIGHTS} if unknown else {}
    return told | {
        "network": network.name,
        "weights_sha256": network.weights_sha256,
        "feature_width": network.width,
        "image_px": network.image_px,
        "resize": network.resize,
        "logits": network.logits,
    }


def check_images(images: Tensor | NDArray[np.uint8]) -> None:
    """Refuse everything but uint8 (N, H, W, 3).

    Raises:
        ValueError: If the images are not uint8, not of that shape, or have no pixels.
    """
    dtype, shape = str(images.dtype).removeprefix("torch."), tuple(images.shape)
    if dtype.startswith(("float", "bfloat")):
        values = images if isinstance(images, Tensor) else torch.as_tensor(images)
        if values.numel() and not values.isfinite().all():
            raise ValueError("images hold NaN or infinity; the generator or the file that they come from is broken")
        span = f" in [{float(values.min()):.3g}, {float(values.max()):.3g}]" if values.numel() else ""
        raise ValueError(
            f"images must be uint8 in 0..255, found {dtype}{span}; round them first, those in [-1, 1] as "
            "(127.5 * x + 127.5), clipped to 0..255"
        )
    if dtype != "uint8":
        raise ValueError(f"images must be uint8 in 0..255, found {dtype}; convert them first")
    if len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        hint = "; permute (N, 3, H, W) to that" if len(shape) == 4 and shape[1] == 3 else ""
        raise ValueError(f"images must be (N, H, W, 3), red, green, blue, found {shape}{hint}")


def extract(
    network: FeatureNetwork,
    batches: Iterable[Tensor | NDArray[np.uint8]],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 32,
) -> Iterator[Features]:
    """Run a network over batches of pictures, cut anew into batches of ``batch_size``, in their order.

    At most ``batch_size`` pictures and one given batch are in memory at a time. The network stays on ``device``.

    Shape: uint8 (n, H, W, 3), n free for each batch, H and W the same for all -> float32 (batch_size, width) and
    (batch_size, num_classes) on the CPU; the last batch may be smaller.

    Raises:
        ValueError: If a batch is anything else, sizes differ, or the features are not finite.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}")
    network.to(torch.device(device))
    for images in _rebatched(batches, batch_size):
        features, logits = (tensor.cpu() for tensor in network(images.to(device)))
        if not (features.isfinite().all() and logits.isfinite().all()):
            raise ValueError(f"{network.name} gave NaN or infinity; its weights or the device are broken")
        yield Features(features, logits)


def _rebatched(batches: Iterable[Tensor | NDArray[np.uint8]], batch_size: int) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    count, size = 0, None
    for batch in batches:
        check_images(batch)
        # A copy: arrays that cannot be written to, as of a file in memory, make from_numpy warn.
        images = batch if isinstance(batch, Tensor) else torch.from_numpy(np.array(batch))
        if size is not None and images.shape[1:3] != size:
            raise ValueError(
                f"pictures of {size[0]}x{size[1]} and of {images.shape[1]}x{images.shape[2]} pixels are mixed; bring "
                "all to one size first"
            )
        size = images.shape[1:3]
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            waiting.append(part)
            count += len(part)
            if count >= batch_size:
                together = torch.cat(waiting)
                yield together[:batch_size]
                waiting = [together[batch_size:]]
                count -= batch_size
    if count:
        yield torch.cat(waiting)


def in_parts(images: Tensor, compute: Callable[[Tensor], Features]) -> Features:
    """Compute features of a batch, on a CPU of a few pictures at a time, and in full precision.

    Few pictures fit the caches, and large blocks of memory would be fetched from the system anew in every layer:
    Inception gained a tenth by this, EfficientNet-Lite0 half again.

    Shape: uint8 (N, H, W, 3) -> what ``compute`` makes of each part, joined.
    """
    size = CPU_PART if images.device.type == "cpu" else max(1, len(images))
    with full_precision(images.device):
        parts = [compute(images[start : start + size]) for start in range(0, max(1, len(images)), size)]
    return Features(torch.cat([part.features for part in parts]), torch.cat([part.logits for part in parts]))


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in float32 proper and without gradients, whatever training has chosen, and set that back afterwards.

    TF32, which a GPU's convolutions use unless told otherwise, has ten bits and moves features in the third digit.
    """
    places = (
        torch.backends.cudnn.conv,  # type: ignore[attr-defined]
        torch.backends.cuda.matmul,
        torch.backends.mkldnn.conv,  # type: ignore[attr-defined]
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    )
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
