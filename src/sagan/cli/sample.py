"""``sagan sample``: samples by class, or an interpolation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import UsageError, parse, typed
from sagan.generators.config import SampleConfig
from sagan.generators.hub import check_weights_there


@dataclass(frozen=True, kw_only=True)
class SampleFlags(SampleConfig):
    """Flags of ``sagan sample``: the configuration, what is sampled and where it goes."""

    run: tyro.conf.Positional[Path]
    """A run folder, a checkpoint, a .safetensors weights file, a folder that was exported, or OWNER/NAME of the Hugging
    Face Hub; no data set is needed."""
    out: Path
    """A picture (.png, .jpg, .webp: grid by class), .npz, or a folder of single images. With --interpolate what moves
    (.gif, .webp, .mp4, .webm), a strip (.png, .jpg), or .npz."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class")] = ()
    """Class names or numbers; unset is all."""


def run(arguments: list[str]) -> int:
    """Parse, sample, say what was written."""
    flags = parse(SampleFlags, arguments, "sample", description="Write samples by class, or an interpolation.")
    _check_used(flags, arguments)
    flags.check_file(flags.out)
    check_weights_there(flags.run)
    from sagan.generators.outputs import sample_to_file

    print(sample_to_file(flags.run, flags.out, flags, progress=True))
    return 0


def _check_used(flags: SampleFlags, arguments: list[str]) -> None:
    """Refuse flags that were typed and would change nothing; the configuration refuses those that say it themselves.

    Raises:
        UsageError: If there is one.
    """
    walk, along = flags.interpolate is not None, flags.direction is not None
    for flag, idle, why in (
        ("--num", walk, "is a number of samples, and --interpolate N draws one walk of N images"),
        ("--reach", not along, "goes with --interpolate N --direction K"),
        ("--end-seed", along, "goes with --interpolate N, and not with --direction, whose walk has no other end"),
        ("--end-index", along, "goes with --interpolate N, and not with --direction, whose walk has no other end"),
    ):
        if idle and (given := typed(arguments, flag, flag.replace("-", "_").replace("__", "--", 1))):
            raise UsageError(f"{given} {why}; leave it away")
