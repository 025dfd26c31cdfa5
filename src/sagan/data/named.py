"""Data sets that have a name: digits, pairs, fashion-mnist, cifar10 and cifar100. The training splits are used.

``digits`` comes with scikit-learn, ``pairs`` is drawn. The others are downloaded from their authors' addresses into the
cache folder and checked against the published MD5 sums; their files are read as plain bytes, never unpickled or
extracted.
"""

import gzip
import hashlib
import os
import secrets
import tarfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, cast

import numpy as np

from sagan.bombs import Bounded, read_up_to
from sagan.data.config import OTHER_CACHE, DataError
from sagan.data.decode import Pixels
from sagan.data.pairs import CLASSES, NUM_PICTURES, pairs_source
from sagan.data.parallel import progress_bar
from sagan.data.pictures import Labels, Pictures, Source, array_pictures, hash_lines
from sagan.data.there import NAMES
from sagan.reading import whatever_happens
from sagan.regular import open_regular

# Pictures and classes of each, known without downloading it.
NAMED_SIZES = dict(
    zip(NAMES, [(1_797, 10), (NUM_PICTURES, len(CLASSES)), (60_000, 10), (50_000, 10), (50_000, 100)], strict=True)
)

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Where Debian's package dataset-fashion-mnist puts it.
MAX_CIFAR_BYTES = 2**28
"""What a CIFAR archive may come to; both have 176 MiB."""
MAX_IDX_BYTES = 2**30
"""What an IDX file may come to; those of MNIST have 45 MiB."""
IDX_IMAGES, IDX_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file at its official address."""

    url: str
    """Where it is."""
    md5: str
    """Its MD5 sum in hexadecimal, as its authors publish it."""

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


DOWNLOADS = {
    "fashion-mnist": (
        Download(
            url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
            md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        ),
        Download(
            url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
            md5="25c81989df183df01b3e8a0aad5dffbe",
        ),
    ),
    "cifar10": (
        Download(url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", md5="c32a1d4ab5d03f1284b67883e8d87530"),
    ),
    "cifar100": (
        Download(
            url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", md5="03b5dce01913d631647c71ecec9e9cb8"
        ),
    ),
}


def named_source(name: str, cache: Path, *, size_px: int | None, progress: bool) -> Source:
    """Find one of NAMES; a set that is not on this machine is downloaded when it is loaded.

    ``pairs`` is drawn at ``size_px``; the others have a size of their own.

    Raises:
        DataError: On loading, if the download fails or does not have the published checksum; if ``pairs`` is not drawn
            at that size.
    """
    if name == "pairs":
        return pairs_source(size_px)
    if name == "digits":
        key = hash_lines(["digits, 16 px"])
        return Source(name=name, key=key, stamp=key, load=digits)
    downloads = DOWNLOADS[name]

    def load() -> Pictures:
        if name == "fashion-mnist" and (FASHION_FOLDER / f"{IDX_IMAGES}.gz").is_file():
            return idx_pictures(FASHION_FOLDER)
        files = [fetch(download, cache / "downloads" / name, progress=progress) for download in downloads]
        return idx_pictures(files[0].parent) if name == "fashion-mnist" else cifar_pictures(files[0])

    key = hash_lines([name, *(download.md5 for download in downloads)])
    return Source(name=name, key=key, stamp=key, load=load)


def digits() -> Pictures:
    """Give scikit-learn's 1,797 handwritten digits of 8x8 pixels, their 17 grey levels spread over 0..255.

    Each pixel is repeated 2x2, so that at 16 px a network sees what there is and not what interpolation makes of it.
    """
    from sklearn.datasets import load_digits  # Takes a second to import.

    levels, labels = load_digits(return_X_y=True)
    pixels = np.rint(levels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    pixels = pixels.repeat(2, axis=1).repeat(2, axis=2)
    return array_pictures(pixels, labels.astype(np.int64), tuple(str(digit) for digit in range(10)))


def idx_files(folder: Path) -> list[Path]:
    """Name the training files of Fashion-MNIST (or MNIST) in a folder; none where it has no pictures of theirs."""
    files = [folder / f"{name}{suffix}" for name in (IDX_IMAGES, IDX_LABELS) for suffix in ("", ".gz")]
    there = [file for file in files if file.is_file()]
    return there if any(file.name.startswith(IDX_IMAGES) for file in there) else []


def idx_pictures(folder: Path) -> Pictures:
    """Read ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte`` of a folder, gzipped or not.

    The classes are named as Fashion-MNIST's when there are ten and the folder's name says fashion, else by number.

    Raises:
        DataError: If a file is missing or not in the IDX format.
    """
    images = _read_idx(folder, IDX_IMAGES, dimensions=3)
    labels = _read_idx(folder, IDX_LABELS, dimensions=1).astype(np.int64)
    if len(images) != len(labels) or not len(images):
        raise DataError(f"{folder} holds {len(images):,} pictures and {len(labels):,} labels; expected equal numbers")
    count = int(labels.max()) + 1
    fashion = count == len(FASHION_CLASSES) and "fashion" in str(folder).lower()
    return array_pictures(images, labels, FASHION_CLASSES if fashion else tuple(str(index) for index in range(count)))


def cifar_pictures(file: Path) -> Pictures:
    """Read the training pictures of a CIFAR-10 or CIFAR-100 binary archive (.tar.gz), without extracting it.

    A record is the label (CIFAR-100: coarse and fine label, the fine one is used) and 3,072 bytes, planes of red, green
    and blue.

    Raises:
        DataError: If the archive is damaged or holds something else.
    """
    members: dict[str, bytes] = {}
    damaged = f"{file} is not a whole .tar.gz archive"
    with (
        whatever_happens(lambda why: DataError(f"{damaged} ({why}); delete it and download it again")),
        _unpacked(file) as stream,
        tarfile.open(fileobj=Bounded(stream, MAX_CIFAR_BYTES), mode="r:") as archive,  # type: ignore[call-overload]
    ):
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            held = archive.extractfile(member) if member.isfile() and not member.issparse() else None
            if held is not None and name.endswith((".bin", ".txt")):
                members[name] = held.read()
    label_bytes = 2 if "train.bin" in members else 1
    names_file = "fine_label_names.txt" if label_bytes == 2 else "batches.meta.txt"
    batches = [
        members[name] for name in sorted(members) if name == "train.bin" or name.startswith("data_batch_")
    ]  # data_batch_1.bin to data_batch_5.bin
    record = label_bytes + 3072
    if not batches or names_file not in members or any(len(batch) % record for batch in batches):
        raise DataError(
            f"{file} holds {', '.join(sorted(members)) or 'no .bin file'}; expected CIFAR's binary version: "
            f"{DOWNLOADS['cifar10'][0].file_name} or {DOWNLOADS['cifar100'][0].file_name}"
        )
    class_names = tuple(members[names_file].decode("utf-8", "replace").split())
    records = np.frombuffer(b"".join(batches), np.uint8).reshape(-1, record)
    labels: Labels = records[:, label_bytes - 1].astype(np.int64)
    if not len(labels) or labels.max() >= len(class_names):
        raise DataError(f"{file} holds labels beyond its {len(class_names)} class names; download it again")
    images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return array_pictures(images, labels, class_names)


def _unpacked(file: Path) -> IO[bytes]:
    """Open a file, through gzip if it is packed with that."""
    with open_regular(file) as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(file)) if packed else file.open("rb")


def fetch(download: Download, folder: Path, *, progress: bool) -> Path:
    """Give the path of a downloaded file, downloading it first when it is absent; it is checked before it is kept.

    Raises:
        DataError: If the download fails or its checksum differs; the message says how to provide the file by hand.
    """
    target = folder / download.file_name
    by_hand = f"get {download.url} by other means and put it at {target}"
    if target.exists():
        if _md5(target) != download.md5:
            raise DataError(
                f"{target} does not have the published MD5 sum {download.md5}, it may be cut off; delete it, then run "
                f"this again or {by_hand}"
            )
        return target
    partial = folder / f".{download.file_name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write into {folder} ({error.strerror or error}); {OTHER_CACHE}") from error
    try:
        with urllib.request.urlopen(download.url, timeout=60) as answer, partial.open("xb") as out:
            size = int(answer.headers.get("Content-Length") or 0)
            with progress_bar(progress, in_bytes=True) as bar:
                task = bar.add_task(f"downloading {download.file_name}", total=size or None)
                while block := answer.read(1 << 18):
                    out.write(block)
                    bar.advance(task, len(block))
        if (found := _md5(partial)) != download.md5:
            raise DataError(
                f"{download.url} gave a file with the MD5 sum {found} in place of {download.md5}; try again later, or "
                f"{by_hand}"
            )
        partial.replace(target)
    except (OSError, HTTPException) as error:
        raise DataError(f"could not download {download.url} ({error}); {by_hand}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _read_idx(folder: Path, name: str, dimensions: int) -> Pixels:
    """Read an IDX file: two zero bytes, type 8 (uint8), number of dimensions, each as big-endian int32, then values."""
    packed, plain = folder / f"{name}.gz", folder / name
    try:
        with whatever_happens(lambda why: DataError(f"cannot read {name} in {folder} ({why}); download it again")):
            with _unpacked(packed if packed.exists() else plain) as stream:
                data = read_up_to(stream, MAX_IDX_BYTES + 1)
            if len(data) > MAX_IDX_BYTES:
                raise ValueError(f"it comes to more than {MAX_IDX_BYTES >> 20:,} MiB")
    except OSError as error:
        raise DataError(f"cannot read {name} in {folder} ({error}); expected Fashion-MNIST's four files") from error
    head = 4 + 4 * dimensions
    shape = tuple(int(size) for size in np.frombuffer(data[4:head], ">i4")) if len(data) >= head else ()
    if (
        data[:4] != bytes([0, 0, 8, dimensions])
        or not shape
        or min(shape) < 0
        or len(data) - head != np.prod(shape, dtype=np.int64)
    ):
        raise DataError(f"{name} in {folder} is not a whole IDX file of {dimensions} dimension(s); download it again")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
