"""Grows folders as people have them, from a seed: what must be found in them is known, as they are made from it.

python tests/data/awkward.py 500                          # so many trees; names the seeds that fail
python tests/data/awkward.py --from 500 --to 600          # these
python tests/data/awkward.py --to 500 --out result.json   # goes on where it was stopped
python tests/data/awkward.py --smallest 300               # the smallest of so many trees of hypothesis that is wrong
"""

import argparse
import contextlib
import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from awkward_pictures import BLEEDING, COLOURS, LEVELS, Ink, Made, cut_off, grainy, picture, stored
from hypothesis import HealthCheck, given, settings, strategies

from sagan.cli.main import main as command
from sagan.data import DataConfig, DataError, ImageSet, check, notes, open_dataset
from sagan.data.names import readable, shown_names
from sagan.data.sources import find_source

SIZES = ((8, 8), (8, 8), (8, 12))
SUFFIXES = ("", ".PNG", ".JPG", ".jfif", ".MPO", ".dat", ".backup", ".jpeg~", ".txt", ".1", ".tar.old", ".webp", ".Tif")
ACCENTS = ("\u00e9t\u00e9", "e\u0301te\u0301")  # the same to the eye
CLASSES = (
    *("cat", "Cat", "Dog", "emu 2", *ACCENTS, "-x", "n01440764", "a'b\"c", "новый", "猫", "x" * 120, "y" * 255, "7"),
    *("two\nlines", "a\u2028b", "tab\there", "\u202egpj", "a\x85b", "(.+)", "a|b", "caf\udce9", "\udcff\udcfe", "%2e"),
)
STEMS = ("IMG_", "-", "Foto ", "\u202e", "e\u0301", "\u00e9", "new\nline", "a;b,", "caf\udce9", "z" * 240)
TEXTS = (b"", b"hello\n", b"name,size\n1,2\n", b"<html></html>", bytes(range(200)), b"\x00" * 3000)
OTHERS = (
    ("x.NEF", b"MM\x00*raw"),
    ("clip.mp4", b"\x00\x00\x00\x20ftypisom"),
    ("scan.pdf", b"%PDF-1.4"),
    ("s.svg", b"<svg>"),
)
HIDDEN = (".hidden.png", "._cat.jpg", "Thumbs.db", "@eaDir/thumb.jpg", "__MACOSX/a.png", ".git/x.png")
USED, REPORTED, EITHER, KEPT = "used", "reported", "used or reported", "used as far as it is there"


@dataclass
class Placed:
    """A file that counts as a picture."""

    label: str
    """The name of its class as it stands on the disk; "" without classes."""
    fate: str
    made: Made | None = None


@dataclass
class Tree:
    """What a folder was made of: names below it, with ``/``."""

    rng: random.Random
    root: Path
    inks: dict[str, Ink] = field(default_factory=dict)
    """A colour for each class."""
    reading: dict[str, Any] = field(default_factory=dict)
    """How the user says that it is to be read, where that is not clear: fields of DataConfig."""
    pictures: dict[str, Placed] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    """Pictures outside of the split or the table, and files that show something but are no pictures."""
    others: set[str] = field(default_factory=set)
    """All else, and folders in which nothing is."""
    twice: set[str] = field(default_factory=set)
    """Names of pictures that lie in two classes."""
    empty: str = ""
    """A folder without pictures."""
    layout: str = ""
    size: tuple[int, int] = (8, 8)
    """What it is read at, (height, width) in pixels."""
    flat: bool = False

    def put(self, name: str, data: bytes) -> str:
        """Write a file."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        assert not file.exists(), f"{name} is made twice"
        file.write_bytes(data)
        return name


# -------------------------------------------------------------------------------------------------------------- growing


def fill(tree: Tree, folder: str, label: str, least: int = 1) -> None:
    """Put pictures, damaged ones and other files of a class into a folder."""
    rng, ink = tree.rng, tree.inks[label]
    for i in range(rng.randint(least, 5)):
        add(tree, folder, label, picture(ink, rng), USED, str(i))
    for i in range(rng.choice((0, 0, 0, 1, 2))):
        made, known = cut_off(ink, rng)
        fate = (REPORTED if tree.reading.get("truncated") != "keep" else KEPT) if known else EITHER
        add(tree, folder, label, made, fate, f"cut{i}", whole_name=True)
    for i in range(rng.choice((0, 0, 0, 1))):
        suffix = rng.choice((".jpg", ".PNG", ".gif", ".heic", ".jxl", ".avif", ".tif"))
        name = tree.put(f"{folder}{name_of(tree, label, f'bad{i}')}{suffix}", rng.choice(TEXTS))
        tree.pictures[name] = Placed(label, REPORTED)
    if not tree.flat or not (tree.others or tree.left):
        clutter(tree, folder)


def add(tree: Tree, folder: str, label: str, made: Made, fate: str, stem: str, whole_name: bool = False) -> str:
    """Write a picture, under a suffix that need not be its own."""
    suffix = made.suffix if whole_name or made.named or tree.rng.random() < 0.6 else tree.rng.choice(SUFFIXES)
    name = tree.put(f"{folder}{name_of(tree, label, stem)}{suffix}", made.data)
    tree.pictures[name] = Placed(label, fate, made)
    return name


def name_of(tree: Tree, label: str, stem: str) -> str:
    """Name a file; by its class, where that is to be found in the name."""
    if "class_pattern" in tree.reading:
        return f"{label}_{len(tree.pictures)}"
    if tree.flat:
        return f"{stem}-{len(tree.pictures)}"
    return f"{tree.rng.choice(STEMS)}{stem}" if tree.rng.random() < 0.3 else stem


def clutter(tree: Tree, folder: str) -> None:
    """Put files that are no pictures into a folder."""
    rng = tree.rng
    for i in range(rng.choice((0, 0, 1, 2))):
        tree.others.add(tree.put(f"{folder}note{i}{rng.choice(('.txt', '.csv', '', '.xml'))}", rng.choice(TEXTS)))
    for name, data in rng.sample(OTHERS, rng.choice((0, 0, 1, 2))):
        tree.left.add(tree.put(folder + name, data))
    for name in rng.sample(HIDDEN, rng.choice((0, 1, 2))):
        if not (tree.root / folder / name).exists():
            tree.put(folder + name, b"x")


def links(tree: Tree, folder: str, label: str) -> None:
    """Put links into a class folder: to a picture elsewhere, to nowhere, to itself and to a folder that it lies in."""
    place = tree.root / folder
    if tree.rng.random() < 0.3:
        made = picture(tree.inks[label], tree.rng)
        outside = tree.root.parent / f"outside-{len(tree.pictures)}"
        outside.write_bytes(made.data)
        (place / f"linked{made.suffix}").symlink_to(outside)
        tree.pictures[f"{folder}linked{made.suffix}"] = Placed(label, USED, made)
    for name, target in (("dead.png", "nowhere.png"), ("self.jpg", "self.jpg")):
        if tree.rng.random() < 0.15:
            (place / name).symlink_to(target)
            tree.pictures[folder + name] = Placed(label, REPORTED)
    if tree.rng.random() < 0.2:
        (place / "up").symlink_to(tree.root, target_is_directory=True)
        tree.others.add(f"{folder}up/")
    if tree.rng.random() < 0.15 and hasattr(os, "mkfifo"):
        os.mkfifo(place / "pipe.png")
        tree.others.add(f"{folder}pipe.png")


def copy_across(tree: Tree, folders: dict[str, str]) -> None:
    """Put the same picture into two classes."""
    one, other = tree.rng.sample(sorted(folders), 2)
    image = grainy(tree.inks[one].colour, tree.rng)
    for label, kind, suffix in ((one, "PNG", ".png"), (other, "BMP", ".bmp")):
        made = Made(kind, stored(image, kind), suffix, tree.inks[one].colour, 16)
        tree.twice.add(add(tree, folders[label], label, made, USED, "copied"))


def class_folders(tree: Tree, inner: str) -> None:
    """Grow a folder for each class, perhaps with splits."""
    rng = tree.rng
    split = rng.choice(("", "", "train/", "Val/"))
    below = rng.choice(("", "", "images/"))
    folders = {label: f"{inner}{split}{label}/{below}" for label in tree.inks}
    for label, folder in folders.items():
        fill(tree, folder, label)
        if tree.layout != "zip":
            links(tree, folder, label)
    if len(folders) > 1 and rng.random() < 0.4:
        copy_across(tree, folders)
    if tree.layout != "zip" and rng.random() < 0.3:
        tree.empty = f"{inner}{split}nothing here/"
        (tree.root / tree.empty).mkdir()
        tree.others.add(tree.empty)
    elif tree.layout != "zip" and rng.random() < 0.3:
        tree.empty = f"{inner}{split}no pictures/"
        tree.others.add(tree.put(f"{tree.empty}drawing.xcf", b"gimp xcf v003"))
    if split and rng.random() < 0.7:
        tree.reading["split"] = rng.choice((split[:-1], "all"))
        for label in rng.sample(sorted(folders), rng.randint(1, len(folders))):
            made = picture(tree.inks[label], rng)
            if tree.reading["split"] == "all":
                add(tree, f"{inner}test/{label}/{below}", label, made, USED, "0")
            else:
                tree.left.add(tree.put(f"{inner}test/{label}/0{made.suffix}", made.data))


def two_levels(tree: Tree, inner: str) -> None:
    """Grow folders in folders, of which the user says which are the classes."""
    choice = tree.reading["classes"] = tree.rng.choice(("first", "last", "path", "none"))
    one, *rest = tree.inks
    paths = {(label, "inner"): label for label in (one, *rest)} | {(one, "other"): one}
    if choice == "last":
        paths = {("A", label): label for label in tree.inks} | {("B", one): one}
    if choice == "none":
        tree.inks = {"": tree.inks[one]}
        paths = dict.fromkeys(paths, "")
    if choice == "path":
        inks = list(tree.inks.values())
        paths = {path: "/".join(path) for path in paths}
        tree.inks = {label: inks[i % len(inks)] for i, label in enumerate(paths.values())}
    for path, label in paths.items():
        fill(tree, f"{inner}{'/'.join(path)}/", label, 2)


def table(tree: Tree, inner: str) -> None:
    """Grow one folder, or some that mean nothing, and a table that says the classes."""
    rng = tree.rng
    tree.flat = True
    tree.inks = {label: ink for label, ink in tree.inks.items() if _is_text(label)}
    tree.inks.setdefault("one", next(iter(tree.inks.values()), Ink(COLOURS[2], LEVELS[2])))
    for label in tree.inks:
        fill(tree, inner + rng.choice(("", "", "batch 1/", "batch 2/")), label, 2)
    rows = [(name.removeprefix(inner), placed.label) for name, placed in tree.pictures.items()]
    for _ in range(rng.choice((0, 0, 1, 2))):
        label = rng.choice(sorted(tree.inks))
        made = picture(tree.inks[label], rng)
        tree.left.add(tree.put(f"{inner}unnamed-{len(tree.left)}{made.suffix}", made.data))
    rows += [("gone.png", rows[0][1])] * rng.choice((0, 1))
    rng.shuffle(rows)
    kind = rng.choice(("metadata.csv", "metadata.jsonl", "dataset.json", "own.csv", "outside.tsv"))
    data = WRITTEN[kind.rpartition(".")[2]](rows)
    if kind == "outside.tsv":
        outside = tree.root.parent / kind
        outside.write_bytes(WRITTEN["tsv"]([(inner + name, label) for name, label in rows]))
        tree.reading["labels"] = str(outside)
    else:
        tree.others.add(tree.put(inner + kind, data))
        if kind == "own.csv":
            tree.reading["labels"] = f"{inner}own.csv:kind"
        elif any("/" in name for name, _ in rows):  # the folders might be meant
            tree.reading["labels"] = inner + kind
    tree.layout += f" {kind}"


def _separated(delimiter: str) -> Callable[[list[tuple[str, str]]], bytes]:
    def write(rows: list[tuple[str, str]]) -> bytes:
        stream = io.StringIO(newline="")
        csv.writer(stream, delimiter=delimiter).writerows([("file_name", "kind"), *rows])
        return stream.getvalue().encode()

    return write


WRITTEN: dict[str, Callable[[list[tuple[str, str]]], bytes]] = {
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "jsonl": lambda rows: "".join(
        json.dumps({"file_name": name, "label": label}, ensure_ascii=False) + "\n" for name, label in rows
    ).encode(),
    "json": lambda rows: json.dumps({"labels": rows}).encode(),
}


def pattern(tree: Tree, inner: str) -> None:
    """Grow one folder with the classes in the names of the files."""
    tree.flat = True
    tree.reading["class_pattern"] = r"(?s)(.+)_[0-9]+"
    tree.inks = {label: ink for label, ink in tree.inks.items() if len(os.fsencode(label)) < 240}
    for label in tree.inks:
        fill(tree, inner, label, 2)


def one_folder(tree: Tree, inner: str) -> None:
    """Grow one folder; it is a class where it lies in the one that is given."""
    label = inner.rstrip("/").rpartition("/")[2]
    tree.inks = {label: next(iter(tree.inks.values()))}
    fill(tree, inner, label, 2)


def splits_as_classes(tree: Tree, inner: str) -> None:
    """Grow folders that are called like splits and hold no others: the classes, one of them, or all without classes."""
    rng = tree.rng
    inks = list(tree.inks.values())
    tops = rng.sample(("train", "Test", "val", "dev"), 2)
    choice = tree.reading["split"] = rng.choice(("folders", "all", tops[0]))
    tree.inks = dict(zip(tops, inks, strict=False)) if choice == "folders" else {"": inks[0]}
    for top in tops:
        if choice in ("folders", "all", top):
            fill(tree, f"{inner}{top}/", top if choice == "folders" else "", 2)
        else:
            made = picture(inks[1], rng)
            tree.left.add(tree.put(f"{inner}{top}/{made.kind}{made.suffix}", made.data))


def beside_masks(tree: Tree, inner: str) -> None:
    """Grow class folders in a folder of pictures, with masks and annotations in one beside it."""
    for label, ink in tree.inks.items():
        fill(tree, f"{inner}images/{label}/", label)
        made = picture(ink, tree.rng)
        tree.left.add(tree.put(f"{inner}masks/{label}/0{made.suffix}", made.data))
    tree.others.add(tree.put(f"{inner}annotations/0.xml", b"<annotation/>"))


def one_each(tree: Tree, inner: str) -> None:
    """Grow many folders with a picture each, which are classes, or say nothing."""
    rng = tree.rng
    choice = tree.reading["classes"] = rng.choice(("first", "none"))
    inks, names = list(tree.inks.values()), CLASSES[:12]
    tree.inks = {name if choice == "first" else "": inks[i % len(inks)] for i, name in enumerate(names)}
    for name in names:
        label = name if choice == "first" else ""
        add(tree, f"{inner}{name}/", label, picture(tree.inks[label], rng), USED, "only")


LAYOUTS: dict[str, Callable[[Tree, str], None]] = {
    "class folders": class_folders,
    "class folders and more": class_folders,
    "zip": class_folders,
    "folders in folders": two_levels,
    "table": table,
    "names": pattern,
    "one folder": one_folder,
    "splits as classes": splits_as_classes,
    "beside masks": beside_masks,
    "one picture a folder": one_each,
}


def grow(root: Path, rng: random.Random) -> Tree:
    """Grow a tree in a folder."""
    tree = Tree(rng, root, layout=rng.choice(list(LAYOUTS)))
    inner = "".join(f"{name}/" for name in rng.sample(("data", "my set", "Photos 2021", "v1.0"), rng.choice((0, 1, 2))))
    bits, top = rng.choice((10, 12, 14, 16)), rng.choice((1.0, 255.0))
    numbers = rng.sample(range(len(COLOURS)), rng.randint(2, 5))
    for label, number in zip(rng.sample(CLASSES, len(numbers)), numbers, strict=True):
        tree.inks[label] = Ink(COLOURS[number], LEVELS[number], bits, top)
    tree.reading |= {"frames": "all"} if rng.random() < 0.35 else {}
    tree.reading |= {"truncated": "keep"} if rng.random() < 0.35 else {}
    tree.reading |= {"fit": rng.choice(("pad", "squeeze"))} if rng.random() < 0.3 else {}
    tree.size = rng.choice(SIZES)
    root.mkdir()
    LAYOUTS[tree.layout](tree, inner)
    label, ink = next(iter(tree.inks.items()))
    place = "".join(next(iter(tree.pictures)).rpartition("/")[:2])
    for i in range(max(0, 3 - len(tree.pictures))):
        add(tree, place, label, picture(ink, rng), USED, f"more{i}")
    return zipped(tree) if tree.layout == "zip" else tree


def zipped(tree: Tree) -> Tree:
    """Pack a tree into a zip file, as programs of several systems write them."""
    file = tree.root.parent / "set.zip"
    around, marked = tree.rng.choice(("", "around/", "around\\")), tree.rng.random() < 0.5

    def info(name: str) -> zipfile.ZipInfo:
        return zipfile.ZipInfo(name) if marked and _is_text(name) else _Raw(name)

    names: dict[str, str] = {}
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted(tree.root.rglob("*")):
            if path.is_file():
                name = path.relative_to(tree.root).as_posix()
                names[name] = _as_437(name)
                if name in tree.pictures and tree.rng.random() < 0.05:  # which is replaced by the later one
                    older = around + name
                    archive.writestr(info(older.replace("/", tree.rng.choice("/\\"))), b"an older one")
                    tree.left.add(name)
                archive.writestr(info(around + name), path.read_bytes())
        harmed = tree.rng.choice(archive.infolist())
    _harm(tree, file, harmed, around)
    tree.root = file
    return _renamed(tree, names, around)


def _harm(tree: Tree, file: Path, member: zipfile.ZipInfo, around: str) -> None:
    """Change a byte of a picture in the archive, which the check sum tells."""
    name = member.filename.removeprefix(around)
    if name not in tree.pictures or tree.pictures[name].fate == EITHER or not name.lower().endswith((".png", ".jpg")):
        return
    data = bytearray(file.read_bytes())
    length = sum(int.from_bytes(data[member.header_offset + at :][:2], "little") for at in (26, 28))
    if member.file_size:
        data[member.header_offset + 30 + length + member.file_size // 2] ^= 255
        file.write_bytes(data)
        tree.pictures[name] = Placed(tree.pictures[name].label, REPORTED)


def _as_437(name: str) -> str:
    """Read the parts of a name that are no text as code page 437."""
    return "/".join(part if _is_text(part) else os.fsencode(part).decode("cp437") for part in name.split("/"))


def _is_text(name: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in name)


class _Raw(zipfile.ZipInfo):
    """A member whose name is stored as bytes without a word on what they mean."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # zipfile's own name
        return self.filename.encode("utf-8", "surrogateescape"), self.flag_bits


def _renamed(tree: Tree, names: dict[str, str], around: str) -> Tree:
    """Say what a tree is called in the zip file, of which a folder around everything is not a part."""
    tops = {name.split("/")[0] if "/" in name else "" for name in (*tree.pictures, *tree.left, *tree.others)}
    off = f"{tops.pop()}/" if not around and len(tops) == 1 else ""

    def new(name: str) -> str:
        return names[name].removeprefix(off)

    labels = {label: _as_437(label) for label in tree.inks}
    tree.pictures = {
        new(name): Placed(labels[placed.label], placed.fate, placed.made) for name, placed in tree.pictures.items()
    }
    tree.left, tree.others, tree.twice = ({new(name) for name in some} for some in (tree.left, tree.others, tree.twice))
    return tree


# -------------------------------------------------------------------------------------------------------------- judging


def wrong_with(folder: Path, seed: int) -> str:
    """Grow a tree, read it, and say what is not as it was made; "" if all is."""
    return "; ".join(f"seed {seed}: {said}" for said in judged(folder, grow(folder / "set", random.Random(seed))))


def judged(folder: Path, tree: Tree) -> list[str]:
    """Say what is not as it was made."""
    strict = DataConfig(path=str(tree.root), cache_dir=str(folder / "cache"), skip_unreadable=True, **tree.reading)
    labels = [placed.label for placed in tree.pictures.values()]
    places = {name.rpartition("/")[0] for name in tree.left}
    lose = {*labels, *shown_names(labels).values(), *places, "all pictures"}
    config = DataConfig(**{**vars(strict), "may_lose": tuple(lose)})
    try:
        found = open_dataset(config, tree.size, progress=False)
        return [*_used(tree, config, found), *_checked(strict, config, found, tree)]
    except DataError as error:
        return [f"{tree.layout} {tree.reading}: {error}"]


def _used(tree: Tree, config: DataConfig, found: ImageSet) -> list[str]:
    """Compare what is used, and what is said of the rest."""
    pictures = find_source(config, Path(config.cache_dir or "")).load()
    refused = dict(found.info.unreadable)
    called = shown_names([placed.label for placed in tree.pictures.values()])
    said = []
    for what, seen, made in (
        ("pictures", {name.partition("#")[0] for name in pictures.names}, set(tree.pictures)),
        ("left out", {name for name, _ in pictures.left_out}, tree.left),
        ("ignored", set(pictures.ignored), tree.others),
    ):
        if seen != made:
            said.append(f"{what}: only found {sorted(seen - made)}, only made {sorted(made - seen)}")
    if said:
        return said
    used = [(name, i) for i, name in enumerate(n for n in pictures.names if n not in refused)]
    if len(used) != len(found.labels):
        return [f"{len(used)} names for {len(found.labels)} pictures"]
    frames = Counter(name.partition("#")[0] for name, _ in used)
    for name, index in used:
        file, _, number = name.partition("#")
        placed = tree.pictures[file]
        label = found.class_names[found.labels[index]] if found.class_names else ""
        if label != called[placed.label]:
            said.append(f"{name!r} is in the class {label!r} instead of {placed.label!r}")
        said += _looks_wrong(name, placed, found.images[index], int(number or 1) - 1, config)
    for name, placed in tree.pictures.items():
        wanted = placed.made.frames if placed.made and config.frames == "all" else 1
        if placed.fate in (USED, KEPT) and frames[name] != wanted:
            said.append(f"{name!r} ({_kind(placed)}) gives {frames[name]} pictures instead of {wanted}: {refused}")
        if placed.fate == REPORTED and frames[name]:
            said.append(f"{name!r} ({_kind(placed)}) is used")
    return said


def _kind(placed: Placed) -> str:
    return placed.made.kind if placed.made else "no picture"


def _looks_wrong(name: str, placed: Placed, pixels: Any, frame: int, config: DataConfig) -> list[str]:
    """Compare the pixels of a picture that is used, uint8 (8, W, 3)."""
    made = placed.made
    guessed = placed.fate == EITHER and config.truncated == "keep"  # nobody knows what is there
    if made is None or guessed or (made.drawn and config.fit != "crop"):
        return []
    image = np.asarray(pixels).astype(int)
    middle = image.shape[1] // 2
    seen = image[1:2, middle - 1 : middle + 1] if placed.fate == KEPT else image[3:5, middle - 1 : middle + 1]
    said = []
    if abs(seen - made.middle).max() > made.tolerance:
        said.append(f"{name!r} ({made.kind}) shows {seen.mean((0, 1)).tolist()} instead of {made.middle}")
    if made.corners and config.fit != "pad" and abs(image[0, 0] - made.corners[frame]).max() > BLEEDING:
        said.append(f"{name!r} ({made.kind}) is not frame {frame}: {image[0, 0].tolist()}")
    if made.drawn and abs(image[0, 0] - made.middle).max() <= 32:
        said.append(f"{name!r} ({made.kind}) is blank: {image[0, 0].tolist()}")
    return said


def _checked(strict: DataConfig, config: DataConfig, found: ImageSet, tree: Tree) -> list[str]:
    """Compare what the check says with what a run would use."""
    said = []
    try:
        open_dataset(strict, tree.size, progress=False)
        stops = ""
    except DataError as error:
        stops = str(error)
    refused = ""
    try:
        record = json.loads(json.dumps(check(strict, tree.size, progress=False).record()))
        if bool(stops) != any(remark["kind"] == "lost_class" for remark in record["remarks"]):
            said.append(f"a run says {stops!r}, the check {[remark['kind'] for remark in record['remarks']]}")
    except DataError as error:
        refused = str(error)
        if refused != stops:
            said.append(f"a run says {stops!r}, the check {error}")
        record = json.loads(json.dumps(check(config, tree.size, progress=False).record()))
    counts = np.bincount(found.labels, minlength=max(1, len(found.class_names))).tolist()
    trained = dict(zip(found.class_names or ("",), counts, strict=True))
    judged_as = {one["name"]: one["pictures"] for one in record["classes"] if one["pictures"]}
    called = shown_names([placed.label for placed in tree.pictures.values()])
    lost = Counter(_class_of(name, tree, called) for name, _ in found.info.unreadable)
    said_lost = Counter({one["name"]: one["left_out"] for one in record["classes"] if one["left_out"]})
    lost += Counter(one for name in tree.left if (one := _class_of(name, tree, called)) is not None)
    reported = sum(one["files"] for one in record["left_out"])
    for what, one, other in (
        ("counts", judged_as, trained),
        ("lost", dict(said_lost), {name: count for name, count in lost.items() if name is not None}),
        ("left out", reported, len(found.info.unreadable) + len(tree.left)),
        ("ignored", sorted(record["ignored"]), sorted(map(readable, tree.others))),
        ("unreadable", {one["name"] for one in record["unreadable"]}, {readable(n) for n, _ in found.info.unreadable}),
        ("traits", {k: v for k, v in record["traits"].items() if k != "enlarged"}, _without(found.info.traits)),
    ):
        if one != other:
            said.append(f"{what}: the check says {one}, a run {other}")
    if tree.rng.random() < 0.15:
        said += _by_command(tree, strict, refused, record)
    return said + _copies(tree, record) + _told(tree, found)


def _by_command(tree: Tree, strict: DataConfig, refused: str, record: dict[str, Any]) -> list[str]:
    """Compare what the command says, at a terminal that knows ASCII alone."""
    folder = Path(strict.cache_dir or "").parent
    flags = [f"--data.{name.replace('_', '-')}={value}" for name, value in tree.reading.items()]
    flags += ["--data.skip-unreadable"] if strict.skip_unreadable else []
    files = [f"--{name}={folder / name}.{end}" for name, end in (("sheet", "png"), ("json", "json"), ("page", "html"))]
    out, err = (io.TextIOWrapper(io.BytesIO(), "ascii", "backslashreplace") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command(["data", "check", str(tree.root), "--size={}x{}".format(*tree.size), *flags, *files])
    if code not in (0, 3, 4) and not refused:
        err.seek(0)
        return [f"the command ends with {code}: {err.read()[-300:]}"]
    if refused:
        return [] if code == 2 else [f"the command ends with {code}, where the check refuses"]
    written = json.loads((folder / "json.json").read_text("ascii"))
    wrong = sorted(key for key in record.keys() | written.keys() if record.get(key) != written.get(key))
    said = [f"the command's JSON differs in {wrong}"] if wrong else []
    return said + ([f"the command ends with {code}, not {record['exit_code']}"] if code != record["exit_code"] else [])


def _without(traits: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in traits.items() if name != "enlarged"}


def _class_of(name: str, tree: Tree, called: dict[str, str]) -> str | None:
    """Give the class of a file, or the one class of the pictures in the same folder."""
    file = name.partition("#")[0]
    if file in tree.pictures:
        return called[tree.pictures[file].label]
    folder = name.rpartition("/")[0]
    beside = {placed.label for other, placed in tree.pictures.items() if other.rpartition("/")[0] == folder}
    return called[beside.pop()] if len(beside) == 1 else None


def _copies(tree: Tree, record: dict[str, Any]) -> list[str]:
    named = {one["name"] for group in record["in_two_classes"] for one in group}
    return [f"in two classes, and not named: {tree.twice}"] if not {readable(n) for n in tree.twice} <= named else []


def _told(tree: Tree, found: ImageSet) -> list[str]:
    """Look whether the sentences that a run begins with count all that is left out."""
    lines = "\n".join(notes(found))
    counted = sum(int(line.split()[0].replace(",", "")) for line in lines.split("\n") if "file(s) left out" in line)
    if counted != len(tree.left):
        return [f"{len(tree.left)} are left out, and a run says: {lines}"]
    return [] if readable(tree.empty) in lines else [f"a run does not say that {tree.empty} is empty: {lines}"]


# -------------------------------------------------------------------------------------------------------------- command


def main() -> int:
    """Grow and read so many trees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", nargs="?", type=int, help="the same as --to")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--to", dest="end", type=int, help="the seed after the last one")
    parser.add_argument("--out", type=Path, help="JSON of what was found; what is in it is not done again")
    parser.add_argument("--smallest", type=int, help="let hypothesis look for a small tree that is wrong")
    flags = parser.parse_args()
    if flags.smallest:
        return smallest(flags.smallest)
    end = flags.end or flags.to or 500
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    result: dict[str, Any] = {"from": flags.first, "next": flags.first, "commits": []}
    result |= {"pictures": 0, "fates": {}, "layouts": {}, "kinds": {}, "seconds": 0.0, "wrong": []}
    if flags.out and flags.out.exists():
        result = json.loads(flags.out.read_text("utf-8"))
    result["commits"] = sorted({*result["commits"], commit.strip()})
    for seed in range(result["next"], end):
        one_tree(seed, result)
        if flags.out and (seed % 10 == 9 or seed == end - 1):
            flags.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", "utf-8")
        if seed % 10 == 9 or seed == end - 1:
            print(f"{result['next'] - result['from']} trees, {len(result['wrong'])} wrong", flush=True)
    return 1 if result["wrong"] else 0


def one_tree(seed: int, result: dict[str, Any]) -> None:
    """Grow a tree, read it, and note what came of it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = grow(folder / "set", random.Random(seed))
        try:
            said = judged(folder, tree)
        except Exception as error:  # which would be a fault of the product
            said = [repr(error)]
    counts = {
        "fates": Counter(placed.fate for placed in tree.pictures.values()),
        "layouts": Counter([tree.layout]),
        "kinds": Counter(_kind(placed) for placed in tree.pictures.values()),
    }
    for key, found in counts.items():
        result[key] = dict(Counter(result[key]) + found)
    result["pictures"] += len(tree.pictures)
    result["seconds"] = round(result["seconds"] + time.monotonic() - start, 1)
    result["next"] = seed + 1
    if said:
        result["wrong"].append({"seed": seed, "said": [readable(line) for line in said]})
        print(*(readable(f"seed {seed}: {line}") for line in said), sep="\n", flush=True)


def smallest(examples: int) -> int:
    """Look among so many trees for one that is wrong, make it smaller as long as it is, and print it."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(strategies.randoms(use_true_random=False))
    def holds(rng: random.Random) -> None:
        with tempfile.TemporaryDirectory() as name:
            tree = grow(Path(name) / "set", rng)
            said = judged(Path(name), tree)
            kinds = {file: (_kind(placed), placed.fate) for file, placed in tree.pictures.items()}
            assert not said, f"{said}: {kinds}, {tree.layout}, {tree.reading}"

    try:
        holds()
    except AssertionError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
