"""Noise and labels to pictures: what training draws, what sampling draws, truncation, interpolation, attention maps.

All draws are keyed (see :mod:`sagan.randomness`): in training by seed, step and update, for samples by seed and sample
index. So a sample does not depend on the batch that it is computed in, nor on how many others are drawn, but for
rounding.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.attention import SelfAttention2d
from sagan.ops.norm import standing_statistics
from sagan.ops.pixels import images_to_uint8
from sagan.ops.spectral import frozen_spectral, refresh_spectral
from sagan.randomness import keyed_generator
from sagan.sizes import Size, size_of

MAX_REDRAWS = 10_000
BATCH_SIZE = 16
"""Images drawn at a time, by the command line as by the studio: with another number pixels may round otherwise."""


def training_draws(
    seed: int, player: Literal["D", "G"], step: int, update: int, batch_size: int, z_dim: int, num_classes: int
) -> tuple[Tensor, Tensor | None]:
    """Draw the noise and the labels of one global batch of training: fresh for each player, step and update.

    Shape: -> z (batch_size, z_dim) from N(0, I), y int64 (batch_size,) uniform over the classes, None if unconditional.
    """
    noise = keyed_generator(seed, f"training z {player}", step, update)
    z = torch.from_numpy(noise.standard_normal((batch_size, z_dim), dtype=np.float32))
    if num_classes == 0:
        return z, None
    labels = keyed_generator(seed, f"training y {player}", step, update)
    return z, torch.from_numpy(labels.integers(0, num_classes, batch_size, dtype=np.int64))


def check_truncation(truncation: float | None) -> None:
    """Check that noise can be redrawn beyond this absolute value.

    Raises:
        ValueError: If it is too small for redrawing to end.
    """
    if truncation is not None and not truncation > 0.01:
        raise ValueError(f"truncation must be above 0.01 (2 keeps 95 % of the noise as it is), found {truncation}")


def sample_latents(
    seed: int, indices: Sequence[int], z_dim: int, truncation: float | None = None, stream: str = "sample"
) -> Tensor:
    """Draw the noise of samples by their indices.

    Args:
        seed: The seed of the whole set of samples.
        indices: Which samples; the noise of sample i depends on the seed and i alone.
        z_dim: Width of the noise.
        truncation: If given, every z_i with ``|z_i| > truncation`` is drawn again until there is none.
        stream: What the samples are for; streams of one seed are independent.

    Shape: -> (len(indices), z_dim).

    Raises:
        ValueError: If the truncation is too small for redrawing to end.

    Source: Brock et al. 2019 for the truncation.
    """
    check_truncation(truncation)
    truncation = None if truncation is None else min(truncation, float(np.finfo(np.float32).max))
    z = np.empty((len(indices), z_dim), dtype=np.float32)
    for row, index in enumerate(indices):
        generator = keyed_generator(seed, f"{stream} z", index)
        z[row] = generator.standard_normal(z_dim, dtype=np.float32)
        for _ in range(MAX_REDRAWS if truncation is not None else 0):
            outside = np.abs(z[row]) > truncation
            if not outside.any():
                break
            z[row, outside] = generator.standard_normal(int(outside.sum()), dtype=np.float32)
    if truncation is not None:
        np.clip(z, -truncation, truncation, out=z)
    return torch.from_numpy(z)


def sample_labels(seed: int, indices: Sequence[int], num_classes: int, stream: str = "sample") -> Tensor | None:
    """Draw the classes of samples by their indices, uniformly; None if unconditional. Arguments as above.

    Shape: -> int64 (len(indices),).
    """
    if num_classes == 0:
        return None
    labels = [int(keyed_generator(seed, f"{stream} y", i).integers(0, num_classes)) for i in indices]
    return torch.tensor(labels, dtype=torch.int64)


def batched(total: int, size: int) -> Iterator[range]:
    """Yield the ranges of 0..total-1 in pieces of at most ``size``."""
    for start in range(0, total, size):
        yield range(start, min(start + size, total))


@torch.no_grad()
def generate(
    G: Generator,
    z: Tensor,
    y: Tensor | None,
    batch_size: int = BATCH_SIZE,
    advance: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Run the generator in batches, whose sizes ``advance`` is told when they are done, and quantise its images.

    Shape: z (N, z_dim), y int64 (N,) or None -> uint8 (N, H, W, 3). G runs in the mode that it is in.
    """
    device = next(G.parameters()).device
    images = np.empty((len(z), *G.config.image_size, 3), dtype=np.uint8)
    for part in batched(len(z), batch_size):
        rows = slice(part.start, part.stop)
        x = G(z[rows].to(device), None if y is None else y[rows].to(device))
        images[rows] = images_to_uint8(x).permute(0, 2, 3, 1).cpu().numpy()
        advance(len(part))
    return images


class Sharing(Protocol):
    """Several processes that do one computation together."""

    def share(self, items: Sequence[range]) -> Sequence[range]:
        """Give the part of the work that this process does."""

    def add_up(self, sums: Tensor) -> Tensor:
        """Add up a tensor that lies on the host over the processes."""


def sampling_copy(
    G: Generator,
    *,
    batches: int,
    batch_size: int,
    seed: int,
    advance: Callable[[], None] = lambda: None,
    sharing: Sharing | None = None,
) -> Generator:
    """Make a copy of a generator that is ready to sample; the original is not touched.

    In the copy the spectral vectors are refreshed on its weights, the batch normalisations hold standing statistics
    over ``batches`` x ``batch_size`` random samples, unless its configuration takes the running averages, and it is in
    evaluation mode without gradients.

    Args:
        G: The generator in training, or its moving average.
        batches: How many batches the standing statistics average; 0 keeps the running averages.
        batch_size: Samples a batch.
        seed: Seed of those samples, a stream of their own.
        advance: Called after each of the batches, e.g. by a progress bar.
        sharing: Processes that share those batches; all of them make the copy.
    """
    copied = copy.deepcopy(G).requires_grad_(False).eval()
    refresh_spectral(copied)
    if batches > 0 and G.config.sampling_norm == "standing":
        refresh_standing_statistics(
            copied, batches=batches, batch_size=batch_size, seed=seed, advance=advance, sharing=sharing
        )
    return copied


@torch.no_grad()
def refresh_standing_statistics(
    G: Generator,
    *,
    batches: int,
    batch_size: int,
    seed: int,
    advance: Callable[[], None] = lambda: None,
    sharing: Sharing | None = None,
) -> None:
    """Compute G's standing statistics over ``batches`` x ``batch_size`` random samples, in place."""
    device = next(G.parameters()).device

    def forward(batch: range) -> None:
        z = sample_latents(seed, batch, G.config.z_dim, stream="standing statistics")
        y = sample_labels(seed, batch, G.config.num_classes, stream="standing statistics")
        G(z.to(device), None if y is None else y.to(device))
        advance()

    parts: Sequence[range] = list(batched(batches * batch_size, batch_size))
    if sharing is not None:
        parts = sharing.share(parts)
    standing_statistics(G, (partial(forward, part) for part in parts), None if sharing is None else sharing.add_up)


def interpolate(start: Tensor, end: Tensor, frames: int, *, spherical: bool = True) -> Tensor:
    """Walk from one noise vector to another.

    Args:
        start: (z_dim,).
        end: (z_dim,).
        frames: How many vectors, both ends included; at least 2.
        spherical: Along the great circle, which keeps the norm typical of N(0, I); otherwise along the line.

    Shape: -> (frames, z_dim).

    Raises:
        ValueError: If there are fewer than 2 frames.
    """
    if frames < 2:
        raise ValueError(f"an interpolation has at least 2 frames, found {frames}")
    t = torch.linspace(0.0, 1.0, frames, dtype=start.dtype)[:, None]
    if spherical:
        cosine = torch.dot(start, end) / (start.norm() * end.norm()).clamp_min(1e-12)
        angle = torch.arccos(cosine.clamp(-1.0, 1.0))
        if float(torch.sin(angle)) > 1e-4:
            return (torch.sin((1.0 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
    return torch.lerp(start[None], end[None], t)


def noise_directions(G: Generator) -> Tensor:
    """Find the directions of the noise that the first layer answers to, those that it amplifies most first.

    They are the right singular vectors of its weights, each with its largest entry positive. Where noise also enters
    the blocks, they are those of the weights of all layers that hear it, one on top of another.

    Shape: -> (min(z_dim, features of these layers), z_dim), unit vectors in rows, float32 on the CPU.

    Source: Shen and Zhou 2021 (SeFa), equation 5.
    """
    weight = torch.cat([layer.detach().double().cpu() for layer in _weights_of_noise(G)])
    directions: Tensor = torch.linalg.svd(weight, full_matrices=False).Vh
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return (directions * largest.sign()).float()


def _weights_of_noise(G: Generator) -> Iterator[Tensor]:
    """Yield the weights that work on noise, as matrices (features, z_dim), zero where a layer hears nothing."""
    heard = [[G.linear], *([m for m in block.modules() if isinstance(m, nn.Linear)] for block in G.blocks)]
    with frozen_spectral(G):
        for (start, stop), layers in zip(G.config.noise_parts, heard, strict=True):
            for layer in layers:
                yield F.pad(layer.weight, (start, G.config.z_dim - stop))


def along(z: Tensor, direction: Tensor, reach: float, frames: int) -> Tensor:
    """Walk from ``reach`` before a noise vector to ``reach`` behind it.

    Args:
        z: (z_dim,), the middle.
        direction: (z_dim,), a unit vector.
        reach: Above 0, in standard deviations of the noise.
        frames: How many vectors, both ends included; at least 2.

    Shape: -> (frames, z_dim).

    Raises:
        ValueError: If there are fewer than 2 frames.
    """
    if frames < 2:
        raise ValueError(f"a walk has at least 2 frames, found {frames}")
    return z + torch.linspace(-reach, reach, frames, dtype=z.dtype)[:, None] * direction


def check_queries(queries_px: Sequence[tuple[int, int]], image_size: Size) -> None:
    """Check that query points (row, column) are pixels of an image of that size.

    Raises:
        ValueError: If one is not.
    """
    height, width = size_of(image_size)
    for row, column in queries_px:
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(
                f"query {row},{column} lies outside the image of {height}x{width} pixels (row,column from 0)"
            )


@torch.no_grad()
def attention_maps(
    network: Generator | Discriminator,
    inputs: Tensor,
    y: Tensor | None,
    queries_px: Sequence[tuple[int, int]] | None = None,
) -> dict[int, Tensor]:
    """Compute the attention maps of a network, in the mode that it is in; of several blocks at a position of the first.

    Args:
        network: A generator (``inputs`` is z) or a discriminator (``inputs`` is images).
        inputs: z (B, z_dim) or x (B, 3, H, W).
        y: Labels int64 (B,), or None.
        queries_px: Query points (row, column) in pixels of the image; unset gives the rows of all positions.

    Returns:
        {position K: (B, Q, H_key, W_key)}; each map sums to 1. Q counts the query points, or the positions of the
        feature map, whose shorter side is K.

    Raises:
        ValueError: If a query point lies outside the image.

    Source: Zhang et al. 2018, figures 1 and 5.
    """
    check_queries(queries_px or (), network.config.image_size)
    with attended(network) as seen:
        network(inputs, y)
    return maps_of({name: parts[0] for name, parts in seen.items()}, network, queries_px)


@torch.no_grad()
def maps_of(
    seen: Mapping[str, Tensor],
    network: Generator | Discriminator,
    queries_px: Sequence[tuple[int, int]] | None = None,
) -> dict[int, Tensor]:
    """Compute :func:`attention_maps` from what the blocks got in an earlier forward, see :func:`attended`.

    Args:
        seen: {name of a block: (B, C, H, W)}.
        network: Whose blocks they are.
        queries_px: As in :func:`attention_maps`.
    """
    image_height, image_width = network.config.image_size
    maps = {}
    for name, x in seen.items():
        block = network.attention[name]
        assert isinstance(block, SelfAttention2d)
        height, width = x.shape[2:]
        queries = None
        if queries_px is not None:
            places = [(r * height // image_height) * width + c * width // image_width for r, c in queries_px]
            queries = torch.tensor(places, device=x.device)
        rows = block.attention_map(x, queries)  # (B, Q, N_key)
        maps[int(name)] = rows.reshape(*rows.shape[:2], *block.key_grid(height, width))
    return maps


@contextmanager
def attended(network: Generator | Discriminator) -> Iterator[dict[str, list[Tensor]]]:
    """Keep what the first attention block of each height gets in the forwards within: {name: [(B, C, H, W), ...]}."""
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str) -> object:
        def hook(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            seen.setdefault(name, []).append(arguments[0])

        return hook

    first = [(name, block) for name, block in network.attention.items() if name.isdecimal()]
    handles = [block.register_forward_pre_hook(keep(name)) for name, block in first]  # type: ignore[arg-type]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def attention_gammas(network: nn.Module) -> dict[int, float]:
    """Read the gamma of every attention or ablation block, by position; of several at a height that of the first."""
    blocks = [*network.attention.items(), *network.residual.items()]  # type: ignore[union-attr,operator]
    return {int(name): float(block.gamma.detach()) for name, block in blocks if name.isdecimal()}
