"""Samples of a trained generator, and walks between two of them, written to files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sagan.figures import sample_grid, save_animation, save_image, strip
from sagan.generators.config import ANIMATIONS, SampleConfig, class_index
from sagan.generators.files import describe_weights, noted, safe_name, save_arrays
from sagan.generators.pretrained import load
from sagan.generators.trained import TrainedGenerator
from sagan.models.config import GeneratorConfig
from sagan.places import PICTURES
from sagan.sampling import check_truncation, generate
from sagan.words import how_many

MAX_GRID_CLASSES = 20


def sample_to_file(
    path: str | Path, out: str | Path, config: SampleConfig | None = None, *, progress: bool = False
) -> str:
    """Load a generator and write samples of it, or a walk between two; what is wrong is refused before it is loaded.

    Args:
        path: As in :func:`sagan.generators.pretrained.load`.
        out: As in :func:`write_samples`, and of a walk as in :func:`write_interpolation`.
        config: Which samples.
        progress: Show progress bars.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If a class is unknown, a number is out of range, or the file's type is unknown.
        OSError: If the generator cannot be read or the file cannot be written.
    """
    config, out = config or SampleConfig(), Path(out)
    config.check_file(out)
    check_truncation(config.truncation)

    def check(_: GeneratorConfig, class_names: tuple[str, ...]) -> None:
        for name in config.classes:
            class_index(name, class_names)

    return write_asked(load(path, preview=True, progress=progress, check=check), out, config, progress=progress)


def write_asked(
    generator: TrainedGenerator,
    out: Path,
    config: SampleConfig,
    *,
    metadata: Mapping[str, str] | None = None,
    progress: bool = False,
) -> str:
    """Write the samples, or the walk, that a configuration asks for.

    Args:
        generator: The generator.
        out: As in :func:`write_samples`, and of a walk as in :func:`write_interpolation`.
        config: Which samples.
        metadata: Written into pictures, and into an .npz as ``metadata``, e.g. the command that makes them again.
        progress: Show a progress bar.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If a class is unknown, or the file's type is.
        OSError: If the file cannot be written.
    """
    config.check_file(out)
    if config.interpolate is not None:
        return _write_walk(generator, out, config, metadata)
    return _write_samples(generator, out, config, metadata, progress=progress)


def write_samples(
    generator: TrainedGenerator,
    out: Path,
    *,
    classes: Sequence[str] = (),
    num: int = 10,
    seed: int = 0,
    truncation: float | None = None,
) -> str:
    """Sample ``num`` images of each class and write them.

    A picture file (.png, .jpg, .webp) gets a grid with a row a class, an .npz gets arrays (images uint8 (N, H, W, 3),
    labels int64 (N,), class_names, seed), any other name is a folder that gets single images in class folders.

    Args:
        generator: The generator.
        out: Where to write.
        classes: Class names or numbers; empty is all of them (in a grid, the first 20).
        num: Images of each class; in all if unconditional.
        seed: Sample i, in class order, depends on the seed, i and its class.
        truncation: See :meth:`TrainedGenerator.sample`.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If a class is unknown, ``num`` is below 1, or the file's type is unknown.
        OSError: If the file cannot be written, or the folder holds files already.
    """
    config = SampleConfig(classes=tuple(classes), num=num, seed=seed, truncation=truncation)
    return write_asked(generator, out, config)


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Samples, class by class."""

    images: NDArray[np.uint8]
    """(N, H, W, 3)."""
    wanted: list[int]
    """The classes; empty if unconditional."""
    labels: list[int]
    """The class of each image; empty if unconditional."""


def _write_samples(
    generator: TrainedGenerator,
    out: Path,
    config: SampleConfig,
    metadata: Mapping[str, str] | None = None,
    *,
    progress: bool = False,
) -> str:
    suffix = out.suffix.lower()
    wanted = [generator.class_index(name) for name in config.classes]
    if not wanted:
        wanted = list(range(generator.config.num_classes))
        if suffix in PICTURES:
            wanted = wanted[:MAX_GRID_CLASSES]
    labels = [c for c in wanted for _ in range(config.num)]
    num = len(labels) or config.num
    images = generator.sample(num, labels or None, config.seed, config.truncation, progress=progress)
    drawn = _Drawn(images=images, wanted=wanted, labels=labels)
    cut = f" of seed={config.seed}" + (f", truncation {config.truncation}" if config.truncation is not None else "")
    if suffix in PICTURES:
        _write_grid(generator, out, config, drawn, metadata)
        more = generator.config.num_classes - len(wanted)
        rest = f" ({how_many(more, 'more class')}: name some with --class)" if more > 0 and not config.classes else ""
        return f"{out}: {how_many(len(images), 'sample')}{cut}{rest}"
    if suffix == ".npz":
        arrays = {"images": images, "seed": np.array(config.seed)}
        if labels:
            arrays |= {"labels": np.array(labels), "class_names": np.array(generator.class_names)}
        save_arrays(out, arrays | noted(metadata))
        return f"{out}: {how_many(len(images), 'sample')}{cut}"
    _write_images(generator, out, drawn)
    return f"{out}: {how_many(len(images), 'image')}{cut}"


def _write_grid(
    generator: TrainedGenerator,
    out: Path,
    config: SampleConfig,
    drawn: _Drawn,
    metadata: Mapping[str, str] | None,
) -> None:
    """Write one picture with a row a class."""
    names = [generator.class_names[c] for c in drawn.wanted]
    caption = f"{describe_weights(generator)}; seed {config.seed}"
    if config.truncation is not None:
        caption += f"; truncation {config.truncation}"
    columns = config.num if names else min(config.num, 10)
    grid = sample_grid(drawn.images, columns=columns, row_labels=names or None, caption=caption)
    save_image(grid, out, metadata=metadata)


def _write_images(generator: TrainedGenerator, out: Path, drawn: _Drawn) -> None:
    """Write single images into class folders."""
    # Numbered through over all classes: two classes whose names make the same folder cannot overwrite each other.
    for i, image in enumerate(drawn.images):
        folder = out / safe_name(generator.class_names[drawn.labels[i]]) if drawn.labels else out
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:06d}.png")


def write_interpolation(
    generator: TrainedGenerator,
    out: Path,
    *,
    frames: int = 9,
    classes: Sequence[str] = (),
    seed: int = 0,
    end_seed: int | None = None,
    truncation: float | None = None,
) -> str:
    """Walk between two latents, and two classes; write a strip, an animation (.gif, .webp, .mp4, .webm) or .npz.

    Args:
        generator: The generator.
        out: Where to write.
        frames: How many images, at least 2.
        classes: None or one for a fixed class, two to walk from the first to the second.
        seed: Seed of the first latent.
        end_seed: Seed of the last latent; equal to ``seed`` keeps the latent.
        truncation: See :meth:`TrainedGenerator.sample`.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If more than two classes are given, or the file's type is unknown.
    """
    config = SampleConfig(
        classes=tuple(classes), seed=seed, truncation=truncation, interpolate=frames, end_seed=end_seed
    )
    return write_asked(generator, out, config)


def _write_walk(
    generator: TrainedGenerator, out: Path, config: SampleConfig, metadata: Mapping[str, str] | None = None
) -> str:
    assert config.interpolate is not None
    frames, classes = config.interpolate, config.classes
    inputs = generator.inputs(config)
    images = generate(*inputs)
    if out.suffix.lower() in ANIMATIONS:
        save_animation(images, out, boomerang=True, metadata=metadata)
        return f"{out}: animation of {frames} frames and back"
    if out.suffix.lower() == ".npz":
        save_arrays(out, {"images": images, "z": inputs.z.numpy(), "seed": np.array(config.seed)} | noted(metadata))
        return f"{out}: {frames} images of a walk"
    ends = [generator.class_names[generator.class_index(name)] for name in (*classes[:1], *classes[-1:])]
    title = None if not ends else ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    save_image(strip(images, title=title), out, metadata=metadata)
    return f"{out}: strip of {frames} images"
