"""``sagan import``: weights of other implementations, from the command line."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sagan.cli import import_weights

sys.path[:0] = [str(Path(__file__).parents[1] / place) for place in ("sources", "exchange")]
import oracle  # noqa: E402

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A StudioGAN's SAGAN of 32 px."""
    G = oracle.generator_state(32, 4, 3, spectral=True, attention=(2,))
    D = oracle.discriminator_state(32, 8, 3, head="PD", attention=(1,))
    for name, state in (("G", G), ("D", D)):
        torch.save({"state_dict": {key: tensor.float() for key, tensor in state.items()}}, tmp_path / f"{name}.pth")
    return tmp_path / "G.pth"


def test_it_says_what_it_is_and_what_to_type_next(run: Run, weights: Path) -> None:
    code, out, _ = run("import", "auto", weights, "came in", "--discriminator", "D.pth")
    assert code == 0
    assert "came in: a generator of StudioGAN, 32 px, 3 classes" in out
    assert "base width 4, attention at 16x16, with spectral normalisation" in out
    command = next(line.split() for line in out.splitlines() if "sagan sample" in line)
    assert command == ["sagan", "sample", "'came", "in'", "--out", "samples.png"]
    assert "sagan train --config 'came in'/config.json --init-from 'came in' --data PICTURES" in out
    assert run("sample", "came in", "--num", "2", "--out", "samples.png")[0] == 0
    assert Path("samples.png").stat().st_size > 1000
    assert run("attention", "came in", "--out", "attention.png")[0] == 0
    assert run("export", "came in", "--out", "again.safetensors")[0] == 0


def test_without_a_discriminator_that_is_said(run: Run, weights: Path) -> None:
    code, out, _ = run("import", "studiogan", weights, "g.safetensors")
    assert code == 0
    assert "no discriminator" in out
    assert "sagan train" not in out


def test_a_source_that_is_none_is_told(run: Run, error: Mistake, weights: Path) -> None:
    assert "did you mean studiogan?" in error(run("import", "studio-gan", weights, "out"))
    assert "write `auto`" in error(run("import", weights, "out"))


def test_another_source_is_told(run: Run, error: Mistake, weights: Path) -> None:
    assert "looks like a generator of StudioGAN" in error(run("import", "mimicry", weights, "out"))
    assert not Path("out").exists()


def test_the_place_is_checked_before_anything_is_read(run: Run, error: Mistake) -> None:
    assert "name a folder" in error(run("import", "auto", "not there.pth", "out.pth"))


def test_help_tells_which_file_of_each_source() -> None:
    for source in ("biggan-pytorch", "studiogan", "mmgeneration", "mimicry"):
        assert f"\n  {source} " in import_weights.WHAT


def test_files_of_this_project_are_used_as_they_are(
    run: Run, digits_run: Path, checkpoint: Path, error: Mistake
) -> None:
    for source in ("auto", "studiogan"):
        for file, what in (
            (checkpoint, "a checkpoint of sagan itself"),
            (digits_run / "generator.safetensors", "a weights file of sagan itself"),
            (digits_run, "a run of sagan itself"),
        ):
            said = error(run("import", source, file, "out"))
            assert f"{what}, with nothing to bring in; use it as it is" in said.replace("in: use", "in; use")
            assert f"sagan sample '{file}' --out samples.png" in said
    assert not Path("out").exists()


def test_help_calls_the_arguments_what_its_text_calls_them(run: Run) -> None:
    assert "usage: sagan import [-h] [OPTIONS] SOURCE FILE OUT" in run("import", "--help")[1]
