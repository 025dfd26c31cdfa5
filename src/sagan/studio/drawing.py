"""From an ask to numbers for the page: pictures, and the whole attention map of one of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sagan.generators.config import SampleConfig
from sagan.generators.trained import TrainedGenerator
from sagan.models.config import START, scaled
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.sampling import BATCH_SIZE, attended, attention_gammas, attention_maps, generate, maps_of
from sagan.studio.binary import packed

# As many numbers of a map are sent at most; of a larger one fewer query places are.
MAX_NUMBERS = 2**23
# What attention blocks got is kept while it is no larger: 64 samples at 128 px and published width.
MAX_SEEN_BYTES = 2**26

Maps = Mapping[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Drawn:
    """Pictures, and what the attention blocks got while they were drawn: a map of one of them needs nothing else."""

    images: NDArray[np.uint8]
    """(N, H, W, 3)."""
    labels: list[int] | None
    """The class of each; None for a walk between classes, and without classes."""
    network: Generator
    """Whose blocks they were."""
    seen: Mapping[str, Sequence[Tensor]]
    """{name of a block: batches of (B, C, H, W)}, all of them, or none where they were too large to keep."""


def draw(generator: TrainedGenerator, config: SampleConfig, advance: Callable[[int], None]) -> Drawn:
    """Draw samples, or the frames of a walk."""
    network, z, y = generator.inputs(config)
    kept = 0

    def forget_if_large(count: int) -> None:
        nonlocal kept
        kept += sum(parts[-1].nbytes for parts in seen.values() if parts)
        if kept > MAX_SEEN_BYTES:
            for parts in seen.values():
                parts.clear()
        advance(count)

    with attended(network) as seen:
        # Between two batches a newer ask is noticed.
        images = generate(network, z, y, advance=forget_if_large)
    whole = all(sum(len(part) for part in parts) == len(z) for parts in seen.values())
    labels = y.tolist() if y is not None and network is generator.network else None
    return Drawn(images, labels, network, seen if whole else {})


def looks(
    generator: TrainedGenerator, config: SampleConfig, item: int, drawn: Drawn | None = None, most: int | None = None
) -> bytes:
    """Give the whole attention map of one of these pictures, of every block, as a message.

    Args:
        generator: What draws.
        config: Which pictures.
        item: Which of them, counted from 0.
        drawn: The same pictures, if they are there: then the network does not run again.
        most: So many numbers of each map at most; None is what a page gets.

    Raises:
        ValueError: If there is no such picture.
    """
    if drawn is not None and (drawn.seen or not drawn.network.attention):
        check_item(item, len(drawn.images))
        rows = {name: parts[item // BATCH_SIZE][[item % BATCH_SIZE]] for name, parts in drawn.seen.items()}
        network = drawn.network
        found = maps_of(rows, network, coarse_queries(network, most))
    else:
        network, z, y = generator.inputs(config)
        check_item(item, len(z))
        device = next(network.parameters()).device
        labels = None if y is None else y[item : item + 1].to(device)
        found = attention_maps(network, z[item : item + 1].to(device), labels, coarse_queries(network, most))
    maps = {position: values[0].float().cpu().numpy() for position, values in found.items()}
    return message_of_maps(maps, network)


def check_item(item: int, count: int) -> None:
    """Check that there is such a picture.

    Raises:
        ValueError: If there is none.
    """
    if not item < count:
        raise ValueError(f"there are {count} pictures, counted from 0; found the number {item}")


def coarse_queries(network: Generator | Discriminator, most: int | None = None) -> list[tuple[int, int]] | None:
    """Give a coarser grid of query points (row, column) where a map had more numbers; None is every position."""
    most = MAX_NUMBERS if most is None else min(most, MAX_NUMBERS)
    start, largest, keys = network.config.start_grid, 0, 1
    for name, block in network.attention.items():
        if name.isdecimal() and isinstance(block, SelfAttention2d):
            grid = scaled(start, int(name))
            count = math.prod(block.key_grid(*grid))
            keys, largest = max(keys, count), max(largest, math.prod(grid) * count)
    if largest <= most:
        return None
    shorter = START << max(0, int((most / (keys * math.prod(start))) ** 0.5).bit_length() - 1)
    height, width = network.config.image_size
    rows, columns = scaled(start, shorter)
    return [
        ((2 * i + 1) * height // (2 * rows), (2 * j + 1) * width // (2 * columns))
        for i in range(rows)
        for j in range(columns)
    ]


def query_grid(count: int, start_grid: Sequence[int]) -> tuple[int, int]:
    """Give rows and columns of so many places in the shape of a start grid."""
    rows, columns = start_grid
    scale = math.sqrt(count / (rows * columns))
    return round(rows * scale), round(columns * scale)


def message_of_maps(maps: Maps, network: Generator | Discriminator) -> bytes:
    """Pack attention maps in 8 bits: of each query place the largest value, and all values as shares of it in 255ths.

    Args:
        maps: {position K: (Q, H_key, W_key)}, each map with the sum 1; the Q places are a grid over the picture.
        network: Whose maps they are.
    """
    gammas = attention_gammas(network)
    blocks, arrays = [], {}
    for position, values in maps.items():
        rows, columns = values.shape[1:]
        largest = values.reshape(len(values), -1).max(1)
        shares = values.reshape(len(values), -1) / np.maximum(largest, 1e-30)[:, None]
        queries = query_grid(len(values), network.config.start_grid)
        blocks.append({"position": position, "gamma": gammas[position], "queries": queries, "keys": [rows, columns]})
        arrays[f"map{position}"] = np.rint(shares * 255).astype(np.uint8)
        arrays[f"largest{position}"] = largest.astype(np.float32)
    scale = "value = map / 255 * largest of its query place; the values of a query place sum to 1"
    return packed({"blocks": blocks, "scale": scale}, arrays)
