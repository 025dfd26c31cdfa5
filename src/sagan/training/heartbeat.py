"""A sign of life of each process of a run, so that the loss of one ends the others instead of leaving them waiting.

A process that ends closes its connections, which the others notice at once. One that stops answering - its machine
lost power, its network broke - closes nothing, and the others would wait for hours: a short limit on waiting is no way
out, since process 0 may well draw and measure for minutes. So each process counts up a number, in a thread of its own,
and watches the numbers of the others.
"""

import threading
from collections.abc import Callable
from datetime import timedelta

from torch import distributed

EVERY_S = 5.0
LOST_AFTER_S = 30.0


class Heartbeat:
    """Signs of life between processes.

    Args:
        rank: Number of this process.
        world_size: How many there are.
        host: Where process 0 is.
        port: Where process 0 listens; 0 on process 0 lets the system choose (see :attr:`port`).
        lost: What to do when a process is lost; it is told which, in the thread that watches.
        every_s: Seconds between signs.
        lost_after_s: Seconds without a sign after which a process counts as lost.
    """

    def __init__(
        self,
        rank: int,
        world_size: int,
        host: str,
        port: int,
        lost: Callable[[str], None],
        *,
        every_s: float = EVERY_S,
        lost_after_s: float = LOST_AFTER_S,
    ) -> None:
        self.rank, self.world_size = rank, world_size
        self.lost, self.every_s, self.lost_after_s = lost, every_s, lost_after_s
        self._store = distributed.TCPStore(  # type: ignore[attr-defined]
            host, port, is_master=rank == 0, wait_for_workers=False, timeout=timedelta(seconds=lost_after_s)
        )
        self.port: int = self._store.port
        # Of each process its number, and how many own signs ago that was new.
        self._seen: dict[int, tuple[int, int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to give signs and to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End both, before the processes part."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self) -> str | None:
        """Give a sign of life, and say which process has given none for too long, if one has.

        Time is counted in own signs: a process that was halted itself does not find the others lost when it goes on.
        """
        try:
            self._store.add(str(self.rank), 1)
            # Adding 0 reads, and makes the number of a process that has not begun yet.
            counts = {rank: self._store.add(str(rank), 0) for rank in range(self.world_size)}
        except RuntimeError:
            return "process 0 no longer answers"
        for rank, count in counts.items():
            before, missed = self._seen.get(rank, (None, 0))
            missed = missed + 1 if count == before else 0
            if missed * self.every_s >= self.lost_after_s:
                return f"process {rank} has given no sign of life for {missed * self.every_s:.0f} s"
            self._seen[rank] = count, missed
        return None

    def _run(self) -> None:
        while not self._stopped.wait(self.every_s):
            what = self.beat()
            if what is not None and not self._stopped.is_set():
                self.lost(what)
                return
