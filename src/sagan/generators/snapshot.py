"""A checkpoint of a run, read back: what it was trained with, and what it holds."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from torch import nn

from sagan.generators.hub import check_weights_there
from sagan.generators.staged import newest_stage
from sagan.generators.weights import check_weights
from sagan.reading import whatever_happens
from sagan.recipes.build import check_sizes, stored_shapes
from sagan.recipes.config import RunConfig, from_json
from sagan.training.checkpoint import CheckpointError, check_contents, checkpoints, load_checkpoint


class Snapshot(NamedTuple):
    """A checkpoint read back."""

    path: Path
    config: RunConfig
    class_names: tuple[str, ...]
    contents: dict[str, object]
    """What :func:`sagan.training.checkpoint.load_checkpoint` gave."""


def read_snapshot(path: str | Path) -> Snapshot:
    """Read the latest checkpoint of a run folder, or a checkpoint file.

    Raises:
        FileNotFoundError: If there is no such run, or it has no checkpoint yet.
        CheckpointError: If the file cannot be used.
    """
    return _snapshot(stored(path)[-1])


def good_snapshots(folder: Path, warn: Callable[[str], None]) -> Iterator[Snapshot]:
    """Read the checkpoints of a run folder that can be used, the latest first, each when it is asked for.

    Args:
        folder: The run folder.
        warn: What is wrong with those that cannot be used is told to it.

    Raises:
        FileNotFoundError: If there is no such run, or it has no checkpoint yet.
        CheckpointError: If the earliest of them cannot be used.
    """
    found = stored(folder)
    for path in reversed(found):
        try:
            snapshot = _snapshot(path)
        except CheckpointError as error:
            if path == found[0]:
                raise
            warn(f"{error}; going back to the one before")
            continue
        yield snapshot


def stored(path: str | Path) -> list[Path]:
    """List the checkpoints of a run folder, the latest last; a file stands for itself, whatever it holds.

    A folder of stages (`sagan train --grow`) stands for its largest.

    Raises:
        FileNotFoundError: If there is no such run or file, or the run has no checkpoint yet.
    """
    path = newest_stage(path)
    if path.is_dir():
        found = checkpoints(path / "checkpoints")
        if not found:
            raise FileNotFoundError(
                f"{path} has no checkpoint (expected {path / 'checkpoints'}/step-*.pt): is it a run folder, "
                "and has it saved once?"
            )
        return found
    check_weights_there(path, hub=False)
    return [path]


def _snapshot(path: Path) -> Snapshot:
    contents = load_checkpoint(path)
    check_contents(contents, path)
    try:
        config = from_json(contents["config"], f"the configuration in {path}")
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    with _cannot_be_right(path):
        for network, part in (("G", config.generator), ("D", config.discriminator)):
            check_sizes(part, stored_shapes(contents[network].values()))
    return Snapshot(path, config, tuple(contents["class_names"]), contents)


def fill(network: nn.Module, state: object, path: Path) -> None:
    """Put the tensors of a checkpoint into a network.

    Raises:
        CheckpointError: If they are others than the network has, or it cannot compute with them.
    """
    with _cannot_be_right(path):
        network.load_state_dict(state)  # type: ignore[arg-type]
        check_weights(network)


def _cannot_be_right(path: Path) -> AbstractContextManager[None]:
    return whatever_happens(
        lambda why: CheckpointError(f"{path} is whole but cannot be right: {why}; use an earlier one")
    )
