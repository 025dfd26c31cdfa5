"""Files of what is shown, with the command that makes them again written inside."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sagan.generators.attention import write_attention
from sagan.generators.samples import write_asked
from sagan.studio.asks import Saved
from sagan.studio.commands import attention_command, sample_command
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


def content_of(name: str, write: Callable[[Path], object]) -> bytes:
    """Give what something writes under a name."""
    with tempfile.TemporaryDirectory(prefix="sagan-studio-") as folder:
        out = Path(folder) / name
        write(out)
        return out.read_bytes()
