"""The curves of a whole run, drawn anew at checkpoints and at the end."""

import time
from pathlib import Path

from sagan.figures import save_image, training_curves
from sagan.reading import whatever_happens
from sagan.runs.folder import place_of
from sagan.runs.log import ROLLED_BACK
from sagan.training.hooks import Hook, Line, Record

SHARE = 0.03
"""Of the time of a run, how much may go into drawing before it ends."""


class Curves(Hook):
    """Draws curves.png from the log: at a checkpoint unless the last drawing was just before, and at the end.

    Args:
        folder: The run folder.
        caption: What the curves are of.
    """

    may_fail = True

    def __init__(self, folder: Path, caption: str) -> None:
        self.folder, self.caption = folder, caption
        self.drawn = 0
        """How many lines of the log are drawn."""
        self.again_at_s = 0.0
        self.place: tuple[int, int] | None = None
        """Which folder it is, whatever has its name later."""

    def on_start(self, record: Record) -> None:
        """After a rollback lines are others than those that were drawn."""
        self.drawn, self.place = 0, place_of(self.folder)

    def on_save(self, record: Record) -> None:
        """Draw what there is, if it is time."""
        if time.monotonic() >= self.again_at_s:
            self.draw(record)

    def on_end(self, record: Record) -> None:
        """Draw what came since, unless the folder was removed or moved."""
        if len(record.history) != self.drawn and place_of(self.folder) == self.place:
            self.draw(record)

    def draw(self, record: Record) -> None:
        """Draw the whole log, if there is anything in it but words.

        Raises:
            OSError: If it cannot be drawn, for whatever reason: a picture shall not end a run.
        """
        if not any("loss_d" in line for line in record.history):
            return
        start, file = time.monotonic(), self.folder / "curves.png"
        try:
            with record.aside(), whatever_happens(lambda why: OSError(f"{file} could not be drawn ({why})")):
                seen = events(record.history)
                caption = f"{self.caption}; dashed: {seen}" if seen else self.caption
                picture = training_curves(one_protocol(record.history), title=self.folder.name, caption=caption)
                save_image(picture, file)
            self.drawn = len(record.history)
        finally:
            now = time.monotonic()
            self.again_at_s = now + (now - start) / SHARE


def events(lines: list[Line]) -> str:
    """Write what was found of a run's health, and its rollbacks, for a caption."""
    seen = [
        f"rolled back from step {line['from_step']:,} to {line['step']:,} ({line['because']})"
        if line["health"] == ROLLED_BACK
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
