"""The log and the pictures of a run for TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from sagan.training.hooks import Hook, Line, Record


class Board(Hook):
    """Writes numbers and pictures into the run's folder ``tensorboard``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: SummaryWriter | None = None

    def on_start(self, record: Record) -> None:
        """Open a file whose first entry hides what was written of steps that will be done again."""
        self.on_end(record)
        self.writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=record.step + 1)

    def on_line(self, record: Record, line: Line) -> None:
        """Write the numbers of a line."""
        assert self.writer is not None
        for key, value in line.items():
            if isinstance(value, float) and "health" not in line:
                self.writer.add_scalar(key, value, int(str(line["step"])))

    def on_step(self, record: Record) -> None:
        """Write the pictures that were drawn."""
        assert self.writer is not None
        for name, picture in record.pictures.items():
            self.writer.add_image(name, picture, record.step, dataformats="HWC")

    def on_end(self, record: Record) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
