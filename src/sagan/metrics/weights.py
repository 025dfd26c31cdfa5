"""Weights of feature networks: where their files lie, how they get there, and how they are checked and read."""

import hashlib
import os
import re
import secrets
import sys
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sagan.bombs import check_directory, check_old_torch_file, check_torch_zip
from sagan.reading import BytesError


class WeightsError(ValueError):
    """A weights file that is missing, damaged or of another network; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A weights file at its official address."""

    url: str
    """Where it is."""
    sha256: str
    """Its SHA-256 sum in hexadecimal; the first eight digits are also in its name."""

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class KnownFile:
    """A published weights file, which is recognised by its content, whatever it is called."""

    network: str
    """The name of the feature network that it makes."""
    names: tuple[str, ...]
    """What it is called where it is published."""
    sha256: str
    """Its SHA-256 sum in hexadecimal."""
    size: int
    """Its length in bytes."""


KNOWN_FILES = (
    KnownFile(
        network="inception-2015-12-05",
        names=("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
    ),
    KnownFile(
        network="efficientnet-lite0",
        names=("efficientnet-lite0-57934424.pth",),
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
    ),
)
"""All that are known. Both were written without check sums inside, as torch.save did before PyTorch 1.6."""


def is_known(network: str, sha256: str) -> bool:
    """Tell whether a file with this SHA-256 sum, in hexadecimal, is a published one of this feature network."""
    return any((known.network, known.sha256) == (network, sha256) for known in KNOWN_FILES)


def weights_folder(cache_dir: str | None = None) -> Path:
    """Give the folder for downloaded weights; it need not exist.

    It lies in the cache folder of the data sets: the argument wins over the variable SAGAN_CACHE, which wins over the
    platform's own place for caches.
    """
    if chosen := cache_dir or os.environ.get("SAGAN_CACHE"):
        cache = Path(chosen).expanduser()
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches" / "sagan"
    elif sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sagan" / "Cache"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sagan"
    return cache / "weights"


def find_weights(downloads: Sequence[Download], folder: Path, *, progress: bool) -> Path:
    """Find one of several equivalent files, in ``folder`` or where torch.hub keeps its own; else download the first.

    The first whose address answers is taken. A file is checked before it is kept, so that a download that broke off
    never looks like a good one.

    Raises:
        WeightsError: If no file is here and none can be had; the message says how to provide one by hand.
    """
    places = (folder, Path(torch.hub.get_dir()) / "checkpoints")
    for place in places:
        for download in downloads:
            if (place / download.file_name).is_file():
                return place / download.file_name
    failures = []
    for download in downloads:
        try:
            return _fetch(download, folder, progress=progress)
        except (OSError, HTTPException) as error:
            failures.append(f"{download.url} ({error})")
    names = " or ".join(download.file_name for download in downloads)
    raise WeightsError(
        f"could not download {' or '.join(failures)}. Get one of these files on a machine that is online and put it at "
        f"{folder} under its own name ({names}), or give its path"
    )


def sha256_of(file: Path) -> str:
    """Compute the SHA-256 sum of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_state_dict(file: Path) -> tuple[dict[str, Tensor], str]:
    """Read a state dict that torch.save wrote, and the SHA-256 sum of its file. No code in it is run.

    A file of :data:`KNOWN_FILES` is recognised by its sum, under any name. Every other one must vouch for itself: it
    has not the length of a known one, the sum that its name promises, if it ends in ``-1a2b3c4d.pth`` as torch.hub's
    do, and check sums inside, as torch.save writes them since PyTorch 1.6, which agree.

    Raises:
        WeightsError: If the file is missing, damaged, a changed copy of a known one, or something else.
    """
    if not file.is_file():
        raise WeightsError(f"{file} is not a file; give the path of a weights file (.pth)")
    found = sha256_of(file)
    published = any(known.sha256 == found for known in KNOWN_FILES)
    if not published:
        _check_unknown(file, found)
    try:
        if not (published or _is_zip(file)):
            check_old_torch_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds on bytes that are no state dict
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise WeightsError(
            f"{file} cannot be read as weights ({type(error).__name__}: {reason}); expected a whole state dict as "
            "torch.save writes it"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"{file} holds {_described(state)}; expected a state dict, names with tensors")
    if not (published or _is_zip(file)):
        raise WeightsError(
            f"{file} is none of the known weights files and has no check sums inside, so nobody can tell whether it is "
            "damaged. If it is a copy of a known one, get it again; if these are weights of your own, write them anew "
            "with torch.save of PyTorch 1.6 or newer"
        )
    return dict(state), found


def _check_unknown(file: Path, found: str) -> None:
    """Refuse a file whose SHA-256 sum ``found`` is not known, as far as that can be told without reading weights."""
    promised = re.search(r"-([0-9a-f]{8,64})\.\w+$", file.name)
    if promised and not found.startswith(promised[1]):
        raise WeightsError(
            f"{file} has a SHA-256 sum that begins with {found[: len(promised[1])]}, but its name promises "
            f"{promised[1]}; it is cut off or another file. Delete it and get it again"
        )
    size = file.stat().st_size
    for known in KNOWN_FILES:
        if known.size == size:
            raise WeightsError(
                f"{file} has the {size:,} bytes of {' and '.join(known.names)}, but its SHA-256 sum begins with "
                f"{found[:8]} instead of {known.sha256[:8]}: it is a damaged or changed copy. Get it again; if these "
                "are weights of your own, write them anew with torch.save"
            )
    if _is_zip(file):
        try:
            check_directory(file)
            with zipfile.ZipFile(file) as archive:
                check_torch_zip(archive, size)
                wrong = archive.testzip()
        except BytesError as error:
            wrong = str(error)
        except Exception as error:  # zipfile raises many kinds on bytes that are no archive
            wrong = f"its table of contents: {type(error).__name__}"
        if wrong is not None:
            raise WeightsError(
                f"{file} cannot be read as weights: its check sums inside do not agree ({wrong}), so it is cut off or "
                "damaged. Get it again"
            )


def _is_zip(file: Path) -> bool:
    """Tell whether PyTorch takes a file for an archive with check sums."""
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


class StateReader:
    """Hands out the tensors of a state dict one by one, and knows in the end whether any is left.

    Args:
        state: Names and tensors.
        network: What the network is called, for messages.
        file: Where the state comes from, for messages.
    """

    def __init__(self, state: dict[str, Tensor], network: str, file: str) -> None:
        # Batch norm counts its batches; files of old versions do not have these, and nothing here needs them.
        self.state = {key: value for key, value in state.items() if not key.endswith(".num_batches_tracked")}
        self.complaint = f"{file} does not hold the weights of {network}"

    def take(self, key: str, shape: Sequence[int]) -> Tensor:
        """Take out the tensor ``key`` as float32.

        Raises:
            WeightsError: If it is missing, has another shape or holds numbers that are not finite.
        """
        tensor = self.state.pop(key, None)
        if tensor is None:
            others = f"; it has {', '.join(sorted(self.state)[:3])} and so on" if self.state else ""
            raise WeightsError(f"{self.complaint}: {key} is missing{others}. Give that network's own file")
        if tuple(tensor.shape) != tuple(shape):
            raise WeightsError(
                f"{self.complaint}: {key} is {tuple(tensor.shape)}, expected {tuple(shape)}. Give that network's own "
                "file"
            )
        if not tensor.isfinite().all():
            raise WeightsError(f"{self.complaint}: {key} holds NaN or infinity. Get the file again")
        return tensor.float()

    def take_linear(self, layer: nn.Linear, key: str) -> None:
        """Load a linear layer from ``key.weight`` and ``key.bias``."""
        layer.weight = nn.Parameter(self.take(f"{key}.weight", layer.weight.shape))
        layer.bias = nn.Parameter(self.take(f"{key}.bias", layer.bias.shape))

    def take_folded(self, convolution: nn.Conv2d, weight_key: str, norm_key: str, eps: float) -> None:
        """Load a convolution with the batch norm after it folded in, laid out as channels_last, which is faster.

        gamma (w * x - mean) / sqrt(var + eps) + beta = (w s) * x + (beta - mean s), s = gamma / sqrt(var + eps).
        """
        weight = self.take(weight_key, convolution.weight.shape).double()
        gamma, beta, mean, variance = (
            self.take(f"{norm_key}.{name}", weight.shape[:1]).double()
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma * torch.rsqrt(variance + eps)
        folded = (weight * scale[:, None, None, None]).float()
        convolution.weight = nn.Parameter(folded.contiguous(memory_format=torch.channels_last))
        convolution.bias = nn.Parameter((beta - mean * scale).float())

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            WeightsError: If a tensor was not asked for: then the file is of another network.
        """
        if self.state:
            raise WeightsError(
                f"{self.complaint}: {next(iter(self.state))} and {len(self.state) - 1:,} more have no place in it. "
                "Give that network's own file"
            )


def _fetch(download: Download, folder: Path, *, progress: bool) -> Path:
    """Download into ``folder``; the file has its name only when it is whole."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    target = folder / download.file_name
    partial = folder / f".{download.file_name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(download.url, timeout=60) as answer, partial.open("xb") as out:
            size = int(answer.headers.get("Content-Length") or 0)
            with Progress(*columns, console=Console(stderr=True, quiet=not progress), disable=not progress) as bar:
                task = bar.add_task(f"downloading {download.file_name}", total=size or None)
                while block := answer.read(1 << 18):
                    out.write(block)
                    bar.advance(task, len(block))
        if (found := sha256_of(partial)) != download.sha256:
            raise OSError(f"it gave a file with the SHA-256 sum {found[:8]}..., expected {download.sha256[:8]}...")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dict with {', '.join(str(key) for key in list(value)[:3]) or 'nothing'}"
    return f"one {type(value).__name__}"
