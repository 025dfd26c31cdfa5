"""Self-Attention GAN for PyTorch: train on your own pictures, sample by class, see where the network looks."""

from typing import TYPE_CHECKING

from sagan.models.discriminator import Discriminator, DiscriminatorConfig
from sagan.models.generator import Generator, GeneratorConfig
from sagan.ops.attention import SelfAttention2d

if TYPE_CHECKING:
    from sagan.evaluation import evaluate
    from sagan.generators.pretrained import load
    from sagan.runs.train import train
    from sagan.training.hooks import Hook

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "Hook",
    "SelfAttention2d",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> object:
    # Training brings in plotting and logging; whoever wants only the networks does not wait for them.
    if name == "train":
        from sagan.runs.train import train

        return train
    if name == "Hook":
        from sagan.training.hooks import Hook

        return Hook
    if name == "load":
        from sagan.generators.pretrained import load

        return load
    if name == "evaluate":
        from sagan.evaluation import evaluate

        return evaluate
    raise AttributeError(f"module 'sagan' has no attribute {name!r}")
