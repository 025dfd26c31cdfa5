"""Folders of stages, as `sagan train --grow` leaves them, where a run is asked for."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sagan.generators.staged import newest_stage, run_name

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.fixture
def grown(digits_run: Path, tmp_path: Path) -> Path:
    out = tmp_path / "grown"
    shutil.copytree(digits_run, out / "16px")
    (out / "8px" / "checkpoints").mkdir(parents=True)
    (out / "8px" / "checkpoints" / "step-00000003.pt").write_bytes(b"of a smaller size")
    (out / "32px" / "checkpoints").mkdir(parents=True)  # has not saved yet
    return out


def test_the_largest_stage_that_has_saved_is_meant(grown: Path, digits_run: Path, tmp_path: Path) -> None:
    assert newest_stage(grown) == grown / "16px"
    assert (run_name(grown), run_name(grown / "16px"), run_name(digits_run)) == (
        *("grown/16px", "16px", digits_run.name),
    )
    for other in (digits_run, grown / "16px", tmp_path / "nothing", digits_run / "config.json"):
        assert newest_stage(other) == other
    (grown / "64px").symlink_to(digits_run)  # leads out of the folder
    assert newest_stage(grown) == grown / "16px"
    (grown / "config.json").write_text("{}")
    assert newest_stage(grown) == grown


@pytest.mark.long("five verbs")
def test_verbs_take_a_folder_of_stages(run: Run, error: Mistake, grown: Path, tmp_path: Path) -> None:
    for name, words in {
        "a.npz": ("sample", grown, "--num", "2"),
        "b.png": ("attention", grown),
        "c.html": ("report", grown),
        "d.json": ("evaluate", grown, "--data", "digits", "--features", "pixels", "--metrics", "fd", "--num", "40"),
        "e.safetensors": ("export", grown),
    }.items():
        code, _, err = run(*words, "--out", tmp_path / name)
        assert code == 0, err
        assert (tmp_path / name).stat().st_size > 0
    assert '"grown/16px"' in (tmp_path / "d.json").read_text()
    said = error(run("train", "--resume", grown))
    assert "this is a folder of stages; the command with --grow that made it, with --out" in said


def test_the_studio_goes_on_with_the_next_stage(grown: Path, digits_run: Path) -> None:
    from sagan.studio.config import StudioConfig
    from sagan.studio.sources import Source

    (path,) = StudioConfig(paths=(grown,)).paths
    source = Source("0", "grown", path, "cpu")
    assert source.is_run and source.path == grown / "16px" and source.changed()
    shutil.copytree(digits_run / "checkpoints", grown / "32px" / "checkpoints", dirs_exist_ok=True)
    assert source.path == grown / "32px"
