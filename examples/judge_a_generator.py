"""Pictures of any generator against real ones. Here the generator blurs digits: the more, the farther they are."""

import sys

import numpy as np
from PIL import Image, ImageFilter

import sagan
from sagan.data import open_dataset


def blurred(images: np.ndarray, radius: float) -> np.ndarray:
    """Stand in for a generator: uint8 (N, H, W, 3) -> the same shape."""
    pictures = [Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)) for image in images]
    return np.stack([np.asarray(picture) for picture in pictures])


def main(count: int = 400) -> None:
    """Print distances, and how they were made."""
    digits = open_dataset(sagan.DataConfig(path="digits"), 16)
    images = np.asarray(digits.images[:])
    half, other = images[:count], images[count : 2 * count]
    # `pixels` needs no weights and is a monitor, no metric to publish; leave it out for the Inception network and FID.
    config = sagan.EvaluateConfig(metrics=("fd", "prdc"), features="pixels")
    for radius in (0.0, 0.5, 1.0, 2.0):
        found = sagan.evaluate(blurred(half, radius), other, config, progress=False)
        values = ", ".join(f"{value.metric} {value.value:.3g}" for value in found.report.values)
        print(f"blur {radius}: {values}")
    print(found.text())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
