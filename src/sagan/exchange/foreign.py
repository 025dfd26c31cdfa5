"""Files of other implementations, read without executing anything that they hold."""

import pickle
import re
import shlex
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from sagan.bombs import check_directory, check_old_torch_file, check_torch_zip
from sagan.reading import BytesError
from sagan.training.checkpoint import FORMAT
from sagan.training.contents import check_stored

State = Mapping[str, Tensor]

STATES = ("state_dict", "model_state_dict")
"""Under which names checkpoints keep the tensors of a network."""
NETWORKS = ("generator", "generator_ema", "discriminator")
"""What the names of tensors begin with in files that hold several networks."""


class ForeignError(ValueError):
    """A foreign file that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """What a foreign file holds."""

    path: Path
    states: dict[str, State]
    """Tensors of each network by their names in the source: under `generator`, `generator_ema` and `discriminator` if
    the file tells them apart, else all under ``""``."""
    step: int
    """The step that the file, or its name, tells; 0 if neither does."""
    said: str
    """The file's name and the configuration in it, if there is one: what options are told by."""


def read_foreign(path: str | Path) -> Foreign:
    """Read a file that ``torch.save`` wrote, or a safetensors file.

    Raises:
        FileNotFoundError: If there is no such file.
        ForeignError: If it is damaged, would have to execute code to be read, or holds no tensors by name.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder; give the file with the weights in it" if path.is_dir() else "no such file"
        if (path / "checkpoints").is_dir():
            said = f"sagan sample {shlex.quote(str(path))} --out samples.png"
            what = f"a run of sagan itself, with nothing to bring in; use it as it is: {said}"
        raise FileNotFoundError(f"{path}: {what}")
    contents = _contents(path)
    state = next((contents[name] for name in STATES if isinstance(contents.get(name), dict)), contents)
    tensors = {str(key).removeprefix("module."): value for key, value in state.items() if isinstance(value, Tensor)}
    if contents.get("format") == FORMAT:
        raise ForeignError(
            f"{path} is a checkpoint of sagan itself, with nothing to bring in: use it as it is, e.g. `sagan sample "
            f"{shlex.quote(str(path))} --out samples.png`, or `sagan export` makes a weights file of it"
        )
    if not tensors:
        found = ", ".join(map(str, list(contents)[:6])) or "nothing"
        raise ForeignError(
            f"{path} holds no weights by name (it has {found}): give the file with the generator, "
            "not an optimiser's or a log"
        )
    meta = contents.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    config = meta.get("config")
    return Foreign(
        path=path,
        states=_networks(tensors),
        step=_step(path, contents, meta),
        said=f"{path.name}\n{config}" if isinstance(config, str) else path.name,
    )


def _contents(path: Path) -> dict[Any, Any]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        if zipfile.is_zipfile(path):  # what torch.save writes; torch.load does not compare its check sums
            check_directory(path)
            with zipfile.ZipFile(path) as archive:
                check_torch_zip(archive, path.stat().st_size)
                if archive.testzip() is not None:
                    raise ForeignError(f"{path} cannot be read: a check sum in it is wrong, so it is damaged")
        else:
            check_old_torch_file(path)
        with torch.serialization.safe_globals(_numbers()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on pickles of another kind, which are refused
            contents = torch.load(path, map_location="cpu", weights_only=True)
        check_stored(contents)
    except (PermissionError, ForeignError):
        raise
    except BytesError as error:
        raise ForeignError(f"{path} cannot be read as a file of torch.save: {error}") from error
    except pickle.UnpicklingError as error:
        raise ForeignError(_refusal(path, str(error))) from error
    except Exception as error:  # of a damaged pickle PyTorch raises whatever its broken parts come to
        raise ForeignError(
            f"{path} cannot be read as a file of torch.save or safetensors (damaged, truncated, or another format)"
        ) from error
    if not isinstance(contents, dict):
        raise ForeignError(
            f"{path} holds a {type(contents).__name__}, not tensors by name; save `network.state_dict()` instead"
        )
    return contents


def _refusal(path: Path, said: str) -> str:
    asked = re.search(r"GLOBAL (\S+)", said)
    if asked is None:  # PyTorch's reader meets what no pickle of torch.save has
        return f"{path} cannot be read as a file of torch.save (damaged, or another kind of pickle)"
    return (
        f"{path} is refused: to read it, code would have to run ({asked[1]}). Where you trust it, write its "
        "tensors alone to another file, in the environment that made it: "
        "c = torch.load(FILE, weights_only=False); torch.save(c.get('state_dict', c), 'weights.pth')"
    )


def _numbers() -> list[Any]:
    """Give what NumPy's numbers are pickled with, which logs of values beside the weights hold. It makes numbers only.

    NumPy's module changed its name with version 2; files know it by either.
    """
    scalar = np.float64(0.0).__reduce__()[0]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    return [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")] + [np.dtype, *kinds]


def _networks(tensors: dict[str, Tensor]) -> dict[str, State]:
    found: dict[str, State] = {}
    for network in NETWORKS:
        start = f"{network}."
        part = {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
        if part:
            found[network] = part
    return found or {"": tensors}


def _step(path: Path, contents: dict[Any, Any], meta: dict[Any, Any]) -> int:
    for told in (contents.get("global_step"), contents.get("step"), meta.get("iter")):
        if isinstance(told, int) and told >= 0:
            return told
    named = re.search(r"step=(\d+)|_(\d+)_steps|iter_?(\d+)", path.name)
    return int(next(part for part in named.groups() if part)) if named else 0
