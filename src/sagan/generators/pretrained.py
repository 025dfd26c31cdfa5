"""Trained networks from a run folder, a checkpoint or a weights file, and how their weights came about."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from sagan.data.parallel import progress_bar
from sagan.generators.config import check_weights_file, class_index
from sagan.generators.hub import fetched, is_hub_id
from sagan.generators.snapshot import Snapshot, fill, read_snapshot, stored
from sagan.generators.staged import newest_stage
from sagan.generators.trained import AttentionResult, TrainedGenerator, blend_classes, default_queries
from sagan.generators.weights import load_weights, read_header, save_weights
from sagan.machine import usable_device
from sagan.models.config import GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.recipes.build import build_generator, build_networks
from sagan.recipes.config import RunConfig
from sagan.sampling import sampling_copy
from sagan.training.checkpoint import checkpoints

__all__ = [
    "EXPORTED",
    "PREVIEW_BATCHES",
    "PREVIEW_BATCH_SIZE",
    "STANDING_BATCHES",
    "STANDING_BATCH_SIZE",
    "STANDING_SEED",
    "AttentionResult",
    "Snapshot",
    "TrainedGenerator",
    "blend_classes",
    "class_index",
    "default_queries",
    "export",
    "exported_step",
    "file_of",
    "load",
    "load_discriminator",
    "provenance",
    "read_snapshot",
    "sampling_norm_of",
]

# Standing statistics for export and sampling (100 x 100), and for previews during training.
STANDING_BATCHES, STANDING_BATCH_SIZE = 100, 100
PREVIEW_BATCHES, PREVIEW_BATCH_SIZE = 8, 64
STANDING_SEED = 0
# The weights file that a finished run leaves in its folder.
EXPORTED = "generator.safetensors"


def load(
    path: str | Path,
    *,
    device: str | torch.device = "auto",
    preview: bool = False,
    standing: tuple[int, int] | None = None,
    progress: bool = False,
    check: Callable[[GeneratorConfig, tuple[str, ...]], object] | None = None,
) -> TrainedGenerator:
    """Load a generator to sample from.

    Args:
        path: A run folder (its latest checkpoint), a checkpoint file ``.pt``, a weights file ``.safetensors``, a folder
            that was exported, or, where there is nothing of that name here, a repository OWNER/NAME of the Hugging Face
            Hub that holds such a folder.
        device: Where to put it; ``"auto"`` takes a CUDA GPU where there is one.
        preview: Compute standing statistics from 8 batches of 64 samples, which is quick, not from 100 batches of 100.
            Only a checkpoint needs any: a weights file, and the folder of a finished run, has them already. None are
            computed where the configuration takes the running averages.
        standing: From so many batches of so many samples instead, e.g. fewer to see something at once.
        progress: Show a progress bar with the time left on standard error while they are computed.
        check: Called with the configuration and the class names before anything is computed: what it raises ends it.

    Returns:
        A generator in evaluation mode. From a checkpoint it is the moving average if the run keeps one; its provenance
        says which batch statistics it has.

    Raises:
        ValueError: If the device is not there.
        FileNotFoundError: If there is nothing there, and nothing on the Hub or it is out of reach.
        WeightsError: If a weights file cannot be used.
        CheckpointError: If a checkpoint cannot be used.
    """
    device = usable_device(device)
    if is_hub_id(path):
        path = fetched(Path(path).as_posix(), EXPORTED)
    path = file_of(path)
    if path.suffix == ".safetensors":
        weights = load_weights(path)
        if check is not None:
            check(weights.generator.config, weights.class_names)
        return TrainedGenerator(_placed(weights.generator, device), weights.class_names, weights.provenance)
    snapshot = read_snapshot(path)
    if check is not None:
        num_classes = len(snapshot.class_names)
        check(dataclasses.replace(snapshot.config.generator, num_classes=num_classes), snapshot.class_names)
    sizes = (PREVIEW_BATCHES, PREVIEW_BATCH_SIZE) if preview else (STANDING_BATCHES, STANDING_BATCH_SIZE)
    sizes = sizes if standing is None else standing
    return _made_ready(snapshot, device, sizes, progress=progress)


def _placed(G: Generator, device: str | torch.device) -> Generator:
    """Put a generator on its device; on processors with channels last: 0.6 to 0.7 of the time.

    Measured by benchmarks/layout.py.
    """
    G = G.to(device)
    if next(G.parameters()).device.type == "cpu":
        G = G.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return G


def _made_ready(
    snapshot: Snapshot, device: str | torch.device, sizes: tuple[int, int], *, progress: bool
) -> TrainedGenerator:
    """Make a checkpoint's generator ready to sample: with standing statistics from so many batches of so many."""
    G = build_generator(snapshot.config)
    ema = snapshot.contents["ema"]
    fill(G, snapshot.contents["G"] if ema is None else ema, snapshot.path)
    with progress_bar(progress and G.config.sampling_norm == "standing") as bar:
        task = bar.add_task("standing statistics", total=sizes[0])
        ready = sampling_copy(
            _placed(G, device),
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
    check_weights_file(out)
    generator = load(path, progress=progress)
    save_weights(generator.network, out, generator.class_names, generator.provenance)
    return out


def file_of(path: str | Path) -> Path:
    """Tell which file of a run folder :func:`load` reads: its weights file, unless it has a later checkpoint.

    A file stands for itself, a folder of stages (`sagan train --grow`) for its largest.

    Raises:
        FileNotFoundError: If a run has not saved anything yet.
    """
    path = newest_stage(path)
    latest = _latest_step(path)
    alone = latest is None and (path / EXPORTED).is_file()
    if alone or (latest is not None and exported_step(path) == latest):  # a folder may have kept the weights alone
        return path / EXPORTED
    return stored(path)[-1] if path.is_dir() else path


def exported_step(folder: Path) -> int | None:
    """Read the step of the weights file that a finished run leaves in its folder; None if there is none."""
    if not (folder / EXPORTED).is_file():
        return None
    step = read_header(folder / EXPORTED).provenance.get("step")
    return step if isinstance(step, int) else None


def _latest_step(folder: Path) -> int | None:
    found = checkpoints(folder / "checkpoints")
    return int(found[-1].stem.removeprefix("step-")) if found else None


def load_discriminator(path: str | Path) -> tuple[Discriminator, tuple[str, ...]]:
    """Load the discriminator of a run folder or checkpoint file, in evaluation mode, with the class names.

    Raises:
        ValueError: If ``path`` is a weights file: those hold the generator only.
    """
    D, snapshot = load_judge(path)
    return D, snapshot.class_names


def load_judge(path: str | Path) -> tuple[Discriminator, Snapshot]:
    """Load the discriminator of a run folder or checkpoint file, in evaluation mode, with all else that is there.

    Raises:
        ValueError: If ``path`` is a weights file.
    """
    if Path(path).suffix == ".safetensors":
        raise ValueError(f"{path} holds the generator only; the discriminator is in the run folder's checkpoints")
    snapshot = read_snapshot(path)
    _, D = build_networks(snapshot.config)
    fill(D, snapshot.contents["D"], snapshot.path)
    return D.eval().requires_grad_(False), snapshot


def looked_through(config: RunConfig, contents: Mapping[str, object]) -> str | None:
    """Name the frozen network that a discriminator looked through from which the generator learnt, also before.

    Args:
        config: Of the run.
        contents: Of its checkpoint; ``d_features`` is what weights that it started from had learnt by.
    """
    features, before = config.discriminator.features, contents.get("d_features")
    return features if features != "none" else (str(before) if before else None)


def provenance(config: RunConfig, contents: dict[str, object], batches: int, batch_size: int) -> dict[str, object]:
    """Say how the weights of a checkpoint came about, as plain JSON values."""
    decay, rampup = config.train.ema_decay, config.train.ema_rampup
    ramp = f", half-life at most {rampup:g} of the steps before" if rampup else ""
    through = looked_through(config, contents)
    return ({"d_features": through} if through else {}) | {
        "step": contents["step"],
        "data": contents.get("data"),
        "seed": config.seed,
        "holdout_fraction": config.data.holdout_fraction,
        "holdout_max": config.data.holdout_max,
        "weights": f"moving average, decay {decay}{ramp}" if decay > 0 else "as trained, no moving average",
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
