"""What may not differ when a run goes on: settings and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sagan.data import DataConfig
from sagan.generators.pretrained import read_snapshot
from sagan.runs.train import RunError, train


def test_resume_refuses_other_settings_by_name(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    train(tiny_full(3), out=out, console=console)
    stored = read_snapshot(out).config
    changed = replace(stored, train=replace(stored.train, lr_g=0.5), generator=replace(stored.generator, z_dim=9))
    with pytest.raises(RunError, match=r"generator\.z_dim, train\.lr_g differ"):
        train(changed, resume=out, console=console)
    with pytest.raises(RunError, match="leave --out"):
        train(resume=out, out=tmp_path / "x", console=console)
    with pytest.raises(RunError, match="no such run folder"):
        train(resume=tmp_path / "nothing", console=console)


def test_resume_refuses_changed_pictures(tmp_path: Path, console: Console, tiny_full) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(pictures / f"{i}.png")
    config = tiny_full(2)
    config = replace(config, data=DataConfig(path=str(pictures), cache_dir=str(tmp_path / "cache")))
    train(config, out=tmp_path / "run", console=console)
    (pictures / "11.png").unlink()
    with pytest.raises(RunError, match="pictures changed"):
        train(resume=tmp_path / "run", console=console)


def test_fewer_steps_than_are_done_are_refused_before_pictures_are_read(
    tmp_path: Path, console: Console, tiny_full, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    train(tiny_full(3), out=out, console=console)

    def read(*_: object, **__: object) -> None:
        raise AssertionError("pictures were read")

    monkeypatch.setattr("sagan.runs.prepare.open_dataset", read)
    with pytest.raises(RunError, match=r"is at step 3 already; --steps takes more"):
        train(tiny_full(2), resume=out, console=console)


def test_resume_refuses_that_pixels_are_read_in_another_way(tmp_path: Path, console: Console, tiny_full) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 4096, (16, 16), dtype=np.uint16)).save(pictures / f"{i}.png")
    config = replace(tiny_full(2), data=DataConfig(path=str(pictures), cache_dir=str(tmp_path / "cache")))
    train(config, out=tmp_path / "run", console=console)
    assert "4095 white" in str(console.file.getvalue())  # what was chosen is said when it starts
    stored = read_snapshot(tmp_path / "run").config
    assert stored.data.range == "auto"
    for field in ({"background": "black"}, {"range": "file"}, {"frames": "all"}, {"truncated": "keep"}):
        with pytest.raises(RunError, match=rf"data\.{next(iter(field))} differs"):
            train(replace(stored, data=replace(stored.data, **field)), resume=tmp_path / "run", console=console)
