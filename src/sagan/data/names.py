"""Readable class names for folders that are named by codes, such as ImageNet's synsets."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sagan.data.config import DataError
from sagan.reading import BytesError, object_of, read_bytes


def read_class_names(file: str | Path) -> dict[str, str]:
    """Read a mapping from folder names to readable names.

    Either text with lines such as ``n01440764 tench, Tinca tinca`` (empty lines are skipped), or JSON: an object from
    folder to name, or one from any key to a list [folder, name].

    Raises:
        DataError: If the file cannot be read or has another form.
    """
    path = Path(file).expanduser()
    try:
        text = read_bytes(path).decode("utf-8")
    except (OSError, UnicodeDecodeError, BytesError) as error:
        raise DataError(f"cannot read the class names in {path} ({error}); expected a text or JSON file") from error
    if text.lstrip().startswith("{"):
        try:
            pairs = [value if isinstance(value, list) else [key, value] for key, value in object_of(text).items()]
        except BytesError as error:
            raise DataError(f"{path} is not valid JSON ({error})") from error
    else:
        pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(part, str) and part.strip() for part in pair):
            raise DataError(f"{path} holds {repr(pair)[:100]}; expected a folder name and a readable name")
    return {folder.strip(): name.strip() for folder, name in pairs}


def rename_classes(class_names: tuple[str, ...], mapping: dict[str, str], file: str) -> tuple[str, ...]:
    """Replace folder names by readable ones. Classes whose readable names are equal keep the folder name behind it.

    Raises:
        DataError: If a class has no name in the mapping.
    """
    missing = [name for name in class_names if name not in mapping]
    if missing:
        raise DataError(
            f"{file} names {len(class_names) - len(missing)} of {len(class_names)} classes; "
            f"missing {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}: add a line for each"
        )
    counts = Counter(mapping[name] for name in class_names)
    return tuple(mapping[name] if counts[mapping[name]] == 1 else f"{mapping[name]} ({name})" for name in class_names)


def readable(name: str) -> str:
    r"""Give a name of the disk as it can be shown and stored.

    Bytes that are no text, control characters, line ends and marks that turn the direction of writing are written as
    ``\xe9`` or ``\u202e``; all else stays.
    """
    if name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


LONGEST, MOST = 100, 10
"""Letters of a name from a file, and such names, that a message shows."""


def in_a_line(name: str) -> str:
    """Give a name that stands in a file for a sentence: readable, and not longer than a line."""
    return readable(name if len(name) <= LONGEST else f"{name[:LONGEST]}...")


def listed(names: Iterable[str]) -> str:
    """List names as :func:`in_a_line` gives them, the first of many."""
    names = list(names)
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(map(in_a_line, names[:MOST])) + more


def shown_names(names: Sequence[str]) -> dict[str, str]:
    """Give each folder name a name that can be shown, stored and typed: {as it is on the disk: as it is called}.

    They are made :func:`readable`; names that would then be the same are told apart by a number.
    """
    shown: dict[str, str] = {}
    taken = set[str]()
    numbers: dict[str, int] = {}
    for name in sorted(set(names)):
        called = plain = readable(name)
        while called in taken:
            number = numbers[plain] = numbers.get(plain, 1) + 1
            called = f"{plain} ({number})"
        shown[name] = called
        taken.add(called)
    return shown
