"""DINOv2 as a feature network, through torch-fidelity, which has it and which most published FD(DINOv2) come from.

Stein et al. 2023, "Exposing flaws of generative model evaluation metrics", recommend its features (ViT-L/14) over those
of Inception. What is made with it is FD(dinov2-vit-l-14), never FID.
"""

import hashlib
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from sagan.metrics.features import Features, check_images, in_parts
from sagan.metrics.resize import TF1_BILINEAR
from sagan.metrics.weights import WeightsError

DinoV2Name = Literal["dinov2-vit-s-14", "dinov2-vit-b-14", "dinov2-vit-l-14", "dinov2-vit-g-14"]
WIDTHS = {"dinov2-vit-s-14": 384, "dinov2-vit-b-14": 768, "dinov2-vit-l-14": 1024, "dinov2-vit-g-14": 1536}


class DinoV2:
    """torch-fidelity's DINOv2 extractor: uint8 pictures to the class token's features; there are no logits.

    Args:
        name: Which size of the network.
        extractor: torch-fidelity's extractor of that name.
    """

    num_classes = 0
    image_px = 224
    resize = TF1_BILINEAR
    logits = "none"
    weights_known = False
    """No sum of these weights is known here: torch.hub brings what is at the authors' address."""

    def __init__(self, name: DinoV2Name, extractor: Any) -> None:
        self.name: str = name
        self.width = WIDTHS[name]
        self._extractor = extractor
        digest = hashlib.sha256()
        for key, tensor in sorted(extractor.state_dict().items()):
            digest.update(key.encode() + tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        self.weights_sha256 = digest.hexdigest()
        """SHA-256 sum of the names and numbers of all its weights: the hub may keep them in any file."""

    def to(self, device: torch.device, /) -> "DinoV2":
        """Move the weights to a device."""
        self._extractor.to(device)
        return self

    def __call__(self, images: Tensor, /) -> Features:
        """Compute features.

        Shape: uint8 (N, H, W, 3) -> float32 (N, width), and (N, 0).

        Raises:
            ValueError: If the images are anything else.
        """
        check_images(images)
        return in_parts(images, self._compute)

    def _compute(self, images: Tensor) -> Features:
        (features,) = self._extractor(images.permute(0, 3, 1, 2).contiguous())
        return Features(features, features[:, :0])


def load_dinov2(name: DinoV2Name = "dinov2-vit-l-14") -> DinoV2:
    """Load DINOv2 through torch-fidelity, which fetches its code and weights with torch.hub from its authors.

    Raises:
        WeightsError: If torch-fidelity is not installed, or torch.hub cannot fetch the network.
        ValueError: If there is no such network.
    """
    if name not in get_args(DinoV2Name):
        raise ValueError(f"DINOv2 comes as {', '.join(get_args(DinoV2Name))}, found {name!r}")
    try:
        from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
    except ImportError as error:
        raise WeightsError(
            f"DINOv2 comes through torch-fidelity, which cannot be imported ({error}); run `pip install "
            '"sagan-torch[dinov2]"`'
        ) from None
    try:
        extractor = FeatureExtractorDinoV2(name, ["dinov2"])
    except Exception as error:  # torch.hub runs the authors' code, which fails in ways of its own
        raise WeightsError(
            f"{name} could not be fetched by torch.hub from facebookresearch/dinov2 ({error}); it needs a network "
            "connection the first time"
        ) from error
    return DinoV2(name, extractor)
