"""The Frechet distance within each class, planned before it starts and resumable: at ImageNet's size it takes hours."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sagan.data import ImageSet, cache_folder
from sagan.data.parallel import progress_bar
from sagan.evaluation.case import Case
from sagan.evaluation.config import EvaluateConfig
from sagan.evaluation.passes import BATCH_SIZE, Pixels, sampled_batches, say, weights_sha256
from sagan.evaluation.reference import Reference, real_batches
from sagan.generators.pretrained import TrainedGenerator
from sagan.metrics.features import FeatureNetwork, extract, network_protocol
from sagan.metrics.frechet import frechet_distance, gaussian
from sagan.metrics.statistics import Moments
from sagan.places import AGAIN, could_not_write, in_a_sentence
from sagan.reading import BytesError, lines_of, read_bytes


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
    progress: bool = True,
    **fields: Any,
) -> list[ClassDistance]:
    """Compute the Frechet distance within each class: ``num`` samples of it against all its real pictures.

    Args:
        network: The feature network.
        generated: Draws the samples, or holds them in classes.
        reference: The real pictures; its classes are the generator's.
        num: Samples of each class, at least 2; of given pictures all are taken.
        progress: Print the plan and show a progress bar with the time left on standard error.
        **fields: ``seed``, ``truncation``, ``device`` (default the CPU) and ``cache_dir`` of :class:`EvaluateConfig`.

    Raises:
        ValueError: If the classes of both sides differ, or a class has fewer than 2 pictures on one.
    """
    return within_classes(_case(network, generated, reference, num, fields, progress))


def plan_intra(
    network: FeatureNetwork,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    num: int,
    **fields: Any,
) -> IntraPlan:
    """Estimate time and memory of :func:`intra_distance` with the same arguments by timing a batch and a distance.

    Raises:
        ValueError: As :func:`intra_distance`.
    """
    return plan(_case(network, generated, reference, num, fields, False))


def _case(
    network: FeatureNetwork,
    generated: TrainedGenerator | ImageSet,
    reference: Reference,
    num: int,
    fields: dict[str, Any],
    progress: bool,
) -> Case:
    config = EvaluateConfig(intra_num=num, **{"device": "cpu"} | fields)
    return Case(network=network, generated=generated, reference=reference, config=config, progress=progress)


def within_classes(case: Case) -> list[ClassDistance]:
    """Compute the Frechet distance within each class, one class in memory at a time.

    The mean over the classes is intra-FID (Miyato and Koyama 2018, section 4.1). Finished classes are kept in the cache
    folder: the same call after an interruption goes on behind them.

    Raises:
        ValueError: As :func:`check_classes`.
    """
    classes = check_classes(case)
    file = _progress_file(case)
    found = _read(file)
    left, keeps = [one for one in classes if one.name not in found], True
    if case.progress and left:
        say("within classes: timing a batch and a distance for the plan ...", case.progress)
        say(plan(case).text(), case.progress)
        say(f"finished classes are kept in {file}: the same command goes on there", case.progress)
    with progress_bar(case.progress and bool(left)) as bar:
        task = bar.add_task("within classes", total=_pictures(left))
        for one in left:
            bar.update(task, description=f"within classes, {one.label + 1} of {len(classes)}: {one.name}")
            found[one.name] = _distance(case, one, lambda count: bar.advance(task, count))
            if keeps:
                keeps = _kept(file, found[one.name], case.progress)
    return [found[one.name] for one in classes]


def plan(case: Case) -> IntraPlan:
    """Estimate time and memory of :func:`within_classes` by timing a batch and a distance.

    Raises:
        ValueError: As :func:`check_classes`.
    """
    classes = check_classes(case)
    done = _read(_progress_file(case))
    left = [one for one in classes if one.name not in done]
    count = min(BATCH_SIZE, *(one.drawn for one in classes))
    seconds = []
    for part in (min(8, count), count):  # the first, small one warms up
        start = time.perf_counter()
        _moments(case, _class_batches(case, part, 0), lambda _: None)
        seconds.append(time.perf_counter() - start)
    d, (height, width) = case.network.width, _sides(case)[1].images.images.shape[1:3]
    some = gaussian(np.random.default_rng(0).standard_normal((2 * d, d)))
    start = time.perf_counter()
    frechet_distance(some, some)
    return IntraPlan(
        classes=len(left),
        done=len(classes) - len(left),
        pictures=_pictures(left),
        pictures_per_s=count / seconds[-1],
        distance_s=time.perf_counter() - start,
        # Two scatters and what the distance takes (eight arrays), and a batch of pictures.
        peak_bytes=10 * d * d * 8 + BATCH_SIZE * (case.network.image_px**2 + height * width) * 3 * 4,
    )


class OneClass(NamedTuple):
    """The pictures of one class on both sides."""

    name: str
    label: int
    real: NDArray[np.int64]
    """Indices of its real pictures."""
    drawn: int
    """How many generated ones it has."""


def check_classes(case: Case) -> list[OneClass]:
    """Give the pictures of each class of both sides.

    Raises:
        ValueError: If one side has no classes, they differ, or a class has fewer than 2 pictures on one.
    """
    generated, reference = _sides(case)
    names = reference.images.class_names
    if not names or names != generated.class_names:
        raise ValueError(
            f"the distance within classes needs the same classes on both sides: the generated side has "
            f"{len(generated.class_names)}, the real one {len(names)}, or they have other names"
        )
    labels = reference.images.labels[reference.indices]
    classes = []
    for label, name in enumerate(names):
        given = int((generated.labels == label).sum()) if isinstance(generated, ImageSet) else case.config.intra_num
        classes.append(OneClass(name, label, reference.indices[labels == label], given))
        if min(len(classes[-1].real), given) < 2:
            raise ValueError(
                f"class {name} has {len(classes[-1].real)} real pictures in this split and {given} generated ones; a "
                "distance needs at least 2 of each"
            )
    return classes


def _sides(case: Case) -> tuple[TrainedGenerator | ImageSet, Reference]:
    if case.reference is None:
        raise ValueError("the distance within classes needs the real pictures with their classes, not statistics")
    if case.generated is None:
        raise ValueError("the distance within classes needs a generator, or generated pictures with classes")
    return case.generated, case.reference


def _pictures(classes: Sequence[OneClass]) -> int:
    return sum(one.drawn + len(one.real) for one in classes)


def _distance(case: Case, one: OneClass, advance: Callable[[int], None]) -> ClassDistance:
    _, reference = _sides(case)
    real = _moments(case, real_batches(reference, one.real), advance)
    drawn = _moments(case, _class_batches(case, one.drawn, one.label), advance)
    value = frechet_distance(drawn.gaussian(), real.gaussian())
    return ClassDistance(one.name, value, one.drawn, len(one.real))


def _class_batches(case: Case, num: int, label: int) -> Iterator[Pixels]:
    generated, _ = _sides(case)
    if isinstance(generated, TrainedGenerator):
        return sampled_batches(generated, num, case.config.seed, case.config.truncation, label)
    chosen = np.flatnonzero(generated.labels == label)[:num]
    return real_batches(Reference(generated, chosen, "all"))


def _moments(case: Case, batches: Iterable[Pixels], advance: Callable[[int], None]) -> Moments:
    moments = Moments(case.network.width)
    for part in extract(case.network, batches, device=case.device, batch_size=BATCH_SIZE):
        moments.update(part.features)
        advance(len(part.features))
    return moments


def _progress_file(case: Case) -> Path:
    """Name the file of finished classes: by the content of the weights and of the pictures, and by all numbers."""
    generated, reference = _sides(case)
    config = case.config
    made = network_protocol(case.network) | reference.protocol
    made["generated"] = generated.fingerprint if isinstance(generated, ImageSet) else weights_sha256(generated)
    made |= {"num": config.intra_num, "seed": config.seed, "truncation": config.truncation}
    key = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:24]
    return cache_folder(config.cache_dir) / "within-classes" / f"{key}.jsonl"


def _read(file: Path) -> dict[str, ClassDistance]:
    try:
        data = read_bytes(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except BytesError as error:
        raise ValueError(f"{file} cannot be read: {error}; remove it to measure all classes anew") from error
    found = {}
    for record in lines_of(data).records:
        if record.keys() == {*ClassDistance._fields} and _is_distance(record):  # else that of an interrupted call
            found[record["class_name"]] = ClassDistance(**record)
    return found


def _is_distance(record: dict[str, Any]) -> bool:
    kinds = {"class_name": str, "value": float, "generated": int, "real": int}
    return all(type(record[name]) is kind for name, kind in kinds.items())


def _kept(file: Path, found: ClassDistance, progress: bool) -> bool:
    """Keep a finished class; where that cannot be, say so: the distances are worth more than the way to go on."""
    try:
        _append(file, found)
    except OSError as error:
        said = in_a_sentence(could_not_write(file, error)).removesuffix(AGAIN)
        say(f"note: {said}. After an interruption all classes are measured anew", progress)
        return False
    return True


def _append(file: Path, found: ClassDistance) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        # A line break first: an interrupted call may have left half a line.
        stream.write("\n" + json.dumps(found._asdict()) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
