"""The folder of a run: never overwritten, with room on the disk, and with the latest wishes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from sagan.generators.pretrained import read_snapshot
from sagan.recipes.build import build
from sagan.recipes.config import from_json
from sagan.runs.folder import LOCK, check_space, make_empty
from sagan.runs.train import RunError, train


def test_an_existing_run_is_never_overwritten(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    train(tiny_full(2), out=out, console=console)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(RunError, match="holds a run already"):
        train(tiny_full(2), out=out, console=console)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        train(tiny_full(2), out=other, console=console)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_run_that_goes_on_removes_what_was_being_written(tmp_path: Path, console: Console, tiny) -> None:
    out = tmp_path / "run"
    train(tiny(2, sample_every=2), out=out, console=console)
    hidden = [
        out / ".config.json.77.tmp",
        out / "samples" / ".step-00000002.png.77.tmp",
        out / "checkpoints" / ".a.tmp",
    ]
    for path in hidden:
        path.touch()
    (out / ".mine").touch()
    train(tiny(4, sample_every=2), resume=out, console=console)
    assert not any(path.exists() for path in hidden)
    assert (out / ".mine").exists()


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_too_little_disk_is_told_before_the_start(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch, tiny_full
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(RunError, match=r"need .* MB and .* has 0 MB free"):
        train(tiny_full(2), out=tmp_path / "run", console=console)


@pytest.mark.long("trains and resumes")
def test_a_checkpoint_is_as_large_as_announced(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    config = tiny_full(2)
    config = replace(
        config,
        generator=replace(config.generator, base_width=16),
        discriminator=replace(config.discriminator, base_width=32),
    )
    train(config, out=out, console=console)
    snapshot = read_snapshot(out)
    networks = build(snapshot.config).state
    real = snapshot.path.stat().st_size
    assert 0.9 < networks.num_bytes() / real < 1.1
    check_space(out, networks, snapshot.config.train, console)


@pytest.mark.long("trains and resumes")
def test_a_resumed_run_keeps_the_latest_wishes(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    train(tiny_full(2), out=out, console=console)
    with pytest.raises(RunError, match="is at step 2 already"):
        train(tiny_full(1), resume=out, console=console)
    assert from_json((out / "config.json").read_text()).train.total_steps == 2
    config = json.loads((out / "config.json").read_text())
    config["train"]["total_steps"] = 5  # asked for, and killed before the next checkpoint could hold it
    (out / "config.json").write_text(json.dumps(config))
    assert train(resume=out, console=console).step == 5


# What a run writes before its first checkpoint, in order; a hidden one is half of the next.
START = (
    LOCK,
    ".config.json.17.tmp",
    "config.json",
    ".classes.txt.17.tmp",
    "classes.txt",
    "log.jsonl",
    "tensorboard/events.out.tfevents.1.here.17.0",
    "checkpoints/.step-00000000.pt.17.tmp",
)


def start_of(folder: Path, count: int) -> None:
    for name in START[:count]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


@pytest.mark.parametrize("count", range(len(START) + 1))
def test_a_start_that_was_killed_before_it_saved_can_start_again(tmp_path: Path, count: int) -> None:
    start_of(tmp_path, count)
    make_empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ([LOCK] if count else [])


@pytest.mark.parametrize(
    "more", ["checkpoints/step-00000000.pt", "checkpoints/best.pt", "generator.safetensors", "x.txt"]
)
@pytest.mark.parametrize("count", [0, 3, len(START)])
def test_what_is_more_than_a_start_is_left_alone(tmp_path: Path, count: int, more: str) -> None:
    start_of(tmp_path, count)
    (tmp_path / more).parent.mkdir(exist_ok=True)
    (tmp_path / more).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match="holds a run already" if count else "not empty"):
        make_empty(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_to_resume_is_said_with_what_to_do(tmp_path: Path, console: Console) -> None:
    start_of(tmp_path, len(START))
    with pytest.raises(RunError, match=r"was started and has saved nothing yet, .*with --out "):
        train(resume=tmp_path, console=console)
