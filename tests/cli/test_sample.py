"""``sagan sample``: what it writes is looked at, and what cannot be right is refused before anything is computed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


def test_sample_writes_a_grid_images_and_arrays(run: Run, digits_run: Path, tmp_path: Path, error: Mistake) -> None:
    code, out, _ = run("sample", digits_run, "--class", "3", "7", "--num", "4", "--out", "grid.png")
    assert code == 0
    assert "grid.png: 8 samples" in out
    with Image.open("grid.png") as grid:
        assert np.asarray(grid.convert("L")).std() > 5
    assert run("sample", digits_run, "--num", "2", "--seed", "5", "--out", "many.npz")[0] == 0
    with np.load("many.npz") as arrays:
        assert arrays["images"].shape == (20, 16, 16, 3)
        assert arrays["images"].dtype == np.uint8
        assert arrays["labels"].tolist() == [c for c in range(10) for _ in range(2)]
        assert len(arrays["class_names"]) == 10
        first = arrays["images"]
    assert run("sample", digits_run, "--num", "2", "--seed", "5", "--out", "folder")[0] == 0
    files = sorted((tmp_path / "folder").rglob("*.png"))
    assert len(files) == 20
    with Image.open(files[0]) as image:
        assert np.array_equal(np.asarray(image), first[0])
    assert "not an empty folder" in error(run("sample", digits_run, "--out", "folder"))


def test_truncation_and_interpolation(run: Run, digits_run: Path, error: Mistake) -> None:
    assert run("sample", digits_run, "--truncation", "0.5", "--num", "1", "--out", "t.npz")[0] == 0
    assert run("sample", digits_run, "--num", "1", "--out", "u.npz")[0] == 0
    with np.load("t.npz") as t, np.load("u.npz") as u:
        assert not np.array_equal(t["images"], u["images"])
    assert run("sample", digits_run, "--interpolate", "5", "--class", "1", "8", "--out", "walk.gif")[0] == 0
    with Image.open("walk.gif") as walk:
        assert walk.n_frames == 8  # five there, three back  # type: ignore[attr-defined]
    assert run("sample", digits_run, "--interpolate", "5", "--out", "walk.png")[0] == 0
    with Image.open("walk.png") as walk:
        assert walk.width > 4 * walk.height / 2
    assert "at least 2 frames" in error(run("sample", digits_run, "--interpolate", "1", "--out", "w.png"))


@pytest.mark.usefixtures("_nothing_is_computed")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--out", "x.txt"), "write samples to .png, .jpg, .jpeg, .webp, .npz, or a folder"),
        (("--out", "x.png", "--num", "0"), "num must be at least 1, found 0"),
        (("--out", "x.png", "--class", "zebra"), "no class 'zebra'; known: 0, 1, 2"),
        (("--out", "x.png", "--class", "3", "10"), "no class '10'"),
        (("--out", "x.png", "--truncation", "0"), "truncation must be above 0.01"),
        (("--out", "full"), "not an empty folder"),
        (("--out", "x.png", "--end-seed", "3"), "--end-seed goes with --interpolate"),
        (("--out", "x.png", "--interpolate", "1"), "at least 2 frames, found 1"),
        (("--out", "x.txt", "--interpolate", "3"), "write an interpolation to"),
        (("--out", "x.gif", "--interpolate", "3", "--class", "1", "2", "3"), "at most two classes, found 3"),
        (("--out", "x.gif", "--interpolate", "3", "--class", "1", "zebra"), "no class 'zebra'"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_computed(
    run: Run, checkpoint: Path, digits_run: Path, flags: tuple[str, ...], message: str, error: Mistake
) -> None:
    Path("full").mkdir()
    Path("full", "precious.txt").write_text("mine")
    for place in (checkpoint, digits_run, digits_run / "generator.safetensors"):
        assert message in error(run("sample", place, *flags))
    assert sorted(path.name for path in Path().iterdir()) == ["full"]


@pytest.mark.usefixtures("_nothing_is_computed")
def test_what_is_right_is_computed(run: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGAN_TRACEBACK", "1")
    with pytest.raises(AssertionError, match="work was begun"):
        run("sample", checkpoint, "--num", "1", "--out", "x.png")


def test_a_walk_as_video_needs_its_package_before_anything_is_loaded(
    run: Run, digits_run: Path, error: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = ("sample", digits_run, "--interpolate", "4", "--class", "1", "8", "--out", "walk.mp4")
    assert run(*walk)[0] == 0
    assert Path("walk.mp4").read_bytes()[4:8] == b"ftyp"
    monkeypatch.setattr("sagan.generators.config.find_spec", lambda name: None)
    assert 'pip install "sagan-torch[video]"' in error(run(*walk))


@pytest.mark.usefixtures("_nothing_is_computed")
def test_flags_of_samples_that_a_walk_would_ignore_are_refused(run: Run, digits_run: Path, error: Mistake) -> None:
    walk = ("sample", digits_run, "--out", "x.gif", "--interpolate", "8")
    assert "--num is a number of samples" in error(run(*walk, "--num", "3"))
    assert "--num is a number of samples" in error(run(*walk, "--num=10"))
    assert "--reach goes with --interpolate N --direction K" in error(run(*walk, "--reach", "2"))
    for flag in ("--end-seed", "--end_seed", "--end-index"):
        assert f"{flag} goes with --interpolate N, and not" in error(run(*walk, "--direction", "1", flag, "2"))
    plain = ("sample", digits_run, "--out", "x.png", "--num", "1")
    for flag in ("--reach", "--direction", "--end-seed"):
        assert f"{flag} goes with --interpolate N" in error(run(*plain, flag, "2"))


def test_one_sample_is_not_several(run: Run, digits_run: Path) -> None:
    weights = digits_run / "generator.safetensors"
    assert "x.png: 1 sample of seed=0" in run("sample", weights, "--class", "3", "--num", "1", "--out", "x.png")[1]
    assert "one: 1 image of seed=0" in run("sample", weights, "--class", "3", "--num", "1", "--out", "one")[1]


def test_help_names_every_file_that_a_walk_is_written_to(run: Run) -> None:
    said = " ".join(run("sample", "--help")[1].replace("│", " ").split())
    assert "(.gif, .webp, .mp4, .webm), a strip (.png, .jpg), or .npz" in said
    assert "its place among all that are drawn" in said
