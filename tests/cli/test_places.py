"""Every verb that writes tries its place before it works, and refuses names that it could not read again."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sagan import places
from sagan.generators.config import SampleConfig
from sagan.generators.outputs import sample_to_file

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]
NO_UTF_8 = pytest.mark.skipif(os.name == "nt", reason="names are text there")


@pytest.fixture
def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, dir: Path, **__: object) -> None:  # noqa: A002 - its name there
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(places.tempfile, "TemporaryFile", refuse)


@pytest.mark.usefixtures("_nothing_is_computed", "_read_only")
@pytest.mark.parametrize(
    "arguments",
    [
        "sample RUN --out ro/x.png",
        "sample RUN --out ro",
        "sample RUN --interpolate 3 --out ro/x.gif",
        "attention RUN --out ro/x.png",
        "report RUN --out ro/x.html",
        "export RUN --out ro/x.safetensors",
        "export RUN --out ro/x.onnx",
        "export RUN --out ro/folder",
        "evaluate RUN --data digits --out ro/v.json",
        "evaluate RUN --data digits --neighbours ro/v.png",
        "evaluate RUN --data digits --export-statistics ro/v.npz",
        "benchmark --preset demo --out ro/b.json",
        "import auto RUN ro/x.safetensors",
        "data pack digits --size 16 --out ro/packed",
        "data check digits --sheet ro/sheet.png",
    ],
)
def test_a_place_that_takes_no_files_is_refused_before_the_work(
    arguments: str, run: Run, checkpoint: Path, error: Mistake, tmp_path: Path
) -> None:
    (tmp_path / "ro").mkdir()
    folder = checkpoint.parents[1]
    words = [str(folder) if word == "RUN" else word for word in arguments.split()]
    said = error(run(*words))
    assert f"nothing can be written in {tmp_path / 'ro'}" in said
    assert "Read-only file system" in said
    assert said.startswith(("sagan: --", "sagan: OUT "))
    assert list((tmp_path / "ro").iterdir()) == []


@NO_UTF_8
def test_a_run_is_not_started_under_a_name_that_is_no_utf_8(run: Run, error: Mistake, tiny: list[str]) -> None:
    out = os.fsdecode(b"r/\xff")
    said = error(run("train", "--preset", "demo", "--out", out, *tiny))
    assert r"--out r/\xff: the name has bytes that are no UTF-8; give it another one" in said
    assert "codec" not in said
    assert not Path("r").exists()


@NO_UTF_8
def test_weights_are_not_written_or_read_under_a_name_that_is_no_utf_8(
    run: Run, error: Mistake, digits_run: Path
) -> None:
    for out in (b"\xff.safetensors", b"\xff.onnx", b"\xff"):
        assert "no UTF-8" in error(run("export", digits_run, "--out", os.fsdecode(out)))
    assert "no UTF-8" in error(run("import", "auto", digits_run, os.fsdecode(b"\xff")))
    link = Path(os.fsdecode(b"\xff.safetensors"))
    link.write_bytes((digits_run / "generator.safetensors").read_bytes())
    assert r"weights file \xff.safetensors: the name has bytes" in error(run("sample", link, "--out", "x.png"))


@NO_UTF_8
def test_samples_can_have_names_that_are_no_utf_8(digits_run: Path, tmp_path: Path) -> None:
    names = {b"\xff.png", b"\xff.npz", b"\xff"}
    for name in names:
        sample_to_file(digits_run / "generator.safetensors", os.fsdecode(name), SampleConfig(num=1))
    assert {os.fsencode(path.name) for path in tmp_path.iterdir()} >= names


@NO_UTF_8
@pytest.mark.slow("trains")
def test_pictures_in_a_folder_that_is_no_utf_8_give_their_run_a_name_that_is(pictures: Path, tiny: list[str]) -> None:
    pictures.rename(os.fsdecode(b"p\xff"))
    command = ["train", "--preset", "demo", "--data", os.fsdecode(b"p\xff"), *tiny[:-1], "1"]
    # A process of its own, whose streams write any name.
    done = subprocess.run([sys.executable, "-m", "sagan", *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("runs/p_-16-001/config.json").read_text())["train"]["total_steps"] == 1
