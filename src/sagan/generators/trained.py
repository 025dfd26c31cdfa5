"""A generator that is ready to sample: pictures, walks between two, and where it looked."""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data.parallel import counted
from sagan.generators.config import SampleConfig, class_index
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.sampling import (
    BATCH_SIZE,
    along,
    attention_gammas,
    attention_maps,
    generate,
    interpolate,
    noise_directions,
    sample_labels,
    sample_latents,
)
from sagan.sizes import Size, size_of


class AttentionResult(NamedTuple):
    """Images and where the network looked while it made or judged them."""

    images: NDArray[np.uint8]
    """(N, H, W, 3)."""
    labels: NDArray[np.int64] | None
    """(N,), None if unconditional."""
    maps: dict[int, NDArray[np.float32]]
    """{position K: (N, Q, H_key, W_key)}; each map sums to 1."""
    gammas: dict[int, float]
    """{position K: gamma}; near 0 the map hardly matters."""


class Inputs(NamedTuple):
    """What a network is given to make pictures: a row for each."""

    network: Generator
    """Of a walk between two classes one whose classes are the steps of the walk."""
    z: torch.Tensor
    """(N, z_dim)."""
    y: torch.Tensor | None
    """int64 (N,), None if unconditional."""


@dataclass(frozen=True)
class TrainedGenerator:
    """A generator that is ready to sample, with its class names.

    Attributes:
        network: The generator in evaluation mode.
        class_names: One name a class; empty if unconditional.
        provenance: How the weights came about.
    """

    network: Generator
    class_names: tuple[str, ...]
    provenance: dict[str, object]

    @property
    def config(self) -> GeneratorConfig:
        """The generator's configuration."""
        return self.network.config

    def class_index(self, name: str | int) -> int:
        """Find a class by its name or number; see :func:`class_index`."""
        return class_index(name, self.class_names)

    def labels(
        self, num: int, classes: str | int | Sequence[str | int] | None = None, seed: int = 0
    ) -> torch.Tensor | None:
        """Give the classes of ``num`` samples, int64 (num,): as asked (repeated in order), else uniformly drawn."""
        if classes is None:
            return sample_labels(seed, range(num), self.config.num_classes)
        wanted = [classes] if isinstance(classes, (str, int)) else list(classes)
        if not wanted:
            raise ValueError("classes is empty; leave it unset for all classes")
        indices = [self.class_index(name) for name in wanted]
        return torch.tensor([indices[i % len(indices)] for i in range(num)], dtype=torch.int64)

    def sample(
        self,
        num: int = 16,
        classes: str | int | Sequence[str | int] | None = None,
        seed: int = 0,
        truncation: float | None = None,
        batch_size: int = BATCH_SIZE,
        *,
        progress: bool = False,
    ) -> NDArray[np.uint8]:
        """Sample images.

        Args:
            num: How many, at least 1.
            classes: A class, or several that are repeated in order, by name or number; unset draws them uniformly.
            seed: Sample i depends on the seed, i and its class alone.
            truncation: Redraw noise beyond this absolute value; smaller is less varied and often cleaner.
            batch_size: Images computed at a time; the result does not depend on it (up to rounding, see
                :data:`sagan.sampling.BATCH_SIZE`).
            progress: Show a progress bar on standard error.

        Returns:
            uint8 (num, H, W, 3).

        Raises:
            ValueError: If a class is unknown, or a number is out of range.
        """
        if num < 1:
            raise ValueError(f"num must be at least 1, found {num}")
        z = sample_latents(seed, range(num), self.config.z_dim, truncation)
        y = self.labels(num, classes, seed)
        with counted("samples", num, progress) as advance:
            return generate(self.network, z, y, batch_size, advance)

    def inputs(self, config: SampleConfig) -> Inputs:
        """Give the noise and the classes of samples, or of a walk.

        Samples are class by class, ``num`` of each; no classes are all of them.

        Raises:
            ValueError: If a class is unknown, or there is no such direction.
        """
        wanted = [self.class_index(name) for name in config.classes]
        if config.interpolate is not None:
            return self._walk(config, wanted)
        labels = [c for c in wanted or range(self.config.num_classes) for _ in range(config.num)]
        num = len(labels) or config.num
        z = sample_latents(config.seed, range(num), self.config.z_dim, config.truncation)
        return Inputs(self.network, z, torch.tensor(labels, dtype=torch.int64) if labels else None)

    def _walk(self, config: SampleConfig, wanted: Sequence[int]) -> Inputs:
        assert config.interpolate is not None
        start = sample_latents(config.seed, [config.index], self.config.z_dim, config.truncation)[0]
        if config.direction is not None:
            directions = noise_directions(self.network)
            if config.direction > len(directions):
                raise ValueError(f"direction must be from 1 to {len(directions)}, found {config.direction}")
            z = along(start, directions[config.direction - 1], config.reach, config.interpolate)
        else:
            end_seed = config.seed + 1 if config.end_seed is None else config.end_seed
            end = sample_latents(end_seed, [config.end_index], self.config.z_dim, config.truncation)[0]
            z = interpolate(start, end, config.interpolate)
        if self.config.num_classes == 0:
            return Inputs(self.network, z, None)
        drawn = sample_labels(config.seed, [config.index], self.config.num_classes)
        assert drawn is not None
        first, last = (wanted[0], wanted[-1]) if wanted else (int(drawn[0]), int(drawn[0]))
        if first == last:
            return Inputs(self.network, z, torch.full((len(z),), first))
        return Inputs(blend_classes(self.network, first, last, len(z)), z, torch.arange(len(z)))

    def attention(
        self,
        num: int = 4,
        classes: str | int | Sequence[str | int] | None = None,
        seed: int = 0,
        queries_px: Sequence[tuple[int, int]] | None = None,
        truncation: float | None = None,
        only: Sequence[int] | None = None,
    ) -> AttentionResult:
        """Sample images and compute where the generator looked from each query point.

        Args:
            num: How many images.
            classes: As in :meth:`sample`.
            seed: As in :meth:`sample`: the same images.
            queries_px: Points (row, column) in pixels; unset is :func:`default_queries`.
            truncation: As in :meth:`sample`.
            only: Which of these samples, by number from 0; unset is all of them.

        Raises:
            ValueError: If ``num`` is below 1, a class is unknown, a query lies outside the image, or there is no such
                sample.
        """
        if num < 1:
            raise ValueError(f"num must be at least 1, found {num}")
        queries = default_queries(self.config.image_size) if queries_px is None else queries_px
        chosen = list(range(num) if only is None else only)
        if not all(0 <= i < num for i in chosen):
            raise ValueError(f"there are {num} samples, counted from 0; found the number {max(chosen)}")
        z = sample_latents(seed, chosen, self.config.z_dim, truncation)
        y = self.labels(num, classes, seed)
        y = None if y is None else y[chosen]
        device = next(self.network.parameters()).device
        on_device = None if y is None else y.to(device)
        found = attention_maps(self.network, z.to(device), on_device, queries)
        maps = {position: values.float().cpu().numpy() for position, values in found.items()}
        images = generate(self.network, z, y)
        return AttentionResult(images, None if y is None else y.numpy(), maps, attention_gammas(self.network))

    def interpolation(
        self,
        frames: int = 9,
        classes: tuple[str | int, str | int] | None = None,
        seed: int = 0,
        end_seed: int | None = None,
        truncation: float | None = None,
    ) -> NDArray[np.uint8]:
        """Walk between two latents, and between two classes if two different ones are given.

        The class is walked by mixing the gains and biases of the two classes in every conditional batch normalisation.

        Args:
            frames: How many images, at least 2.
            classes: (start, end); unset uses the class that the seed draws.
            seed: Seed of the first latent.
            end_seed: Seed of the last latent; unset is ``seed + 1``, equal to ``seed`` keeps the latent.
            truncation: As in :meth:`sample`.

        Shape: -> uint8 (frames, H, W, 3).
        """
        if self.config.num_classes == 0 and classes is not None:
            raise ValueError("this generator is unconditional: it has no classes to walk between")
        config = SampleConfig(seed=seed, end_seed=end_seed, truncation=truncation, interpolate=frames)
        return generate(*self._walk(config, [self.class_index(name) for name in classes or ()]))


def blend_classes(G: Generator, first: int, last: int, rows: int) -> Generator:
    """Copy a generator with ``rows`` classes whose gains and biases go evenly from ``first`` to ``last``."""
    blended = copy.deepcopy(G)
    blended.config = dataclasses.replace(G.config, num_classes=rows, class_conditioning="tables")
    t = torch.linspace(0.0, 1.0, rows)[:, None]
    for layer in blended.modules():
        if isinstance(layer, ConditionalBatchNorm2d) and layer.num_classes > 0:
            layer.set_tables(*(torch.lerp(table[first], table[last], t.to(table)) for table in layer.tables()))
    return blended


def default_queries(image_size: Size) -> tuple[tuple[int, int], ...]:
    """Give five query points (row, column) in pixels: the centre and the centres of the four quarters."""
    (middle, top, bottom), (centre, left, right) = (
        (side // 2, side // 4, side * 3 // 4) for side in size_of(image_size)
    )
    return ((middle, centre), (top, left), (top, right), (bottom, left), (bottom, right))
