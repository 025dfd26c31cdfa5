"""What a trained generator gives, written to files: sample grids, single images, interpolations, attention."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sagan.data import ImageSet
from sagan.figures import attention_figure, sample_grid, save_animation, save_image, strip
from sagan.generators.pretrained import AttentionResult, TrainedGenerator, class_index, default_queries
from sagan.models.discriminator import Discriminator
from sagan.ops.pixels import uint8_to_images
from sagan.sampling import attention_gammas, attention_maps

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
ANIMATIONS = (".gif", ".webp")
MAX_GRID_CLASSES = 20

Style = Literal["heat", "grey"]


def describe_weights(generator: TrainedGenerator) -> str:
    """Say in one line where samples come from: step, data, moving average, batch-normalisation statistics."""
    facts = generator.provenance
    data = facts.get("data")
    source = f"; data {data['source']}" if isinstance(data, dict) else ""
    return f"step {facts.get('step')}{source}; {facts.get('weights')}; batch norm: {facts.get('batch_norm')}"


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
    if num < 1:
        raise ValueError(f"num must be at least 1, found {num}")
    suffix = out.suffix.lower()
    if suffix not in (*PICTURES, ".npz"):
        if suffix and len(suffix) <= 5:
            raise ValueError(
                f"{out}: write samples to {', '.join(PICTURES)}, .npz, or a folder (a name without a suffix)"
            )
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OSError(f"{out} exists and is not an empty folder; choose another --out")
    wanted: list[int] = [generator.class_index(name) for name in classes]
    if not wanted:
        wanted = list(range(generator.config.num_classes))
        if suffix in PICTURES:
            wanted = wanted[:MAX_GRID_CLASSES]
    labels = [c for c in wanted for _ in range(num)]
    images = generator.sample(len(labels) or num, labels or None, seed, truncation)
    names = [generator.class_names[c] for c in wanted]
    cut = f" of {seed=}" + (f", truncation {truncation}" if truncation is not None else "")
    if suffix in PICTURES:
        caption = f"{describe_weights(generator)}; seed {seed}" + (
            f"; truncation {truncation}" if truncation is not None else ""
        )
        columns = num if names else min(num, 10)
        save_image(sample_grid(images, columns=columns, row_labels=names or None, caption=caption), out)
        more = generator.config.num_classes - len(wanted)
        rest = f" ({more} more classes: name some with --class)" if more > 0 and not classes else ""
        return f"{out}: {len(images)} samples{cut}{rest}"
    if suffix == ".npz":
        arrays = {"images": images, "seed": np.array(seed)}
        if labels:
            arrays |= {"labels": np.array(labels), "class_names": np.array(generator.class_names)}
        save_arrays(out, arrays)
        return f"{out}: {len(images)} samples{cut}"
    # Numbered through over all classes: two classes whose names make the same folder cannot overwrite each other.
    for i, image in enumerate(images):
        folder = out / safe_name(generator.class_names[labels[i]]) if labels else out
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:06d}.png")
    return f"{out}: {len(images)} images{cut}"


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
    """Walk between two latents, and between two classes, and write a strip (.png, .jpg) or an animation (.gif, .webp).

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
    if len(classes) > 2:
        raise ValueError(f"an interpolation walks between at most two classes, found {len(classes)}")
    pair = (classes[0], classes[-1]) if classes else None
    images = generator.interpolation(frames, pair, seed, end_seed, truncation)
    suffix = out.suffix.lower()
    if suffix in ANIMATIONS:
        save_animation(images, out, boomerang=True)
        return f"{out}: animation of {frames} frames and back"
    if suffix not in PICTURES:
        raise ValueError(f"{out}: write an interpolation to {', '.join((*PICTURES, '.gif'))} (.gif and .webp move)")
    ends = [generator.class_names[generator.class_index(name)] for name in pair] if pair else None
    title = None if ends is None else ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    save_image(strip(images, title=title), out)
    return f"{out}: strip of {frames} images"


def draw_attention(
    result: AttentionResult,
    queries_px: Sequence[tuple[int, int]],
    *,
    position: int,
    names: Sequence[str] | None,
    network: str,
    caption: str,
    style: Style = "heat",
) -> Image.Image:
    """Draw one layer's maps over the images: query dots, and for each query the map (SAGAN, figure 5)."""
    return attention_figure(
        result.images,
        result.maps[position],
        np.array(queries_px),
        row_labels=names,
        title=f"{network}, attention at feat{position}, gamma {result.gammas[position]:+.4f}",
        caption=caption,
        style=style,
    )


def write_attention(
    generator: TrainedGenerator,
    out: Path,
    *,
    classes: Sequence[str] = (),
    num: int = 1,
    seed: int = 0,
    queries_px: Sequence[tuple[int, int]] | None = None,
    position: int | None = None,
    style: Style = "heat",
    truncation: float | None = None,
) -> str:
    """Draw where the generator looks while it makes ``num`` samples of each class; an .npz gets the arrays instead.

    Args:
        generator: The generator.
        out: A picture or .npz file.
        classes: Class names or numbers; empty is the first four.
        num: Images of each class.
        seed: As in :meth:`TrainedGenerator.sample`.
        queries_px: Points (row, column) in pixels; unset is the centre and the centres of the four quarters.
        position: Which layer (height of its feature map); unset is the one closest to the pixels.
        style: Heat colours over the image, or a plain grey map.
        truncation: As in :meth:`TrainedGenerator.sample`.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If the generator has no attention (there), or a class or query is wrong.
    """
    position = _position("generator", generator.config.attention_positions, position)
    wanted = [generator.class_index(name) for name in classes] or list(range(min(4, generator.config.num_classes)))
    labels = [c for c in wanted for _ in range(num)]
    queries = default_queries(generator.config.size_px) if queries_px is None else queries_px
    result = generator.attention(len(labels) or num, labels or None, seed, queries, truncation)
    names = [generator.class_names[c] for c in labels] or None
    caption = f"{describe_weights(generator)}; form {generator.config.attention_form}; seed {seed}"
    return _write_attention(result, out, queries, position, names, "generator", caption, style)


def discriminator_attention(
    D: Discriminator,
    dataset: ImageSet,
    *,
    classes: Sequence[str] = (),
    num: int = 1,
    seed: int = 0,
    queries_px: Sequence[tuple[int, int]] | None = None,
) -> AttentionResult:
    """Compute where the discriminator looks in ``num`` real pictures of each class.

    Args:
        D: The discriminator, in evaluation mode.
        dataset: The pictures, at D's size. Their classes need not be D's: its maps do not depend on the class.
        classes: Class names or numbers of the data; empty is the first four.
        num: Pictures of each class, chosen by the seed.
        seed: Chooses the pictures.
        queries_px: Points (row, column) in pixels; unset is the centre and the centres of the four quarters.

    Raises:
        ValueError: If ``num`` is below 1, a class is unknown, or has fewer pictures than asked for.
    """
    if num < 1:
        raise ValueError(f"num must be at least 1, found {num}")
    names = dataset.class_names
    wanted = [class_index(name, names) for name in classes] or list(range(min(4, len(names)))) or [0]
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    for c in wanted:
        candidates = np.flatnonzero(np.asarray(dataset.labels) == c)
        if len(candidates) < num:
            what = f"class {names[c]}" if names else dataset.source
            raise ValueError(f"{what} has {len(candidates)} pictures, {num} were asked for")
        chosen += sorted(int(i) for i in random.choice(candidates, num, replace=False))
    images: NDArray[np.uint8] = np.stack([dataset.images[i] for i in chosen])
    labels = np.array([int(dataset.labels[i]) for i in chosen])
    queries = default_queries(D.config.size_px) if queries_px is None else queries_px
    x = uint8_to_images(torch.from_numpy(images)).permute(0, 3, 1, 2).contiguous()
    found = attention_maps(D, x, torch.zeros(len(x), dtype=torch.int64), queries)
    maps = {position: values.float().numpy() for position, values in found.items()}
    return AttentionResult(images, labels if names else None, maps, attention_gammas(D))


def write_discriminator_attention(
    D: Discriminator,
    dataset: ImageSet,
    out: Path,
    *,
    classes: Sequence[str] = (),
    num: int = 1,
    seed: int = 0,
    queries_px: Sequence[tuple[int, int]] | None = None,
    position: int | None = None,
    style: Style = "heat",
) -> str:
    """Draw where the discriminator looks in real pictures; an .npz gets the arrays instead.

    Arguments as in :func:`discriminator_attention` and :func:`write_attention`.

    Raises:
        ValueError: As :func:`discriminator_attention`, and if the discriminator has no attention (there).
    """
    position = _position("discriminator", D.config.attention_positions, position)
    queries = default_queries(D.config.size_px) if queries_px is None else queries_px
    result = discriminator_attention(D, dataset, classes=classes, num=num, seed=seed, queries_px=queries)
    names = [dataset.class_names[c] for c in result.labels] if result.labels is not None else None
    caption = f"real pictures of {Path(dataset.source).name}; form {D.config.attention_form}; seed {seed}"
    return _write_attention(result, out, queries, position, names, "discriminator", caption, style)


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a compressed .npz in one move: a full disk leaves an older file as it was.

    Raises:
        OSError: If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """Make a class name usable as a folder name."""
    return re.sub(r"[^\w .,+-]", "_", name).strip(" .") or "class"


def _position(network: str, positions: Sequence[int], asked: int | None) -> int:
    if not positions:
        raise ValueError(f"this {network} has no attention: it was configured without")
    if asked is None:
        return max(positions)
    if asked not in positions:
        raise ValueError(
            f"this {network} has attention at {', '.join(f'feat{k}' for k in positions)}, not at feat{asked}"
        )
    return asked


def _write_attention(
    result: AttentionResult,
    out: Path,
    queries: Sequence[tuple[int, int]],
    position: int,
    names: Sequence[str] | None,
    network: str,
    caption: str,
    style: Style,
) -> str:
    if out.suffix.lower() == ".npz":
        arrays = {"images": result.images, "queries": np.array(queries)}
        arrays |= {f"maps_feat{k}": m for k, m in result.maps.items()} | {
            f"gamma_feat{k}": np.array(g) for k, g in result.gammas.items()
        }
        if result.labels is not None:
            arrays["labels"] = result.labels
        save_arrays(out, arrays)
    else:
        figure = draw_attention(
            result, queries, position=position, names=names, network=network, caption=caption, style=style
        )
        save_image(figure, out)
    gammas = ", ".join(f"feat{k} {g:+.4f}" for k, g in result.gammas.items())
    return (
        f"{out}: {len(result.images)} images, {len(queries)} queries, feat{position} of the {network}; gamma {gammas}"
    )
