"""``sagan data check``: what it says of a folder, its sheet, its page, its JSON and its exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., tuple[int, str, str]]


def test_data_check(run: Run, pictures: Path, tmp_path: Path) -> None:
    code, out, _ = run("data", "check", pictures, "--size", "32", "--sheet", "sheet.png")
    assert code == 3
    assert "40 pictures" in out
    assert "dark" in out
    assert out.splitlines()[-1] == "verdict: fine with remarks"
    with Image.open("sheet.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 5
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    code, out, _ = run("data", "check", pictures)
    assert code == 3
    assert "broken.png" in out


def test_page_and_json_say_what_the_text_says(run: Run, pictures: Path) -> None:
    code, out, _ = run("data", "check", pictures, "--page", "page.html", "--json", "check.json", "--seed", "5")
    record = json.loads(Path("check.json").read_text(encoding="ascii"))
    assert (record["sagan_check"], record["exit_code"], record["pictures"]) == (1, code, 40)
    assert f"verdict: {record['verdict']}" == out.splitlines()[-1]
    assert all(f"WARNING: {remark['text']}" in out for remark in record["remarks"])
    assert record["held_out"]["seed"] == 5
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and record["classes"][0]["name"] in page


def test_the_keys_of_the_json_are_documented(run: Run, pictures: Path) -> None:
    run("data", "check", pictures, "--json", "check.json")
    record = json.loads(Path("check.json").read_text(encoding="ascii"))
    said = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert [key for key in record if f"`{key}`" not in said] == []


def test_exit_codes(run: Run, tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (240, 8, 8, 3), dtype=np.uint8)
    np.savez("good.npz", images=coarse.repeat(4, 1).repeat(4, 2), labels=np.arange(240) % 2)
    code, out, _ = run("data", "check", "good.npz")
    assert (code, out.splitlines()[-1]) == (0, "verdict: fine")
    np.savez("black.npz", images=np.zeros((240, 8, 8, 3), np.uint8), labels=np.arange(240) % 2)
    code, out, _ = run("data", "check", "black.npz")
    assert (code, out.splitlines()[-1]) == (4, "verdict: not to be trained on")
    assert run("data", "check", "nowhere")[0] == 2


@pytest.mark.parametrize(("flag", "name"), [("--page", "page.txt"), ("--json", "x.html"), ("--page", "no/page.html")])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(run: Run, pictures: Path, flag: str, name: str):
    code, out, err = run("data", "check", pictures, flag, name)
    assert (code, out) == (2, "") and flag in err


def test_the_verbs_take_the_same_flag_for_files_that_cannot_be_read(run: Run, pictures: Path) -> None:
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    code, out, _ = run("data", "check", pictures, "--data.skip-unreadable")
    assert code == 3 and "1 file(s) cannot be read as pictures; they are left out" in out
    for count, flag in enumerate(("--data.skip-unreadable", "--skip-unreadable")):
        assert run("data", "pack", pictures, "--size", "16", "--out", f"{count}.npy", flag)[0] == 0
