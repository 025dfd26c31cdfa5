"""What Ctrl-C does, SIGTERM, and a closed terminal: the step is finished and saved; a second Ctrl-C leaves at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from sagan.streams import words_may_be_lost

PARENT = "SAGAN_PARENT"
"""The variable that tells a process which one started it, and that it is not to go on without that one."""
LOOK_EVERY_S = 1.0
HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # unknown to Windows


@contextmanager
def stop_signals(console: Console) -> Iterator[Callable[[], int]]:
    """Take SIGINT, SIGTERM and SIGHUP while training, and give what tells which of them came: its number, or 0.

    A terminal that is closed sends SIGHUP and takes no words any more; where `nohup` has it ignored it stays so.

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
        silence(terminals)  # also where another signal tells that they are gone
        console.print("finishing the step and saving (Ctrl-C again leaves without saving) ...")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    terminals = [stream for stream in (1, 2) if os.isatty(stream)]
    old = {number: signal.signal(number, handle) for number in stopping()}
    try:
        with words_may_be_lost():
            yield lambda: received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def stopping() -> list[signal.Signals]:
    """List the signals that end what trains, saved: SIGINT, SIGTERM and SIGHUP, but for those that are ignored.

    `nohup` has SIGHUP ignored, and a script SIGINT by what it starts in the background: Ctrl-C is for the script then.
    """
    taken = (signal.SIGINT, signal.SIGTERM, HANG_UP)
    heard = (signal.SIGTERM, *(one for one in taken if one and signal.getsignal(one) is not signal.SIG_IGN))
    return [one for one in taken if one in heard]


def silence(terminals: Sequence[int]) -> None:
    """Let what is written to terminals that are gone vanish: whoever writes there would fail.

    Args:
        terminals: Descriptors that were terminals.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in terminals:
        if not os.isatty(stream):  # which one that was closed is no more
            os.dup2(nowhere, stream)
    os.close(nowhere)


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
