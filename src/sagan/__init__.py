"""Self-Attention GAN for PyTorch: train on your own pictures, sample by class, see where the network looks."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from sagan import old_names
from sagan.lazy import lazy_names
from sagan.version import __version__

if TYPE_CHECKING:
    from sagan.data.checking import check
    from sagan.data.config import DataConfig
    from sagan.data.given import GivenData
    from sagan.data.pack_folder import pack
    from sagan.evaluation import EvaluateConfig, evaluate
    from sagan.exchange.bring_in import import_weights
    from sagan.exchange.config import ImportConfig
    from sagan.exchange.take_out import export
    from sagan.generators.config import AttentionConfig, SampleConfig
    from sagan.generators.outputs import attention_to_file, sample_to_file
    from sagan.generators.pretrained import load
    from sagan.metrics.config import MonitorConfig
    from sagan.models.config import DiscriminatorConfig, GeneratorConfig
    from sagan.models.discriminator import Discriminator
    from sagan.models.generator import Generator
    from sagan.ops.attention import SelfAttention2d
    from sagan.recipes.choose import preset
    from sagan.recipes.config import RunConfig
    from sagan.runs.train import train
    from sagan.speed.benchmark import benchmark
    from sagan.speed.plan import make_plan as plan
    from sagan.studio.report import write_report
    from sagan.training.config import EngineConfig, TrainConfig
    from sagan.training.hooks import Hook

__all__ = [
    "AttentionConfig",
    "DataConfig",
    "Discriminator",
    "DiscriminatorConfig",
    "EngineConfig",
    "EvaluateConfig",
    "Generator",
    "GeneratorConfig",
    "GivenData",
    "Hook",
    "ImportConfig",
    "MonitorConfig",
    "RunConfig",
    "SampleConfig",
    "SelfAttention2d",
    "TrainConfig",
    "__version__",
    "attention_to_file",
    "benchmark",
    "check",
    "evaluate",
    "export",
    "import_weights",
    "load",
    "pack",
    "plan",
    "preset",
    "sample_to_file",
    "train",
    "write_report",
]

ROOMS = ("models", "ops")
"""Packages that `import sagan` has always had as attributes; they are imported with all their modules when used."""

_public = lazy_names(
    __name__,
    {
        "sagan.data.checking": ["check"],
        "sagan.data.config": ["DataConfig"],
        "sagan.data.given": ["GivenData"],
        "sagan.data.pack_folder": ["pack"],
        "sagan.evaluation": ["EvaluateConfig", "evaluate"],
        "sagan.exchange.bring_in": ["import_weights"],
        "sagan.exchange.config": ["ImportConfig"],
        "sagan.exchange.take_out": ["export"],
        "sagan.generators.config": ["AttentionConfig", "SampleConfig"],
        "sagan.generators.outputs": ["attention_to_file", "sample_to_file"],
        "sagan.generators.pretrained": ["load"],
        "sagan.metrics.config": ["MonitorConfig"],
        "sagan.models.config": ["DiscriminatorConfig", "GeneratorConfig"],
        "sagan.models.discriminator": ["Discriminator"],
        "sagan.models.generator": ["Generator"],
        "sagan.ops.attention": ["SelfAttention2d"],
        "sagan.recipes.choose": ["preset"],
        "sagan.recipes.config": ["RunConfig"],
        "sagan.runs.train": ["train"],
        "sagan.speed.benchmark": ["benchmark"],
        "sagan.studio.report": ["write_report"],
        "sagan.training.config": ["EngineConfig", "TrainConfig"],
        "sagan.training.hooks": ["Hook"],
    },
)


def __getattr__(name: str) -> object:
    # The networks, plotting and logging come with the first name that needs them: a help text does not wait for them.
    if name in old_names.PLACES:  # `plan` is among them: the old module is called like the new function
        return old_names.module(f"{__name__}.{name}")
    if name in ROOMS:
        for module in ("models.generator", "models.discriminator", "ops.augment"):
            import_module(f"{__name__}.{module}")
        return sys.modules[f"{__name__}.{name}"]
    return _public(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


old_names.install()
