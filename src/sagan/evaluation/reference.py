"""The real pictures to judge by: some of a data set, or what a feature network once found in them."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sagan.data import ImageSet, cache_folder
from sagan.data.decisions import unusual
from sagan.evaluation.config import Split
from sagan.evaluation.passes import BATCH_SIZE, KEPT, Collected, Pixels, collect, say
from sagan.metrics.class_accuracy import ClassLabels
from sagan.metrics.features import FeatureNetwork, check_images, network_protocol
from sagan.metrics.report import Protocol, differing_fields
from sagan.npy import read_npz
from sagan.places import AGAIN, in_a_sentence
from sagan.reading import check_version, object_of, whatever_happens
from sagan.sizes import Size, longhand, written
from sagan.whole import whole_file

FORM, FORMAT_VERSION = "sagan_statistics", 2

DRAW_SEED = 2020


class StatisticsError(ValueError):
    """A file of statistics that cannot be used."""


class Reference(NamedTuple):
    """Real pictures to judge by: some of a data set."""

    images: ImageSet
    indices: NDArray[np.int64]
    """Which of them."""
    split: str
    """What they are called, e.g. ``heldout, 0.05, at most 1000, seed 0``."""

    @property
    def class_counts(self) -> list[int]:
        """How many pictures of each class there are."""
        labels = self.images.labels[self.indices]
        return [int((labels == label).sum()) for label in range(len(self.images.class_names))]

    @property
    def protocol(self) -> Protocol:
        """What makes a value comparable; how the pictures were read only where that is not the plain way."""
        read = unusual(self.images.info.decoding)
        return {
            "reference_sha256": self.images.fingerprint,
            "reference_split": self.split,
            "reference_count": len(self.indices),
            "size_px": written(self.images.images.shape[1:3]),
            **({"reference_decoding": read} if read else {}),
        }


class ReferenceStatistics(NamedTuple):
    """What a feature network found in real pictures: enough to judge by, without the pictures."""

    collected: Collected
    protocol: Protocol
    """Of the network and of the pictures."""
    name: str = "the reference"
    """What messages call it: the file that it was read from."""

    @property
    def pictures(self) -> Protocol:
        """The fields that tell of the pictures alone."""
        return {k: v for k, v in self.protocol.items() if k.startswith("reference") or k == "size_px"}

    def require(self, expected: Protocol) -> None:
        """Refuse statistics that were made in another way.

        Raises:
            ValueError: If one of the expected fields of the protocol is missing or another.
        """
        differing = differing_fields({name: self.protocol.get(name) for name in expected}, expected)
        if differing:
            told = "; ".join(f"{name}: {one!r}, wanted {other!r}" for name, (one, other) in differing.items())
            raise ValueError(f"{self.name} holds statistics of another kind ({told}); make it again")


def reference_of(
    images: ImageSet,
    split: Split = "all",
    fraction: float = 0.05,
    maximum: int = 1000,
    seed: int = 0,
    at_most: int | None = None,
) -> Reference:
    """Choose the real pictures to judge by.

    Args:
        images: The data set, decoded at the size of the generated pictures.
        split: All of it, what a run with these numbers trained on, or what it held out.
        fraction: Share of the pictures held out.
        maximum: At most so many are held out.
        seed: The run's seed.
        at_most: Draw so many of the split if it has more.

    Raises:
        ValueError: If fewer than two pictures are left.
    """
    train, held_out = images.split(fraction, maximum, seed)
    if split == "all" or (split == "train" and not len(held_out)):
        chosen, name = np.arange(len(images.labels)), "all"
    else:
        chosen = train if split == "train" else held_out
        name = f"{split}, holdout {fraction} at most {maximum}, seed {seed}"
    if at_most is not None and len(chosen) > at_most:
        chosen = np.sort(np.random.default_rng(DRAW_SEED).permutation(chosen)[:at_most])
        name = f"{name}; {at_most} of them, drawn with seed {DRAW_SEED}"
    if len(chosen) < 2:
        raise ValueError(f"the split {name} has {len(chosen)} pictures; a reference needs at least 2")
    return Reference(images, chosen, name)


def real_batches(reference: Reference, indices: NDArray[np.int64] | None = None) -> Iterator[Pixels]:
    """Yield real pictures in batches, uint8 (n, H, W, 3): the reference's, or those of the given indices."""
    chosen = reference.indices if indices is None else indices
    for start in range(0, len(chosen), BATCH_SIZE):
        yield np.asarray(reference.images.images[chosen[start : start + BATCH_SIZE]])


def reference_statistics(
    network: FeatureNetwork,
    reference: Reference,
    *,
    class_labels: ClassLabels | None = None,
    device: str = "cpu",
    cache_dir: str | None = None,
    progress: bool = True,
) -> ReferenceStatistics:
    """Give the statistics of real pictures, from the cache folder where the same were computed before.

    The file there is found by the content of the pictures, the split, the network and its weights. A damaged one is
    made again. Where it cannot be written that is said, and they are used all the same.

    Args:
        network: The feature network.
        reference: The real pictures.
        class_labels: Also count how many of them the network names as they are labelled.
        device: Where to compute.
        cache_dir: Folder of the cache; default $SAGAN_CACHE, else the platform's cache folder.
        progress: Show a progress bar with the time left on standard error.
    """
    protocol = network_protocol(network) | reference.protocol | {"kept": KEPT}
    if class_labels is not None:
        protocol["class_labels_sha256"] = class_labels.sha256
    key = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:24]
    file = cache_folder(cache_dir) / "statistics" / f"{key}.npz"
    if file.exists():
        try:
            return read_statistics(file, protocol, class_labels)
        except ValueError:
            pass  # damaged: it is replaced
    collected = collect(
        network,
        real_batches(reference),
        len(reference.indices),
        class_labels=class_labels,
        classes=reference.images.labels[reference.indices],
        device=device,
        description="features of real pictures",
        progress=progress,
    )
    return _through_a_file(file, ReferenceStatistics(collected, protocol), class_labels, progress)


def _through_a_file(
    file: Path, made: ReferenceStatistics, class_labels: ClassLabels | None, progress: bool
) -> ReferenceStatistics:
    """Keep statistics and read them back: to the last bit the same values as later calls, whoever computed them."""
    try:
        write_statistics(file, made)
        return read_statistics(file, made.protocol, class_labels)
    except OSError as error:
        say(f"note: {in_a_sentence(error).removesuffix(AGAIN)}. They are computed again each time", progress)
    with TemporaryDirectory() as elsewhere:
        write_statistics(Path(elsewhere) / file.name, made)
        return read_statistics(Path(elsewhere) / file.name, made.protocol, class_labels)


def statistics_of_batches(
    network: FeatureNetwork,
    batches: Iterable[Pixels | torch.Tensor],
    *,
    device: str = "cpu",
    progress: bool = True,
) -> ReferenceStatistics:
    """Give the statistics of real pictures that come in batches, uint8 (n, H, W, 3), from anywhere."""
    hashed = HashedBatches(batches)
    collected = collect(network, hashed, device=device, description="features of real pictures", progress=progress)
    protocol = network_protocol(network) | {
        "reference_sha256": hashed.sha256,
        "reference_split": "pixels as given",
        "reference_count": collected.moments.count,
        "size_px": hashed.size_px,
        "kept": KEPT,
    }
    return ReferenceStatistics(collected, protocol)


class HashedBatches:
    """Batches of pictures that are hashed as they pass by.

    Args:
        batches: uint8 (n, H, W, 3).
        size_px: The size that they must have; None takes that of the first.

    Raises:
        ValueError: While iterating, if a batch is no array of pictures of that size.
    """

    def __init__(self, batches: Iterable[Pixels | torch.Tensor], size_px: Size | None = None) -> None:
        self.batches = batches
        self.size_px = None if size_px is None else written(size_px)
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[Pixels | torch.Tensor]:
        """Pass the batches on."""
        for batch in self.batches:
            if not isinstance(batch, (np.ndarray, torch.Tensor)):
                raise ValueError(f"pictures come as batches, uint8 (n, H, W, 3), found one {type(batch).__name__}")
            check_images(batch)
            size = written(tuple(batch.shape[1:3]))
            self.size_px = self.size_px or size
            if size != self.size_px:
                raise ValueError(
                    f"pictures must all have one size, here {longhand(self.size_px)} pixels (height x width) as the "
                    f"others, found {longhand(size)}; bring both sides to one size first"
                )
            pixels = batch.cpu().numpy() if isinstance(batch, torch.Tensor) else batch
            self._hash.update(np.ascontiguousarray(pixels).tobytes())
            yield batch

    @property
    def sha256(self) -> str:
        """The SHA-256 sum of all bytes that passed by."""
        return self._hash.hexdigest()


def write_statistics(file: Path, statistics: ReferenceStatistics) -> None:
    """Write statistics of pictures with the way they were made; an older file is replaced in one move.

    Raises:
        OSError: If it cannot be written; an older one stays.
    """
    made = np.frombuffer(json.dumps(statistics.protocol).encode(), np.uint8)
    arrays = {FORM: np.array(FORMAT_VERSION), "protocol": made, **statistics.collected.to_arrays()}
    size = sum(array.nbytes for array in arrays.values())
    with whole_file(file, size) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_statistics(file: Path, expected: Protocol, class_labels: ClassLabels | None = None) -> ReferenceStatistics:
    """Read what :func:`write_statistics` wrote; a file without the number of its form is of version 1.

    Args:
        file: The file.
        expected: Fields of the protocol that it must have, e.g. those of the network that will be used.
        class_labels: Those that accuracies in the file were counted under.

    Raises:
        ValueError: If the file is damaged, was made in another way, or is of a newer version.
    """
    damaged = f"{file} holds no statistics of pictures, or is damaged"
    try:
        with whatever_happens(lambda why: StatisticsError(f"{damaged} ({why}); make it again")):
            arrays, _ = read_npz(file)
            form = arrays.pop(FORM, np.array(1))
            check_version(form.item() if form.size == 1 else None, FORMAT_VERSION, f"the statistics {file}")
            if "protocol" not in arrays:
                raise ValueError("it has no protocol")
            made: Protocol = object_of(arrays.pop("protocol").tobytes())
            collected = Collected.from_arrays(arrays, class_labels)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file of statistics") from None
    statistics = ReferenceStatistics(collected, made, str(file))
    statistics.require(expected)
    kept = collected.kept
    if (kept.limit, len(kept)) != (KEPT, min(KEPT, collected.moments.count)):
        raise ValueError(
            f"{file} holds features of {len(kept):,} pictures under a limit of {kept.limit:,}; make it again"
        )
    return statistics
