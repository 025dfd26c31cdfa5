"""The log of a run: every line once, also after a crash."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from sagan import Hook
from sagan.runs.log import truncate_log
from sagan.runs.train import train


@pytest.mark.long("trains and resumes")
def test_resume_after_a_crash_repeats_no_log_line(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    train(tiny_full(6), out=out, console=console)
    # As if killed at step 9 with the last checkpoint at step 6 and a half-written line.
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 8, "loss_d": 99.0}\n{"step": 9, "los')
    train(tiny_full(10), resume=out, console=console)
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [r["step"] for r in records if "loss_d" in r]
    assert steps == [2, 4, 6, 8, 10]
    assert 99.0 not in [r.get("loss_d") for r in records]


def test_truncate_log_leaves_a_whole_log_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert [r["step"] for r in truncate_log(path, 2)] == [1, 2]
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert truncate_log(tmp_path / "none.jsonl", 5) == []


def test_the_log_is_written_by_its_hook_line_for_line(tmp_path, run, tiny):
    seen = []

    class Lines(Hook):
        def on_line(self, record, line):
            seen.append(dict(line))

    run(tiny(4, sample_every=2), tmp_path / "run", hooks=[Lines()])
    first, *lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(first) == {"step": 0, "sagan_log": 2}
    assert seen == [json.loads(line) for line in lines]
    assert ["loss_d" in line for line in seen] == [True, False, True, False]
    assert "variety/within" in seen[1]
