"""Standard streams that end nothing: words that cannot be written are lost, and one that is closed takes them all."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

GONE = (errno.EPIPE, errno.EIO)
"""What writing gives once nobody reads: the other end of a pipe, or a terminal, is gone."""


class Lasting:
    """A stream that takes words also where they cannot be written.

    Those that nobody reads any more, as `tee` or a terminal that is gone, are lost, and all that follow. Those that a
    full disk does not take are lost until it does again.

    Args:
        stream: Where they go as long as they can.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with self._losing():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits, or lose it."""
        with self._losing():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in GONE:
                return
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextmanager
def words_may_be_lost() -> Iterator[None]:
    """Inside the context let words on standard error vanish that cannot be written; a run is worth more than they."""
    before = sys.stderr
    sys.stderr = Lasting(before)
    try:
        yield
    finally:
        sys.stderr = before


def own_streams() -> None:
    """Make the standard streams of a process of ours ones that end nothing.

    Closed ones (`>&-`) get a place where words vanish: otherwise the next file that is opened would be the one that
    they go to. A terminal that cannot write a name shows its number instead. What standard error does not take is lost
    until the process ends; results on standard output are not.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
            setattr(sys, name, stream)
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
    sys.stderr = Lasting(sys.stderr)
