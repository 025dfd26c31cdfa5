"""Classes that stand in a file beside the pictures: StyleGAN's, Hugging Face's, or any table of names and labels."""

import codecs
import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from sagan.data.config import DataError
from sagan.data.formats import UnreadableError
from sagan.data.layout import MANY_FOLDERS, Layout
from sagan.data.names import in_a_line, listed, readable, shown_names
from sagan.reading import BytesError, value_of

KNOWN = ("metadata.csv", "metadata.jsonl", "dataset.json")
"""Files that are read by themselves."""
NAME_COLUMNS = ("file_name", "filename", "file", "image", "image_id", "path", "name", "id")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "species", "breed")
MAX_BYTES, MAX_BYTES_EACH = 2**24, 2**10
"""Of a table that lies among the pictures: at most so many, or so many for each picture, whichever is more."""
MAX_DIGITS = 1000
"""Labels that are longer numbers are sorted as words."""
Rows = list[dict[str, Any]]


def find_table(names: Iterable[str], pictures: Sequence[str]) -> str | None:
    """Find the file that says the classes: one of :data:`KNOWN` that lies above all pictures, the nearest one."""
    found = []
    for name in names:
        folder, _, base = name.rpartition("/")
        above = f"{folder}/" if folder else ""
        if base.lower() in KNOWN and all(picture.startswith(above) for picture in pictures):
            found.append((len(folder), name))
    return max(found)[1] if found else None


def labelled_by(
    layout: Layout, table: str, column: str | None, read: Callable[[str], bytes], *, folder: str | None = None
) -> Layout:
    """Give the pictures the classes that a table says; those that it does not name are left out.

    Args:
        layout: The pictures.
        table: Name of the file.
        column: Its column with the labels; None finds it.
        read: Gives the bytes of the file.
        folder: What the names in the table are relative to; None is the table's own folder.

    Raises:
        DataError: If the table cannot be read, is too long for so many pictures where it lies among them, says no
            classes, or names none of the pictures.
    """
    data = _bytes_of(table, read)
    if folder is None:
        _refuse_long(table, len(data), len(layout.names))
    classes = _classes(table, data, column)
    if classes is None:
        return layout
    base = table.rpartition("/")[0] if folder is None else folder
    above = f"{base}/" if base else ""
    by_place = {name if _is_absolute(name) else f"{above}{name}": label for name, label in classes.items()}
    found = _matched(layout.names, by_place)
    kept = [name for name, label in found.items() if label is not None]
    if not kept:
        raise DataError(
            f"{table} names none of the pictures: it has {_some(classes)}, the pictures are {_some(layout.names)}"
        )
    shown = shown_names([str(found[name]) for name in kept])
    class_names = tuple(sorted(shown.values(), key=_natural))
    index = {name: label for label, name in enumerate(class_names)}
    missing = tuple((name, f"not in {table}") for name in layout.names if found[name] is None)
    lost = len(by_place) - len(kept)
    said = [f"classes from {table}"]
    said += [f"{lost:,} of its names have no picture"] if lost > 0 else []
    return replace(
        layout,
        names=tuple(kept),
        labels=np.array([index[shown[str(found[name])]] for name in kept], np.int64),
        class_names=class_names,
        said=(*layout.said, *said),
        left_out=layout.left_out + missing,
    )


def _bytes_of(table: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(table)
    except UnreadableError as error:  # a member of a damaged zip file
        raise DataError(f"{table} cannot be read: {error}") from error


def _refuse_long(table: str, length: int, pictures: int) -> None:
    """Refuse a table that is read by itself and would need much memory: up to sixty times its own bytes."""
    allowed = max(MAX_BYTES, pictures * MAX_BYTES_EACH)
    if length > allowed:
        raise DataError(
            f"{table} has {length / 2**20:,.0f} MiB, more than the {allowed >> 20:,} allowed beside {pictures:,} "
            "picture(s); write one with names and labels alone, or name one that lies elsewhere (--data.labels FILE)"
        )


def _classes(table: str, data: bytes, column: str | None) -> dict[str, str] | None:
    """Read a table to {name: class}; None if StyleGAN's says that there are none."""
    text = _text(table, data)
    try:
        if table.lower().endswith(".json"):
            return _of_json(table, value_of(text), column)
        if table.lower().endswith((".jsonl", ".ndjson")):
            return _of_rows(table, [value_of(line) for line in text.split("\n") if line.strip()], column)
        return _of_csv(table, _cells(text), column)
    except (BytesError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a table of names and labels ({error})") from error


def _text(table: str, data: bytes) -> str:
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is no text in UTF-8; save it again as such (`CSV UTF-8` in a spreadsheet)") from error


def _cells(text: str) -> list[list[str]]:
    """Read the rows of a table, whichever mark is between its columns."""
    first, _, rest = text.partition("\n")
    if re.fullmatch(r"\s*sep=.\s*", first):  # a note of spreadsheets to themselves
        text, first = rest, rest.partition("\n")[0]
    marks = [mark for mark in "\t;,|" if mark in first]
    if not marks:  # as in lists of names and numbers
        return [line.rsplit(maxsplit=1) for line in text.split("\n") if line.strip()]

    def names_columns(mark: str) -> bool:
        return any(cell.strip().lower() in NAME_COLUMNS for cell in next(csv.reader([first], delimiter=mark)))

    mark = next(filter(names_columns, marks), marks[0])
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))


def _matched(pictures: Sequence[str], by_place: Mapping[str, str]) -> dict[str, str | None]:
    """Find the label of each picture: by its name, or else by what a table may have changed of it.

    That is the suffix, where no other picture has the same name without it, and the folders of an absolute path.
    """
    loosely: defaultdict[str, set[str]] = defaultdict(set)
    depth = max((name.count("/") for name in pictures), default=0)
    for path, label in by_place.items():
        for name in (path, *(_tails(path, depth) if _is_absolute(path) else ())):
            for key in {name, _stem(name)}:
                loosely[key].add(label)
    stems = Counter(map(_stem, pictures))
    found: dict[str, str | None] = {}
    for name in pictures:
        stem = _stem(name)
        labels = loosely.get(name) or (loosely.get(stem) if stems[stem] == 1 else None) or set()
        alone = next(iter(labels)) if len(labels) == 1 else None
        found[name] = by_place.get(name, by_place.get(stem, alone))
    return found


def _is_absolute(name: str) -> bool:
    return bool(re.match("/|[A-Za-z]:/|[a-z]+://", name))


def _tails(path: str, depth: int) -> Iterable[str]:
    """Give a path without its first folder, without its first two, and so on, where at most so many are left."""
    parts = path.split("/")
    return ("/".join(parts[start:]) for start in range(max(1, len(parts) - depth - 1), len(parts)))


def _of_json(table: str, content: Any, column: str | None) -> dict[str, str] | None:
    if isinstance(content, dict) and "labels" in content:  # StyleGAN's dataset.json
        pairs = content["labels"]
        if not pairs:
            return None
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise DataError(f"{table} has no list of [name, label] under `labels`")
        return _one_each(table, pairs)
    if isinstance(content, list):
        return _of_rows(table, content, column)
    if isinstance(content, dict):
        return _one_each(table, content.items())
    raise DataError(f"{table} is neither StyleGAN's dataset.json, nor a list of rows, nor an object {{name: label}}")


def _of_csv(table: str, rows: list[list[str]], column: str | None) -> dict[str, str]:
    rows = [row for row in rows if row]
    if not rows:
        raise DataError(f"{table} is empty")
    head = [cell.strip().lower() for cell in rows[0]]
    if set(head) & {*NAME_COLUMNS, *LABEL_COLUMNS}:
        return _of_rows(table, [dict(zip(rows[0], row, strict=False)) for row in rows[1:]], column)
    if column is None and all(len(row) >= 2 for row in rows):  # no heading: names first, as in val_annotations.txt
        if any(len(row) > 2 and (_is_number(row[1]) or not all(map(_is_number, row[2:]))) for row in rows):
            some = listed(rows[0])
            raise DataError(
                f"which column of {table} is the class? It has several and no heading ({some}); write one and choose "
                f"with --data.labels {table}:COLUMN"
            )
        return _one_each(table, [(row[0], row[1]) for row in rows])
    raise DataError(f"{table} has no heading with a column of names ({', '.join(NAME_COLUMNS[:4])}, ...)")


def _of_rows(table: str, rows: Rows, column: str | None) -> dict[str, str]:
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{table} has no rows with named columns")
    columns = {str(name).strip().lower(): str(name) for name in rows[0]}
    name_column = next((columns[name] for name in NAME_COLUMNS if name in columns), None)
    if name_column is None:
        raise DataError(f"{table} has no column of file names; its columns: {listed(columns.values())}")
    label_column = _label_column(table, columns, name_column, column)
    classes = _one_each(table, [(row.get(name_column, ""), row.get(label_column)) for row in rows])
    different = len(set(classes.values()))
    if column is None and different >= MANY_FOLDERS and 2 * different > len(classes):
        raise DataError(
            f"{table} has {different:,} different values of {label_column} for {len(classes):,} pictures, such as "
            f"{_some(classes.values())}. Are they classes? --data.labels {table}:{label_column} takes them for such, "
            "another column there takes that one, --data.classes none takes all pictures without classes"
        )
    return classes


def _one_each(table: str, pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Give the one label of each name; names without any are left out.

    Raises:
        DataError: If a name has several: in a list, in several rows, or in one cell.
    """
    found: dict[str, str] = {}
    for key, value in pairs:
        name = re.sub(r"^(\./)+", "", str(key).strip().replace("\\", "/"))
        if isinstance(value, list) and len(value) <= 1:
            value = value[0] if value else None
        if isinstance(value, (list, dict)):
            raise _several(table, f"{in_a_line(name)}: {json.dumps(value)[:60]}")
        label = "" if value is None else str(value).strip()
        if not label:
            continue
        if found.setdefault(name, label) != label:
            raise _several(
                table, f"{in_a_line(name)}: {in_a_line(found[name])} in one row, {in_a_line(label)} in another"
            )
    together = _together(found.values())
    for name, label in found.items():
        if label in together:
            raise _several(table, f"{in_a_line(name)}: {in_a_line(label)}")
    return found


def _together(labels: Iterable[str]) -> set[str]:
    """Find labels that are several in one cell: a list, or parts of which others are made, too."""
    different = set(labels)
    found = {label for label in different if label[0] in "[({" and label[-1] in "])}" and "," in label}
    for mark in "|;":
        parts = {label: {part.strip() for part in label.split(mark)} for label in different if mark in label}
        uses = Counter(part for some in parts.values() for part in some)
        found |= {label for label, some in parts.items() if any(uses[part] > 1 for part in some)}
    for label in different:
        parts_of = [part.strip() for part in re.split(r"[|;,]", label)]
        if len(parts_of) > 1 and different.issuperset(parts_of):
            found.add(label)
    return found


def _label_column(table: str, columns: Mapping[str, str], name_column: str, wanted: str | None) -> str:
    if wanted is not None:
        if wanted.lower() not in columns:
            raise DataError(f"{table} has no column {wanted!r}; its columns: {listed(columns.values())}")
        return columns[wanted.lower()]
    likely = [columns[name] for name in LABEL_COLUMNS if name in columns]
    others = [name for name in columns.values() if name != name_column]
    if len(likely) == 1 or len(others) == 1:
        return likely[0] if len(likely) == 1 else others[0]
    raise DataError(
        f"which column of {table} is the class? It has {listed(others) or 'no other than the names'}; choose with "
        f"--data.labels {table}:COLUMN"
    )


def _several(table: str, example: str) -> DataError:
    return DataError(
        f"{table} gives pictures several labels ({example}); a class-conditional network takes one a picture: choose "
        "one column with --data.labels FILE:COLUMN, or write a table with one label a picture"
    )


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+", text.strip()))


def _stem(name: str) -> str:
    """Leave the suffix away, if the name has one."""
    return re.sub(r"(?<=[^/])\.[^./]*$", "", name)


def _natural(text: str) -> tuple[int, int, str]:
    """Sort numbers by value and before words."""
    return (0, int(text), text) if text.isdecimal() and len(text) < MAX_DIGITS else (1, 0, text)


def _some(names: Iterable[str]) -> str:
    return ", ".join(readable(f"{name[:60]}..." if len(name) > 60 else name) for name in islice(names, 3))
