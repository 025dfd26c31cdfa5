"""``sagan data check``: what is in a set of pictures."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import parse
from sagan.data.config import Interpretation
from sagan.places import PICTURES, check_place

WHAT = "What is in a set of pictures, before you train on it."


@dataclass(frozen=True, kw_only=True)
class CheckFlags:
    """Flags of ``sagan data check``."""

    path: tyro.conf.Positional[str]
    """What `sagan train --data` takes; of a packed file or folder the hashes are checked, too."""
    size: int | None = None
    """The size in pixels that you want to train at: counts the pictures that would be enlarged."""
    class_names: str | None = None
    """A file that maps folder names to readable class names."""
    reading: Annotated[Interpretation, tyro.conf.arg(name="data")] = field(default_factory=Interpretation)
    sheet: Path = Path("contact-sheet.png")
    """Where the contact sheet goes."""


def run(arguments: list[str]) -> int:
    """Parse, check, print; the exit code is 2 where pictures cannot be read."""
    flags = parse(CheckFlags, arguments, "data check", description=WHAT)
    check_place("--sheet", flags.sheet, PICTURES)
    from sagan.data import DataConfig, check
    from sagan.figures import save_image

    report = check(DataConfig(path=flags.path, class_names=flags.class_names, **asdict(flags.reading)), flags.size)
    print(report.text())
    print(f"contact sheet: {save_image(report.contact_sheet, flags.sheet)}")
    return 2 if report.unreadable else 0
