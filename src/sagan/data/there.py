"""Whether there is anything where ``--data`` points, told before pictures are looked at. Without NumPy."""

import re
from pathlib import Path

from sagan.data.config import GIVEN, DataError
from sagan.words import did_you_mean

NAMES = ("digits", "pairs", "fashion-mnist", "cifar10", "cifar100")
"""Sets that have a name."""
HUB_PREFIX = "hf:"
"""How names of data sets of Hugging Face's library begin."""
KINDS = (
    "a folder of class folders, a folder of pictures, a zip of either, an .npz, a packed file or folder, tar files in "
    f"the WebDataset layout, a Hugging Face data set, a CIFAR archive, or one of the names {', '.join(NAMES)}"
)
PATTERN = re.compile(r"[*?\[{]")


class NotThereError(DataError):
    """There is nothing where pictures should be."""


def check_there(path: str, flag: str = "") -> None:
    """Check that a path leads somewhere; names, what was given in Python, and patterns are taken as they are.

    Args:
        path: What was named.
        flag: What it was named with, for the message; "" is nothing that can be said.

    Raises:
        NotThereError: If there is nothing at the path.
        DataError: If it cannot be looked at.
    """
    said = f"{flag}: " if flag else ""
    if path.startswith((GIVEN, HUB_PREFIX)) or path in NAMES:
        return
    try:
        if is_pattern(path) or Path(path).expanduser().exists():
            return
    except OSError as error:
        raise DataError(f"{said}cannot read {path} ({error.strerror or error}); check its permissions") from error
    hint = did_you_mean(path.lower(), NAMES)
    raise NotThereError(f"{said}there is no {path}{f' ({hint})' if hint else ''}; give {KINDS}")


def is_pattern(path: str) -> bool:
    """Tell whether a path means several files, as ``train-{000..146}.tar`` and ``train-*.tar`` do."""
    return bool(PATTERN.search(path)) and not Path(path).exists()
