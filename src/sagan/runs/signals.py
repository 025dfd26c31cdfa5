"""What Ctrl-C does, and SIGTERM: the step is finished and saved; a second Ctrl-C leaves at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

PARENT = "SAGAN_PARENT"
"""The variable that tells a process which one started it, and that it is not to go on without that one."""
LOOK_EVERY_S = 1.0


@contextmanager
def stop_signals(console: Console) -> Iterator[Callable[[], int]]:
    """Take SIGINT and SIGTERM while training, and give what tells which of them came: its number, or 0.

    The loop asks before each step, and the processes of a run agree there: all stop after the same step, wherever the
    signal came. A second SIGINT interrupts at once. Outside the main thread, where Python gives no signals, none is
    taken.
    """
    received = 0

    def handle(number: int, _: object) -> None:
        nonlocal received
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received = number
        console.print("finishing the step and saving (Ctrl-C again leaves without saving) ...")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Have this process get SIGTERM once the one has ended that started it, if that one wants it so.

    Who starts the processes of a run or the rows of a sweep passes signals on to them. Killed itself it cannot; they
    would train on unseen and hold their folders.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None or os.name == "nt":  # where the number of a parent stays that has ended
        return
    threading.Thread(target=_watch, args=(int(parent),), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
