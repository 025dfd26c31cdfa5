"""``sagan data check``: what is in a set of pictures."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sagan.cli.parse import parse
from sagan.data.config import Interpretation
from sagan.data.there import check_there
from sagan.places import PICTURES, check_file, check_place
from sagan.sizes import size_of

WHAT = "What is in a set of pictures, before you train on it."


@dataclass(frozen=True, kw_only=True)
class CheckFlags:
    """Flags of ``sagan data check``."""

    path: tyro.conf.Positional[str]
    """What `sagan train --data` takes; of a packed file or folder the hashes are checked, too."""
    size: int | str | None = None
    """The size in pixels that you want to train at, as 64, or 64x96 (height x width): counts the pictures that would
    be enlarged, and shows what each --data.fit loses."""
    class_names: str | None = None
    """A file that maps folder names to readable class names."""
    reading: Annotated[Interpretation, tyro.conf.arg(name="data")] = field(default_factory=Interpretation)
    seed: int = 0
    """The seed of the run that you want to start: it says which pictures are held out."""
    sheet: Path = Path("contact-sheet.png")
    """Where the contact sheet goes; with --size there is a second one beside it, NAME-fit."""
    page: Path | None = None
    """Where a page for the browser goes, all in one file (.html)."""
    json: Path | None = None
    """Where the report goes as JSON."""

    def __post_init__(self) -> None:
        if self.size is not None:
            size_of(self.size)


def run(arguments: list[str]) -> int:
    """Parse, check, print; the exit code is 0 for fine, 3 for fine with remarks, 4 for not to be trained on."""
    flags = parse(CheckFlags, arguments, "data check", description=WHAT)
    check_place("--sheet", flags.sheet, PICTURES)
    if flags.page is not None:
        check_place("--page", flags.page, (".html", ".htm"), folder=True)
    if flags.json is not None:
        check_place("--json", flags.json, (".json",), folder=True)
    check_there(flags.path)
    if flags.class_names is not None:
        check_file("--class-names", flags.class_names)
    from sagan.data import DataConfig, check
    from sagan.figures import save_image
    from sagan.pages import check_page
    from sagan.runs.folder import write_text

    config = DataConfig(path=flags.path, class_names=flags.class_names, **asdict(flags.reading))
    report = check(config, flags.size, seed=flags.seed)
    print(report.text())
    print(f"contact sheet: {save_image(report.contact_sheet, flags.sheet)}")
    if report.fit_sheet is not None:
        fit_sheet = flags.sheet.with_stem(f"{flags.sheet.stem}-fit")
        print(f"what each way to bring pictures to that size loses: {save_image(report.fit_sheet, fit_sheet)}")
    if flags.json is not None:
        write_text(flags.json, json.dumps(report.record(), indent=1) + "\n")
        print(f"JSON: {flags.json}")
    if flags.page is not None:
        write_text(flags.page, check_page(report.record(), report.pictures, report.fit_sheet))
        print(f"page: {flags.page}")
    print(f"verdict: {report.verdict}")
    return report.exit_code
