"""Can samples be named? A grid of them, ten of each class, mixed and without labels, for somebody who has seen none.

    ./dev python benchmarks/naming.py draw results/clothing-64/generator.safetensors --order 13 --out grid.png
    ./dev python benchmarks/naming.py draw clothing-128.zip --order 12 --out real.png  # real pictures, to compare with
    ./dev python benchmarks/naming.py score grid.json answers.txt                      # answers: lines `number class`

It leaves the picture, numbered from 1, and beside it, as .json, the true classes: keep that from whoever names them.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import sagan
from sagan.data import open_dataset
from sagan.data.config import DataConfig

EACH, SAMPLE_SEED, SIDE, EDGE, LINE = 10, 4242, 128, 6, 20


def main() -> None:
    """Draw or score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    draw = verbs.add_parser("draw")
    draw.add_argument("source", help="a weights file, or pictures")
    draw.add_argument("--order", type=int, default=0, help="seed of the order, and of which real pictures")
    draw.add_argument("--size", type=int, default=64, help="of real pictures, in pixels")
    draw.add_argument("--out", type=Path, required=True)
    score = verbs.add_parser("score")
    score.add_argument("truth", type=Path)
    score.add_argument("answers", type=Path)
    args = parser.parse_args()
    if args.verb == "score":
        truth = json.loads(args.truth.read_text())
        said = dict(re.findall(r"^(\d+)\s+(\S+)", args.answers.read_text(), re.MULTILINE))
        print(f"{sum(said.get(str(i + 1)) == name for i, name in enumerate(truth))} of {len(truth)} named rightly")
        return
    random = np.random.default_rng(args.order)
    if args.source.endswith(".safetensors"):
        generator = sagan.load(args.source)
        names = generator.class_names
        labels = np.repeat(np.arange(len(names)), EACH)
        random.shuffle(labels)
        images = generator.sample(len(labels), classes=[int(label) for label in labels], seed=SAMPLE_SEED)
    else:
        data = open_dataset(DataConfig(path=args.source), args.size)
        names, found = data.class_names, np.asarray(data.labels)
        chosen = [random.choice(np.flatnonzero(found == c), EACH, replace=False) for c in range(len(names))]
        indices = np.concatenate(chosen)
        random.shuffle(indices)
        images, labels = np.stack([data.images[i] for i in indices]), found[indices]
    grid = Image.new("RGB", (EACH * (SIDE + EDGE), -(-len(labels) // EACH) * (SIDE + LINE)), "white")
    pen = ImageDraw.Draw(grid)
    for i, image in enumerate(images):
        row, column = divmod(i, EACH)
        tile = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        grid.paste(tile, (column * (SIDE + EDGE) + 3, row * (SIDE + LINE) + 16))
        pen.text((column * (SIDE + EDGE) + 4, row * (SIDE + LINE) + 2), str(i + 1), fill="black")
    grid.save(args.out)
    args.out.with_suffix(".json").write_text(json.dumps([names[int(label)] for label in labels]) + "\n")


if __name__ == "__main__":
    main()
