"""Work on many pictures at once, results in order, with a progress bar.

Threads, not processes: Pillow decodes and resizes without holding Python's lock, so threads measured as fast as
processes, and they need no start-up time, no copies, and no ``__main__`` guard in a user's script.
"""

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sagan.data.progress_lines import ProgressLines

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 32


def cores() -> int:
    """Give the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def progress_bar(progress: bool, *, in_bytes: bool = False, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Make a progress bar on standard error with a count and the time left.

    Where standard error is no terminal, it says a line every few seconds instead.

    Args:
        progress: False shows nothing.
        in_bytes: Whether it counts bytes.
        clock: Gives the time in seconds.
    """
    console = Console(stderr=True, quiet=not progress)  # Rich before 14.3 ends a disabled bar with an empty line
    if progress and not console.is_terminal:
        return ProgressLines(console, in_bytes=in_bytes, clock=clock)
    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not progress, get_time=clock)


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
    workers = cores() if workers is None else workers

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
