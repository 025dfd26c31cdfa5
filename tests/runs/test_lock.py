"""A run folder that another process trains in."""

from pathlib import Path

import pytest
from rich.console import Console

from sagan.runs.lock import run_lock
from sagan.runs.train import RunError, train


@pytest.mark.long("trains in a process of its own")
def test_a_run_folder_in_use_is_refused(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    train(tiny_full(2), out=out, console=console)
    with run_lock(out), pytest.raises(RunError, match="in use by another training process"):
        train(resume=out, console=console)
    train(resume=out, console=console)  # free again
