"""``sagan paper list``, ``show`` and ``render``: the paper's experiments, and their tables drawn again."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from sagan.cli.parse import UsageError, parse
from sagan.experiments.scales import ScaleName


@dataclass(frozen=True, kw_only=True)
class ListFlags:
    """``sagan paper list`` has no flags."""


@dataclass(frozen=True, kw_only=True)
class ShowFlags:
    """Flags of ``sagan paper show``."""

    name: tyro.conf.Positional[str]
    """The experiment; `sagan paper list` has them."""
    scale: ScaleName = "paper"
    """paper: as published; small: narrow networks, half an hour a row on a core; smoke: a few steps."""
    size: int | None = None
    """Image size in pixels, where the scale has several."""


@dataclass(frozen=True, kw_only=True)
class RenderFlags:
    """Flags of ``sagan paper render``."""

    out: Path = Path("results/paper")
    """Folder of all results."""


def run_list(arguments: list[str]) -> int:
    """List the experiments."""
    parse(ListFlags, arguments, "paper list", description="The paper's tables and figures as experiments.")
    from sagan.experiments.describe import listing

    print(listing())
    return 0


def run_show(arguments: list[str]) -> int:
    """Show what an experiment compares."""
    flags = parse(ShowFlags, arguments, "paper show", description="What an experiment compares, row by row.")
    from sagan.experiments.describe import description

    print(description(flags.name, flags.scale, flags.size))
    return 0


def run_render(arguments: list[str]) -> int:
    """Draw tables and pictures again."""
    what = "Draw all tables and pictures again from what was measured."
    flags = parse(RenderFlags, arguments, "paper render", description=what)
    if not flags.out.is_dir():
        raise UsageError(f"--out {flags.out}: there is no such folder; `sagan paper run` makes one with results")
    from sagan.experiments.render import render_all

    for path in render_all(flags.out):
        print(path)
    return 0
