"""From a folder of pictures to samples and a weights file. The folder is made here: put yours in its place."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import sagan


def make_pictures(folder: Path, count: int = 60) -> None:
    """Draw discs and squares of any colour: a folder for each class."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :24]
    for kind in ("disc", "square"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            y, x, r = random.integers(9, 15), random.integers(9, 15), random.integers(4, 8)
            inside = np.hypot(rows - y, columns - x) < r
            if kind == "square":
                inside = np.maximum(abs(rows - y), abs(columns - x)) < r
            picture = np.where(inside[..., None], random.integers(0, 256, 3), 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / kind / f"{number}.png")


def main(steps: int = 200) -> None:
    """Check, train, sample, export."""
    make_pictures(Path("pictures"))
    report = sagan.check(sagan.DataConfig(path="pictures"), 16)
    print(report.text())

    config = sagan.preset("demo", data="pictures", size=16, steps=steps)
    config = replace(config, data=replace(config.data, flip=True, balanced=True))
    result = sagan.train(config, out="runs/own-data")
    print(f"{result.step} steps in {result.out}")

    print(sagan.sample_to_file("runs/own-data", "samples.png", sagan.SampleConfig(num=8)))
    weights = sagan.export("runs/own-data", "weights.safetensors")
    print(sagan.load(weights).sample(num=2, classes="disc").shape)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
