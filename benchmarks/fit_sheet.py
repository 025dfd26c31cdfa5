"""Draw the sheet of docs/data.md: what each way to bring pictures to one size loses of photographs of many shapes.

python benchmarks/fit_sheet.py docs/data-fit.webp
"""

import sys

import numpy as np
from sklearn.datasets import load_sample_images

from sagan.data.decode import Decoded
from sagan.data.fit_sheet import fit_advice, fit_sheet
from sagan.data.pictures import Pictures

SIZE = (64, 96)


def main(out: str) -> None:
    """Cut parts of many shapes out of two photographs and draw the sheet."""
    china, flower = load_sample_images().images
    parts = {
        "roofs": china[250:],
        "wide flower": flower[100:300],
        "tower": china[:, 200:400],
        "tall flower": flower[:, 250:400],
    }
    names = tuple(parts)
    pictures = Pictures(
        names=names,
        labels=np.zeros(len(names), np.int64),
        class_names=(),
        decode=lambda index: Decoded(parts[names[index]], "JPEG", frozenset()),
    )
    shapes = {index: parts[name].shape[:2] for index, name in enumerate(names)}
    fit_sheet(pictures, shapes, SIZE).save(out, quality=60)
    print("\n".join(fit_advice([*shapes.values()], SIZE).sentences))


if __name__ == "__main__":
    main(*sys.argv[1:])
