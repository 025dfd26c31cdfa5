"""``sagan attention``: what it draws is looked at, and what cannot be right is refused before anything is computed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


def test_attention_of_both_networks(run: Run, digits_run: Path, error: Mistake) -> None:
    code, out, _ = run("attention", digits_run, "--class", "4", "--query", "8,8", "2,3", "--out", "looks.png")
    assert code == 0
    assert "2 queries, feat8 of the generator; gamma feat8" in out
    with Image.open("looks.png") as figure:
        assert np.asarray(figure.convert("L")).std() > 5
    code, out, _ = run("attention", digits_run, "--data", "digits", "--num", "2", "--out", "d.npz")
    assert code == 0
    assert "discriminator" in out
    with np.load("d.npz") as arrays:
        assert arrays["maps_feat8"].shape == (8, 5, 8, 8)
        assert np.allclose(arrays["maps_feat8"].sum((2, 3)), 1.0, atol=1e-5)


@pytest.mark.usefixtures("_nothing_is_computed")
@pytest.mark.parametrize("data", [(), ("--data", "digits")], ids=["generator", "discriminator"])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--out", "x.txt"), "write attention to .png, .jpg, .jpeg, .webp, or .npz"),
        (("--out", "x.png", "--num", "0"), "num must be at least 1, found 0"),
        (("--out", "x.png", "--query", "8,8", "16,0"), "query 16,0 lies outside the image of 16x16 pixels"),
        (("--out", "x.png", "--query", "abc"), "--query takes points as ROW,COLUMN in pixels"),
        (("--out", "x.png", "--layer", "4"), "has attention at feat8, not at feat4"),
        (("--out", "x.png", "--query", *(f"{k},0" for k in range(8))), "a figure shows 1 to 7 queries, found 8"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_computed(
    run: Run, checkpoint: Path, flags: tuple[str, ...], data: tuple[str, ...], message: str, error: Mistake
) -> None:
    assert message in error(run("attention", checkpoint, *flags, *data))
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("_nothing_is_computed")
def test_classes_and_truncation_of_samples_are_checked_first(
    run: Run, checkpoint: Path, error: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no class 'zebra'" in error(run("attention", checkpoint, "--class", "zebra", "--out", "x.png"))
    for flags, count in ((("--class", "4", "--num", "3"), 3), ((), 4)):
        said = error(run("attention", checkpoint, *flags, "--sample", str(count), "--out", "x.png"))
        assert f"there are {count} samples, counted from 0; found the number {count}" in said
    assert "truncation must be above" in error(run("attention", checkpoint, "--truncation", "0", "--out", "x.png"))
    said = error(run("attention", checkpoint, "--data", "digits", "--truncation", "1", "--out", "x.png"))
    assert "--truncation is for samples" in said
    monkeypatch.setenv("SAGAN_TRACEBACK", "1")
    with pytest.raises(AssertionError, match="work was begun"):
        run("attention", checkpoint, "--out", "x.png")


def test_classes_are_those_of_the_real_pictures(run: Run, digits_run: Path, pictures: Path, error: Mistake) -> None:
    data = ("--data", pictures, "--out", "x.png")
    assert run("attention", digits_run, "--class", "dark", *data)[0] == 0
    assert "no class 'drak'; did you mean dark?" in error(run("attention", digits_run, "--class", "drak", *data))


def test_files_that_cannot_be_read_are_left_out_with_the_flag_that_is_named(
    run: Run, digits_run: Path, pictures: Path, error: Mistake
) -> None:
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    command = ("attention", digits_run, "--data", pictures, "--out", "x.png")
    assert "broken.png" in (said := error(run(*command))) and "--data.skip-unreadable" in said
    code, _, err = run(*command, "--data.skip-unreadable")
    assert code == 0 and "1 unreadable files were left out" in err
