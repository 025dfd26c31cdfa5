"""What a person wants to know about a data set before training on it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sagan.data.choosing import in_words
from sagan.data.config import cache_folder
from sagan.data.decode import TREATMENTS, Pixels, UnreadableError, require_size, square
from sagan.data.given import config_of
from sagan.data.named import NAMES
from sagan.data.names import read_class_names, rename_classes
from sagan.data.parallel import counted, map_in_order
from sagan.data.pictures import Pictures
from sagan.data.shards import is_packed, read_packed, verify
from sagan.data.sources import find_source

SHEET_COLUMNS = 10
SHEET_ROWS = 40
THUMBNAIL_PX = 64
LABEL_PX = 150

FEW_IN_CLASS = 100
"""A class with fewer pictures than this is warned of."""
STRONG_IMBALANCE = 10.0
"""A largest class more than this many times the smallest is warned of."""
MANY_DUPLICATES = 0.01
"""A larger share of copies than this is warned of."""
SHOWN = 10
BLANK = {"one colour": "of one colour", "nearly black": "nearly black", "nearly white": "nearly white"}
"""Traits that most pictures of a good set do not have."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckReport:
    """What :func:`check` found."""

    source: str
    """What was checked."""
    size_px: int | None
    """The target size, if one was given."""
    class_counts: dict[str, int]
    """Readable pictures of each class; one entry named "" when there are no classes."""
    widths_px: tuple[int, int, int]
    """Smallest, median and largest width after turning upright; zeros when nothing is readable."""
    heights_px: tuple[int, int, int]
    """Smallest, median and largest height after turning upright; zeros when nothing is readable."""
    formats: dict[str, int]
    """File formats by Pillow's names, e.g. JPEG, with the number of pictures."""
    traits: dict[str, int]
    """How many pictures are grey, have alpha and so on: keys of decode.TREATMENTS."""
    unreadable: tuple[tuple[str, str], ...]
    """Name and reason of every file that cannot be used."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of names whose decoded pixels are equal."""
    ignored: tuple[str, ...]
    """Files that are not pictures by their suffix, and class folders without pictures."""
    warnings: tuple[str, ...]
    """Sentences on what will probably spoil the training."""
    contact_sheet: Image.Image
    """RGB picture: a row of examples for each class, with its name and count."""
    decoding: tuple[str, ...] = ()
    """What was chosen of how pixels are read, in sentences."""

    @property
    def num_images(self) -> int:
        """Number of readable pictures."""
        return sum(self.class_counts.values())

    @property
    def imbalance(self) -> float:
        """Pictures of the largest class for each one of the smallest; infinite when a class has none."""
        counts = self.class_counts.values()
        return max(counts) / min(counts) if min(counts) else float("inf")

    @property
    def num_copies(self) -> int:
        """Number of pictures that could be removed without losing content."""
        return sum(len(group) - 1 for group in self.duplicates)

    def text(self) -> str:
        """Give the report as lines of plain text, the warnings first."""
        lines = [f"{self.source}: {self.num_images:,} pictures"]
        lines += [f"WARNING: {warning}" for warning in self.warnings]
        if list(self.class_counts) == [""]:
            lines.append("classes: none (pictures directly inside one folder, or no labels)")
        else:
            lines.append(f"classes: {len(self.class_counts):,}, largest / smallest = {self.imbalance:.2f}")
            width = max(map(len, self.class_counts))
            lines += [f"  {name:{width}}  {count:>9,}" for name, count in self.class_counts.items()]
        for what, (low, median, high) in (("width", self.widths_px), ("height", self.heights_px)):
            lines.append(f"{what}: {low} to {high} px, median {median}")
        lines += self.decoding
        lines.append("formats: " + (", ".join(f"{name} {count:,}" for name, count in self.formats.items()) or "none"))
        lines += [
            f"{trait}: {self.traits[trait]:,} ({treatment})"
            for trait, treatment in TREATMENTS.items()
            if self.traits.get(trait)
        ]
        if self.size_px is not None:
            lines.append(f"target: centre crop to the shorter side, resized to {self.size_px}x{self.size_px} px")
        lines.append(f"unreadable: {len(self.unreadable):,}{_damaged_or_none(self.unreadable)}")
        lines += _first(f"{name}: {reason}" for name, reason in self.unreadable)
        lines.append(f"copies of other pictures: {self.num_copies:,}")
        lines += _first(" = ".join(group[:4]) + (" = ..." if len(group) > 4 else "") for group in self.duplicates)
        lines.append(f"ignored, not pictures: {len(self.ignored):,}")
        lines += _first(self.ignored)
        return "\n".join(lines)


def _damaged_or_none(unreadable: Sequence[tuple[str, str]]) -> str:
    """Tell damaged pictures and files that are none apart."""
    none = sum(reason.startswith("not a picture") for _, reason in unreadable)
    return f" ({len(unreadable) - none:,} damaged or not usable, {none:,} no pictures)" if none else ""


class _Finding(NamedTuple):
    width: int
    height: int
    format: str
    traits: frozenset[str]
    digest: bytes
    thumbnail: Pixels | None


def check(data: Any, size_px: int | None = None, *, progress: bool = True) -> CheckReport:
    """Look at every picture of a data set and report; unreadable files are listed, they do not stop it.

    Args:
        data: A :class:`DataConfig`, or its ``path`` alone, or pictures in Python (:func:`sagan.data.given.as_given`).
        size_px: The size to train at, to count the pictures that would be enlarged.
        progress: Show a progress bar on standard error.

    Raises:
        DataError: If no pictures can be found, e.g. the path does not exist or its folders are nested too deep, or the
            pixels of a packed file or folder are not those that were written.
    """
    config, source = config_of(data, progress=progress)
    if size_px is not None:
        require_size(size_px)
    if source is None:
        source = find_source(config, cache_folder(config.cache_dir), size_px=size_px, progress=progress)
    pictures = source.load()
    if config.path not in NAMES and is_packed(place := Path(config.path).expanduser()):
        verify(read_packed(place), progress=progress)
    class_names = pictures.class_names or ("",)
    if config.class_names is not None and pictures.class_names:
        class_names = rename_classes(class_names, read_class_names(config.class_names), config.class_names)
    examples = _choose_examples(pictures, len(class_names))
    shown = {index for row in examples for index in row}
    findings: list[_Finding | str] = []
    with counted("checking", len(pictures.names), progress) as advance:
        map_in_order(
            lambda index: _look_at(pictures, index, size_px, index in shown),
            range(len(pictures.names)),
            findings.extend,
            advance,
        )
    return _report(source.name, size_px, pictures, class_names, findings, examples)


def _look_at(pictures: Pictures, index: int, size_px: int | None, shown: bool) -> _Finding | str:
    try:
        pixels, format_name, traits = pictures.decode(index)
    except UnreadableError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    height, width = pixels.shape[:2]
    if size_px is not None and min(height, width) < size_px:
        traits |= {"enlarged"}
    digest = hashlib.blake2b(f"{height}x{width}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    thumbnail = square(pixels, THUMBNAIL_PX).copy() if shown else None
    return _Finding(width, height, format_name, traits, digest.digest(), thumbnail)


def _choose_examples(pictures: Pictures, num_classes: int) -> list[list[int]]:
    """Choose pictures of each class, evenly spread over it, for the rows of the contact sheet."""
    if num_classes == 1:
        spread = np.linspace(0, len(pictures.names) - 1, min(len(pictures.names), SHEET_COLUMNS**2)).astype(int)
        return [spread[start : start + SHEET_COLUMNS].tolist() for start in range(0, len(spread), SHEET_COLUMNS)]
    rows = []
    for label in range(min(num_classes, SHEET_ROWS)):
        members = np.flatnonzero(pictures.labels == label)
        spread = np.linspace(0, len(members) - 1, min(len(members), SHEET_COLUMNS)).astype(int)
        rows.append(members[spread].tolist())
    return rows


def _report(
    name: str,
    size_px: int | None,
    pictures: Pictures,
    class_names: tuple[str, ...],
    findings: Sequence[_Finding | str],
    examples: list[list[int]],
) -> CheckReport:
    good = [index for index, finding in enumerate(findings) if isinstance(finding, _Finding)]
    seen = [finding for finding in findings if isinstance(finding, _Finding)]
    counts = np.bincount(pictures.labels[good], minlength=len(class_names))
    class_counts = {label: int(count) for label, count in zip(class_names, counts, strict=True)}
    copies: defaultdict[bytes, list[str]] = defaultdict(list)
    for index, finding in zip(good, seen, strict=True):
        copies[finding.digest].append(pictures.names[index])
    duplicates = tuple(tuple(group) for group in copies.values() if len(group) > 1)
    unreadable = tuple(
        (pictures.names[index], finding) for index, finding in enumerate(findings) if isinstance(finding, str)
    )
    traits = Counter(trait for finding in seen for trait in finding.traits)
    thumbnails = {index: finding.thumbnail for index, finding in zip(good, seen, strict=True)}
    return CheckReport(
        source=name,
        size_px=size_px,
        class_counts=class_counts,
        widths_px=_spread([finding.width for finding in seen]),
        heights_px=_spread([finding.height for finding in seen]),
        formats=dict(Counter(finding.format for finding in seen).most_common()),
        traits=dict(traits),
        unreadable=unreadable,
        duplicates=duplicates,
        ignored=pictures.ignored,
        warnings=tuple(_warnings(name, class_counts, len(seen), unreadable, duplicates, traits, size_px)),
        contact_sheet=_contact_sheet(class_counts, examples, thumbnails),
        decoding=tuple(in_words(pictures.decoding)),
    )


def _warnings(
    name: str,
    class_counts: dict[str, int],
    total: int,
    unreadable: Sequence[tuple[str, str]],
    duplicates: Sequence[Sequence[str]],
    traits: Counter[str],
    size_px: int | None,
) -> list[str]:
    said = _class_warnings(name, class_counts)
    copies = sum(len(group) - 1 for group in duplicates)
    if copies > MANY_DUPLICATES * total:
        said.append(f"{copies:,} of {total:,} pictures are exact copies of others")
    if unreadable:
        said.append(
            f"{len(unreadable):,} file(s) cannot be read as pictures; training stops on them unless "
            "--data.skip-unreadable is set"
        )
    for trait in BLANK:
        if 2 * traits[trait] > total:
            said.append(
                f"most pictures are {BLANK[trait]}; look at the contact sheet, and see --data.range and "
                "--data.background if they should not be"
            )
    if 2 * traits["enlarged"] > total:
        said.append(f"most pictures are smaller than {size_px} px and would be enlarged; train at a smaller size")
    return said


def _class_warnings(name: str, class_counts: dict[str, int]) -> list[str]:
    if list(class_counts) == [""]:
        return ["NO CLASSES were found, so training is unconditional; for classes, put each into its own sub-folder"]
    if len(class_counts) == 1:
        only = next(iter(class_counts))
        return [
            f"there is only ONE CLASS, {only}; if many were meant, give the folder whose sub-folders are the classes, "
            f"perhaps {Path(name) / only}"
        ]
    said = []
    low, high = min(class_counts.values()), max(class_counts.values())
    if high > STRONG_IMBALANCE * low:
        said.append(
            f"classes are very unequal: the largest has {high:,} pictures, the smallest {low:,}; consider balanced"
        )
    few = [f"{label} {count}" for label, count in class_counts.items() if count < FEW_IN_CLASS]
    if few:
        some = ", ".join(few[:5]) + (", ..." if len(few) > 5 else "")
        said.append(f"{len(few)} class(es) have fewer than {FEW_IN_CLASS} pictures, too few to learn from: {some}")
    return said


def _contact_sheet(
    class_counts: dict[str, int], examples: list[list[int]], thumbnails: dict[int, Pixels | None]
) -> Image.Image:
    """Draw the rows of examples; a grey square stands for a picture that cannot be read."""
    pitch = THUMBNAIL_PX + 2
    texts = [f"{label or 'no classes'}\n{count:,}" for label, count in class_counts.items()]
    hidden = len(class_counts) - SHEET_ROWS
    height = pitch * len(examples) + (20 if hidden > 0 else 0)
    sheet = Image.new("RGB", (LABEL_PX + pitch * SHEET_COLUMNS, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for row, indices in enumerate(examples):
        if row < len(texts):
            draw.multiline_text((4, row * pitch + 4), _fit(texts[row], font), fill="black", font=font)
        for column, index in enumerate(indices):
            corner = LABEL_PX + column * pitch, row * pitch
            thumbnail = thumbnails.get(index)
            if thumbnail is None:
                draw.rectangle((*corner, corner[0] + THUMBNAIL_PX - 1, corner[1] + THUMBNAIL_PX - 1), fill="lightgrey")
            else:
                sheet.paste(Image.fromarray(thumbnail), corner)
    if hidden > 0:
        draw.text((4, height - 18), f"and {hidden:,} more classes", fill="black", font=font)
    return sheet


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten the first line of a label to the width of its column."""
    first, rest = text.split("\n", 1) if "\n" in text else (text, "")
    if font.getlength(first) > LABEL_PX - 8:
        while first and font.getlength(first + "...") > LABEL_PX - 8:
            first = first[:-1]
        first += "..."
    return f"{first}\n{rest}"


def _spread(values: list[int]) -> tuple[int, int, int]:
    return (min(values), int(np.median(values)), max(values)) if values else (0, 0, 0)


def _first(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = [f"  ... and {len(every) - SHOWN:,} more"] if len(every) > SHOWN else []
    return [f"  {line}" for line in every[:SHOWN]] + more
