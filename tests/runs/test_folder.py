"""The folder of a run: never overwritten, with room on the disk, and with the latest wishes."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from sagan.generators.pretrained import read_snapshot
from sagan.recipes.build import build
from sagan.recipes.config import RunConfig, from_json, to_json
from sagan.runs.folder import LOCK, check_inside, check_space, make_empty
from sagan.runs.lock import run_lock
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


def start_of(folder: Path, count: int, config: RunConfig) -> None:
    for name in START[:count]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(to_json(config) if name == "config.json" else "x")


@pytest.mark.parametrize("count", range(len(START) + 1))
def test_a_start_that_was_killed_before_it_saved_can_start_again(tmp_path: Path, count: int, tiny) -> None:
    start_of(tmp_path, count, tiny(2))
    make_empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ([LOCK] if count else [])


@pytest.mark.parametrize(
    "more",
    [
        "checkpoints/step-00000000.pt",
        "checkpoints/best.pt",
        "checkpoints/.mine.tmp",
        "tensorboard/events.2019",
        "tensorboard/mine/events.out.tfevents.1",
        ".thesis.txt.17.tmp",
        "generator.safetensors",
        "x.txt",
    ],
)
@pytest.mark.parametrize("count", [0, 3, len(START)])
def test_what_is_more_than_a_start_is_left_alone(tmp_path: Path, count: int, more: str, tiny) -> None:
    start_of(tmp_path, count, tiny(2))
    (tmp_path / more).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / more).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match="holds a run already" if count else "not empty"):
        make_empty(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


# What looks like a start and is none: what is written into the whole start, and whether it was held before.
NO_START = {
    "no lock": (lambda folder: (folder / LOCK).unlink(), True),
    "never held": (lambda folder: None, False),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), True),
    "another's configuration": (lambda folder: (folder / "config.json").write_text('{"name": "mine"}'), True),
    "a configuration without its number": (lambda folder: without_a_number(folder / "config.json"), True),
    "a folder of that name": (lambda folder: as_a_folder(folder / "classes.txt"), True),
    "a link to a log": (lambda folder: linked(folder / "log.jsonl"), True),
    "a link to a folder": (lambda folder: linked(folder / "tensorboard"), True),
}


def without_a_number(file: Path) -> None:
    file.write_text(
        json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "sagan_config"})
    )


def as_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def linked(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.replace(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
@pytest.mark.parametrize("name", NO_START)
def test_what_only_looks_like_a_start_is_left_alone(tmp_path: Path, name: str, tiny) -> None:
    folder, (how, held_before) = tmp_path / "run", NO_START[name]
    start_of(folder, len(START), tiny(2))
    how(folder)
    before = sorted(path for path in tmp_path.rglob("*") if path.name != LOCK)
    with pytest.raises(RunError, match=r"holds a run already|not empty"):
        make_empty(folder, held_before)
    assert sorted(path for path in tmp_path.rglob("*") if path.name != LOCK) == before
    assert (folder / LOCK).exists() == (name != "no lock")


def test_what_is_left_of_a_start_that_was_half_removed_is_one(tmp_path: Path, tiny, monkeypatch) -> None:
    start_of(tmp_path, len(START), tiny(2))
    unlink, gone = Path.unlink, []

    def twice(self, *args, **kwargs):
        if len(gone) == 2:
            raise KeyboardInterrupt
        gone.append(self.name)
        unlink(self, *args, **kwargs)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", twice)
        make_empty(tmp_path)
    make_empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def stranger(tmp_path: Path) -> tuple[Path, Path]:
    home, run = tmp_path / "home", tmp_path / "stranger"
    for folder in (home / "myrun", run / "checkpoints"):
        folder.mkdir(parents=True)
    (home / "thesis.txt").write_text("300 pages")
    (home / "myrun" / "step-00002000.pt").write_text("days of training")
    (run / "config.json").write_text("{}")
    (run / "checkpoints" / "step-00000002.pt").write_text("x")
    return home, run


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        (LOCK, "../home/thesis.txt", r"\.lock is no file of a run"),
        ("log.jsonl.damaged", "../home/thesis.txt", r"log\.jsonl\.damaged is a link that leads out of"),
        ("samples", "../home/myrun", "samples is a link that leads out of"),
        ("checkpoints/best.pt", "../../home/new.txt", r"best\.pt is a link that leads out of"),
        ("evaluations", "evaluations", "evaluations cannot be followed|evaluations is a link"),
    ],
)
def test_a_run_folder_with_links_out_of_it_is_not_gone_on_with(
    tmp_path: Path, console: Console, name: str, target: str, said: str
) -> None:
    home, run = stranger(tmp_path)
    (run / name).symlink_to(target)
    with pytest.raises(RunError, match=said):
        train(resume=run, console=console)
    assert (home / "thesis.txt").read_text() == "300 pages"
    assert sorted(path.name for path in home.rglob("*")) == ["myrun", "step-00002000.pt", "thesis.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_run_folder_with_a_pipe_is_not_gone_on_with(tmp_path: Path, console: Console) -> None:
    _, run = stranger(tmp_path)
    os.mkfifo(run / "log.jsonl")
    with pytest.raises(RunError, match=r"log\.jsonl is a pipe"):
        train(resume=run, console=console)


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
def test_links_inside_a_run_folder_and_to_it_are_fine(tmp_path: Path) -> None:
    _, run = stranger(tmp_path)
    (run / "latest.pt").symlink_to("checkpoints/step-00000002.pt")
    (tmp_path / "link").symlink_to(run)
    check_inside(tmp_path / "link")
    with run_lock(tmp_path / "link"):
        pass


def test_nothing_to_resume_is_said_with_what_to_do(tmp_path: Path, console: Console, tiny) -> None:
    start_of(tmp_path, len(START), tiny(2))
    with pytest.raises(RunError, match=r"was started and has saved nothing yet, .*with --out "):
        train(resume=tmp_path, console=console)
    (tmp_path / "samples").mkdir()  # no start has any
    with pytest.raises(RunError, match=r"has no checkpoint to go on from: \S+checkpoints is gone, or empty$"):
        train(resume=tmp_path, console=console)


def test_a_refused_folder_is_as_it_was(tmp_path: Path, console: Console, tiny) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for lock in (None, "", "important"):
        if lock is not None:
            (tmp_path / LOCK).write_text(lock)
        with pytest.raises(RunError, match="no lock of a run" if lock else "not empty"):
            train(tiny(2), out=tmp_path, console=console)
        assert [path.name for path in tmp_path.iterdir() if path.name != LOCK] == ["mine.txt"]
        assert (tmp_path / LOCK).exists() == (lock is not None)
    assert (tmp_path / LOCK).read_text() == "important"


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators")
def test_a_link_that_leads_nowhere_is_said_to_be_one(tmp_path: Path, console: Console, tiny) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"link is a link that leads nowhere \(\S+nowhere\)"):
        train(tiny(2), out=tmp_path / "link", console=console)
