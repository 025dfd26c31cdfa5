"""``sagan sample``: samples by class, or an interpolation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import parse
from sagan.generators.config import SampleConfig
from sagan.generators.hub import check_weights_there


@dataclass(frozen=True, kw_only=True)
class SampleFlags(SampleConfig):
    """Flags of ``sagan sample``: the configuration, what is sampled and where it goes."""

    run: tyro.conf.Positional[Path]
    """A run folder, a checkpoint, a .safetensors weights file, a folder that was exported, or OWNER/NAME of the Hugging
    Face Hub; no data set is needed."""
    out: Path
    """A picture (.png, .jpg, .webp: grid by class), .npz, or a folder of single images; .gif, .mp4 or
    .webm with --interpolate."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class")] = ()
    """Class names or numbers; unset is all."""


def run(arguments: list[str]) -> int:
    """Parse, sample, say what was written."""
    flags = parse(SampleFlags, arguments, "sample", description="Write samples by class, or an interpolation.")
    flags.check_file(flags.out)
    check_weights_there(flags.run)
    from sagan.generators.outputs import sample_to_file

    print(sample_to_file(flags.run, flags.out, flags, progress=True))
    return 0
