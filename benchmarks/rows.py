"""Files of rows, as benchmarks keep them: a JSON object a line, added when it is made, and packed where there are many.

`NAME.jsonl` is added to; `NAME.jsonl.gz` is what was packed when a report was written. Both together are the rows.
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
TOLERANCE = 1e-6


def packed(file: Path) -> Path:
    """Name the packed one of a file of rows."""
    return file.with_name(f"{file.name}.gz")


def read_rows(file: Path) -> list[Row]:
    """Read what was packed, then what was added since; a line that was cut off does not count."""
    text = gzip.decompress(packed(file).read_bytes()).decode() if packed(file).exists() else ""
    text += file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def add_row(file: Path, row: Row) -> None:
    """Add a row."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")


def pack_rows(file: Path, rows: Iterable[Row]) -> None:
    """Keep these rows, packed, and nothing else."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    new = file.with_suffix(".new")
    new.write_bytes(gzip.compress(text.encode(), mtime=0))
    new.replace(packed(file))
    file.unlink(missing_ok=True)


def same_seconds(a: float, b: float) -> bool:
    """Tell whether two points, or two budgets, are the same but for rounding."""
    return abs(a - b) < TOLERANCE
