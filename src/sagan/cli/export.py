"""``sagan export``: one weights file to share."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from sagan.cli.parse import parse
from sagan.generators.config import check_weights_file

WHAT = "Write one file to share: weights, configuration, class names."


@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """Flags of ``sagan export``."""

    run: tyro.conf.Positional[Path]
    """A run folder or a checkpoint, e.g. RUN/checkpoints/best.pt."""
    out: Path
    """The .safetensors file."""


def run(arguments: list[str]) -> int:
    """Parse, write, say how to load it."""
    flags = parse(ExportFlags, arguments, "export", description=WHAT)
    check_weights_file(flags.out)
    from sagan.generators.pretrained import export

    out = export(flags.run, flags.out, progress=True)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; load it with sagan.load({str(out)!r})")
    return 0
