"""A folder to share: weights, their card, samples, and the configuration for programs that read the Hub."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from sagan.exchange.card import SAMPLES, card
from sagan.figures import sample_grid, save_image
from sagan.generators.files import describe_weights
from sagan.generators.pretrained import EXPORTED
from sagan.generators.trained import TrainedGenerator
from sagan.generators.weights import save_weights
from sagan.metrics.report import Report

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
        folder: Where; made if it is not there.
        reports: What was measured of it.
        name: What the card calls it; None is the folder's name.
        licence: See :func:`~sagan.exchange.card.card`.

    Raises:
        OSError: If it cannot be written.
    """
    save_weights(generator.network, folder / EXPORTED, generator.class_names, generator.provenance)
    names = generator.class_names[:ROWS]
    labels = [index for index in range(len(names)) for _ in range(COLUMNS)]
    images = generator.sample(len(labels) or ROWS * COLUMNS, labels or None)
    caption = f"{describe_weights(generator)}; seed 0, not chosen"
    save_image(sample_grid(images, columns=COLUMNS, row_labels=names or None, caption=caption), folder / SAMPLES)
    about = {"library_name": "sagan", "generator": dataclasses.asdict(generator.config)}
    (folder / "config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    text = card(generator, reports, name=name or folder.name, licence=licence)
    (folder / "README.md").write_text(text, encoding="utf-8")
