"""Files of judgements, as `quality.py` and `few.py` keep them: a line of JSON each, added when it is made."""

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]
TOLERANCE = 1e-6


def read_rows(file: Path) -> list[Row]:
    """Read the judgements so far; a line that was cut off does not count."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def add_row(file: Path, row: Row) -> None:
    """Append a judgement."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")


def same_seconds(a: float, b: float) -> bool:
    """Tell whether two points, or two budgets, are the same but for rounding."""
    return abs(a - b) < TOLERANCE
