"""The Frechet distance within each class, planned before it starts and resumable: at ImageNet's size it takes hours."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from sagan.data import ImageSet, cache_folder
from sagan.data.parallel import progress_bar
from sagan.evaluation.passes import BATCH_SIZE, Pixels, sampled_batches, weights_sha256
from sagan.evaluation.reference import Reference, real_batches
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.features import FeatureNetwork, extract, network_protocol
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.statistics import Moments


class ClassDistance(NamedTuple):
    """How far the samples of one class are from its real pictures."""

    class_name: str
    value: float
    generated: int
    real: int


class IntraPlan(NamedTuple):
    """What the distances within all classes will take on this machine, from timing one batch and one distance."""

    classes: int
    """Classes that are left to do."""
    done: int
    """Classes that an earlier call finished."""
    pictures: int
    """Pictures to extract features of: generated and real ones of the classes left."""
    pictures_per_s: float
    distance_s: float
    """Seconds for one distance."""
    peak_bytes: int
    """Memory beside the networks: it does not grow with the number of classes or pictures."""

    @property
    def seconds(self) -> float:
        """Time in all."""
        return self.pictures / self.pictures_per_s + self.classes * self.distance_s

    def text(self) -> str:
        """Say it in a sentence."""
        hours = self.seconds / 3600
        took = f"{hours:.1f} h" if hours >= 1 else f"{self.seconds / 60:.0f} min" if hours > 1 / 60 else "a minute"
        done = f" ({self.done:,} more are done already)" if self.done else ""
        return (
            f"within classes: {self.classes:,} classes{done}, {self.pictures:,} pictures at "
            f"{self.pictures_per_s:.1f} a second and {self.classes:,} distances of {self.distance_s:.2f} s: about "
            f"{took}, {self.peak_bytes / 2**20:.0f} MiB beside the networks"
        )


def intra_distance(
    network: FeatureNetwork,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    num: int,
    *,
    seed: int = 0,
    truncation: float | None = None,
    device: str = "cpu",
    cache_dir: str | None = None,
    progress: bool = True,
) -> list[ClassDistance]:
    """Compute the Frechet distance within each class: ``num`` samples of it against all its real pictures.

    One class is in memory at a time. The mean over the classes is intra-FID (Miyato and Koyama 2018, section 4.1).
    Finished classes are kept in the cache folder: the same call after an interruption goes on behind them.

    Args:
        network: The feature network.
        generated: Draws the samples, or holds them in classes.
        reference: The real pictures; its classes are the generator's.
        num: Samples of each class, at least 2; of given pictures all are taken.
        seed: Seed of the samples.
        truncation: See :meth:`TrainedGenerator.sample`.
        device: Where features are computed.
        cache_dir: Folder of the cache; default $SAGAN_CACHE, else the platform's cache folder.
        progress: Print the plan and show a progress bar with the time left on standard error.

    Raises:
        ValueError: If the classes of both sides differ, or a class has fewer than 2 pictures on one.
    """
    members, drawn = class_members(generated, reference, num)
    file = _progress_file(network, generated, reference, num, seed, truncation, cache_dir)
    found = _read(file)
    left = [name for name in members if name not in found]
    if progress and left:
        console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        console.print("within classes: timing a batch and a distance for the plan ...")
        how = {"seed": seed, "truncation": truncation, "device": device, "cache_dir": cache_dir}
        console.print(plan_intra(network, generated, reference, num, **how).text())  # type: ignore[arg-type]
        console.print(f"finished classes are kept in {file}: the same command goes on there")
    pictures = sum(drawn[name] + len(members[name]) for name in left)
    with progress_bar(progress and bool(left)) as bar:
        task = bar.add_task("within classes", total=pictures)

        def advance(count: int) -> None:
            bar.advance(task, count)

        for number, name in enumerate(members):
            if name in found:
                continue
            bar.update(task, description=f"within classes, {number + 1} of {len(members)}: {name}")
            real = _moments(network, real_batches(reference, members[name]), device, advance)
            batches = _class_batches(generated, drawn[name], seed, truncation, number)
            value = frechet_distance(_moments(network, batches, device, advance).gaussian(), real.gaussian())
            found[name] = ClassDistance(name, value, drawn[name], len(members[name]))
            _append(file, found[name])
    return [found[name] for name in members]


def plan_intra(
    network: FeatureNetwork,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    num: int,
    *,
    seed: int = 0,
    truncation: float | None = None,
    device: str = "cpu",
    cache_dir: str | None = None,
) -> IntraPlan:
    """Estimate time and memory of :func:`intra_distance` with the same arguments by timing a batch and a distance.

    Raises:
        ValueError: As :func:`intra_distance`.
    """
    members, drawn = class_members(generated, reference, num)
    found = _read(_progress_file(network, generated, reference, num, seed, truncation, cache_dir))
    left = [name for name in members if name not in found]
    count = min(BATCH_SIZE, *drawn.values())
    seconds = []
    for part in (min(8, count), count):  # the first, small one warms up
        start = time.perf_counter()
        _moments(network, _class_batches(generated, part, seed, truncation, 0), device, lambda _: None)
        seconds.append(time.perf_counter() - start)
    d = network.width
    some = gaussian(np.random.default_rng(0).standard_normal((2 * d, d)))
    start = time.perf_counter()
    frechet_distance(some, some)
    return IntraPlan(
        classes=len(left),
        done=len(members) - len(left),
        pictures=sum(drawn[name] + len(members[name]) for name in left),
        pictures_per_s=count / seconds[-1],
        distance_s=time.perf_counter() - start,
        # Two scatters and what the distance takes (eight arrays), and a batch of pictures.
        peak_bytes=10 * d * d * 8 + BATCH_SIZE * (network.image_px**2 + reference.images.images.shape[1] ** 2) * 3 * 4,
    )


def class_members(
    generated: TrainedGenerator | ImageSet, reference: Reference, num: int
) -> tuple[dict[str, NDArray[np.int64]], dict[str, int]]:
    """Give the indices of each class's real pictures, and how many generated ones it has.

    Raises:
        ValueError: If the classes of both sides differ, or a class has fewer than 2 pictures on one.
    """
    names = reference.images.class_names
    if not names or names != generated.class_names:
        raise ValueError(
            f"the distance within classes needs the same classes on both sides: the generated side has "
            f"{len(generated.class_names)}, the real one {len(names)}, or they have other names"
        )
    labels = reference.images.labels[reference.indices]
    members = {name: reference.indices[labels == label] for label, name in enumerate(names)}
    drawn = {
        name: int((generated.labels == label).sum()) if isinstance(generated, ImageSet) else num
        for label, name in enumerate(names)
    }
    for name, real in members.items():
        if min(len(real), drawn[name]) < 2:
            raise ValueError(
                f"class {name} has {len(real)} real pictures in this split and {drawn[name]} generated ones; a "
                "distance needs at least 2 of each"
            )
    return members, drawn


def _class_batches(
    generated: TrainedGenerator | ImageSet, num: int, seed: int, truncation: float | None, label: int
) -> Iterator[Pixels]:
    if isinstance(generated, TrainedGenerator):
        return sampled_batches(generated, num, seed, truncation, label)
    chosen = np.flatnonzero(generated.labels == label)[:num]
    return real_batches(Reference(generated, chosen, "all"))


def _moments(
    network: FeatureNetwork, batches: Iterable[Pixels], device: str, advance: Callable[[int], None]
) -> Moments:
    moments = Moments(network.width)
    for part in extract(network, batches, device=device, batch_size=BATCH_SIZE):
        moments.update(part.features)
        advance(len(part.features))
    return moments


def _progress_file(
    network: FeatureNetwork,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    num: int,
    seed: int,
    truncation: float | None,
    cache_dir: str | None,
) -> Path:
    """Name the file of finished classes: by the content of the weights and of the pictures, and by all numbers."""
    made = network_protocol(network) | reference.protocol
    made["generated"] = generated.fingerprint if isinstance(generated, ImageSet) else weights_sha256(generated)
    made |= {"num": num, "seed": seed, "truncation": truncation}
    key = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:24]
    return cache_folder(cache_dir) / "within-classes" / f"{key}.jsonl"


def _read(file: Path) -> dict[str, ClassDistance]:
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            entry = ClassDistance(**json.loads(line))
        except (ValueError, TypeError):  # the last line of an interrupted call
            continue
        found[entry.class_name] = entry
    return found


def _append(file: Path, found: ClassDistance) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        # A line break first: an interrupted call may have left half a line.
        stream.write("\n" + json.dumps(found._asdict()) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
