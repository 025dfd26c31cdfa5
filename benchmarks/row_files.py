"""Files of many rows, a JSON object a line: appended to while a benchmark goes on, packed when its report is written.

`NAME.jsonl` is what is being appended to, `NAME.jsonl.gz` what was packed; both together are the rows.
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def packed(file: Path) -> Path:
    """Name the packed one of a file of rows."""
    return file.with_name(f"{file.name}.gz")


def read_rows(file: Path) -> list[Row]:
    """Read what was packed, then what was appended since; a line that was cut off is left out."""
    text = gzip.decompress(packed(file).read_bytes()).decode() if packed(file).exists() else ""
    text += file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def append_row(file: Path, row: Row) -> None:
    """Append a row."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(row) + "\n")


def pack_rows(file: Path, rows: Iterable[Row]) -> None:
    """Keep these rows, packed, and nothing else."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    new = file.with_suffix(".new")
    new.write_bytes(gzip.compress(text.encode(), mtime=0))
    new.replace(packed(file))
    file.unlink(missing_ok=True)
