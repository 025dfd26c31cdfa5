"""The log and the pictures of a run for TensorBoard."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from sagan.reading import reason
from sagan.training.hooks import Hook, Line, Record


class Board(Hook):
    """Writes numbers and pictures into the run's folder ``tensorboard``.

    A disk that takes no more of them does not end the run, whose log has the numbers; it is said once.

    Args:
        folder: The run folder.
        console: Where to say that nothing more can be written.
    """

    def __init__(self, folder: Path, console: Console | None = None) -> None:
        self.folder, self.console = folder, console or Console(quiet=True)
        self.writer: SummaryWriter | None = None
        self.hook_before: Callable[[threading.ExceptHookArgs], object] | None = None

    def on_start(self, record: Record) -> None:
        """Open a file whose first entry hides what was written of steps that will be done again."""
        self.on_end(record)
        self.hook_before, threading.excepthook = threading.excepthook, self._in_a_thread
        with self._writing():
            self.writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=record.step + 1)

    def on_line(self, record: Record, line: Line) -> None:
        """Write the numbers of a line."""
        if self.writer is None or "health" in line:
            return
        with self._writing():
            for key, value in line.items():
                if isinstance(value, float):
                    self.writer.add_scalar(key, value, int(str(line["step"])))

    def on_step(self, record: Record) -> None:
        """Write the pictures that were drawn."""
        if self.writer is None:
            return
        with self._writing():
            for name, picture in record.pictures.items():
                self.writer.add_image(name, picture, record.step, dataformats="HWC")

    def on_end(self, record: Record) -> None:
        """Close the file."""
        if self.writer is not None:
            with self._writing():
                self.writer.close()
        self.writer = None
        if self.hook_before is not None:
            threading.excepthook, self.hook_before = self.hook_before, None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.writer = None
            self.console.print(f"note: nothing more goes to {self.folder / 'tensorboard'} ({reason(error)})")

    def _in_a_thread(self, args: threading.ExceptHookArgs) -> None:
        """Leave out the traceback of TensorBoard's own thread: the next call that writes raises the same error."""
        if isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard."):
            return
        (self.hook_before or threading.__excepthook__)(args)
