"""The two sides of an evaluation: what is judged, and by what, from whatever a user gives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sagan.data import (
    DataConfig,
    GivenData,
    ImageSet,
    fitted_alike,
    hand_over,
    notes,
    open_alike,
    open_dataset,
    picture_size,
)
from sagan.data.decisions import flags_of_before, unusual
from sagan.evaluation.config import PUBLISHED_NUM, EvaluateConfig
from sagan.evaluation.passes import Pixels, sampled_batches, sampled_classes, say, weights_sha256
from sagan.evaluation.reference import Reference, ReferenceStatistics, real_batches, reference_of
from sagan.generators.pretrained import TrainedGenerator, load
from sagan.generators.staged import newest_stage, run_name
from sagan.metrics.report import UNKNOWN, Protocol
from sagan.recipes.config import config_of_file
from sagan.sizes import Size, written

Batches = Iterable[Pixels | torch.Tensor]
Given = str | Path | DataConfig | TrainedGenerator | ImageSet | Batches
"""What can be judged: a trained generator, a run or a weights file, pictures of any other generator."""
Real = (
    str
    | Path
    | DataConfig
    | ImageSet
    | GivenData
    | Dataset[Any]
    | tuple[Any, ...]
    | Reference
    | ReferenceStatistics
    | Batches
)
"""What it can be judged by: a path or name as ``--data`` takes, real pictures, also with their labels as
:func:`sagan.train` takes them, statistics of them."""


# ------------------------------------------------------------------------------------------------- what is judged


@dataclass(frozen=True)
class Judged:
    """What is judged, opened."""

    pictures: TrainedGenerator | ImageSet | Batches
    subject: Protocol
    """What the report calls it."""
    path: Path | None = None
    """The run or weights file, if it came from one."""

    @property
    def kept(self) -> TrainedGenerator | ImageSet | None:
        """The generator or the pictures; None if they only pass by in batches."""
        return self.pictures if isinstance(self.pictures, (TrainedGenerator, ImageSet)) else None

    def size_px(self) -> int | str:
        """Give the size of the pictures, as protocols have it: 64, or "64x96" for 64 pixels high and 96 wide.

        Raises:
            ValueError: If they only pass by in batches.
        """
        if isinstance(self.pictures, TrainedGenerator):
            return written(self.pictures.config.image_size)
        images = self.pictures.images if isinstance(self.pictures, ImageSet) else self.pictures
        if isinstance(images, Iterable) and not hasattr(images, "shape"):
            raise ValueError(
                "pictures that pass by in batches do not say their size before, so the real ones cannot be opened at "
                "it: give the real ones as sagan.evaluation.reference_of(sagan.data.open_dataset(...))"
            )
        return written(tuple(images.shape[1:3]))

    def count(self, num: int | None) -> int | None:
        """Give the number of pictures; ``num`` says how many are drawn, or how many pass by."""
        if isinstance(self.pictures, TrainedGenerator):
            return PUBLISHED_NUM if num is None else num
        if isinstance(self.pictures, ImageSet):
            return len(self.pictures.labels)
        return len(self.pictures) if isinstance(self.pictures, (np.ndarray, torch.Tensor)) else num


def open_judged(given: Given, progress: bool) -> Judged:
    """Open what is judged.

    Args:
        given: A path is a run, checkpoint or weights file, or else pictures; a :class:`DataConfig` is pictures.
        progress: Show bars, and notes on the pictures, on standard error.

    Raises:
        ValueError: If it cannot be read.
    """
    if isinstance(given, (str, Path)) and is_generator(Path(given)):
        path = newest_stage(given)
        generator = load(path, progress=progress)
        step = generator.provenance.get("step")
        return Judged(generator, {"run": run_name(given), "step": step if isinstance(step, int) else None}, path)
    if isinstance(given, (str, Path)):
        given = DataConfig(path=str(given))
    if isinstance(given, DataConfig):
        images = open_dataset(given, picture_size(given), progress=progress)
        for note in notes(images):
            say(f"note: generated pictures: {note}", progress)
        read = unusual(images.info.decoding)
        return Judged(images, {"pictures": Path(given.path).name, **({"decoding": read} if read else {})})
    return Judged(given, {})


def is_generator(path: Path) -> bool:
    """Tell whether a path is, or should be, a run, checkpoint or weights file, and not pictures."""
    if path.is_dir():
        path = newest_stage(path)
        return any((path / name).exists() for name in ("config.json", "checkpoints", "generator.safetensors"))
    return path.suffix in (".pt", ".safetensors") or not path.exists()


class Side(NamedTuple):
    """The generated pictures, however they come."""

    batches: Batches
    num: int | None
    classes: Callable[[], NDArray[np.int64] | None]
    protocol: Protocol
    subject: Protocol


def generated_side(judged: Judged, size: int | str, config: EvaluateConfig) -> Side:
    """Make the pictures to judge ready to pass by once.

    Raises:
        ValueError: If they have another size than the real ones.
    """
    pictures, num = judged.pictures, judged.count(config.num)
    unknown: Protocol = {"ema": UNKNOWN, "batch_norm": UNKNOWN, "seed": UNKNOWN, "truncation": UNKNOWN}
    if isinstance(pictures, TrainedGenerator) and num is not None:
        if judged.size_px() != size:
            raise ValueError(f"the generator makes pictures of {judged.size_px()} px, the reference has {size}")
        batches = sampled_batches(pictures, num, config.seed, config.truncation)
        weights, batch_norm = (str(pictures.provenance.get(name)) for name in ("weights", "batch_norm"))
        made: Protocol = {
            "ema": weights.startswith("moving average"),
            "batch_norm": batch_norm,
            "seed": config.seed,
            "truncation": config.truncation,
        }
        subject: Protocol = {"weights": weights, "generator_sha256": weights_sha256(pictures)}
        return Side(batches, num, lambda: sampled_classes(pictures, num, config.seed), made, subject)
    if isinstance(pictures, ImageSet):
        if judged.size_px() != size:
            raise ValueError(f"the pictures have {judged.size_px()} px, the reference has {size}")
        everything = Reference(pictures, np.arange(len(pictures.labels)), "all")
        return Side(real_batches(everything), num, lambda: pictures.labels, unknown, {})
    assert not isinstance(pictures, TrainedGenerator)
    return Side(in_batches(pictures), num, lambda: None, unknown, {})


def in_batches(pictures: Batches) -> Batches:
    """Give one array of pictures as a single batch; batches stay what they are."""
    return [pictures] if isinstance(pictures, (np.ndarray, torch.Tensor)) else pictures


def check_alike(generated: ImageSet, real: ImageSet) -> None:
    """Refuse pictures that were brought to one form from sizes or channels that do not belong together.

    Raises:
        ValueError: If sizes differ, the real pictures had all to be enlarged, or only one side is grey.
    """
    sizes = [written(images.images.shape[1:3]) for images in (generated, real)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"the pictures have {sizes[0]} px, the reference has {sizes[1]}")
    if real.info.traits.get("enlarged", 0) == len(real.labels):
        raise ValueError(
            f"all real pictures are smaller than the generated ones ({sizes[0]} px); make those smaller, or "
            "take a reference of at least their size"
        )
    grey = [images.info.traits.get("grey", 0) == len(images.labels) for images in (generated, real)]
    if grey[0] != grey[1]:
        raise ValueError(
            f"the generated pictures are {'grey' if grey[0] else 'in colour'}, the real ones "
            f"{'grey' if grey[1] else 'in colour'}; bring both to one form first"
        )


# ------------------------------------------------------------------------------------------------- what it is judged by


def open_real(
    data: Real, judged: Judged, config: EvaluateConfig, progress: bool
) -> Reference | ReferenceStatistics | Batches:
    """Open the real pictures, at the size of the generated ones, and choose those of the split.

    Raises:
        ValueError: If they cannot be read, or a part of them is asked for and nobody knows which.
    """
    generator = judged.pictures if isinstance(judged.pictures, TrainedGenerator) else None
    run_data = None if generator is None else generator.provenance.get("data")
    if isinstance(data, (tuple, GivenData, Dataset)) and is_given(data):
        alike = fitted_alike(DataConfig(cache_dir=config.cache_dir), run_data)
        data = hand_over(data, alike, judged.size_px(), progress=progress)
    if not isinstance(data, (str, Path, DataConfig, ImageSet)):
        assert not isinstance(data, (GivenData, Dataset))
        return data
    if isinstance(data, (str, Path)):
        data = DataConfig(path=str(data))
    images = data if isinstance(data, ImageSet) else open_images(data, judged.size_px(), progress, run_data)
    if generator is None:
        return chosen_part(images, config)
    provenance = generator.provenance
    held, seed = holdout_of(judged.path, provenance, config.split)
    if config.split != "all":
        check_trained_on(provenance, images)
    return chosen_part(images, config, held, seed)


def is_given(data: object) -> bool:
    """Tell whether real pictures come from Python with their labels; arrays alone pass by in batches."""
    pairs = type(data) is tuple and any(getattr(part, "ndim", 0) != 4 for part in data)
    return pairs or isinstance(data, (GivenData, Dataset))


def open_images(data: str | Path | DataConfig, size_px: Size, progress: bool, run_data: object = None) -> ImageSet:
    """Open real pictures at one size, read as a run's were if its record is given; say what a reader must know."""
    given = data if isinstance(data, DataConfig) else DataConfig(path=str(data))
    images = open_alike(given, size_px, run_data, progress=progress)
    for note in notes(images):
        say(f"note: {note}", progress)
    return images


def chosen_part(images: ImageSet, config: EvaluateConfig, held: DataConfig | None = None, seed: int = 0) -> Reference:
    """Choose the pictures of a split; what the configuration leaves open is the run's, or the default."""
    fraction, most = config.holdout_fraction, config.holdout_max
    held = held or DataConfig()
    held = replace(
        held,
        holdout_fraction=held.holdout_fraction if fraction is None else fraction,
        holdout_max=held.holdout_max if most is None else most,
    )
    seed = seed if config.split_seed is None else config.split_seed
    return reference_of(images, config.split, held.holdout_fraction, held.holdout_max, seed)


def holdout_of(path: Path | None, provenance: Mapping[str, object], split: str) -> tuple[DataConfig, int]:
    """Give what a run held out, as fields of a configuration, and its seed.

    They stand in the weights' provenance; weights files of older versions have them only in the run's folder.

    Raises:
        ValueError: If a part of the data is asked for and they are unknown.
    """
    if isinstance(provenance.get("holdout_fraction"), float):
        fraction, most = float(str(provenance["holdout_fraction"])), int(str(provenance["holdout_max"]))
        return DataConfig(holdout_fraction=fraction, holdout_max=most), int(str(provenance["seed"]))
    if path is not None and (path / "config.json").is_file():
        config = config_of_file(path / "config.json")
        return config.data, config.seed
    if split != "all":
        raise ValueError(
            f"{path or 'this generator'} does not say which pictures its run held out; judge its run folder, or by all "
            "of the data (--split all)"
        )
    return DataConfig(), 0


def check_trained_on(provenance: Mapping[str, object], dataset: ImageSet) -> None:
    """Check by content that a generator was trained on a data set: only of that one are parts held out or not.

    Raises:
        ValueError: If it was trained on another, or does not say on which.
    """
    data = provenance.get("data")
    if not isinstance(data, dict) or data.get("fingerprint") != dataset.fingerprint:
        flags = "" if isinstance(data, dict) and "decoding" in data else flags_of_before(dataset.info.decoding)
        before = f", and add {flags} if the version that trained it had no such choice" if flags else ""
        raise ValueError(
            f"{dataset.source} is not what this generator was trained on, or it does not say on what, so none of it "
            f"was held out; judge by all of it (--split all){before}"
        )
