"""Grows folders as people have them, from a seed: what must be found in them is known, as they are made from it.

python tests/data/awkward.py 500        # so many trees, each read and counted; names the seeds that fail
"""

import io
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from sagan.data import DataConfig, DataError, open_dataset
from sagan.data.config import Reading
from sagan.data.names import shown_names
from sagan.data.sources import find_source

FORMATS = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "PPM": ".ppm"}
MODES = ("RGB", "L", "P", "RGBA", "1", "CMYK", "LA", "I;16")
SUFFIXES = ("", ".PNG", ".JPG", ".jfif", ".MPO", ".dat", ".backup", ".jpeg~", ".txt", ".1", ".tar.old")
ACCENTS = ("\u00e9t\u00e9", "e\u0301te\u0301")  # the same to the eye
CLASSES = ("cat", "Dog", "emu 2", *ACCENTS, "-x", "n01440764", "a'b\"c", "новый", "猫", "two\nlines", "x" * 120)
TEXTS = (b"", b"hello\n", b"name,size\n1,2\n", b"<html></html>", bytes(range(200)), b"\x00" * 3000)
OTHERS = (
    ("x.NEF", b"MM\x00*raw"),
    ("clip.mp4", b"\x00\x00\x00\x20ftypisom"),
    ("scan.pdf", b"%PDF-1.4"),
    ("s.svg", b"<svg>"),
)
HIDDEN = (".hidden.png", "._cat.jpg", "Thumbs.db", "@eaDir/thumb.jpg", "__MACOSX/a.png", ".git/x.png")


@dataclass
class Tree:
    """What a folder was made of."""

    good: dict[str, int] = field(default_factory=dict)
    """Whole pictures of each class, by the folder's name; "" without classes."""
    damaged: int = 0
    """Files that are called pictures, or begin as such, and cannot be decoded."""
    shown: int = 0
    """Files that show something but are no pictures."""
    other: int = 0
    """Files that are nothing of that."""


def picture(rng: random.Random) -> tuple[bytes, str]:
    """Make the bytes of a picture in some format, and the suffix that goes with it."""
    while True:
        kind, mode = rng.choice(list(FORMATS)), rng.choice(MODES)
        noise = np.random.default_rng(rng.randrange(2**32)).integers(
            0, 256, (rng.randint(2, 40), rng.randint(2, 40), 3)
        )
        image = Image.fromarray(noise.astype(np.uint8))
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        stream = io.BytesIO()
        try:
            image.save(stream, kind)
        except (OSError, ValueError, KeyError):  # not every format has every mode
            continue
        return stream.getvalue(), FORMATS[kind]


def fill(folder: Path, rng: random.Random, tree: Tree, name: str, least: int) -> None:
    """Put pictures, damaged ones and other files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    count = rng.randint(least, 6)
    tree.good[name] = count
    for i in range(count):
        data, suffix = picture(rng)
        (folder / f"{i}{suffix if rng.random() < 0.6 else rng.choice(SUFFIXES)}").write_bytes(data)
    for i in range(rng.choice((0, 0, 1, 3))):
        data, suffix = picture(rng)
        cut = rng.choice((data[: max(12, len(data) // 3)], b"no picture", b""))
        (folder / f"bad{i}{suffix}").write_bytes(cut)
        tree.damaged += 1
    for i in range(rng.choice((0, 0, 1, 2))):
        (folder / f"note{i}{rng.choice(('.txt', '.csv', '', '.xml'))}").write_bytes(rng.choice(TEXTS))
        tree.other += 1
    for name_of, data in rng.sample(OTHERS, rng.choice((0, 0, 1, 2))):
        (folder / name_of).write_bytes(data)
        tree.shown += 1
    for hidden in rng.sample(HIDDEN, rng.choice((0, 1, 2))):
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_bytes(b"x")


def grow(root: Path, seed: int) -> tuple[Tree, Reading]:
    """Grow a tree in a folder; gives what it is made of and how it has to be read, where that is not clear."""
    rng, tree, reading = random.Random(seed), Tree(), Reading()
    inner = root
    for wrapper in rng.sample(("data", "my set", "Photos 2021", "v1.0"), rng.choice((0, 0, 1, 2))):
        inner /= wrapper
    if rng.random() < 0.2:
        fill(inner, rng, tree, "" if inner == root else inner.name, 2)  # one folder with pictures is one class
        return tree, reading
    classes = rng.sample(CLASSES, rng.randint(2, 5))
    split = rng.choice((None, None, "train"))
    below = rng.choice(("", "", "images"))
    for name in classes:
        fill(inner / (split or "") / name / below, rng, tree, name, 1)
    if split is not None and rng.random() < 0.7:
        reading = Reading(split=split)
        (inner / "test").mkdir()
        data, suffix = picture(rng)
        for i in range(2):
            (inner / "test" / f"{i}{suffix}").write_bytes(data)
    return tree, reading


def wrong_with(root: Path, cache: Path, seed: int) -> str:
    """Grow a tree, read it, and say what is not as it was made; "" if all is."""
    tree, reading = grow(root, seed)
    everything = (*tree.good, *shown_names(list(tree.good)).values(), "images", "all pictures", root.name)
    more = {name: getattr(reading, name) for name in ("split", "classes", "class_pattern", "labels")}
    lose = tuple({*everything, *(p.name for p in root.rglob("*") if p.is_dir()), str(root)})
    config = DataConfig(path=str(root), cache_dir=str(cache), skip_unreadable=True, may_lose=lose, **more)
    try:
        found = open_dataset(config, 8, progress=False)
    except DataError as error:
        return f"seed {seed}: {error}"
    pictures = find_source(config, cache).load()
    shown = shown_names(list(tree.good))
    expected = {shown[name]: count for name, count in tree.good.items()}
    counts = np.bincount(found.labels, minlength=max(1, len(found.class_names))).tolist()
    used = dict(zip(found.class_names or ("",), counts, strict=True))
    left = [name for name, reason in pictures.left_out if "split" not in reason]
    files = [name for name in pictures.ignored if not name.endswith("/")]
    made = (expected, tree.damaged, tree.shown, tree.other)
    seen = (used, len(found.info.unreadable), len(left), len(files))
    if made != seen:
        return f"seed {seed}: {made} were made, {seen} found"
    return ""


def main() -> int:
    """Grow and read so many trees."""
    wrong = []
    for seed in range(int(sys.argv[1])):
        with tempfile.TemporaryDirectory() as folder:
            wrong += [said] if (said := wrong_with(Path(folder) / "set", Path(folder) / "cache", seed)) else []
    print("\n".join([*wrong, f"{sys.argv[1]} trees, {len(wrong)} wrong"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
