"""``sagan export``: one file that needs nothing else, written whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sagan
from sagan.exchange.graph import GraphError

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


def test_samples_from_one_file_need_no_data_set(run: Run, digits_run: Path) -> None:
    code, out, _ = run("export", digits_run, "--out", "weights.safetensors")
    assert code == 0, out
    generator = sagan.load("weights.safetensors")
    assert generator.class_names == sagan.load(digits_run).class_names
    assert np.array_equal(generator.sample(3, seed=2), sagan.load(digits_run).sample(3, seed=2))
    assert run("sample", "weights.safetensors", "--num", "1", "--out", "a.jpg")[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(run: Run, digits_run: Path, error: Mistake) -> None:
    said = error(run("export", digits_run, "--out", "/dev/full/x.safetensors"))
    assert "/dev/full" in said


@pytest.mark.long("trains and exports")
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


@pytest.mark.usefixtures("_nothing_is_computed")
def test_another_kind_of_file_is_refused_before_anything_is_computed(
    run: Run, checkpoint: Path, error: Mistake
) -> None:
    assert "must end in .safetensors, found weights.pt" in error(run("export", checkpoint, "--out", "weights.pt"))
    assert "name without an ending is a folder" in error(run("export", checkpoint, "--out", "weights.pt"))
    assert "--push takes a folder" in error(run("export", checkpoint, "--out", "x.onnx", "--push", "me/x"))


def test_a_folder_to_share_says_that_no_licence_was_chosen(run: Run, digits_run: Path) -> None:
    code, out, _ = run("export", digits_run, "--out", "shared")
    assert code == 0
    assert "--licence apache-2.0" in out
    text = Path("shared/README.md").read_text(encoding="utf-8")
    assert "digits" in text
    assert "10 classes" in text
    assert run("sample", "shared", "--num", "1", "--out", "a.png")[0] == 0
    assert "licence" not in run("export", digits_run, "--out", "again", "--licence", "mit")[1]
    assert np.array_equal(sagan.load("again").sample(3), sagan.load(digits_run).sample(3))


def test_a_graph_that_differs_is_a_failure_of_ours(run: Run, digits_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise GraphError("x.pt2: images of the graph differ")

    monkeypatch.setattr("sagan.exchange.graph.write_program", fail)
    code, _, err = run("export", digits_run, "--out", "x.pt2")
    assert code == 1
    assert "images of the graph differ" in err
    assert "Traceback" not in err


@pytest.mark.slow("exports a graph")
def test_a_graph_says_how_to_draw_with_it(run: Run, digits_run: Path) -> None:
    code, out, _ = run("export", digits_run, "--out", "x.pt2")
    assert code == 0
    assert "without sagan:\n  python x-pt2.py CLASS 8 0" in out
    done = subprocess.run([sys.executable, "x-pt2.py", "3", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(Path().glob("class3-seed0-*.png"))) == 2


def test_flags_of_a_folder_are_refused_for_a_file(run: Run, digits_run: Path, error: Mistake) -> None:
    for out in ("x.safetensors", "x.onnx"):
        said = error(run("export", digits_run, "--out", out, "--licence", "mit"))
        assert f"--licence is for the card of a folder: name a folder with --out, found {out}" in said
    assert "--private goes with --push" in error(run("export", digits_run, "--out", "folder", "--private"))
