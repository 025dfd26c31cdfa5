"""The log of a run: log.jsonl, one record a line."""

import json
import math
from pathlib import Path
from typing import TextIO

from sagan.runs.folder import write_text
from sagan.training.hooks import Hook, Line, Record


class Log(Hook):
    """Writes every line, and keeps what a rollback takes out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file: TextIO | None = None

    def on_start(self, record: Record) -> None:
        """Cut off the lines of steps that will be done again; after a rollback they go into a file of their own."""
        path = self.folder / "log.jsonl"
        if self.file is not None:
            self.file.close()
            cut = [line for line in record.history if int(str(line["step"])) > record.step]
            text = "".join(as_json(line) for line in cut)
            write_text(self.folder / f"rolled-back-{record.state.rollbacks}.jsonl", text)
        record.history[:] = truncate_log(path, record.step)
        self.file = path.open("a", encoding="utf-8")

    def on_line(self, record: Record, line: Line) -> None:
        """Append a line."""
        assert self.file is not None
        record.history.append(line)
        self.file.write(as_json(line))
        self.file.flush()

    def on_end(self, record: Record) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


def as_json(line: Line) -> str:
    """Write a line; numbers that are not finite become strings, for strict JSON has none of them."""
    finite = {k: v if not isinstance(v, float) or math.isfinite(v) else str(v) for k, v in line.items()}
    return json.dumps(finite) + "\n"


def truncate_log(path: Path, step: int) -> list[Line]:
    """Read a run's log up to a step and cut off what lies beyond it: lines of steps that will be done again.

    Lines that are no record, as one that a crash cut short, are dropped too. The file is replaced in one move.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept: list[Line] = []
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and record["step"] <= step:
            kept.append(record)
    if len(kept) != len(lines):
        write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
    return kept
