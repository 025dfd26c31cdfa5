"""``sagan report``: what became of a run, in one HTML file."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from sagan.cli.parse import parse
from sagan.generators.staged import newest_stage
from sagan.places import check_place

WHAT = "Write what became of a run into one HTML file: curves, samples, attention that follows the mouse, values."


@dataclass(frozen=True, kw_only=True)
class ReportFlags:
    """Flags of ``sagan report``."""

    run: tyro.conf.Positional[Path]
    """A run folder, finished or not."""
    out: Path = Path("report.html")
    """The page; it needs nothing but a browser, and can be sent to others."""


def check_run(folder: Path) -> None:
    """Check that there is a run.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is no run's.
    """
    folder = newest_stage(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such run folder")
    if not (folder / "log.jsonl").is_file():
        raise ValueError(f"{folder} is no run folder: it has no log.jsonl")


def run(arguments: list[str]) -> int:
    """Parse, check, write, say what was written."""
    flags = parse(ReportFlags, arguments, "report", description=WHAT)
    check_place("--out", flags.out, (".html", ".htm"))
    check_run(flags.run)
    from sagan.studio.report import write_report

    print(write_report(flags.run, flags.out, progress=True))
    return 0
