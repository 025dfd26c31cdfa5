"""After the last step: what was left undone is done by resuming."""

import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from sagan import Hook
from sagan.generators.pretrained import load
from sagan.runs.train import train


@pytest.mark.long("trains and resumes")
def test_a_signal_after_the_last_step_leaves_the_rest_to_resuming(tmp_path: Path, console: Console, tiny) -> None:
    class AtTheEnd(Hook):
        def on_end(self, record):
            signal.raise_signal(signal.SIGTERM)

    result = train(tiny(2), out=tmp_path / "run", console=console, hooks=[AtTheEnd()])
    assert (result.step, result.finished, result.signal) == (2, False, signal.SIGTERM)
    said = console.file.getvalue()
    assert "stopped at step 2, saved. To write generator.safetensors, after all steps:" in said
    assert not (tmp_path / "run" / "generator.safetensors").exists()
    assert train(resume=tmp_path / "run", console=console).finished
    end = console.file.getvalue().removeprefix(said)
    assert "run has curves.png, attention.png, checkpoints/ and generator.safetensors" in " ".join(end.split())


@pytest.mark.long("trains and resumes")
def test_what_an_interruption_left_undone_at_the_end_is_done_by_resuming(
    tmp_path: Path, console: Console, tiny_full
) -> None:
    out = tmp_path / "run"
    train(tiny_full(4), out=out, console=console)
    timeline = (out / "timeline.png").read_bytes()
    for name in ("generator.safetensors", "attention.png", "curves.png"):
        (out / name).unlink()
    (out / "timeline.png").write_bytes(b"of an earlier checkpoint")
    os.utime(out / "timeline.png", (0, 0))
    assert train(resume=out, console=console).finished
    assert all(f"sagan {verb} {out}" in console.file.getvalue() for verb in ("sample", "attention", "studio"))
    assert load(out / "generator.safetensors").provenance["step"] == 4
    assert (out / "attention.png").exists() and (out / "curves.png").exists()
    assert (out / "timeline.png").read_bytes() == timeline
