"""One computation at a time, and of what is asked in a row only the newest: a page that is dragged about asks a lot."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

A = TypeVar("A")

MAX_LANES = 256
MAX_WAITING = 32


class StaleError(Exception):
    """Something newer was asked meanwhile, so that nobody waits for this any more."""


class BusyError(Exception):
    """Too much is waiting already."""


class Turn:
    """The place of an ask in its lane.

    Args:
        number: Which one it is, of all.
        newest: The newest of the lane.
    """

    def __init__(self, number: int, newest: Callable[[], int]) -> None:
        self.number, self._newest = number, newest

    def check(self, *_: object) -> None:
        """End a computation between two of its parts, if it is stale.

        Raises:
            StaleError: If it is.
        """
        if self._newest() != self.number:
            raise StaleError


class Newest:
    """The queue before the networks. A lane is what replaces itself, e.g. the samples of one open page."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._lanes: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.Lock()
        self._count = 0
        self._waiting = 0

    async def run(self, lane: str, work: Callable[[Turn], A]) -> A:
        """Run ``work`` in a thread when it is its turn.

        Raises:
            StaleError: If something newer came into the lane before or, where work checks its turn, while it ran.
            BusyError: If too much is waiting.
        """
        if self._waiting >= MAX_WAITING:
            raise BusyError
        turn = self._enter(lane)
        self._waiting += 1
        try:
            async with self._lock:
                turn.check()
                return await run_in_threadpool(work, turn)
        finally:
            self._waiting -= 1

    def _enter(self, lane: str) -> Turn:
        with self._guard:
            self._count += 1
            self._lanes[lane] = self._count
            self._lanes.move_to_end(lane)
            while len(self._lanes) > MAX_LANES:
                self._lanes.popitem(last=False)
        return Turn(self._count, lambda: self._lanes.get(lane, self._count))
