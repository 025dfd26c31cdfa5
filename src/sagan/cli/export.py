"""``sagan export``: weights as one file, as a graph for others, or as a folder to share."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import UsageError, parse
from sagan.exchange.config import GRAPHS, check_export
from sagan.generators.hub import check_weights_there
from sagan.places import check_file

WHAT = """\
Write weights that are ready to sample from. The name of --out says in which form:
  x.safetensors  one file for `sagan sample`, `sagan.load` and `sagan train --init-from`
  x.onnx         a graph that needs no sagan: onnxruntime draws with it; with the script x-onnx.py
  x.pt2          a graph that needs PyTorch alone (torch.export); with the script x-pt2.py
  x              a folder to share: weights, a card with data, steps, values and limits, samples"""


@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """Flags of ``sagan export``."""

    run: tyro.conf.Positional[Path]
    """A run folder, a checkpoint, e.g. RUN/checkpoints/best.pt, or a weights file."""
    out: Path
    """A file that ends in .safetensors, .onnx or .pt2, or a new folder."""
    reports: Annotated[tuple[Path, ...], tyro.conf.arg(name="report")] = ()
    """Of a folder: reports of `sagan evaluate --out`, whose values its card shows."""
    licence: str | None = None
    """Of a folder: its licence, such as apache-2.0; unset says that none was chosen."""
    push: str | None = None
    """Of a folder: a repository OWNER/NAME of the Hugging Face Hub to push it to."""
    private: bool = False
    """Make that repository a private one."""


def run(arguments: list[str]) -> int:
    """Parse, write, say how to use it."""
    flags = parse(ExportFlags, arguments, "export", description=WHAT)
    _check_used(flags)
    check_export(flags.out, flags.push)
    check_weights_there(flags.run)
    for report in flags.reports:
        check_file("--report", report)
    from sagan.exchange.take_out import export_to

    exported = export_to(
        flags.run,
        flags.out,
        progress=True,
        reports=flags.reports,
        licence=flags.licence,
        push=flags.push,
        private=flags.private,
    )
    out = exported.out
    if exported.script is not None:
        print(
            f"{out}: {out.stat().st_size / 1e6:.1f} MB; images differ by at most {exported.difference:.1g} of [-1, 1]"
        )
        classes = "CLASS " if exported.classes else ""
        print(f"draw with it, without sagan:\n  python {shlex.quote(str(exported.script))} {classes}8 0")
    elif out.is_dir():
        print(f"{out}: weights, card (README.md) and samples; load it with sagan.load({str(out)!r})")
        if flags.licence is None:
            print("its card says that no licence was chosen: --licence apache-2.0, or another one, says which")
        if exported.address is not None:
            print(f"pushed to {exported.address}; load it with sagan.load({flags.push!r})")
    else:
        print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; load it with sagan.load({str(out)!r})")
    return 0


def _check_used(flags: ExportFlags) -> None:
    """Refuse flags that would change nothing.

    Raises:
        UsageError: If there is one.
    """
    for flag, value in (("--report", flags.reports), ("--licence", flags.licence)):
        if value and flags.out.suffix in (".safetensors", *GRAPHS):
            raise UsageError(f"{flag} is for the card of a folder: name a folder with --out, found {flags.out}")
    if flags.private and flags.push is None:
        raise UsageError("--private goes with --push OWNER/NAME")
