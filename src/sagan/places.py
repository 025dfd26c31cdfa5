"""Where results go: a name that nothing could be written under is refused before any work. Without PyTorch."""

from collections.abc import Sequence
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def check_place(field: str, path: str | Path, suffixes: Sequence[str], *, folder: bool = False) -> None:
    """Check that a file can be written under a name.

    Args:
        field: What it is called in messages.
        path: The name.
        suffixes: The endings that say a format, in small letters.
        folder: Whether its folder must be there: what is written last shall not fail for the lack of it.

    Raises:
        ValueError: If it ends in another way, or there is no such folder.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        *first, last = suffixes
        known = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{field} must end in {known}, found {path}")
    if folder and not path.absolute().parent.is_dir():
        raise ValueError(f"{field} {path}: there is no folder {path.parent}; make it, or choose another place")
