"""Files of what generators give: arrays in one move, names of folders, and the line that says where it comes from."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagan.generators.trained import TrainedGenerator
from sagan.whole import whole_file


def describe_weights(generator: TrainedGenerator) -> str:
    """Say in one line where samples come from: step, data, moving average, batch-normalisation statistics."""
    facts = generator.provenance
    data = facts.get("data")
    source = f"; data {data.get('source', 'not known')}" if isinstance(data, dict) else ""
    looked = f"; D looked through {facts['d_features']}" if facts.get("d_features") else ""
    return f"step {facts.get('step')}{source}; {facts.get('weights')}; batch norm: {facts.get('batch_norm')}{looked}"


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a compressed .npz in one move: a full disk leaves an older file as it was.

    Raises:
        OSError: If the file cannot be written.
    """
    size = sum(array.nbytes for array in arrays.values())
    with whole_file(path, size) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def noted(metadata: Mapping[str, str] | None) -> dict[str, NDArray[Any]]:
    """Give the entry of an .npz that tells of the others: lines ``key: value``."""
    if not metadata:
        return {}
    return {"metadata": np.array("\n".join(f"{key}: {value}" for key, value in metadata.items()))}


def safe_name(name: str) -> str:
    """Make a class name usable as a folder name."""
    return re.sub(r"[^\w .,+-]", "_", name).strip(" .") or "class"
