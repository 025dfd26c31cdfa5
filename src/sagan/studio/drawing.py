"""From an ask to numbers for the page: pictures, and the whole attention map of one of them."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sagan.generators.config import SampleConfig
from sagan.generators.trained import TrainedGenerator
from sagan.models.config import START, scaled
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.sampling import attention_gammas, attention_maps, generate
from sagan.studio.binary import packed

# Between two of these a newer ask is noticed.
BATCH_SIZE = 16
# As many numbers of a map are sent at most; of a larger one fewer query places are.
MAX_NUMBERS = 2**23

Maps = Mapping[int, NDArray[np.float32]]


def pictures(generator: TrainedGenerator, config: SampleConfig, advance: Callable[[int], None]) -> NDArray[np.uint8]:
    """Draw samples, or the frames of a walk: uint8 (N, H, W, 3)."""
    return generate(*generator.inputs(config), batch_size=BATCH_SIZE, advance=advance)


def looks(generator: TrainedGenerator, config: SampleConfig, item: int) -> bytes:
    """Give the whole attention map of one of these pictures, of every block, as a message.

    Raises:
        ValueError: If there is no such picture.
    """
    network, z, y = generator.inputs(config)
    if not item < len(z):
        raise ValueError(f"there are {len(z)} pictures, counted from 0; found the number {item}")
    device = next(network.parameters()).device
    labels = None if y is None else y[item : item + 1].to(device)
    queries = coarse_queries(network)
    found = attention_maps(network, z[item : item + 1].to(device), labels, queries)
    maps = {position: values[0].float().cpu().numpy() for position, values in found.items()}
    return message_of_maps(maps, network)


def coarse_queries(network: Generator | Discriminator) -> list[tuple[int, int]] | None:
    """Give a coarser grid of query points (row, column) where the map would be too large; None is every position."""
    start, most, keys = network.config.start_grid, 0, 1
    for name, block in network.attention.items():
        if name.isdecimal() and isinstance(block, SelfAttention2d):
            grid = scaled(start, int(name))
            count = math.prod(block.key_grid(*grid))
            keys, most = max(keys, count), max(most, math.prod(grid) * count)
    if most <= MAX_NUMBERS:
        return None
    shorter = START << max(0, int((MAX_NUMBERS / (keys * math.prod(start))) ** 0.5).bit_length() - 1)
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
