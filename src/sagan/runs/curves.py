"""Two pictures of a whole run, drawn anew at each checkpoint: its curves, and its samples over time."""

from pathlib import Path

import numpy as np

from sagan.figures import save_image, timeline, training_curves
from sagan.recipes.config import RunConfig
from sagan.runs.samples import GRID_CLASSES, kept_samples, weights_caption
from sagan.training.hooks import Hook, Line, Record

TIMELINE_COLUMNS = 10


class Curves(Hook):
    """Draws curves.png from the log.

    Args:
        folder: The run folder.
        caption: What the curves are of.
    """

    def __init__(self, folder: Path, caption: str) -> None:
        self.folder, self.caption = folder, caption

    def on_save(self, record: Record) -> None:
        """Draw what there is."""
        if record.history:
            with record.aside():
                seen = events(record.history)
                caption = f"{self.caption}; dashed: {seen}" if seen else self.caption
                picture = training_curves(one_protocol(record.history), title=self.folder.name, caption=caption)
                save_image(picture, self.folder / "curves.png")


class Timeline(Hook):
    """Draws timeline.png from the samples that previews left.

    Args:
        config: The run.
        folder: The run folder.
        class_names: The classes of the rows.
    """

    def __init__(self, config: RunConfig, folder: Path, class_names: tuple[str, ...]) -> None:
        self.config, self.folder, self.class_names = config, folder, class_names

    def on_save(self, record: Record) -> None:
        """Draw up to ten of them, evenly over the run."""
        files = kept_samples(self.folder / "samples", record.step)
        if not files:
            return
        with record.aside():
            chosen = [files[i] for i in sorted({round(k) for k in np.linspace(0, len(files) - 1, TIMELINE_COLUMNS)})]
            picture = timeline(
                np.stack([np.load(path) for _, path in chosen]),
                [step for step, _ in chosen],
                row_labels=list(self.class_names[:GRID_CLASSES]) or None,
                caption=f"the same noise and class at each step; {weights_caption(self.config)}",
            )
            save_image(picture, self.folder / "timeline.png")


def events(lines: list[Line]) -> str:
    """Write what was found of a run's health, and its rollbacks, for a caption."""
    seen = [
        f"rolled back from step {line['from_step']:,} to {line['step']:,} ({line['because']})"
        if line["health"] == "rolled back"
        else f"{line['health']} at step {line['step']:,}"
        for line in lines
        if "health" in line and not line.get("over")
    ]
    return ", ".join(seen)


def one_protocol(lines: list[Line]) -> list[Line]:
    """Leave out scores that were made in another way than the latest ones."""
    latest = next((line["score_protocol"] for line in reversed(lines) if "score_protocol" in line), None)
    return [
        line
        if line.get("score_protocol") == latest
        else {key: value for key, value in line.items() if not key.startswith("score/")}
        for line in lines
    ]
