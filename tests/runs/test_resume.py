"""What may not differ when a run goes on: settings and pictures."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan import Hook
from sagan.cli import main
from sagan.data import DataConfig, DataError
from sagan.data.pack import Found
from sagan.generators.pretrained import read_snapshot
from sagan.recipes.config import RunConfig
from sagan.runs.resume import check_found, check_length, resumed_config
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


@pytest.fixture
def trained(tmp_path: Path, console: Console, tiny_full) -> Path:
    """A run of two steps on twelve pictures in the classes a and b, all in folders of the same place."""
    folder_of(tmp_path / "pictures", "a", "b")
    data = DataConfig(path=str(tmp_path / "pictures"), cache_dir=str(tmp_path / "cache"))
    train(replace(tiny_full(2), data=data), out=tmp_path / "run", console=console)
    return tmp_path / "run"


def folder_of(folder: Path, *classes: str, each: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("classes", "each", "said"),
    [
        (("a", "b"), 9, "12 images then, 18 now"),
        (("a", "b"), 2, "12 images then, 4 now"),
        (("a", "c"), 6, "classes a, b then and a, c now"),
        (("a", "b", "c"), 4, "classes a, b then and a, b, c now"),
    ],
)
def test_other_pictures_are_refused_before_they_are_decoded_where_number_or_classes_differ(
    trained: Path, console: Console, tmp_path: Path, classes, each, said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagan.data.pack.decode_to_size", lambda *_: pytest.fail("a picture was decoded"))
    config = read_snapshot(trained).config
    other = replace(config.data, path=str(folder_of(tmp_path / "other", *classes, each=each)))
    with pytest.raises(RunError, match=rf"the pictures changed since .* was saved \({said}, from .*other\)"):
        train(replace(config, data=other), resume=trained, console=console)


def test_pictures_that_may_be_left_out_are_no_reason_to_refuse_before(tmp_path: Path) -> None:
    snapshot = SimpleNamespace(contents={"data": {"images": 12}}, class_names=("a", "b"))
    found = Found("pictures", 14, ("a", "b", "c"))
    check_found(snapshot, found, tmp_path, skip_unreadable=True)  # two of c may be unreadable
    with pytest.raises(RunError, match="12 images then, 14 now"):
        check_found(snapshot, found, tmp_path, skip_unreadable=False)
    with pytest.raises(RunError, match="classes a, b then and a, c now"):
        check_found(snapshot, found._replace(class_names=("a", "c")), tmp_path, skip_unreadable=True)
    check_found(SimpleNamespace(contents={}, class_names=()), found, tmp_path, skip_unreadable=False)


def test_pictures_that_were_moved_are_asked_for_with_the_flag_that_says_where(
    trained: Path, console: Console, tmp_path: Path
) -> None:
    (tmp_path / "pictures").rename(tmp_path / "moved")
    with pytest.raises(
        RunError, match=r"pictures are not there any more \(.*pictures\); say where .* with --data PATH$"
    ):
        train(resume=trained, console=console)
    config = read_snapshot(trained).config
    elsewhere = {name: replace(config.data, path=str(tmp_path / name)) for name in ("moved", "nowhere")}
    with pytest.raises(DataError, match=r"there is no .*nowhere"):  # the user named that
        train(replace(config, data=elsewhere["nowhere"]), resume=trained, console=console)
    longer = replace(config, data=elsewhere["moved"], train=replace(config.train, total_steps=3))
    assert train(longer, resume=trained, console=console).step == 3


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


def falling(config: RunConfig, steps: int, start: int | None) -> RunConfig:
    return replace(config, train=replace(config.train, total_steps=steps, lr_decay_start=start))


@pytest.mark.long("trains two runs of several steps")
def test_another_length_before_the_rates_fall_is_a_run_of_that_length(
    tmp_path: Path, console: Console, tiny, assert_same
) -> None:
    """Two steps of a run of twelve, gone on with as one of five: the bits of one of five from the start."""

    class Stop(Hook):
        def on_step(self, record):
            if record.step == 2:
                record.stop("enough")

    assert train(falling(tiny(12), 12, 6), out=tmp_path / "run", console=console, hooks=[Stop()]).step == 2
    assert train(falling(tiny(5), 5, 3), resume=tmp_path / "run", console=console).finished
    train(falling(tiny(5), 5, 3), out=tmp_path / "whole", console=console)
    states = [read_snapshot(tmp_path / name).contents for name in ("run", "whole")]
    for part in ("G", "D", "optimizer_g", "optimizer_d"):
        assert_same(states[0][part], states[1][part])


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ((12, 6), (20, 10), None),
        ((12, 6), (10, 5), None),
        ((12, 6), (8, 4), "lr_decay_start of 4 its .*: add --train.lr-decay-start 5, or more"),
        ((12, 3), (20, 10), "learning rates fall from step 3 to 12,"),
        ((12, None), (20, None), None),
        ((12, None), (20, 4), "lr_decay_start of 4 its "),
        ((12, 4), (12, 4), None),
        ((12, 4), (12, None), "learning rates fall from step 4 to 12,"),
    ],
)
def test_rates_that_have_begun_to_fall_keep_their_length(before, after, refused) -> None:
    old, new = (falling(RunConfig(), *length) for length in (before, after))
    assert resumed_config(old, new, None) == new
    with nullcontext() if refused is None else pytest.raises(RunError, match=refused):
        check_length(5, old, new)
