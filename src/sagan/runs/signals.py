"""What Ctrl-C does, and SIGTERM: the step is finished and saved; a second Ctrl-C leaves at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


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
