"""Attention maps as arrays: how far does the generator look from a place?"""

import sys

import numpy as np

import sagan


def main(steps: int = 200) -> None:
    """Train on the embedded digits for a while, then measure and draw."""
    result = sagan.train(sagan.preset("demo", steps=steps), out="runs/where-it-looks")
    generator = sagan.load(result.out)
    looks = generator.attention(num=4, classes=["3", "8"], seed=1, queries_px=[(8, 8), (4, 4)])
    for position, maps in looks.maps.items():  # (images, queries, height, width); each map sums to 1
        height, width = maps.shape[2:]
        rows, columns = np.mgrid[:height, :width] * (16 / height) + 8 / height
        for (row, column), of_query in zip([(8, 8), (4, 4)], maps.swapaxes(0, 1), strict=True):
            far = (of_query * np.hypot(rows - row, columns - column)).sum((1, 2)).mean()
            gamma = looks.gammas[position]
            print(f"feat{position}, from {row},{column}: {far:.1f} px away on average, gamma {gamma:+.3f}")
    print(sagan.attention_to_file(result.out, "attention.png", sagan.AttentionConfig(queries_px=[(8, 8), (4, 4)])))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
