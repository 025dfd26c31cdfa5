"""Self-Attention GAN for PyTorch: train on your own pictures, sample by class, see where the network looks."""

from typing import TYPE_CHECKING

from sagan import old_names
from sagan.lazy import lazy_names

if TYPE_CHECKING:
    from sagan.data.config import DataConfig
    from sagan.evaluation import evaluate
    from sagan.generators.pretrained import load
    from sagan.models.config import DiscriminatorConfig, GeneratorConfig
    from sagan.models.discriminator import Discriminator
    from sagan.models.generator import Generator
    from sagan.ops.attention import SelfAttention2d
    from sagan.recipes.config import RunConfig
    from sagan.runs.train import train
    from sagan.training.config import TrainConfig

__all__ = [
    "DataConfig",
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "RunConfig",
    "SelfAttention2d",
    "TrainConfig",
    "__version__",
    "evaluate",
    "load",
    "train",
]

__version__: str

_public = lazy_names(
    __name__,
    {
        "sagan.data.config": ["DataConfig"],
        "sagan.evaluation": ["evaluate"],
        "sagan.generators.pretrained": ["load"],
        "sagan.models.config": ["DiscriminatorConfig", "GeneratorConfig"],
        "sagan.models.discriminator": ["Discriminator"],
        "sagan.models.generator": ["Generator"],
        "sagan.ops.attention": ["SelfAttention2d"],
        "sagan.recipes.config": ["RunConfig"],
        "sagan.runs.train": ["train"],
        "sagan.training.config": ["TrainConfig"],
    },
)


def __getattr__(name: str) -> object:
    # The networks, plotting and logging come with the first name that needs them: a help text does not wait for them.
    if name == "__version__":
        from importlib import metadata

        return metadata.version("sagan-torch")
    if name in old_names.PLACES:
        return old_names.module(f"{__name__}.{name}")
    return _public(name)


old_names.install()
