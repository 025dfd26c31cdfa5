"""Files of what is shown, with the command that makes them again written inside."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sagan.figures import save_image, strip, training_curves
from sagan.generators.attention import write_attention
from sagan.generators.config import SampleConfig
from sagan.generators.samples import write_asked
from sagan.studio.asks import Saved
from sagan.studio.commands import attention_command, sample_command
from sagan.studio.live import log_lines
from sagan.studio.nearest import Neighbours
from sagan.studio.sources import Loaded

TYPES = {"png": "image/png", "gif": "image/gif", "webp": "image/webp", "npz": "application/octet-stream"}


class SavedFile(NamedTuple):
    """A file to hand out."""

    name: str
    content: bytes
    command: str
    """Makes it again."""


def command_of(loaded: Loaded, asked: Saved) -> str:
    """Write the command that makes such a file again.

    Raises:
        ValueError: If what is asked for cannot be.
    """
    config = asked.pictures.config(loaded.generator)
    attention = asked.attention(config)
    if attention is not None:
        return attention_command(loaded.file, attention, f"attention.{asked.kind}")
    return sample_command(loaded.file, config, f"{'samples' if config.interpolate is None else 'walk'}.{asked.kind}")


def saved_file(loaded: Loaded, asked: Saved) -> SavedFile:
    """Make a file as `sagan sample` and `sagan attention` do.

    Raises:
        ValueError: If what is asked for cannot be, e.g. an animation of samples.
    """
    config = asked.pictures.config(loaded.generator)
    attention = asked.attention(config)
    command = command_of(loaded, asked)
    notes = {"command": command, "seed": str(config.seed)}
    if loaded.rough:
        notes["statistics"] = "of a few batches, so the command gives slightly other pictures"
    name = command.rpartition(" ")[2]

    def write(out: Path) -> None:
        if attention is not None:
            write_attention(loaded.generator, out, attention, notes)
        else:
            write_asked(loaded.generator, out, config, metadata=notes)

    return SavedFile(name, content_of(name, write), command)


def nearest_file(
    loaded: Loaded, config: SampleConfig, sample: NDArray[np.uint8], found: Neighbours, of: str
) -> SavedFile:
    """Draw a sample and the training pictures nearest to it in a row; the command draws the sample again.

    Args:
        loaded: What drew the sample.
        config: With which choices.
        sample: It, uint8 (H, W, 3).
        found: What lies nearest to it.
        of: Which pictures were looked through.
    """
    command = sample_command(loaded.file, config, "samples.png")
    images = np.concatenate([sample[None], found.images])
    names = found.names or [""] * len(found.images)
    labels = ["sample", *(f"{name} {far:.2f}".strip() for name, far in zip(names, found.distances, strict=True))]
    caption = f"nearest of {of}, by the colours of 8x8 cells (0 is equal); seed {config.seed}"
    notes = {"command": command, "seed": str(config.seed), "nearest": caption}
    figure = strip(images, labels=labels, caption=caption)
    return SavedFile(
        "nearest.png", content_of("nearest.png", lambda out: save_image(figure, out, metadata=notes)), command
    )


def curves_file(folder: Path, name: str) -> bytes:
    """Draw the curves of a run's log, as curves.png in its folder.

    Raises:
        ValueError: If there is nothing to draw yet.
    """
    figure = training_curves(log_lines(folder), title=name)
    return content_of("curves.png", lambda out: save_image(figure, out))


def content_of(name: str, write: Callable[[Path], object]) -> bytes:
    """Give what something writes under a name."""
    with tempfile.TemporaryDirectory(prefix="sagan-studio-") as folder:
        out = Path(folder) / name
        write(out)
        return out.read_bytes()
