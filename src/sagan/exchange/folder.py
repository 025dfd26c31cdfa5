"""A folder to share: weights, their card, samples, and the configuration for programs that read the Hub."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sagan.exchange.card import SAMPLES, card
from sagan.figures import sample_grid, save_image
from sagan.generators.files import describe_weights
from sagan.generators.pretrained import EXPORTED
from sagan.generators.trained import TrainedGenerator
from sagan.generators.weights import save_weights
from sagan.metrics.report import Report
from sagan.whole import whole_folder

ROWS, COLUMNS = 10, 8


def write_folder(
    generator: TrainedGenerator,
    folder: Path,
    reports: Sequence[Report] = (),
    *,
    name: str | None = None,
    licence: str | None = None,
) -> None:
    """Write the folder; :func:`sagan.load` reads it, here and from the Hugging Face Hub.

    Args:
        generator: What is shared.
        folder: Where; it appears when it is complete, or, where it is there already, gets each file in one move.
        reports: What was measured of it.
        name: What the card calls it; None is the folder's name.
        licence: See :func:`~sagan.exchange.card.card`.

    Raises:
        OSError: If it cannot be written.
    """
    with whole_folder(folder) as place:
        save_weights(generator.network, place / EXPORTED, generator.class_names, generator.provenance)
        save_image(_samples(generator), place / SAMPLES)
        about = {"library_name": "sagan", "generator": dataclasses.asdict(generator.config)}
        (place / "config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        text = card(generator, reports, name=name or folder.name, licence=licence)
        (place / "README.md").write_text(text, encoding="utf-8")


def _samples(generator: TrainedGenerator) -> Image.Image:
    """Draw samples of the first classes, a row each."""
    names = generator.class_names[:ROWS]
    labels = [index for index in range(len(names)) for _ in range(COLUMNS)]
    images = generator.sample(len(labels) or ROWS * COLUMNS, labels or None)
    caption = f"{describe_weights(generator)}; seed 0, not chosen"
    return sample_grid(images, columns=COLUMNS, row_labels=names or None, caption=caption)
