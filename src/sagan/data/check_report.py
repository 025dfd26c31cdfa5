"""What a check found: for people to read, and as what JSON can hold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sagan.data.config import Fit
from sagan.data.decode import TREATMENTS, Decoded, UnreadableError
from sagan.data.looks import ODD
from sagan.data.names import readable
from sagan.data.parallel import counted, map_in_order
from sagan.data.remarks import EXIT_CODES, Advice, Remark, Verdict, verdict_of
from sagan.data.study import Study
from sagan.sizes import longhand, written
from sagan.words import how_many

VERSION = 1
"""Of the record: it grows when a key changes its meaning; new keys may come at any time."""
SHOWN, IN_GROUP = 10, 4
WAYS: dict[Fit, str] = {
    "crop": "the middle of each picture that has the shape of the size",
    "smart": "the part of each picture that has the shape of the size and most to see",
    "pad": "the whole of each picture with borders",
    "squeeze": "the whole of each picture, distorted",
}
"""How pictures are brought to the target size, in words."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckReport:
    """What :func:`check` found."""

    source: str
    """What was checked."""
    size_px: int | None
    """The shorter side of the target size, if one was given."""
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
    remarks: tuple[Remark, ...]
    """What will probably spoil the training, or would stop it."""
    advice: tuple[Advice, ...]
    """How to train on it, each choice with its reason and the command line so far."""
    study: Study
    """Copies, odd ones, what a crop loses, what is left out and what is held out."""
    decode: Callable[[int], Decoded]
    """Decode the i-th picture of ``study.names`` again."""
    contact_sheet: Image.Image
    """RGB picture: a row of examples for each class, with its name and count."""
    decoding: tuple[str, ...] = ()
    """How folders and tables were understood, and what was chosen of how pixels are read, in sentences."""
    size: tuple[int, int] | None = None
    """The target size, (height, width), if one was given."""
    fit: Fit = "crop"
    """How pictures are brought to the target size."""
    fit_advice: tuple[str, ...] = ()
    """Which way to bring them to it is advised, and why, in sentences; empty without a target size."""
    fit_sheet: Image.Image | None = None
    """RGB picture: what each way loses of the widest and the tallest pictures; None without a target size."""

    @property
    def verdict(self) -> Verdict:
        """``fine``, ``fine with remarks`` or ``not to be trained on``."""
        return verdict_of(self.remarks)

    @property
    def exit_code(self) -> int:
        """What `sagan data check` ends with: 0, 3 or 4."""
        return EXIT_CODES[self.verdict]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the remarks."""
        return tuple(remark.text for remark in self.remarks)

    def record(self) -> dict[str, Any]:
        """Give all but the pictures as what JSON can hold; docs/data.md says what each key means."""
        return {"sagan_check": VERSION, **_overview(self), **_findings(self)}

    def pictures(self, indices: Iterable[int], most_px: int = 160, *, progress: bool = True) -> dict[int, Image.Image]:
        """Decode pictures again, whole, no side longer than ``most_px``; those that cannot be read are left out.

        Args:
            indices: Which, as in :attr:`study`.
            most_px: The longest side in pixels; smaller pictures stay as they are.
            progress: Show a progress bar on standard error.
        """
        wanted = sorted(set(indices))
        found: list[Image.Image | None] = []
        with counted("taking pictures for the page", len(wanted), progress) as advance:
            map_in_order(lambda index: self._picture(index, most_px), wanted, found.extend, advance)
        return {index: image for index, image in zip(wanted, found, strict=True) if image is not None}

    def _picture(self, index: int, most_px: int) -> Image.Image | None:
        try:
            image = Image.fromarray(np.ascontiguousarray(self.decode(index).pixels))
        except (UnreadableError, OSError):
            return None
        image.thumbnail((most_px, most_px), Image.Resampling.BOX, reducing_gap=3.0)
        return image

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
        lines = [f"{self.source}: {how_many(self.num_images, 'picture')}"]
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
        if self.size is not None:
            lines.append(f"target: {WAYS[self.fit]}, resized to {longhand(self.size)} px")
            lines += self.fit_advice
        lines.append(f"unreadable: {len(self.unreadable):,}{_damaged_or_none(self.unreadable)}")
        lines += _first(f"{name}: {reason}" for name, reason in self.unreadable)
        lines.append(f"left out: {sum(count for _, _, count in self.study.left_out):,}")
        lines += _first(f"{where or '(top)'}: {count:,} {reason}" for where, reason, count in self.study.left_out)
        lines.append(f"copies of other pictures: {self.num_copies:,}")
        lines += _first(_groups(self.study, self.study.equal, " = "))
        lines.append(f"near copies, saved again or mirrored: {sum(len(g.members) - 1 for g in self.study.near):,}")
        lines += _first(_groups(self.study, [group.members for group in self.study.near], " ~ "))
        for kind, some in self.study.odd.items():
            lines.append(f"look at {len(some):,} {kind}: {ODD[kind]} (--page shows them)")
            lines += _first(self.study.names[index] for index in some)
        lines.append(f"ignored, not pictures: {len(self.ignored):,}")
        lines += _first(self.ignored)
        return "\n".join(map(readable, [*lines, *_advised(self)]))


def _damaged_or_none(unreadable: Sequence[tuple[str, str]]) -> str:
    """Tell damaged pictures and files that are none apart."""
    none = sum(reason.startswith("not a picture") for _, reason in unreadable)
    return f" ({len(unreadable) - none:,} damaged or not usable, {none:,} no pictures)" if none else ""


def _advised(report: CheckReport) -> list[str]:
    """Say in short how to train on a set, with the command; nothing where it is not to be trained on."""
    if report.exit_code == EXIT_CODES["not to be trained on"]:
        return []
    commands = [one.command for one in report.advice if one.command]
    said = [f"  {one.text}" for one in report.advice]
    return ["advice (--page gives the reasons):", *said, *(f"  {command}" for command in commands[-1:])]


def _groups(study: Study, groups: Sequence[tuple[int, ...]], sign: str) -> list[str]:
    """Name some pictures of each group, those of different classes first: they are the ones to decide on."""
    mixed = set(study.in_two_classes)
    return [_group(study, group, sign) for group in sorted(groups, key=lambda group: group not in mixed)]


def _group(study: Study, group: tuple[int, ...], sign: str) -> str:
    firsts = {study.class_of(index): index for index in reversed(group)}  # the first of each class
    order = sorted(group, key=lambda index: firsts[study.class_of(index)] != index)
    more = f" and {len(group) - IN_GROUP:,} more" if len(group) > IN_GROUP else ""
    return sign.join(study.names[index] for index in order[:IN_GROUP]) + more


def _overview(report: CheckReport) -> dict[str, Any]:
    """Give what is said of a set as a whole."""
    study = report.study
    lost: dict[str, int] = {}
    for where, _, count in study.left_out:
        lost[where] = lost.get(where, 0) + count
    shown = dict(enumerate(study.examples))
    return {
        "source": readable(report.source),
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "remarks": [{"kind": one.kind, "stop": one.stop, "text": readable(one.text)} for one in report.remarks],
        "advice": [
            {"about": one.about, "text": one.text, "reason": readable(one.reason)}
            | {"flags": list(one.flags), "command": one.command}
            for one in report.advice
        ],
        "pictures": report.num_images,
        "classes": [
            {"name": readable(name), "pictures": count, "left_out": lost.get(name, 0)}
            | {"examples": _pictures(study, shown.get(label, ()))}
            for label, (name, count) in enumerate(report.class_counts.items())
        ],
        "size_px": study.size_px,
        "size_asked_px": None if report.size is None else written(report.size),
        "fit": report.fit,
        "fit_advice": list(report.fit_advice),
        "widths_px": _low_to_high(report.widths_px),
        "heights_px": _low_to_high(report.heights_px),
        "formats": report.formats,
        "traits": report.traits,
        "decoding": list(map(readable, report.decoding)),
    }


def _findings(report: CheckReport) -> dict[str, Any]:
    """Give what is said of pictures by name."""
    study = report.study
    return {
        "sizes": [{"width": w, "height": h, "pictures": count} for (w, h), count in study.sizes.items()],
        "left_out": [{"where": where, "reason": reason, "files": count} for where, reason, count in study.left_out],
        "unreadable": [{"name": readable(name), "reason": readable(reason)} for name, reason in report.unreadable],
        "ignored": list(map(readable, report.ignored)),
        "odd": {kind: _pictures(study, indices) for kind, indices in study.odd.items()},
        "equal": [_pictures(study, group) for group in study.equal],
        "in_two_classes": [_pictures(study, group) for group in study.in_two_classes],
        "near": [{"mirrored": group.mirrored, "pictures": _pictures(study, group.members)} for group in study.near],
        "held_out": _held_out(study),
        "crop": {"mean_loss": round(study.crop_loss, 4), "most": _pictures(study, study.most_cropped)},
        "told_from_mirror": None if study.handedness is None else round(study.handedness, 4),
    }


def _pictures(study: Study, indices: Sequence[int]) -> list[dict[str, Any]]:
    return [{"index": i, "name": study.names[i], "class": readable(study.class_of(i))} for i in indices]


def _held_out(study: Study) -> dict[str, Any] | None:
    if study.held_out is None:
        return None
    held = study.held_out
    return {"seed": held.seed, "pictures": held.count, "with_copies": _pictures(study, held.copied)}


def _low_to_high(values: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("smallest", "median", "largest"), values, strict=True))


def _first(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    more = [f"  ... and {len(every) - SHOWN:,} more"] if len(every) > SHOWN else []
    return [f"  {readable(line)}" for line in every[:SHOWN]] + more
