"""A class that vanishes, or nearly: what is left out is counted by class, and too much of it stops the run."""

from collections import Counter
from collections.abc import Sequence

from sagan.data.config import DataError
from sagan.data.layout import Layout
from sagan.data.names import in_a_line
from sagan.data.pictures import Pictures

MAX_LOST, FEW = 0.2, 2
"""A larger share of a class than this, and more pictures, or all of them may not be lost unless the user names it."""
SHOWN = 3


def refuse_lost_folders(where: str, layout: Layout, shown: Sequence[tuple[str, str]], may_lose: Sequence[str]) -> None:
    """Refuse folders of which many files show something but are no pictures to train on.

    Args:
        where: What the set is called.
        layout: The pictures that are used.
        shown: Names of the other files, and what to do with each.
        may_lose: Folders, or classes, that may lose pictures.

    Raises:
        DataError: If a folder loses all, or too many.
    """
    used = Counter(name.rpartition("/")[0] for name in layout.names)
    lost = Counter(name.rpartition("/")[0] for name, _ in shown)
    why = {name.rpartition("/")[0]: (name, reason) for name, reason in shown}
    said = [
        f"{in_a_line(folder) if folder else where} has {count:,} file(s) that are not used and {used[folder]:,} that "
        "are: "
        f"{in_a_line(why[folder][0])}: {why[folder][1]}"
        for folder, count in lost.items()
        if too_many(count, count + used[folder]) and not {folder, folder.rpartition("/")[2]} & set(may_lose)
    ]
    _stop(where, said)


def too_many(lost: int, total: int) -> bool:
    """Tell whether a class loses more than it may."""
    return lost == total or (lost > FEW and lost > MAX_LOST * total)


def refuse_lost_classes(
    where: str, pictures: Pictures, unreadable: Sequence[tuple[str, str]], may_lose: Sequence[str]
) -> None:
    """Refuse classes of which many pictures cannot be read.

    Raises:
        DataError: If a class loses all, or too many.
    """
    reasons = dict(unreadable)
    classes = pictures.class_names or ("all pictures",)
    total, lost = Counter[str](), Counter[str]()
    example: dict[str, str] = {}
    for name, label in zip(pictures.names, pictures.labels.tolist(), strict=True):
        total[classes[label]] += 1
        if name in reasons:
            lost[classes[label]] += 1
            example.setdefault(classes[label], f"{in_a_line(name)}: {reasons[name]}")
    said = [
        f"{in_a_line(name)} loses {count:,} of its {total[name]:,} pictures, which cannot be read, "
        f"such as {example[name]}"
        for name, count in lost.items()
        if too_many(count, total[name]) and name not in may_lose
    ]
    _stop(where, said)


def _stop(where: str, said: Sequence[str]) -> None:
    if said:
        more = f"; and {len(said) - SHOWN:,} more" if len(said) > SHOWN else ""
        raise DataError(
            f"{where}: {'; '.join(said[:SHOWN])}{more}. Mend them, or accept it with --data.may-lose and the names"
        )
