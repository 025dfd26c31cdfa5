"""``sagan train`` on small real data of every kind, and on what is wrong with it."""

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sagan

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.mark.long("trains through the command line")
@pytest.mark.parametrize("kind", ["folder", "flat", "zip", "npz", "packed"])
def test_train_and_sample_from_every_kind_of_data(
    run: Run, pictures: Path, tmp_path: Path, kind: str, error: Mistake, tiny: list[str]
) -> None:
    data = pictures
    if kind == "flat":
        data = pictures / "dark"
    elif kind == "zip":
        data = tmp_path / "pictures.zip"
        with zipfile.ZipFile(data, "w") as archive:
            for path in sorted(pictures.rglob("*.png")):
                archive.write(path, path.relative_to(pictures))
    elif kind == "npz":
        data = tmp_path / "pictures.npz"
        rng = np.random.default_rng(0)
        images = np.concatenate([rng.integers(0, 80, (20, 24, 24, 3)), rng.integers(170, 256, (20, 24, 24, 3))])
        np.savez(data, images=images.astype(np.uint8), labels=np.repeat([0, 1], 20), class_names=["dark", "light"])
    elif kind == "packed":
        data = tmp_path / "packed.npy"
        assert run("data", "pack", pictures, "--size", "16", "--out", data)[0] == 0
    out = tmp_path / "run"
    code, _, err = run("train", "--preset", "demo", "--data", data, "--out", out, *tiny)
    assert code == 0, err
    names = () if kind == "flat" else ("dark", "light")
    assert sagan.load(out).class_names == names
    assert run("sample", out, "--num", "3", "--out", "s.npz")[0] == 0
    with np.load("s.npz") as arrays:
        assert len(arrays["images"]) == (3 if kind == "flat" else 6)
    if kind == "flat":
        assert "unconditional" in error(run("sample", out, "--class", "dark", "--out", "s.png"))


@pytest.mark.long("trains through the command line")
def test_default_preset_follows_the_size(run: Run, pictures: Path, tmp_path: Path) -> None:
    flags = ["--base-width", "8", "--train.batch-size", "4", "--steps", "1", "--train.sample-every", "0"]
    code, _, err = run("train", "--data", pictures, "--size", "32", "--out", tmp_path / "r", *flags)
    assert code == 0, err
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert (config["generator"]["size_px"], config["discriminator"]["base_width"]) == (32, 8)


@pytest.mark.long("trains through the command line")
def test_resume_through_the_command_line(
    run: Run, digits_run: Path, tmp_path: Path, error: Mistake, tiny: list[str]
) -> None:
    out = tmp_path / "run"
    assert run("train", "--preset", "demo", "--out", out, *tiny)[0] == 0
    assert "done already" in " ".join(run("train", "--resume", out)[2].split())
    assert run("train", "--resume", out, "--steps", "12")[0] == 0
    assert (out / "checkpoints" / "step-00000012.pt").exists()
    assert json.loads((out / "config.json").read_text())["train"]["lr_decay_start"] is None
    assert "train.lr_g" in error(run("train", "--resume", out, "--train.lr-g", "0.1", "--steps", "13"))
    assert "add --train.lr-decay-start 12, or more" in error(
        run("train", "--resume", out, "--steps", "14", "--train.lr-decay-start", "5")
    )
    assert run("train", "--resume", out, "--steps", "14", "--train.lr-decay-start", "12")[0] == 0
    assert "fall from step 12 to 14" in error(run("train", "--resume", out, "--steps", "16"))
    assert "leave --preset away" in error(run("train", "--resume", out, "--preset", "demo"))


@pytest.mark.long("trains through the command line")
def test_tar_files_by_pattern_train_and_resume_from_another_folder(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: list[str]
) -> None:
    for number, name in enumerate(("dark", "light")):
        with tarfile.open(tmp_path / f"train-{number}.tar", "w") as archive:
            for index in range(20):
                archive.add(pictures / name / f"{index}.png", f"{name}{index}.png")
                label = tarfile.TarInfo(f"{name}{index}.cls")
                label.size = len(name)
                archive.addfile(label, io.BytesIO(name.encode()))
    code, _, err = run("train", "--preset", "demo", "--data", "train-{0..1}.tar", "--out", tmp_path / "r", *tiny)
    assert code == 0, err
    assert (tmp_path / "r" / "classes.txt").read_text().split() == ["dark", "light"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = run("train", "--resume", tmp_path / "r", "--steps", "12", "--data.keep", "memory")
    assert code == 0, err


def png(size: tuple[int, int] = (20, 20)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (90, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


ENOUGH = {f"c/{i}.png": png() for i in range(8)}  # for a batch


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", {}, "no pictures"),
        ("one", {"a/1.png": png()}, "at least 2"),
        ("truncated", {"a/1.png": png(), "a/2.jpg": png()[:60], "b/3.png": png(), **ENOUGH}, "2.jpg"),
        ("text", {"a/1.png": b"hello", "b/3.png": png(), **ENOUGH}, "1.png"),
        ("pixel", {"a/1.png": png((1, 1)), "b/3.png": png(), **ENOUGH}, "1.png"),
        ("deep", {"train/a/1.png": png(), "train/b/1.png": png()}, "train"),
        ("small set", {"a/1.png": png(), "b/1.png": png()}, "fewer than one batch of 8"),
    ],
)
def test_bad_folders(
    run: Run, tmp_path: Path, name: str, content: dict[str, bytes], message: str, error: Mistake, tiny: list[str]
) -> None:
    root = tmp_path / name
    root.mkdir()
    for file, data in content.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)
    out = tmp_path / "run"
    said = error(run("train", "--preset", "demo", "--data", root, "--out", out, *tiny))
    assert message in said.lower() or message in said
    assert not (out / "config.json").exists()
    assert all((root / file).read_bytes() == data for file, data in content.items())


def test_unreadable_pictures_are_skipped_only_when_asked(
    run: Run, pictures: Path, tmp_path: Path, error: Mistake, tiny: list[str]
) -> None:
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    arguments = ["train", "--preset", "demo", "--data", pictures, "--out", tmp_path / "run", *tiny]
    assert "broken.png" in error(run(*arguments))
    code, _, err = run(*arguments, "--data.skip-unreadable")
    assert code == 0, err
    assert "1 unreadable file" in err


def test_zip_that_climbs_out_is_refused(run: Run, tmp_path: Path, error: Mistake) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.png", png())
    assert ".." in error(run("train", "--preset", "demo", "--data", tmp_path / "evil.zip", "--out", "r"))
    assert not (tmp_path.parent / "evil.png").exists()


def test_a_checkpoint_that_is_damaged_or_of_another_shape(
    run: Run, digits_run: Path, tmp_path: Path, error: Mistake, tiny: list[str]
) -> None:
    other = tmp_path / "other"
    flags = ["--init-from", digits_run, "--out", other, *tiny[2:], "--base-width", "16"]
    said = error(run("train", "--preset", "demo", *flags))
    assert "has other networks: generator.base_width is 8 there and 16 here" in said
    assert "for networks like those give --base-width 8 in place of yours" in said
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes((digits_run / "checkpoints" / "step-00000010.pt").read_bytes()[:5000])
    assert "cannot be read as a checkpoint" in error(run("sample", damaged, "--out", "x.png"))
    short = tmp_path / "short.safetensors"
    short.write_bytes((digits_run / "generator.safetensors").read_bytes()[:5000])
    assert "cannot be read as safetensors" in error(run("sample", short, "--out", "x.png"))


@pytest.mark.long("trains through the command line")
def test_a_run_measures_what_its_monitor_says(run: Run, tmp_path: Path, error: Mistake, tiny: list[str]) -> None:
    monitor = ("--evaluate-every", "5", "--monitor.metrics", "kd", "fd", "--monitor.num", "20", "--monitor.real", "50")
    assert run("train", "--preset", "demo", "--out", "run", *tiny, *monitor)[0] == 0
    records = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "score/KD(pixels 8x8)" in r] == [5, 10]
    code, out, _ = run("evaluate", "--compare", *(f"run/evaluations/step-{step:08d}.json" for step in (5, 10)))
    assert code == 0
    assert "KD(pixels 8x8)" in out
    assert "no `is`" in error(run("train", "--preset", "demo", "--out", "other", *tiny, "--monitor.metrics", "is"))
    assert not Path("other").exists()


def test_a_file_says_where_flags_start_from(run: Run, pictures: Path, error: Mistake) -> None:
    Path("mine.yaml").write_text(
        "preset: demo\ngenerator: {base_width: 8, sampling_norm: running}\ndiscriminator: {base_width: 8}\n"
        "train: {batch_size: 8, total_steps: 2, lr_g: 3e-4}\n"
    )
    train = ("train", "--config", "mine.yaml", "--data", pictures, "--out", "run")
    code, _, _ = run(*train, "--train.lr-d", "5e-4")
    assert code == 0
    config = json.loads(Path("run/config.json").read_text())
    assert (config["train"]["lr_g"], config["train"]["lr_d"], config["generator"]["size_px"]) == (3e-4, 5e-4, 16)
    assert "leave --preset away" in error(run(*train, "--preset", "demo"))
    assert "leave --config away" in error(run("train", "--resume", "run", "--config", "mine.yaml"))
    Path("no pictures.yaml").write_text("seed: 1\n")
    assert "which pictures?" in error(run("train", "--config", "no pictures.yaml"))
    assert "ends in .json" in error(run("train", "--config", "mine.toml"))


@pytest.mark.long("trains through the command line")
def test_few_pictures_choose_augmentation_and_a_flag_overrides_it(
    run: Run, pictures: Path, tmp_path: Path, tiny: list[str]
) -> None:
    def augment(name: str, *flags: object) -> tuple[list[str], int, str]:
        out = tmp_path / name
        code, _, err = run("train", "--data", pictures, "--out", out, *tiny, *flags)
        assert code == 0, err
        train = json.loads((out / "config.json").read_text())["train"]
        return train["augment"], train["freeze_d"], " ".join(err.split())

    chosen, frozen, said = augment("first", "--preset", "demo")
    assert (chosen, frozen) == (["color", "translation", "cutout"], 0)
    assert "chosen: --train.augment color translation cutout, as D would soon know 38 pictures by heart" in said
    assert "note: 38 pictures are few" in said
    chosen, frozen, said = augment(
        "next", "--preset", "demo", "--train.augment", "cutout", "--init-from", tmp_path / "first"
    )
    assert (chosen, frozen) == (["cutout"], 0)
    assert "chosen:" not in said and "are few" not in said
    # A configuration in a file is meant as it is.
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"preset": "demo"}))
    assert augment("last", "--config", file)[:2] == ([], 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize(("verb", "file"), [("train", "pipe.json"), ("train", "pipe.yaml"), ("plan", "pipe.yaml")])
def test_a_pipe_in_place_of_a_configuration_is_named_and_not_waited_for(
    run: Run, error: Mistake, verb: str, file: str
) -> None:
    os.mkfifo(file)
    assert f"{file} cannot be read: it is a pipe, a socket or a device, no file" in error(run(verb, "--config", file))
