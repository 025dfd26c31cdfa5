"""What pages take for granted: pictures, a run, weights, packed files. Each is made when a command names it.

A new page that names something else of this kind gets a line in ``MAKERS``.
"""

import json
import re
import shutil
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from PIL import Image

from sagan.cli.main import main

ROOT = Path(__file__).parents[2]
CLASSES = {"cat": 90, "dog": 140, "dark": 40, "light": 210}


def pictures(place: Path, per_class: int = 40, size_px: int = 40) -> None:
    """Write pictures of four classes, of several shapes."""
    random = np.random.default_rng(0)
    for name, level in CLASSES.items():
        (place / name).mkdir(parents=True)
        for i in range(per_class):
            noise = random.normal(level, 25, (size_px + i % 12, size_px + 8, 3)).clip(0, 255).astype(np.uint8)
            noise[i % 20 : i % 20 + 9, i % 30 : i % 30 + 9] = random.integers(0, 256, 3)
            Image.fromarray(noise).save(place / name / f"{i}.png")


def imagenet(place: Path) -> None:
    """Write what the page calls imagenet/train, with two of its classes."""
    pictures(place.parent / "all", 8, 140)
    place.mkdir()
    for old, new in (("cat", "n01440764"), ("dog", "n01443537")):
        (place.parent / "all" / old).rename(place / new)
    shutil.rmtree(place.parent / "all")


def synsets(place: Path) -> None:
    place.write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n")


def zipped(place: Path) -> None:
    shutil.make_archive(str(place.with_suffix("")), "zip", shared("pictures"))


def generated(place: Path) -> None:
    """Write pictures of another generator, all of one size."""
    folder = Path(mkdtemp())
    for i in range(40):
        Image.effect_noise((16, 16), 10 + i).convert("RGB").save(folder / f"{i}.png")
    shutil.make_archive(str(place.with_suffix("")), "zip", folder)


def tars(place: Path) -> None:
    """Write the tar files of a pattern with ``{000..146}``, a picture in each."""
    import io
    import tarfile

    first, last = place.name.partition("{")[2].partition("}")[0].split("..")
    place.parent.mkdir(parents=True, exist_ok=True)
    stem = place.name.partition("{")[0]
    for number in range(int(first), int(last) + 1):
        picture = io.BytesIO()
        Image.effect_noise((24, 24), 50).save(picture, "JPEG")
        with tarfile.open(place.with_name(f"{stem}{number:0{len(last)}}.tar"), "w") as tar:
            for suffix, content in (("jpg", picture.getvalue()), ("cls", b"%d" % (number % 2))):
                member = tarfile.TarInfo(f"{number:05}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def table(place: Path) -> None:
    """Write a data set as the library of Hugging Face saves one."""
    import datasets

    of_disk(place, lambda data: datasets.DatasetDict(train=data, test=data).save_to_disk(place))


def parquet(place: Path) -> None:
    """Write a data set as Parquet, its pictures in it, as those of the hub are."""
    from datasets.table import embed_table_storage

    def write(data: Any) -> None:
        held = data.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)
        held.to_parquet(place / "train.parquet")

    place.mkdir(parents=True)
    of_disk(place, write)


def of_disk(place: Path, write: Callable) -> None:
    import datasets

    files = sorted(shared("pictures").rglob("*.png"))
    names = list(CLASSES)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    columns = {"image": [str(file) for file in files], "label": [names.index(file.parent.name) for file in files]}
    write(datasets.Dataset.from_dict(columns, features=features).cast_column("image", datasets.Image()))


def run(place: Path) -> None:
    """Train two steps of narrow networks."""
    words = ["--data", str(shared("pictures")), "--size", "16", "--batch-size", "8", "--base-width", "4"]
    assert main(["train", *words, "--steps", "2", "--monitor.num", "40", "--out", str(place)]) == 0


def imagenet_run(place: Path) -> None:
    """Train a step at 128 px."""
    words = ["--data", str(shared("imagenet/train")), "--preset", "sagan-128", "--batch-size", "4"]
    assert main(["train", *words, "--base-width", "4", "--steps", "1", "--monitor.num", "40", "--out", str(place)]) == 0


def weights(place: Path) -> None:
    assert main(["export", str(shared("run")), "--out", str(place)]) == 0


def report(place: Path) -> None:
    """Write values, as `sagan evaluate --out` does."""
    words = [str(shared("weights.safetensors")), "--data", str(shared("pictures")), "--features", "pixels"]
    assert main(["evaluate", *words, "--metrics", "fd", "--num", "40", "--out", str(place)]) == 0


def packed(place: Path) -> None:
    assert main(["data", "pack", str(shared("pictures")), "--size", "16", "--out", str(place)]) == 0


def labels(place: Path) -> None:
    place.write_text(json.dumps({name: [i, i + 1] for i, name in enumerate(CLASSES)}))


def configuration(place: Path) -> None:
    place.write_text("preset: demo\ntrain:\n  batch_size: 8\n")


def studiogan(place: Path) -> None:
    """Write weights as StudioGAN does."""
    import torch
    from oracle import discriminator_state, generator_state

    if "D" in place.name.split("=")[1][:1]:
        state = discriminator_state(32, 4, 4, head="PD", attention=(1,))
    else:
        state = generator_state(32, 4, 4, spectral=True, attention=(2,))
    torch.save({"state_dict": state}, place)


def old_weights(place: Path) -> None:
    import torch

    torch.save({"state_dict": {"weight": torch.ones(2)}}, place)


MAKERS: list[tuple[str, Callable[[Path], None]]] = [
    ("model=*.pth", studiogan),
    ("*.pth", old_weights),
    ("samples.zip", generated),
    ("*.zip", zipped),
    ("*.tar", tars),
    ("imagenet/train", imagenet),
    ("*.npy", packed),
    ("LOC_synset_mapping.txt", synsets),
    ("saved", table),
    ("uoft-cs/cifar10", table),
    ("parquet", parquet),
    ("run", run),
    ("runs/imagenet", imagenet_run),
    ("runs/*", run),
    ("*.safetensors", weights),
    ("*labels.json", labels),
    ("*.json", report),
    ("*.yaml", configuration),
    ("OWNER/NAME", weights),
    ("pictures", pictures),
    ("shared/pictures", pictures),
]
"""Names of pages, the first that fits, and who makes them."""


@cache
def store() -> Path:
    """Give the folder where things are made once for all pages."""
    return Path(mkdtemp(prefix="sagan-pages-"))


@cache
def shared(name: str) -> Path:
    """Give what a name stands for, made once in a session."""
    maker = next(maker for pattern, maker in MAKERS if fnmatchcase(name, pattern))
    kept = "run" if maker is run else name
    place = store() / kept
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        maker(place)
    return place


def rows_of_papers() -> Path:
    """Give a folder of results with a table that was measured before."""
    place = store() / "paper"
    if not place.exists():
        shutil.copytree(ROOT / "tests" / "golden" / "paper", place)
    return place


def data_in(folder: Path, word: str) -> None:
    """Put pictures where ``--data`` means a folder that no pattern knows, such as ``flowers``."""
    if re.fullmatch(r"[\w/-]+", word) and not (folder / word).exists():
        shutil.copytree(shared("pictures"), folder / word)


def place_in(folder: Path, word: str) -> None:
    """Put into a folder what a word of a command names, if it is not there yet.

    ``runs/mine/generator.safetensors`` is a part of ``runs/mine``, which is what is put there.
    """
    path = Path(word.removeprefix("hf:").partition(":")[0])
    parts = path.parts
    for count in range(1, len(parts) + 1):
        name = "/".join(parts[:count])
        if (folder / name).exists() or not any(fnmatchcase(name, pattern) for pattern, _ in MAKERS):
            continue
        made = shared(name)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if made.is_dir():
            shutil.copytree(made, folder / name)
        elif made.exists():
            shutil.copy(made, folder / name)
        else:  # a pattern for several
            for file in made.parent.iterdir():
                shutil.copy(file, (folder / name).parent)
        return
