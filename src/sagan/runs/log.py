"""The log of a run: log.jsonl, one record a line.

The first line gives the number of its form, ``{"step": 0, "sagan_log": 2}``; logs without it are of version 1.
"""

import io
import json
import math
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from sagan.places import could_not_write
from sagan.reading import NOT_FINITE, BytesError, check_version, lines_of, read_bytes, read_named
from sagan.regular import not_through_a_link
from sagan.runs.folder import RunError, place_of, write_text
from sagan.training.hooks import Hook, Line, Record

LOG = "log.jsonl"
FORM, FORMAT_VERSION = "sagan_log", 2
NUMBERS = (
    *("loss_", "real_logits", "fake_logits", "trained_logits", "heldout_logits", "gamma/", "variety/", "sigma/"),
    *("images_per_s", "score/", "elapsed_s", "overfitting/"),
)
"""What keys begin with that curves and times are drawn from."""
ROLLED_BACK = "rolled back"
LEFT_OUT = "log.jsonl.damaged"
"""Where lines go that are no records."""


class Log(Hook):
    """Writes every line, and keeps what a rollback takes out. A line that cannot be written waits for the next one.

    Args:
        folder: The run folder.
        console: Where to say what is wrong with a log that is gone on with.
    """

    may_fail = True

    def __init__(self, folder: Path, console: Console | None = None) -> None:
        self.folder, self.console = folder, console or Console(quiet=True)
        self.file: io.FileIO | None = None
        self.pending = b""
        """What is still to be written: where the disk was full it goes out with the next line."""
        self.place: tuple[int, int] | None = None
        """Which folder it is, whatever has its name later."""

    def on_start(self, record: Record) -> None:
        """Cut off the lines of steps that will be done again; after a rollback they go into a file of their own."""
        path = self.folder / LOG
        if self.file is not None:
            with suppress(OSError), closing(self.file):
                self._write_out()
            self.pending = b""  # the file is read anew, and half a line is taken out of it
            cut = [line for line in record.history if int(str(line["step"])) > record.step]
            text = "".join(as_json(line) for line in cut)
            write_text(self.folder / f"rolled-back-{record.state.rollbacks}.jsonl", text)
        record.history[:] = truncate_log(path, record.step, self.console)
        self.file, self.place = io.FileIO(path, "a", opener=not_through_a_link), place_of(self.folder)
        if not path.stat().st_size:
            self._write({"step": 0, FORM: FORMAT_VERSION})

    def on_step(self, record: Record) -> None:
        """End the run if its folder is gone: nothing of it could be saved any more.

        Raises:
            RunError: If it is.
        """
        if place_of(self.folder) != self.place:
            raise RunError(
                f"{self.folder} was removed or moved while the run trained, so it ended after step {record.step:,}: "
                "nothing could be saved there. Where the folder is whole, `sagan train --resume` goes on in it"
            )

    def on_save(self, record: Record) -> None:
        """Look as after a step: a checkpoint would make a new folder."""
        self.on_step(record)

    def on_line(self, record: Record, line: Line) -> None:
        """Append a line."""
        record.history.append(line)
        self._write(line)

    def on_end(self, record: Record) -> None:
        """Close the file, with all that is to be written."""
        if self.file is not None:
            with closing(self.file):
                self._write_out()

    def _write(self, line: Line) -> None:
        self.pending += as_json(line).encode()
        self._write_out()

    def _write_out(self) -> None:
        assert self.file is not None
        try:
            while self.pending:
                self.pending = self.pending[self.file.write(self.pending) :]
        except OSError as error:
            raise could_not_write(self.folder / LOG, error) from error


class Read(NamedTuple):
    """What a log holds."""

    records: list[dict[str, Any]]
    """Its lines, without the one that gives the number of its form."""
    damaged: list[int]
    """Numbers, from 1, of the lines that are no records."""


def read_log(path: Path, *, fine: Callable[[dict[str, Any]], bool] = lambda _: True) -> Read:
    """Read a log; one that is not there holds nothing.

    Args:
        path: The file.
        fine: Tells which of its lines are records beyond their having a step and plain values.

    Raises:
        ValueError: If it is of a newer version, or too long to be a log.
        OSError: If it cannot be read.
    """
    try:
        read = lines_of(read_bytes(path), lambda record: _is_line(record) and fine(record))
    except FileNotFoundError:
        return Read([], [])
    except BytesError as error:
        raise ValueError(f"{path} cannot be read as a log: {error}") from error
    for record in read.records:
        if FORM in record:
            check_version(record[FORM], FORMAT_VERSION, f"the log {path}")
    return Read([record for record in read.records if FORM not in record], read.damaged)


def _is_line(record: dict[str, Any]) -> bool:
    step = record.get("step")
    plain = all(value is None or isinstance(value, (bool, int, float, str)) for value in record.values())
    return type(step) is int and step >= 0 and plain


def can_be_drawn(record: dict[str, Any]) -> bool:
    """Tell whether numbers of a line are numbers, and what it says of a run's health is what is said of it."""
    drawn = all(_is_number(value) for key, value in record.items() if key.startswith(NUMBERS))
    return drawn and _is_finding(record)


def _is_number(value: object) -> bool:
    """Tell whether curves can be drawn of a value; None counts as absent."""
    return value is None or type(value) in (int, float) or value in NOT_FINITE


def _is_finding(record: dict[str, Any]) -> bool:
    """Tell whether what a line says of a run's health, if it does, is what is said of it."""
    what = record.get("health", "")
    went_back = type(record.get("from_step")) is int and isinstance(record.get("because"), str)
    return isinstance(what, str) and (what != ROLLED_BACK or went_back)


def as_json(line: Line) -> str:
    """Write a line; numbers that are not finite become strings, for strict JSON has none of them."""
    finite = {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in line.items()}
    return json.dumps(finite) + "\n"


def truncate_log(path: Path, step: int, console: Console | None = None) -> list[Line]:
    """Read a run's log up to a step and cut off what lies beyond it: lines of steps that will be done again.

    Lines that are no record, as one that a crash cut short, or that cannot be drawn, are taken out, too, which is said;
    they are kept beside it.
    The file is replaced in one move.

    Raises:
        RunError: If it is of a newer version, or too long to be a log.
    """
    try:
        read = read_log(path, fine=can_be_drawn)
        kept: list[Line] = [record for record in read.records if record["step"] <= step]
        if len(kept) == len(read.records) and not read.damaged:
            return kept
        lines = read_named(path).split(b"\n")
    except ValueError as error:
        raise RunError(str(error)) from error
    if read.damaged:
        _take_out(path, lines, read.damaged, console or Console(quiet=True))
    first = lines[0].decode("utf-8", "replace")
    records = "".join(json.dumps(line) + "\n" for line in kept)
    write_text(path, f"{first.rstrip()}\n{records}" if FORM in first else records)
    return kept


def _take_out(path: Path, lines: list[bytes], numbers: list[int], console: Console) -> None:
    with open(path.with_name(LEFT_OUT), "ab", opener=not_through_a_link) as file:
        file.writelines(lines[number - 1] + b"\n" for number in numbers)
    cut_short = numbers == [len(lines)]
    which = (
        "its last line was cut short" if cut_short else f"{len(numbers):,} line(s) are damaged, first {numbers[0]:,}"
    )
    console.print(f"note: {path}: {which}; the log goes on without, what stood there is in {LEFT_OUT}", highlight=False)
