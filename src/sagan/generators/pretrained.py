"""Trained generators: from a run folder, a checkpoint or a weights file to samples and attention maps."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data.parallel import progress_bar
from sagan.generators.config import class_index
from sagan.generators.weights import load_weights, save_weights
from sagan.models.config import GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.recipes.build import build_networks
from sagan.recipes.config import RunConfig, from_json
from sagan.sampling import (
    attention_gammas,
    attention_maps,
    generate,
    interpolate,
    sample_labels,
    sample_latents,
    sampling_copy,
)
from sagan.training.checkpoint import CheckpointError, checkpoints, load_checkpoint

# Standing statistics for export and sampling (100 x 100), and for previews during training.
STANDING_BATCHES, STANDING_BATCH_SIZE = 100, 100
PREVIEW_BATCHES, PREVIEW_BATCH_SIZE = 8, 64
STANDING_SEED = 0
# The weights file that a finished run leaves in its folder.
EXPORTED = "generator.safetensors"


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
        batch_size: int = 64,
    ) -> NDArray[np.uint8]:
        """Sample images.

        Args:
            num: How many, at least 1.
            classes: A class, or several that are repeated in order, by name or number; unset draws them uniformly.
            seed: Sample i depends on the seed, i and its class alone.
            truncation: Redraw noise beyond this absolute value; smaller is less varied and often cleaner.
            batch_size: Images computed at a time; the result does not depend on it (up to rounding).

        Shape: -> uint8 (num, H, W, 3).

        Raises:
            ValueError: If a class is unknown, or a number is out of range.
        """
        if num < 1:
            raise ValueError(f"num must be at least 1, found {num}")
        z = sample_latents(seed, range(num), self.config.z_dim, truncation)
        return generate(self.network, z, self.labels(num, classes, seed), batch_size)

    def attention(
        self,
        num: int = 4,
        classes: str | int | Sequence[str | int] | None = None,
        seed: int = 0,
        queries_px: Sequence[tuple[int, int]] | None = None,
        truncation: float | None = None,
    ) -> AttentionResult:
        """Sample images and compute where the generator looked from each query point.

        Args:
            num: How many images.
            classes: As in :meth:`sample`.
            seed: As in :meth:`sample`: the same images.
            queries_px: Points (row, column) in pixels; unset is :func:`default_queries`.
            truncation: As in :meth:`sample`.

        Raises:
            ValueError: If ``num`` is below 1, a class is unknown, or a query lies outside the image.
        """
        if num < 1:
            raise ValueError(f"num must be at least 1, found {num}")
        queries = default_queries(self.config.size_px) if queries_px is None else queries_px
        z = sample_latents(seed, range(num), self.config.z_dim, truncation)
        y = self.labels(num, classes, seed)
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
        ends = [
            sample_latents(s, [0], self.config.z_dim, truncation)[0]
            for s in (seed, seed + 1 if end_seed is None else end_seed)
        ]
        z = interpolate(ends[0], ends[1], frames)
        if self.config.num_classes == 0:
            if classes is not None:
                raise ValueError("this generator is unconditional: it has no classes to walk between")
            return generate(self.network, z, None)
        if classes is None:
            drawn = self.labels(1, None, seed)
            assert drawn is not None
            first = last = int(drawn[0])
        else:
            first, last = (self.class_index(name) for name in classes)
        blended = blend_classes(self.network, first, last, frames)
        return generate(blended, z, torch.arange(frames))


def blend_classes(G: Generator, first: int, last: int, rows: int) -> Generator:
    """Copy a generator with ``rows`` classes whose gains and biases go evenly from ``first`` to ``last``."""
    blended = copy.deepcopy(G)
    blended.config = dataclasses.replace(G.config, num_classes=rows, class_conditioning="tables")
    t = torch.linspace(0.0, 1.0, rows)[:, None]
    for layer in blended.modules():
        if isinstance(layer, ConditionalBatchNorm2d) and layer.num_classes > 0:
            layer.set_tables(*(torch.lerp(table[first], table[last], t.to(table)) for table in layer.tables()))
    return blended


def default_queries(size_px: int) -> tuple[tuple[int, int], ...]:
    """Give five query points (row, column) in pixels: the centre and the centres of the four quarters."""
    middle, near, far = size_px // 2, size_px // 4, size_px * 3 // 4
    return ((middle, middle), (near, near), (near, far), (far, near), (far, far))


class Snapshot(NamedTuple):
    """A checkpoint read back."""

    path: Path
    config: RunConfig
    class_names: tuple[str, ...]
    contents: dict[str, object]
    """What :func:`sagan.training.checkpoint.load_checkpoint` gave."""


def read_snapshot(path: str | Path, warn: Callable[[str], None] | None = None) -> Snapshot:
    """Read the latest checkpoint of a run folder, or a checkpoint file.

    Args:
        path: A run folder or a checkpoint file.
        warn: If given, a run folder's damaged checkpoint is told to it and the one before is read.

    Raises:
        FileNotFoundError: If there is no such run, or it has no checkpoint yet.
        CheckpointError: If the file cannot be used.
    """
    path = Path(path)
    if path.is_dir():
        found = checkpoints(path / "checkpoints")
        if not found:
            raise FileNotFoundError(
                f"{path} has no checkpoint (expected {path / 'checkpoints'}/step-*.pt): is it a run folder, "
                "and has it saved once?"
            )
        for candidate in reversed(found[1:] if warn is not None else []):
            try:
                return _snapshot(candidate)
            except CheckpointError as error:
                assert warn is not None
                warn(f"{error}; going back to the one before")
        path = found[0] if warn is not None else found[-1]
    elif not path.exists():
        raise FileNotFoundError(f"{path}: no such run folder, checkpoint or weights file")
    return _snapshot(path)


def _snapshot(path: Path) -> Snapshot:
    contents = load_checkpoint(path)
    return Snapshot(path, from_json(contents["config"]), tuple(contents["class_names"]), contents)


def load(
    path: str | Path,
    *,
    device: str | torch.device = "auto",
    preview: bool = False,
    progress: bool = False,
    check: Callable[[GeneratorConfig, tuple[str, ...]], object] | None = None,
) -> TrainedGenerator:
    """Load a generator to sample from.

    Args:
        path: A run folder (its latest checkpoint), a checkpoint file ``.pt``, or a weights file ``.safetensors``.
        device: Where to put it; ``"auto"`` takes a CUDA GPU where there is one.
        preview: Compute standing statistics from 8 batches of 64 samples, which is quick, not from 100 batches of 100.
            Only a checkpoint needs any: a weights file, and the folder of a finished run, has them already. None are
            computed where the configuration takes the running averages.
        progress: Show a progress bar with the time left on standard error while they are computed.
        check: Called with the configuration and the class names before anything is computed: what it raises ends it.

    Returns:
        A generator in evaluation mode. From a checkpoint it is the moving average if the run keeps one; its provenance
        says which batch statistics it has.

    Raises:
        FileNotFoundError: If there is nothing there.
        WeightsError: If a weights file cannot be used.
        CheckpointError: If a checkpoint cannot be used.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    path = Path(path)
    latest = _latest_step(path)
    exported = exported_step(path)
    if exported is not None and (latest is None or exported == latest):  # a folder may have kept the weights alone
        path = path / EXPORTED
    if path.suffix == ".safetensors":
        weights = load_weights(path)
        if check is not None:
            check(weights.generator.config, weights.class_names)
        return TrainedGenerator(weights.generator.to(device), weights.class_names, weights.provenance)
    snapshot = read_snapshot(path)
    if check is not None:
        num_classes = len(snapshot.class_names)
        check(dataclasses.replace(snapshot.config.generator, num_classes=num_classes), snapshot.class_names)
    sizes = (PREVIEW_BATCHES, PREVIEW_BATCH_SIZE) if preview else (STANDING_BATCHES, STANDING_BATCH_SIZE)
    return _made_ready(snapshot, device, sizes, progress=progress)


def _made_ready(
    snapshot: Snapshot, device: str | torch.device, sizes: tuple[int, int], *, progress: bool
) -> TrainedGenerator:
    """Make a checkpoint's generator ready to sample: with standing statistics from so many batches of so many."""
    G, _ = build_networks(snapshot.config)
    ema = snapshot.contents["ema"]
    G.load_state_dict(snapshot.contents["G"] if ema is None else ema)  # type: ignore[arg-type]
    with progress_bar(progress and G.config.sampling_norm == "standing") as bar:
        task = bar.add_task("standing statistics", total=sizes[0])
        ready = sampling_copy(
            G.to(device),
            batches=sizes[0],
            batch_size=sizes[1],
            seed=STANDING_SEED,
            advance=lambda: bar.advance(task),
        )
    return TrainedGenerator(ready, snapshot.class_names, provenance(snapshot.config, snapshot.contents, *sizes))


def export(path: str | Path, out: str | Path, *, progress: bool = False) -> Path:
    """Write one file to share: weights ready to sample from, configuration, class names.

    Args:
        path: A run folder or a checkpoint.
        out: The weights file, ``.safetensors``.
        progress: As in :func:`load`.

    Raises:
        ValueError: If ``out`` has another suffix; nothing is computed then.
        OSError: If it cannot be written.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ValueError(f"a weights file must end in .safetensors, found {out}")
    generator = load(path, progress=progress)
    save_weights(generator.network, out, generator.class_names, generator.provenance)
    return out


def exported_step(folder: Path) -> int | None:
    """Read the step of the weights file that a finished run leaves in its folder; None if there is none."""
    if not (folder / EXPORTED).is_file():
        return None
    step = load_weights(folder / EXPORTED).provenance.get("step")
    return step if isinstance(step, int) else None


def _latest_step(folder: Path) -> int | None:
    found = checkpoints(folder / "checkpoints")
    return int(found[-1].stem.removeprefix("step-")) if found else None


def load_discriminator(path: str | Path) -> tuple[Discriminator, tuple[str, ...]]:
    """Load the discriminator of a run folder or checkpoint file, in evaluation mode, with the class names.

    Raises:
        ValueError: If ``path`` is a weights file: those hold the generator only.
    """
    if Path(path).suffix == ".safetensors":
        raise ValueError(f"{path} holds the generator only; the discriminator is in the run folder's checkpoints")
    snapshot = read_snapshot(path)
    _, D = build_networks(snapshot.config)
    D.load_state_dict(snapshot.contents["D"])  # type: ignore[arg-type]
    return D.eval().requires_grad_(False), snapshot.class_names


def provenance(config: RunConfig, contents: dict[str, object], batches: int, batch_size: int) -> dict[str, object]:
    """Say how the weights of a checkpoint came about, as plain JSON values."""
    decay = config.train.ema_decay
    return {
        "step": contents["step"],
        "data": contents.get("data"),
        "seed": config.seed,
        "holdout_fraction": config.data.holdout_fraction,
        "holdout_max": config.data.holdout_max,
        "weights": f"moving average, decay {decay}" if decay > 0 else "as trained, no moving average",
        "batch_norm": sampling_norm_of(config.generator, batches, batch_size),
        "versions": contents.get("versions"),
    }


def sampling_norm_of(config: GeneratorConfig, batches: int, batch_size: int) -> str:
    """Say which statistics batch normalisation samples with."""
    if config.sampling_norm == "standing":
        return f"standing statistics, {batches} batches of {batch_size}, seed {STANDING_SEED}"
    last = "" if config.bn_momentum_last is None else f" ({config.bn_momentum_last:g} in the last layer)"
    kind = "biased" if config.bn_biased else "unbiased"
    return f"running averages, momentum {config.bn_momentum:g}{last}, {kind} variance"
