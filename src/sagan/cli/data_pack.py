"""``sagan data pack``: decode pictures once."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import parse
from sagan.data.config import Interpretation
from sagan.data.there import check_there
from sagan.places import check_file, check_writable
from sagan.sizes import size_of
from sagan.words import how_many

WHAT = "Decode pictures once into a packed file or folder. After an interruption the same command goes on."


@dataclass(frozen=True, kw_only=True)
class PackFlags:
    """Flags of ``sagan data pack``."""

    path: tyro.conf.Positional[str]
    """What `sagan train --data` takes: a folder, zip, .npz, tar files, hf:NAME, the name of a data set."""
    size: int | str
    """Size in pixels to decode to: the side of a square, as 64, or height x width, as 64x96."""
    out: Path
    """The packed file, or with --shard-gb the folder; --data takes it, here or on another machine."""
    shard_gb: float | None = None
    """Pack into a folder of files that are at most so large, in 10^9 bytes, e.g. 1."""
    part: str | None = None
    """I/N: pack only the I-th of N parts of the shards, so that N machines can share the work; the one that
    finishes last completes the folder."""
    workers: int | None = None
    """Threads that decode; unset is one for each core."""
    class_names: str | None = None
    """A file that maps folder names to readable class names."""
    reading: Annotated[Interpretation, tyro.conf.arg(name="data")] = field(default_factory=Interpretation)
    skip_unreadable: bool = False
    """The same as --data.skip-unreadable."""

    def __post_init__(self) -> None:
        size_of(self.size)
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be at least 1, found {self.workers}")


def run(arguments: list[str]) -> int:
    """Parse, pack, say what is there now."""
    flags = parse(PackFlags, arguments, "data pack", description=WHAT)
    check_there(flags.path)
    check_writable("--out", flags.out.expanduser())
    if flags.class_names is not None:
        check_file("--class-names", flags.class_names)
    from sagan.data import DataConfig, notes
    from sagan.data.pack_folder import pack

    reading = asdict(flags.reading)
    reading["skip_unreadable"] |= flags.skip_unreadable
    config = DataConfig(path=flags.path, class_names=flags.class_names, **reading)
    packed = pack(config, flags.size, flags.out, shard_gb=flags.shard_gb, part=flags.part, workers=flags.workers)
    if packed is None:
        print(
            f"{flags.out}: part {flags.part} is done, others are not yet; the last one completes the folder, or this "
            "command without --part once their shards are here"
        )
        return 0
    for note in notes(packed):
        print(note)
    print(
        f"{flags.out}: {how_many(len(packed.labels), 'picture')}, {how_many(len(packed.class_names), 'class')}, "
        f"content {packed.fingerprint[:16]}"
    )
    return 0
