"""Where does a generator of `pairs` look: at the parts, or anywhere? Shares of its attention, and of the picture.

    ./dev python benchmarks/pairs_attention.py results/pairs-32/generator.safetensors

For samples of each structured class the parts are what differs clearly from the ground, the colour in the middle of all
colours of the picture. Of each feature map with attention it says which share of the places they cover and which share
of the attention of all places falls on them; attention without a preference would give both the same. It writes
pairs-attention.json beside the weights.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import sagan
from sagan.data.pairs import AGREES_IN

CLEAR = 60.0
"""Distance in RGB from the ground, of 441, from which a pixel belongs to a part."""


def parts(images: np.ndarray, side: int) -> np.ndarray:
    """Say how much of each place parts cover: uint8 (N, H, W, 3) -> (N, side, side) in 0..1."""
    ground = np.median(images, axis=(1, 2), keepdims=True)
    clear = np.linalg.norm(images.astype(float) - ground, axis=-1) > CLEAR
    count, height, width = clear.shape
    return clear.reshape(count, side, height // side, side, width // side).mean((2, 4))


def shares(covered: np.ndarray, maps: np.ndarray) -> dict[str, float]:
    """Compare the share of places that parts cover with that of the attention on them, of all places and of parts.

    Args:
        covered: (N, side, side) in 0..1.
        maps: (N, side^2, side^2), the rows of which sum to 1.
    """
    flat = covered.reshape(len(covered), -1)
    on_parts = (maps * flat[:, None]).sum(-1)  # (N, places): of the attention of each place
    weights = flat / flat.sum()
    found = {"places": flat.mean(), "attention": on_parts.mean(), "attention_of_parts": (on_parts * weights).sum()}
    return {name: round(float(value), 4) for name, value in found.items()}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--num", type=int, default=200, help="samples of each class")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    generator = sagan.load(args.weights)
    told: dict[str, Any] = {"weights": args.weights.name, "num_of_each_class": args.num, "seed": args.seed}
    places: dict[str, dict[str, dict[str, float]]] = {}
    for name in AGREES_IN:
        for side in generator.config.attention_positions:
            step = generator.config.size_px // side
            queries = [(step * i + step // 2, step * j + step // 2) for i in range(side) for j in range(side)]
            looks = generator.attention(num=args.num, classes=name, seed=args.seed, queries_px=queries)
            maps = looks.maps[side].reshape(args.num, side**2, side**2)
            places.setdefault(f"feat{side}", {})[name] = shares(parts(looks.images, side), maps)
    args.weights.with_name("pairs-attention.json").write_text(json.dumps(told | {"shares": places}, indent=1) + "\n")
    print(json.dumps(places, indent=1))


if __name__ == "__main__":
    main()
