"""Ctrl-C that is not lost: a library whose import it breaks off may put an error of its own in its place."""

import signal
import threading
from collections.abc import Callable

INTERRUPTED = 128 + signal.SIGINT
"""The exit code of what Ctrl-C ended."""


def remember_interrupts() -> Callable[[], bool]:
    """Let SIGINT interrupt as Python does, and give what tells whether it came.

    Where something else is done with it, or outside the main thread, nothing changes, and it never tells.
    """
    came = False

    def handle(number: int, frame: object) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handle)
    return lambda: came
