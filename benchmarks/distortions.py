"""Does the Frechet distance of a feature network rise with damage? Real pictures against held-out and damaged ones.

    ./dev python benchmarks/distortions.py --data PICTURES --size 32 --num 1500

Half of the pictures, at most ``--num``, are the reference; the others are shown as they are, as JPEG of quality 30,
with noise, blurred, and replaced by uniform noise. Prints a table; every row has as many pictures.
"""

import argparse
import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from raw import add_raw, write_raw

from sagan.data import DataConfig, open_dataset
from sagan.evaluation import collect
from sagan.metrics.efficientnet import load_efficientnet
from sagan.metrics.frechet import frechet_distance
from sagan.metrics.inception import load_inception

Pixels = NDArray[np.uint8]
SEED = 0


def jpeg(image: Pixels) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30)
    return np.asarray(Image.open(buffer))


def noise(sigma: float) -> Callable[[Pixels], Pixels]:
    random = np.random.default_rng(SEED)
    return lambda image: (image + random.normal(0.0, sigma, image.shape)).round().clip(0, 255).astype(np.uint8)


def blur(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(image.shape[0] / 20)))


def uniform() -> Callable[[Pixels], Pixels]:
    random = np.random.default_rng(SEED)
    return lambda image: random.integers(0, 256, image.shape, dtype=np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--num", type=int, default=1500)
    parser.add_argument("--features", choices=("efficientnet-lite0", "inception"), default="efficientnet-lite0")
    parser.add_argument("--width", type=int, choices=(320, 1280), default=320)
    add_raw(parser)
    args = parser.parse_args()
    network = load_inception() if args.features == "inception" else load_efficientnet(width=args.width)
    dataset = open_dataset(DataConfig(path=args.data), args.size)
    order = np.random.default_rng(SEED).permutation(len(dataset.labels))
    num = min(args.num, len(order) // 2)
    real, others = dataset.images[np.sort(order[:num])], dataset.images[np.sort(order[num : 2 * num])]

    def gaussian_of(name: str, pictures: Pixels, change: Callable[[Pixels], Pixels] | None = None):
        def batches() -> Iterator[Pixels]:
            for start in range(0, num, 50):
                part = np.asarray(pictures[start : start + 50])
                yield part if change is None else np.stack([change(image) for image in part])

        return collect(network, batches(), num, description=name).moments.gaussian()

    reference = gaussian_of("reference", real)
    rows = {
        "real, held out": None,
        "JPEG, quality 30": jpeg,
        "noise, sigma 15": noise(15.0),
        f"blur, radius {args.size / 20:g} px": blur,
        "uniform noise": uniform(),
    }
    print(
        f"FD({network.name}), {network.width} features, {num:,} against {num:,} pictures, {args.size} px, seed {SEED}"
    )
    print("\n| pictures | distance |\n|---|---|")
    distances = {}
    for name, change in rows.items():
        distances[name] = frechet_distance(gaussian_of(name, others, change), reference)
        print(f"| {name} | {distances[name]:.1f} |", flush=True)
    write_raw(args, network=network.name, features=network.width, pictures=num, size_px=args.size, distances=distances)


if __name__ == "__main__":
    main()
