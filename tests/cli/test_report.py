"""``sagan report``: what it writes, and what cannot be right is refused before PyTorch is imported."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


def test_a_report_is_written(run: Run, digits_run: Path) -> None:
    code, out, _ = run("report", digits_run, "--out", "report.html")
    assert code == 0
    assert out.startswith("report.html: the report of ")
    text = Path("report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert 'id="looks-0"' in text


def test_what_cannot_be_right(run: Run, error: Mistake, tmp_path: Path) -> None:
    assert "--out must end in .html or .htm, found r.pdf" in error(run("report", tmp_path, "--out", "r.pdf"))
    assert "it has no log.jsonl" in error(run("report", tmp_path, "--out", "r.html"))
    assert "gone: no such run folder" in error(run("report", "gone", "--out", "r.html"))


def test_a_mistake_does_not_wait_for_pytorch() -> None:
    code = "import sys; from sagan.cli import main; main(['report', 'gone']); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
