"""A fresh run that starts from other weights and classes, or refuses to."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan.data import DataConfig
from sagan.generators.pretrained import load
from sagan.recipes.config import RunConfig
from sagan.runs.train import train


def make_pictures(root: Path, classes: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(1)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.mark.long("trains twice")
@pytest.mark.parametrize("source", ["run", "weights"])
def test_training_starts_from_other_weights_and_classes(
    tmp_path: Path, console: Console, source: str, tiny_full
) -> None:
    def config(path: Path, steps: int) -> RunConfig:
        return replace(tiny_full(steps), data=DataConfig(path=str(path), cache_dir=str(tmp_path / "cache")))

    first = make_pictures(tmp_path / "one", ("cat", "dog", "emu"))
    second = make_pictures(tmp_path / "two", ("bee", "dog", "cat"))
    train(config(first, 8), out=tmp_path / "a", console=console)
    start = tmp_path / "a" if source == "run" else tmp_path / "a" / "generator.safetensors"
    said = io.StringIO()
    train(config(second, 1), out=tmp_path / "b", init_from=start, console=Console(file=said, soft_wrap=True))
    text = said.getvalue()
    assert "2 classes kept by name (cat, dog)" in text
    assert "1 classes start fresh (bee)" in text
    old, new = load(tmp_path / "a").network.state_dict(), load(tmp_path / "b").network.state_dict()
    gain = "blocks.0.norm1.gain"
    # Classes are sorted: old cat, dog, emu; new bee, cat, dog. One step moves a weight by about the learning rate.
    assert torch.allclose(new[gain][1:], old[gain][:2], atol=5e-3)
    assert torch.allclose(new[gain][0], torch.ones_like(new[gain][0]), atol=5e-3)


def test_weights_of_another_network_are_refused(tmp_path: Path, console: Console, tiny_full) -> None:
    plain = tiny_full(2)
    plain = replace(plain, generator=replace(plain.generator, attention=()))
    train(plain, out=tmp_path / "plain", console=console)
    with pytest.raises(ValueError, match="both runs need the same size, widths, attention"):
        train(tiny_full(2), out=tmp_path / "b", init_from=tmp_path / "plain" / "generator.safetensors", console=console)


def test_a_source_that_is_not_there_is_refused_before_pictures_are_read(
    tmp_path: Path, console: Console, tiny_full, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("pictures were read")

    monkeypatch.setattr("sagan.runs.prepare.open_dataset", read)
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "nothing", tmp_path / "nothing.safetensors", tmp_path / "empty"):
        with pytest.raises(FileNotFoundError, match=r"no such run folder|no checkpoint"):
            train(tiny_full(2), out=tmp_path / "run", init_from=source, console=console)
    assert not (tmp_path / "run").exists()
