"""The samples of a whole run over time, drawn anew at each checkpoint."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sagan.figures import save_image, timeline
from sagan.recipes.config import RunConfig
from sagan.runs.folder import RunError
from sagan.runs.samples import GRID_CLASSES, kept_samples, read_samples, weights_caption
from sagan.training.hooks import Hook, Record

TIMELINE_COLUMNS = 10


class Timeline(Hook):
    """Draws timeline.png from the samples that previews left.

    Args:
        config: The run.
        folder: The run folder.
        class_names: The classes of the rows.
    """

    may_fail = True

    def __init__(self, config: RunConfig, folder: Path, class_names: tuple[str, ...]) -> None:
        self.config, self.folder, self.class_names = config, folder, class_names

    def on_save(self, record: Record) -> None:
        """Draw up to ten of them, evenly over the run; what is damaged is left out."""
        files = kept_samples(self.folder / "samples", record.step)
        chosen = [
            files[i]
            for i in sorted({round(k) for k in np.linspace(0, len(files) - 1, TIMELINE_COLUMNS)} if files else ())
        ]
        drawn: dict[int, NDArray[np.uint8]] = {}
        for step, path in reversed(chosen):
            with suppress(RunError):
                images = read_samples(path)
                if all(images.shape == other.shape for other in drawn.values()):
                    drawn[step] = images
        if not drawn:
            return
        with record.aside():
            steps = sorted(drawn)
            picture = timeline(
                np.stack([drawn[step] for step in steps]),
                steps,
                row_labels=list(self.class_names[:GRID_CLASSES]) or None,
                caption=f"the same noise and class at each step; {weights_caption(self.config)}",
            )
            save_image(picture, self.folder / "timeline.png")
