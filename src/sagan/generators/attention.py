"""Where a trained network looks, written to files: the generator over its samples, the discriminator over pictures."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sagan.data import DataConfig, ImageSet, fitted_alike, hand_over, notes, open_alike
from sagan.figures import attention_figure, save_image
from sagan.figures.attention import QUERY_COLOURS
from sagan.generators.config import AttentionConfig, AttentionFields, Style, check_attention_file, class_index
from sagan.generators.files import describe_weights, noted, save_arrays
from sagan.generators.pretrained import load, load_judge
from sagan.generators.trained import AttentionResult, TrainedGenerator, default_queries
from sagan.models.config import GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.ops.pixels import uint8_to_images
from sagan.sampling import attention_gammas, attention_maps, check_queries, check_truncation
from sagan.sizes import Size
from sagan.words import how_many

# So many classes are shown where none are named.
FIRST = 4


def attention_to_file(
    path: str | Path,
    out: str | Path,
    config: AttentionConfig | None = None,
    *,
    data: Any = None,
    progress: bool = False,
) -> str:
    """Load a network and draw where it looks; what is wrong is refused before anything is computed.

    Args:
        path: As in :func:`sagan.generators.pretrained.load`; with ``data`` not a weights file.
        out: A picture or .npz file.
        config: Over which images, and from which points.
        data: Real pictures, a :class:`DataConfig` or as :func:`sagan.train` takes them: draws the discriminator's
            attention over them, not the generator's over samples.
        progress: Show a progress bar while standing statistics are computed, and notes on the pictures.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If the network has no attention (there), or a class, a query or the file's type is wrong.
        OSError: If the network cannot be read or the file cannot be written.
    """
    config, out = config or AttentionConfig(), Path(out)
    check_attention_file(out)
    _check_number_of_queries(config, out)
    if data is not None:
        if config.truncation is not None or config.sample is not None:
            flag = "--truncation" if config.sample is None else "--sample"
            raise ValueError(f"{flag} is for samples: leave it away with --data")
        D, snapshot = load_judge(path)
        checked_position("discriminator", D.config.image_size, D.config.attention_positions, config)
        images = _real(data, D.config.image_size, snapshot.contents.get("data"))
        for note in notes(images) if progress else ():
            print(f"note: {note}", file=sys.stderr)
        return write_discriminator_attention(D, images, out, config)
    check_truncation(config.truncation)

    def check(generator: GeneratorConfig, class_names: tuple[str, ...]) -> None:
        checked_position("generator", generator.image_size, generator.attention_positions, config)
        for name in config.classes:
            class_index(name, class_names)
        _check_sample(config, generator.num_classes)

    return write_attention(load(path, preview=True, progress=progress, check=check), out, config)


def _check_number_of_queries(config: AttentionConfig, out: Path) -> None:
    """Check that a figure has colours for so many query points; arrays have no bound."""
    found, most = len(config.queries_px or ()), len(QUERY_COLOURS)
    if found > most and out.suffix.lower() != ".npz":
        raise ValueError(f"a figure shows 1 to {most} queries, found {found}; write an .npz for more")


def _check_sample(config: AttentionConfig, num_classes: int) -> None:
    """Check that there is the one sample that is asked for."""
    count = config.num * (len(config.classes) or min(FIRST, num_classes) or 1)
    if config.sample is not None and config.sample >= count:
        raise ValueError(f"there are {count} samples, counted from 0; found the number {config.sample}")


def _real(data: Any, size: Size, run_data: object) -> ImageSet:
    if isinstance(data, (str, Path)):
        data = DataConfig(path=str(data))
    config = data if isinstance(data, DataConfig) else hand_over(data, fitted_alike(DataConfig(), run_data), size)
    return open_alike(config, size, run_data)


def checked_position(network: str, image_size: Size, positions: Sequence[int], config: AttentionConfig) -> int:
    """Check that a network has attention there and its images have the query points; give the position.

    Args:
        network: What it is, for messages.
        image_size: That of its images.
        positions: Where it has attention.
        config: What is asked for.

    Raises:
        ValueError: If it has none (there), or a query point lies outside the images.
    """
    check_queries(config.queries_px or (), image_size)
    if not positions:
        raise ValueError(f"this {network} has no attention: it was configured without")
    if config.position is not None and config.position not in positions:
        known = ", ".join(f"feat{k}" for k in positions)
        raise ValueError(f"this {network} has attention at {known}, not at feat{config.position}")
    return max(positions) if config.position is None else config.position


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
    config: AttentionConfig | None = None,
    metadata: Mapping[str, str] | None = None,
    **fields: Unpack[AttentionFields],
) -> str:
    """Draw where the generator looks while it makes samples of each class; an .npz gets the arrays instead.

    Args:
        generator: The generator.
        out: A picture or .npz file.
        config: Over which images, and from which points.
        metadata: Written into the file, e.g. the command that makes it again.
        **fields: Fields of ``config`` that are given by themselves.

    Returns:
        What was written, as a sentence.

    Raises:
        ValueError: If the generator has no attention (there), or a class or query is wrong.
    """
    config = replace(config or AttentionConfig(), **fields)
    check_attention_file(out)
    size, form = generator.config.image_size, generator.config.attention_form
    position = checked_position("generator", size, generator.config.attention_positions, config)
    first = list(range(min(FIRST, generator.config.num_classes)))
    wanted = [generator.class_index(name) for name in config.classes] or first
    labels = [c for c in wanted for _ in range(config.num)]
    queries = default_queries(size) if config.queries_px is None else config.queries_px
    only = None if config.sample is None else [config.sample]
    num = len(labels) or config.num
    result = generator.attention(num, labels or None, config.seed, queries, config.truncation, only)
    shown = _Shown(
        network="generator",
        position=position,
        queries_px=queries,
        names=None if result.labels is None else [generator.class_names[c] for c in result.labels],
        caption=f"{describe_weights(generator)}; form {form}; seed {config.seed}",
        style=config.style,
    )
    return _write_attention(result, out, shown, metadata)


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
    wanted = [class_index(name, names) for name in classes] or list(range(min(FIRST, len(names)))) or [0]
    chosen = _chosen(dataset, wanted, num, seed)
    images: NDArray[np.uint8] = np.stack([dataset.images[i] for i in chosen])
    labels = np.array([int(dataset.labels[i]) for i in chosen])
    queries = default_queries(D.config.image_size) if queries_px is None else queries_px
    return AttentionResult(images, labels if names else None, picture_maps(D, images, queries), attention_gammas(D))


def picture_maps(
    D: Discriminator, images: NDArray[np.uint8], queries_px: Sequence[tuple[int, int]] | None = None
) -> dict[int, NDArray[np.float32]]:
    """Compute where the discriminator looks in pictures; its maps do not depend on their class.

    Args:
        D: The discriminator, in evaluation mode.
        images: uint8 (N, H, W, 3) at D's size.
        queries_px: Points (row, column) in pixels; unset is every position of the layer.

    Shape: -> {position K: (N, Q, H_key, W_key)}.
    """
    x = uint8_to_images(torch.from_numpy(images)).permute(0, 3, 1, 2).contiguous()
    x = x.to(next(D.parameters()).device)
    found = attention_maps(D, x, torch.zeros(len(x), dtype=torch.int64, device=x.device), queries_px)
    return {position: values.float().cpu().numpy() for position, values in found.items()}


def _chosen(dataset: ImageSet, classes: Sequence[int], num: int, seed: int) -> list[int]:
    """Choose ``num`` pictures of each class by the seed."""
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    for c in classes:
        candidates = np.flatnonzero(np.asarray(dataset.labels) == c)
        if len(candidates) < num:
            what = f"class {dataset.class_names[c]}" if dataset.class_names else dataset.source
            raise ValueError(f"{what} has {len(candidates)} pictures, {num} were asked for")
        chosen += sorted(int(i) for i in random.choice(candidates, num, replace=False))
    return chosen


def write_discriminator_attention(
    D: Discriminator,
    dataset: ImageSet,
    out: Path,
    config: AttentionConfig | None = None,
    **fields: Unpack[AttentionFields],
) -> str:
    """Draw where the discriminator looks in real pictures; an .npz gets the arrays instead.

    Arguments as in :func:`discriminator_attention` and :func:`write_attention`.

    Raises:
        ValueError: As :func:`discriminator_attention`, and if the discriminator has no attention (there).
    """
    config = replace(config or AttentionConfig(), **fields)
    check_attention_file(out)
    position = checked_position("discriminator", D.config.image_size, D.config.attention_positions, config)
    queries = default_queries(D.config.image_size) if config.queries_px is None else config.queries_px
    result = discriminator_attention(
        D, dataset, classes=config.classes, num=config.num, seed=config.seed, queries_px=queries
    )
    shown = _Shown(
        network="discriminator",
        position=position,
        queries_px=queries,
        names=[dataset.class_names[c] for c in result.labels] if result.labels is not None else None,
        caption=f"real pictures of {Path(dataset.source).name}; form {D.config.attention_form}; seed {config.seed}",
        style=config.style,
    )
    return _write_attention(result, out, shown)


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What stands in and around an attention figure."""

    network: str
    position: int
    queries_px: Sequence[tuple[int, int]]
    names: Sequence[str] | None
    caption: str
    style: Style


def _write_attention(
    result: AttentionResult, out: Path, shown: _Shown, metadata: Mapping[str, str] | None = None
) -> str:
    if out.suffix.lower() == ".npz":
        arrays = {"images": result.images, "queries": np.array(shown.queries_px)}
        arrays |= {f"maps_feat{k}": m for k, m in result.maps.items()}
        arrays |= {f"gamma_feat{k}": np.array(g) for k, g in result.gammas.items()}
        if result.labels is not None:
            arrays["labels"] = result.labels
        save_arrays(out, arrays | noted(metadata))
    else:
        figure = draw_attention(
            result,
            shown.queries_px,
            position=shown.position,
            names=shown.names,
            network=shown.network,
            caption=shown.caption,
            style=shown.style,
        )
        save_image(figure, out, metadata=metadata)
    queries = "1 query" if len(shown.queries_px) == 1 else f"{len(shown.queries_px)} queries"
    gammas = ", ".join(f"feat{k} {g:+.4f}" for k, g in result.gammas.items())
    return (
        f"{out}: {how_many(len(result.images), 'image')}, {queries}, feat{shown.position} of the "
        f"{shown.network}; gamma {gammas}"
    )
