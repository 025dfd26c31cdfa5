"""What may not differ when a run goes on: settings and pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan.cli import main
from sagan.data import DataConfig
from sagan.generators.pretrained import read_snapshot
from sagan.recipes.config import RunConfig
from sagan.runs.resume import resumed_config
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


def test_a_run_may_go_on_on_another_device_and_not_in_another_precision() -> None:
    old = RunConfig()
    moved = replace(old, engine=replace(old.engine, device="cpu", deterministic=True, step_graph=True))
    assert resumed_config(old, moved, None) == moved
    with pytest.raises(RunError, match=r"engine\.precision differs"):
        resumed_config(old, replace(old, engine=replace(old.engine, precision="bf16")), None)


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


@pytest.mark.long("a run that goes on twice")
def test_a_run_of_before_goes_on_with_the_flags_that_read_its_pictures_as_then(
    tmp_path: Path, console: Console, tiny_full
) -> None:
    pictures, run = tmp_path / "pictures", tmp_path / "run"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 4096, (16, 16), dtype=np.uint16)).save(pictures / f"{i}.png")
    before = {"range": "type", "background": "white"}
    data = DataConfig(path=str(pictures), cache_dir=str(tmp_path / "cache"), **before)
    train(replace(tiny_full(2), data=data), out=run, console=console)
    as_if_of_before(run)
    stored = read_snapshot(run).config
    assert stored.data.range == stored.data.background == "auto"
    with pytest.raises(RunError, match=r"add --data\.range type --data\.background white if"):
        train(replace(stored, train=replace(stored.train, total_steps=3)), resume=run, console=console)
    for other in ({"range": "type", "background": "black"}, {"range": "type"}, {**before, "frames": "all"}):
        with pytest.raises(RunError, match=r"data\.\w+"):
            train(replace(stored, data=replace(stored.data, **other)), resume=run, console=console)
    flags = ["--data.range", "type", "--data.background", "white", "--steps", "3"]
    assert main(["train", "--resume", str(run), *flags]) == 0
    assert main(["train", "--resume", str(run), "--steps", "4"]) == 0  # the flags are the run's own from then on
    assert read_snapshot(run).config.data.range == "type" and read_snapshot(run).contents["step"] == 4


def as_if_of_before(run: Path) -> None:
    """Take out of a run's files what versions before a choice of how pixels are read did not write."""
    files = [*(run / "checkpoints").glob("*.pt")]
    config = json.loads((run / "config.json").read_text())
    for name in ("range", "background", "frames", "truncated", "profiles", "max_megapixels"):
        del config["data"][name]
    (run / "config.json").write_text(json.dumps(config))
    for file in files:
        contents = torch.load(file, weights_only=True)
        del contents["data"]["decoding"], contents["checksum"]
        torch.save(contents | {"format_version": 1} | {"config": json.dumps(config)}, file)
