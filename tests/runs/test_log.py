"""The log of a run: every line once, also after a crash."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sagan import Hook
from sagan.runs.folder import RunError
from sagan.runs.log import read_log, truncate_log
from sagan.runs.means import Means
from sagan.runs.train import train
from sagan.training.hooks import Record


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


WRONG = (
    '{"step": 1, "elapsed_s": "x"}',
    '{"step": 1, "loss_d": "low"}',
    '{"step": 1, "score/FID": true}',
    '{"step": 1, "gamma/G/8": "0.1"}',
    '{"step": 1, "health": "rolled back"}',
    '{"step": 1, "health": "rolled back", "from_step": "2", "because": "x"}',
    '{"step": 1, "health": 3}',
)
FINE = (
    '{"step": 1, "loss_d": "nan", "sigma/G": "-inf", "score/FID": null, "elapsed_s": 3}',
    '{"step": 1, "health": "rolled back", "from_step": 2, "because": "x", "rollbacks": 1, "lr_factor": 0.5}',
    '{"step": 1, "health": "collapse", "over": false, "mine": "words"}',
)


@pytest.mark.parametrize("line", WRONG)
def test_a_line_that_could_not_be_drawn_is_taken_out(tmp_path: Path, line: str, console: Console) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f"{one}\n" for one in (*FINE, line)))
    assert truncate_log(path, 2, console) == [json.loads(one) for one in FINE]
    assert (tmp_path / "log.jsonl.damaged").read_text() == f"{line}\n"
    assert "1 line(s) are damaged, first 4" in console.file.getvalue()
    assert "log.jsonl" in console.file.getvalue()


def test_the_clock_goes_on_from_the_last_time_that_is_one(tiny_state, engine) -> None:
    state, config = tiny_state()
    means = Means(SimpleNamespace(train=config), engine, {})
    lines = [{"step": 1, "elapsed_s": value} for value in (50.0, None, "nan", "inf")]
    means.on_start(Record(config, state, engine, history=lines))
    assert 50 <= time.monotonic() - means.started < 60


def test_a_log_that_grows_while_it_is_cut_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 9}\n')

    def read_then_grow(*arguments, **named):
        found = read_log(*arguments, **named)
        monkeypatch.setattr("sagan.reading.MAX_BYTES", 0)
        return found

    monkeypatch.setattr("sagan.runs.log.read_log", read_then_grow)
    with pytest.raises(RunError, match=r"log.jsonl cannot be read: it has more than 0 MiB"):
        truncate_log(path, 2)
