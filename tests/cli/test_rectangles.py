"""A rectangular run, by the verbs, from a folder of wide pictures to values with a protocol."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sagan import load
from sagan.data import DataConfig, fitted_alike, open_dataset

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Class folders of pictures with a bright disk at the left or at the right, of several shapes."""
    random = np.random.default_rng(0)
    for name, place in (("left", 0.2), ("right", 0.8)):
        (tmp_path / "wide" / name).mkdir(parents=True)
        for i in range(16):
            width = 40 + 4 * (i % 4)
            across, down = np.meshgrid(np.arange(width), np.arange(24))
            pixels = random.integers(0, 60, (24, width, 3), np.uint8)
            pixels[np.hypot(across - place * width, down - 12) < 7] = random.integers(160, 256, 3)
            Image.fromarray(pixels).save(tmp_path / "wide" / name / f"{i}.png")
    return tmp_path / "wide"


def tensors(folder: Path, step: int) -> dict[str, torch.Tensor]:
    held = torch.load(folder / "checkpoints" / f"step-{step:08}.pt", weights_only=True)
    return {f"{key} {name}": value for key in ("G", "D", "ema") for name, value in (held[key] or {}).items()}


@pytest.mark.slow("two runs, standing statistics and every verb after them")
def test_a_rectangular_run_by_the_verbs(run: Run, wide: Path, tmp_path: Path, tiny: list[str], error: Mistake) -> None:
    flags = ["--data", wide, "--preset", "demo", "--size", "16x24", *tiny, "--data.fit", "smart"]
    flags += ["--train.sample-every", "5", "--train.save-every", "5", "--evaluate-every", "5"]
    flags += ["--train.augment", "color", "translation", "cutout", "--monitor.num", "32"]
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert run("train", *flags, "--out", whole)[0] == 0
    config = json.loads((whole / "config.json").read_text())
    assert (config["generator"]["size_px"], config["generator"]["start_grid"]) == (16, [4, 6])
    assert (config["discriminator"]["start_grid"], config["data"]["fit"]) == ([4, 6], "smart")

    assert run("train", *flags, "--steps", "5", "--out", halves)[0] == 0
    said = error(run("train", "--resume", halves, "--steps", "10", "--data.fit", "pad"))
    assert "data.fit" in said
    assert run("train", "--resume", halves, "--steps", "10")[0] == 0
    one, other = tensors(whole, 10), tensors(halves, 10)
    assert all(torch.equal(value, other[name]) for name, value in one.items())

    assert run("sample", whole, "--out", "samples.npz", "--num", "6")[0] == 0
    assert np.load("samples.npz")["images"].shape[1:] == (16, 24, 3)
    assert run("sample", whole, "--out", "samples.png", "--num", "6")[0] == 0
    _attention(run, whole, wide, error)
    _exported(run, whole, wide)


def _attention(run: Run, whole: Path, wide: Path, error: Mistake) -> None:
    look = ("attention", whole, "--query", "15,23", "--out")
    assert run(*look, "look.png")[0] == 0
    assert run(*look, "look.npz")[0] == 0
    maps = np.load("look.npz")["maps_feat8"]
    assert maps.shape[2:] == (8, 12)
    np.testing.assert_allclose(maps.sum((2, 3)), 1.0, atol=1e-5)
    assert "outside the image of 16x24" in error(run("attention", whole, "--query", "20,10", "--out", "look.png"))
    code, out, _ = run("attention", whole, "--data", wide, "--out", "seen.npz")
    assert code == 0, out
    assert np.load("seen.npz")["images"].shape[1:] == (16, 24, 3)


def _exported(run: Run, whole: Path, wide: Path) -> None:
    assert run("export", whole, "--out", "g.safetensors")[0] == 0
    generator = load("g.safetensors")
    assert generator.config.image_size == (16, 24)
    np.testing.assert_array_equal(generator.sample(6), load(whole).sample(6))
    measure = ("--features", "pixels", "--metrics", "fd", "--num", "64", "--out", "values.json")
    for what in (whole, "g.safetensors"):
        code, _, err = run("evaluate", what, "--data", wide, *measure)
        assert code == 0, err
        value = json.loads(Path("values.json").read_text())["values"][0]
        assert value["protocol"]["size_px"] == "16x24"
        assert value["protocol"]["reference_sha256"] == fingerprint(wide, "smart")


def fingerprint(wide: Path, fit: str) -> str:
    return open_dataset(DataConfig(path=str(wide), fit=fit), "16x24", progress=False).fingerprint


def test_pictures_come_to_their_size_as_a_run_had_them(wide: Path) -> None:
    plain = DataConfig(path=str(wide))
    padded = open_dataset(DataConfig(path=str(wide), fit="pad"), "16x24", progress=False)
    assert padded.info.decoding == {"fit": "pad", "border": "auto"}
    assert padded.fingerprint != fingerprint(wide, "crop")
    alike = fitted_alike(plain, {"decoding": padded.info.decoding})
    assert open_dataset(alike, (16, 24), progress=False).fingerprint == padded.fingerprint
    asked = DataConfig(path=str(wide), fit="squeeze")
    assert fitted_alike(asked, {"decoding": padded.info.decoding}) == asked
    assert fitted_alike(plain, None) == plain


def test_a_packed_set_keeps_its_fit(run: Run, wide: Path, error: Mistake, tiny: list[str]) -> None:
    assert run("data", "pack", wide, "--size", "16x24", "--data.fit", "pad", "--out", "p.npy")[0] == 0
    images = np.load("p.npy", mmap_mode="r")
    assert images.shape == (32, 16, 24, 3)
    said = error(run("train", "--data", "p.npy", "--size", "16x24", *tiny, "--data.fit", "smart", "--out", "r"))
    assert "p.npy is packed already, with fit pad, and fit smart is asked for" in said
    assert run("data", "pack", wide, "--size", "16x24", "--shard-gb", "0.00003", "--out", "shards")[0] == 0
    assert json.loads(next(Path("shards").glob("*.json")).read_text())["size_px"] == "16x24"


def test_the_check_shows_what_each_fit_loses(run: Run, wide: Path) -> None:
    code, out, _ = run("data", "check", wide, "--size", "16", "--sheet", "s.png", "--json", "c.json")
    assert code in (0, 3), out
    assert "fit: --data.fit smart is advised at 16x16" in out
    assert "size: --size 16x3" in out or "size: --size 16x28" in out
    with Image.open("s-fit.png") as sheet:
        assert sheet.width > 600
    record = json.loads(Path("c.json").read_text())
    assert record["size_asked_px"] == 16
    assert len(record["fit_advice"]) == 2


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("16x25", "--size 16x25 is none of the networks"),
        ("17x24", "--size must be one of 16, 32"),
        ("x", "--size is the side of a square"),
    ],
)
def test_sizes_that_are_none_are_one_sentence(run: Run, error: Mistake, size: str, message: str) -> None:
    for verb in ("train", "plan", "benchmark"):
        assert message in error(run(verb, "--size", size))
