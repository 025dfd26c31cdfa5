"""What a person wants to know about a data set before training on it."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sagan.data.check_report import CheckReport
from sagan.data.choosing import in_words
from sagan.data.config import DataConfig, cache_folder
from sagan.data.decode import Pixels, UnreadableError, require_size, square
from sagan.data.fit import is_enlarged
from sagan.data.fit_sheet import fit_advice, fit_sheet
from sagan.data.given import config_of
from sagan.data.looks import SMALL_PX, Glance, Glances, glance, glances
from sagan.data.names import read_class_names, readable, rename_classes
from sagan.data.near import THUMB_PX
from sagan.data.parallel import counted, map_in_order
from sagan.data.pictures import Pictures
from sagan.data.remarks import Facts, advice_on, remarks_on
from sagan.data.shards import is_packed, read_packed, verify
from sagan.data.sources import find_source
from sagan.data.study import Named, Study, left_out, study
from sagan.data.there import NAMES
from sagan.sizes import Size

SHEET_COLUMNS = 10
SHEET_ROWS = 40
THUMBNAIL_PX = 64
LABEL_PX = 150


class _Finding(NamedTuple):
    width: int
    height: int
    format: str
    traits: frozenset[str]
    digest: bytes
    thumbnail: Pixels | None
    pixels: Pixels | None
    """Small pictures are kept until they are looked at together."""
    glance: Glance | None


def check(data: Any, size_px: Size | None = None, *, seed: int = 0, progress: bool = True) -> CheckReport:
    """Look at every picture of a data set and report; unreadable files are listed, they do not stop it.

    Args:
        data: A :class:`DataConfig`, or its ``path`` alone, or pictures in Python (:func:`sagan.data.given.as_given`).
        size_px: The size to train at, 64, "64x96" or (64, 96), height first: to count the pictures that would be
            enlarged, and to say what is lost on the way to it.
        seed: That of the run, which says which pictures it would hold out.
        progress: Show a progress bar on standard error.

    Returns:
        The report: verdict, remarks, advice, and a contact sheet.

    Raises:
        DataError: If no pictures can be found, e.g. the path does not exist or its folders are nested too deep, or the
            pixels of a packed file or folder are not those that were written.
    """
    config, source = config_of(data, progress=progress)
    size = None if size_px is None else require_size(size_px)
    if source is None:
        source = find_source(config, cache_folder(config.cache_dir), size=size, progress=progress)
    pictures = source.load()
    if config.path not in NAMES and is_packed(place := Path(config.path).expanduser()):
        verify(read_packed(place), progress=progress)
    class_names = pictures.class_names or ("",)
    if config.class_names is not None and pictures.class_names:
        class_names = rename_classes(class_names, read_class_names(config.class_names), config.class_names)
    examples = _choose_examples(pictures, len(class_names))
    shown = {index for row in examples for index in row}
    findings: list[_Finding | str] = []

    def consume(found: list[_Finding | str]) -> None:
        findings.extend(_looked_at(found))

    with counted("checking", len(pictures.names), progress) as advance:
        map_in_order(
            lambda index: _look_at(pictures, index, size, index in shown),
            range(len(pictures.names)),
            consume,
            advance,
        )
    set_ = _Set(source.name, config, size, seed, pictures, class_names)
    report = _report(set_, findings, examples)
    shapes = {index: (one.height, one.width) for index, one in enumerate(findings) if isinstance(one, _Finding)}
    if size is None or not shapes:
        return report
    advice, sheet = fit_advice([*shapes.values()], size), fit_sheet(pictures, shapes, size, config.border)
    return dataclasses.replace(report, size=size, fit=config.fit, fit_advice=advice.sentences, fit_sheet=sheet)


def _look_at(pictures: Pictures, index: int, size: tuple[int, int] | None, shown: bool) -> _Finding | str:
    try:
        pixels, format_name, traits = pictures.decode(index)
    except UnreadableError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    height, width = pixels.shape[:2]
    if size is not None and is_enlarged((height, width), size, pictures.fit):
        traits |= {"enlarged"}
    digest = hashlib.blake2b(f"{height}x{width}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    thumbnail = square(pixels, THUMBNAIL_PX).copy() if shown else None
    small = max(height, width) <= SMALL_PX
    later, seen = (pixels, None) if small else (None, glance(pixels))
    return _Finding(width, height, format_name, traits, digest.digest(), thumbnail, later, seen)


def _looked_at(found: list[_Finding | str]) -> list[_Finding | str]:
    """Look at the pictures that were kept for it."""
    waiting = {
        place: one.pixels for place, one in enumerate(found) if isinstance(one, _Finding) and one.pixels is not None
    }
    seen = dict(zip(waiting, glances(list(waiting.values())), strict=True))
    return [
        one._replace(pixels=None, glance=seen[place]) if isinstance(one, _Finding) and place in seen else one
        for place, one in enumerate(found)
    ]


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


class _Set(NamedTuple):
    name: str
    config: DataConfig
    size: tuple[int, int] | None
    seed: int
    pictures: Pictures
    class_names: tuple[str, ...]


def _report(set_: _Set, findings: Sequence[_Finding | str], examples: list[list[int]]) -> CheckReport:
    pictures, class_names = set_.pictures, set_.class_names
    good = [index for index, finding in enumerate(findings) if isinstance(finding, _Finding)]
    seen = [finding for finding in findings if isinstance(finding, _Finding)]
    bad = [(index, finding) for index, finding in enumerate(findings) if isinstance(finding, str)]
    counts = np.bincount(pictures.labels[good], minlength=len(class_names))
    class_counts = {label: int(count) for label, count in zip(class_names, counts, strict=True)}
    traits = Counter(trait for finding in seen for trait in finding.traits)
    found = dataclasses.replace(_study(set_, good, seen, bad), examples=_readable(examples, set(good)))
    facts = Facts(
        source=set_.name,
        config=set_.config,
        size=set_.size,
        counts=class_counts,
        unreadable=bad,
        enlarged=traits["enlarged"],
        study=found,
    )
    thumbnails = {index: finding.thumbnail for index, finding in zip(good, seen, strict=True)}
    return CheckReport(
        source=set_.name,
        size_px=facts.size_px,
        class_counts=class_counts,
        widths_px=_spread([finding.width for finding in seen]),
        heights_px=_spread([finding.height for finding in seen]),
        formats=dict(Counter(finding.format for finding in seen).most_common()),
        traits=dict(traits),
        unreadable=tuple((pictures.names[index], reason) for index, reason in bad),
        duplicates=tuple(tuple(pictures.names[index] for index in group) for group in found.equal),
        ignored=pictures.ignored,
        remarks=tuple(remarks_on(facts)),
        advice=tuple(advice_on(facts)),
        study=found,
        decode=pictures.decode,
        contact_sheet=_contact_sheet(class_counts, examples, thumbnails),
        decoding=(*pictures.said, *in_words(pictures.decoding)),
    )


def _readable(examples: list[list[int]], good: set[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(index for index in row if index in good) for row in examples)


def _study(set_: _Set, good: list[int], seen: Sequence[_Finding], bad: list[tuple[int, str]]) -> Study:
    """Look at all pictures together."""
    looks = [finding.glance for finding in seen if finding.glance is not None]
    thumbs = np.frombuffer(b"".join(look.thumb for look in looks), np.uint8)
    glances = Glances(
        thumbs=thumbs.reshape(-1, THUMB_PX, THUMB_PX, 3),
        edges_px=np.array([look.edge_px for look in looks], np.float32),
        contrasts=np.array([look.contrast for look in looks], np.float32),
        widths_px=np.array([finding.width for finding in seen], np.int64),
        heights_px=np.array([finding.height for finding in seen], np.int64),
        labels=set_.pictures.labels[good],
        digests=[finding.digest for finding in seen],
        traits=[finding.traits for finding in seen],
    )
    named = Named(tuple(map(readable, set_.pictures.names)), set_.pictures.labels, set_.class_names)
    found = study(named, np.array(good, np.int64), glances, set_.config, set_.seed, set_.size)
    return dataclasses.replace(found, left_out=left_out(set_.pictures, set_.class_names, bad))


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
