"""Networks, engine and state from a configuration and a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.norm import set_batch_statistics
from sagan.recipes.config import RunConfig
from sagan.training.engine import Engine
from sagan.training.state import TrainState, new_state


@dataclass(frozen=True)
class Parts:
    """What a run works with."""

    engine: Engine
    state: TrainState


def with_classes(config: RunConfig, num_classes: int) -> RunConfig:
    """Give the configuration with both networks made for the data's number of classes; 0 is unconditional."""
    return replace(
        config,
        generator=replace(config.generator, num_classes=num_classes),
        discriminator=replace(config.discriminator, num_classes=num_classes),
    )


def build_networks(config: RunConfig) -> tuple[Generator, Discriminator]:
    """Make both networks on the CPU, their weights drawn from the run's seed; PyTorch's own random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Generator(config.generator), Discriminator(config.discriminator)


def check_sizes(config: RunConfig, G: Mapping[str, Tensor], D: Mapping[str, Tensor]) -> None:
    """Check that the tensors of both networks are as many as a configuration asks for, before any is allocated.

    Raises:
        ValueError: If it asks for more than there are.
    """
    for name, kind, wanted, state in (
        ("generator", Generator, config.generator, G),
        ("discriminator", Discriminator, config.discriminator, D),
    ):
        with torch.device("meta"):
            network = kind(replace(wanted, spectral_norm=False, init="xavier"))  # type: ignore[type-var, arg-type]
        asked, found = (sum(map(Tensor.numel, tensors)) for tensors in (network.parameters(), state.values()))
        if asked > found:
            raise ValueError(f"its configuration asks for a {name} of {asked:,} weights where it holds {found:,}")


def build(config: RunConfig, engine: Engine | None = None) -> Parts:
    """Make the state at step 0, and an engine unless there is one.

    Raises:
        ValueError: If the device that is asked for is not there.
    """
    engine = engine or Engine(config.engine)
    G, D = build_networks(config)
    set_batch_statistics(G, config.train.batch_norm, config.train.ghost_size)
    return Parts(engine, new_state(engine.module(G), engine.module(D), config.train))
