"""Work on many pictures at once, results in order, with a progress bar.

Threads, not processes: Pillow decodes and resizes without holding Python's lock, so threads measured as fast as
processes, and they need no start-up time, no copies, and no ``__main__`` guard in a user's script.
"""

import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32
# Seconds between the lines that say how far it is where there is no terminal.
LINE_EVERY_S = 5.0


def cores() -> int:
    """Give the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LineProgress(Progress):
    """What stands in for a progress bar where there is no terminal: a plain line every few seconds.

    Args:
        in_bytes: Whether bytes are counted.
        clock: Gives the time in seconds.
    """

    def __init__(self, *, in_bytes: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console=Console(stderr=True), disable=True, get_time=clock)
        self._in_bytes = in_bytes
        self._said_at = clock()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Count further."""
        super().advance(task_id, advance)
        self._say(self.tasks[task_id])

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change the count or the description; see :meth:`rich.progress.Progress.update`."""
        super().update(task_id, **changes)
        self._say(self.tasks[task_id])

    def _say(self, task: Task) -> None:
        now = self.get_time()
        if now - self._said_at < LINE_EVERY_S:
            return
        self._said_at = now
        scale, unit = (1e6, " MB") if self._in_bytes else (1.0, "")
        total = "" if task.total is None else f" of {task.total / scale:,.0f}"
        left = task.time_remaining
        time_left = "" if left is None else f", {timedelta(seconds=round(left))} left"
        print(f"{task.description}: {task.completed / scale:,.0f}{total}{unit}{time_left}", file=sys.stderr, flush=True)


def progress_bar(progress: bool, *, in_bytes: bool = False) -> Progress:
    """Make a progress bar on standard error with a count and the time left; ``progress=False`` shows nothing.

    Where standard error is no terminal, it is a plain line every :data:`LINE_EVERY_S` seconds.
    """
    console = Console(stderr=True)
    if progress and not console.is_terminal:
        return LineProgress(in_bytes=in_bytes)
    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not progress)


@contextmanager
def counted(
    description: str, total: int, progress: bool, *, done: int = 0, in_bytes: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while the context lasts; it gives the function that counts further."""
    with progress_bar(progress, in_bytes=in_bytes) as bar:
        task = bar.add_task(description, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    consume: Callable[[list[Result]], None],
    advance: Callable[[int], None],
    *,
    workers: int | None = None,
) -> None:
    """Apply ``function`` to all items on all cores; hand lists of results to ``consume`` in the order of the items.

    ``consume`` runs in the calling thread, ``advance`` after it with the length of its list. Only a few lists exist at
    a time, however slow it is. The first exception of any of the functions ends the work.
    """
    workers = workers or cores()

    def work(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + CHUNK]]

    waiting: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(workers) as pool, warnings.catch_warnings():
        # Pillow warns of what is reported here as a reason or a count: huge pictures, broken EXIF, odd palettes.
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            for start in range(0, len(items), CHUNK):
                waiting.append(pool.submit(work, start))
                while waiting and (len(waiting) > 2 * workers or start + CHUNK >= len(items)):
                    results = waiting.popleft().result()
                    consume(results)
                    advance(len(results))
        finally:
            for future in waiting:
                future.cancel()
