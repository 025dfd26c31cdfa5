"""Batches read ahead: while a run trains on one, a thread reads the next ones. What they hold does not change by it."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sagan.data.batches import Batch, Batches

AHEAD = 2
"""Batches that are read before they are asked for."""


class Prefetched:
    """Batches as :class:`~sagan.data.batches.Batches` gives them; those after the last one asked for are read already.

    Only the thread touches ``batches``, so that calls never meet in it; use :func:`prefetched`.
    """

    def __init__(self, batches: Batches, pool: ThreadPoolExecutor, ahead: int) -> None:
        self._batches = batches
        self._pool = pool
        self._ahead = ahead
        self._waiting: dict[int, Future[Batch]] = {}

    def __call__(self, position: int) -> Batch:
        """Give what ``batches(position)`` gives."""
        wanted = range(position, position + self._ahead + 1)
        for place in set(self._waiting).difference(wanted):
            self._waiting.pop(place).cancel()
        for place in wanted:
            if place not in self._waiting:
                self._waiting[place] = self._pool.submit(self._batches, place)
        return self._waiting.pop(position).result()


@contextmanager
def prefetched(batches: Batches, ahead: int = AHEAD) -> Iterator[Batches | Prefetched]:
    """Give the batches read ahead in a thread that ends with the context.

    Pictures that are in memory already are given as they are: there is nothing to read.
    """
    if ahead < 1 or batches.dataset.resident is not None:
        yield batches
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        yield Prefetched(batches, pool, ahead)
    finally:
        pool.shutdown(cancel_futures=True)
