"""Numbers that a name stands for: both a source and this project fill their networks with them."""

import hashlib
import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Kind = Literal["weight", "bias", "gain", "offset", "gate", "vector", "mean", "variance"]


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """Give independent numbers of mean 0 and variance 1, uniform between -sqrt(3) and sqrt(3), in float64.

    The first 8 bytes of the name's SHA-256, read as a big-endian integer, seed NumPy's PCG64; the upper 53 bits of each
    of its outputs are one number. Neither depends on the version of NumPy.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    bits = np.random.PCG64(seed).random_raw(math.prod(shape))
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return torch.from_numpy((2.0 * uniform - 1.0) * math.sqrt(3.0)).reshape(shape)


def start(name: str, shape: tuple[int, ...], kind: Kind) -> Tensor:
    """Give what a tensor of a network starts from."""
    if kind == "gate":  # one number; at 0, where networks start, attention would not be seen
        return torch.full(shape, 0.5, dtype=torch.float64)
    drawn = numbers(name, shape)
    match kind:
        case "weight":
            return drawn / math.sqrt(math.prod(shape[1:]))
        case "vector":
            return drawn / torch.linalg.vector_norm(drawn)
        case "bias" | "mean":
            return 0.1 * drawn
        case "offset":
            return 0.2 * drawn
        case "gain":
            return 1.0 + 0.2 * drawn
        case "variance":
            return 1.0 + 0.3 * drawn


def settled(weight: Tensor, u: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Bring spectral vectors nearer to the first singular vectors of a weight (out, ...): u (out,) -> u, v (rest,)."""
    matrix = weight.flatten(1)
    for _ in range(iterations):
        v = matrix.t() @ u
        v = v / torch.linalg.vector_norm(v)
        u = matrix @ v
        u = u / torch.linalg.vector_norm(u)
    return u, v


def classes(name: str, count: int, num_classes: int) -> Tensor:
    """Give class labels, int64 (count,)."""
    uniform = numbers(name, (count,)) / (2.0 * math.sqrt(3.0)) + 0.5
    return (uniform * num_classes).long()


def pixels(name: str, count: int, size_px: int) -> Tensor:
    """Give pictures, uint8 (count, H, W, 3): noise at a quarter of the size, so that neighbours are alike."""
    uniform = numbers(name, (count, size_px // 4, size_px // 4, 3)) / (2.0 * math.sqrt(3.0)) + 0.5
    return (uniform * 256.0).to(torch.uint8).repeat_interleave(4, 1).repeat_interleave(4, 2)


def measured(name: str, tensor: Tensor) -> list[float]:
    """Give two numbers for a tensor: its product with the numbers of its name, and its length.

    The first changes with each of its entries; the second says what a difference of the first is to be compared with.
    """
    tensor = tensor.detach().double()
    product = (tensor * numbers(f"{name}/product", tuple(tensor.shape))).sum()
    return [float(product), float(torch.linalg.vector_norm(tensor))]
