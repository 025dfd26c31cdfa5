"""A run as a person meets it: folder, log, resume, stop, lock, disk."""

import io
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan.data import DataConfig, DataError
from sagan.generators.pretrained import EXPORTED, load, read_snapshot
from sagan.generators.weights import load_weights
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.build import build
from sagan.recipes.config import RunConfig, from_json
from sagan.runs.folder import check_space
from sagan.runs.lock import run_lock
from sagan.runs.log import truncate_log
from sagan.runs.train import DivergedError, RunError, train
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.config import TrainConfig


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), soft_wrap=True)


def tiny(steps: int, **train_fields: object) -> RunConfig:
    fields: dict[str, object] = {
        "total_steps": steps,
        "batch_size": 8,
        "ema_decay": 0.9,
        "log_every": 2,
        "sample_every": 4,
        "evaluate_every": 4,
        "save_every": 3,
    }
    return RunConfig(
        data=DataConfig(path="digits", flip=True),
        generator=GeneratorConfig(size_px=16, base_width=2, z_dim=8),
        discriminator=DiscriminatorConfig(size_px=16, base_width=4),
        train=TrainConfig(**(fields | train_fields)),  # type: ignore[arg-type]
    )


def equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))  # type: ignore[arg-type]
    return a == b


STATE = ("step", "G", "D", "optimizer_g", "optimizer_d", "ema")


def test_a_run_that_samples_with_running_averages_computes_no_others(tmp_path: Path, console: Console) -> None:
    base = tiny(4, g_batch_size=16)
    generator = replace(base.generator, sampling_norm="running", bn_momentum=0.25)
    out = tmp_path / "run"
    train(replace(base, generator=generator), out=out, console=console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "standing statistics" not in said
    assert "batch 8; 16 generated in a generator update" in said
    weights = load_weights(out / EXPORTED)
    made = "running averages, momentum 0.25, unbiased variance"
    assert weights.provenance["batch_norm"] == made
    report = json.loads((out / "evaluations" / "step-00000004.json").read_text())
    assert made in json.dumps(report)
    kept = load_checkpoint(checkpoints(out / "checkpoints")[-1])["ema"]
    assert torch.equal(weights.generator.norm.running_var, kept["norm.running_var"])


def test_run_folder_holds_everything(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "a run"
    result = train(tiny(10), out=out, console=console)
    assert (result.step, result.finished, result.signal) == (10, True, None)
    assert from_json((out / "config.json").read_text()).generator.num_classes == 10
    assert (out / "classes.txt").read_text().split() == [str(digit) for digit in range(10)]
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    training = [r for r in records if "loss_d" in r]
    assert [r["step"] for r in training] == [2, 4, 6, 8, 10]
    wanted = {
        "loss_d",
        "loss_g",
        "real_logits",
        "fake_logits",
        "heldout_logits",
        "images_per_s",
        "gamma/G/8",
        "gamma/D/8",
    }
    assert wanted <= training[0].keys()
    assert [r["step"] for r in records if "score/FD(pixels 8x8)" in r] == [4, 8, 10]
    assert sorted(p.name for p in (out / "samples").glob("*.png")) == [
        "step-00000004.png",
        "step-00000008.png",
        "step-00000010.png",
    ]
    # keep_last = 2, and the best one
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == [
        "best.pt",
        "step-00000009.pt",
        "step-00000010.pt",
    ]
    with Image.open(out / "curves.png") as curves, Image.open(out / "attention.png") as attention:
        assert np.asarray(curves.convert("L")).std() > 5
        assert np.asarray(attention.convert("L")).std() > 5
    assert list((out / "tensorboard").glob("events*"))
    images = load(out / "generator.safetensors").sample(4)
    assert images.shape == (4, 16, 16, 3)
    assert np.array_equal(images, load(out).sample(4))


def test_trap_24_resume_is_bit_for_bit(tmp_path: Path, console: Console) -> None:
    config = tiny(7)
    train(config, out=tmp_path / "whole", console=console)
    train(tiny(4), out=tmp_path / "parts", console=console)
    train(tiny(7), resume=tmp_path / "parts", console=console)
    whole = load_checkpoint(checkpoints(tmp_path / "whole" / "checkpoints")[-1])
    parts = load_checkpoint(checkpoints(tmp_path / "parts" / "checkpoints")[-1])
    assert whole["step"] == parts["step"] == 7
    for key in STATE:
        assert equal(whole[key], parts[key]), key
    assert np.array_equal(load(tmp_path / "whole").sample(3), load(tmp_path / "parts").sample(3))


def test_resume_after_a_crash_repeats_no_log_line(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    train(tiny(6), out=out, console=console)
    # As if killed at step 9 with the last checkpoint at step 6 and a half-written line.
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 8, "loss_d": 99.0}\n{"step": 9, "los')
    train(tiny(10), resume=out, console=console)
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [r["step"] for r in records if "loss_d" in r]
    assert steps == [2, 4, 6, 8, 10]
    assert 99.0 not in [r.get("loss_d") for r in records]


def test_truncate_log_leaves_a_whole_log_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert [r["step"] for r in truncate_log(path, 2)] == [1, 2]
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert truncate_log(tmp_path / "none.jsonl", 5) == []


def test_resume_refuses_other_settings_by_name(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    train(tiny(3), out=out, console=console)
    stored = read_snapshot(out).config
    changed = replace(stored, train=replace(stored.train, lr_g=0.5), generator=replace(stored.generator, z_dim=9))
    with pytest.raises(RunError, match=r"generator\.z_dim, train\.lr_g differ"):
        train(changed, resume=out, console=console)
    with pytest.raises(RunError, match="leave --out"):
        train(resume=out, out=tmp_path / "x", console=console)
    with pytest.raises(RunError, match="no such run folder"):
        train(resume=tmp_path / "nothing", console=console)


def test_resume_refuses_changed_pictures(tmp_path: Path, console: Console) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(pictures / f"{i}.png")
    config = tiny(2)
    config = replace(config, data=DataConfig(path=str(pictures), cache_dir=str(tmp_path / "cache")))
    train(config, out=tmp_path / "run", console=console)
    (pictures / "11.png").unlink()
    with pytest.raises(RunError, match="pictures changed"):
        train(resume=tmp_path / "run", console=console)


def test_an_existing_run_is_never_overwritten(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    train(tiny(2), out=out, console=console)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(RunError, match="holds a run already"):
        train(tiny(2), out=out, console=console)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        train(tiny(2), out=other, console=console)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_run_folder_in_use_is_refused(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    train(tiny(2), out=out, console=console)
    with run_lock(out), pytest.raises(RunError, match="in use by another training process"):
        train(resume=out, console=console)
    train(resume=out, console=console)  # free again


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_too_little_disk_is_told_before_the_start(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(RunError, match=r"need .* MB and .* has 0 MB free"):
        train(tiny(2), out=tmp_path / "run", console=console)


def test_a_checkpoint_is_as_large_as_announced(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    config = tiny(2)
    config = replace(
        config,
        generator=replace(config.generator, base_width=16),
        discriminator=replace(config.discriminator, base_width=32),
    )
    train(config, out=out, console=console)
    snapshot = read_snapshot(out)
    networks = build(snapshot.config).state
    real = snapshot.path.stat().st_size
    assert 0.9 < networks.num_bytes() / real < 1.1
    check_space(out, networks, snapshot.config.train, console)


def test_divergence_stops_without_a_broken_checkpoint(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    with pytest.raises(DivergedError, match="not finite"):
        train(tiny(40, lr_g=1e30, lr_d=1e30, save_every=2), out=out, console=console)
    for path in (out / "checkpoints").glob("*.pt"):
        contents = load_checkpoint(path)
        assert all(bool(torch.isfinite(value).all()) for key in ("G", "D") for value in contents[key].values())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_finish_the_step_and_save(tmp_path: Path, number: signal.Signals, code: int) -> None:
    out = tmp_path / "run"
    flags = ["--base-width", "4", "--train.batch-size", "8", "--train.log-every", "1", "--train.sample-every", "0"]
    command = [
        sys.executable,
        "-m",
        "sagan",
        "train",
        "--preset",
        "demo",
        "--steps",
        "1000000",
        "--out",
        str(out),
        *flags,
    ]
    said = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # read until it trains, then stop it
            said += line
            if line.startswith("step 3/"):
                process.send_signal(number)
                break
        said += process.stderr.read()
    assert process.returncode == code, said
    assert f"sagan train --resume {out}" in said
    assert "Traceback" not in said
    step = int(read_snapshot(out).contents["step"])  # type: ignore[call-overload]
    assert step >= 3
    # ... and the printed command continues
    done = subprocess.run(
        [sys.executable, "-m", "sagan", "train", "--resume", str(out), "--steps", str(step + 2)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(read_snapshot(out).contents["step"]) == step + 2  # type: ignore[call-overload]


def make_pictures(root: Path, classes: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(1)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize("source", ["run", "weights"])
def test_training_starts_from_other_weights_and_classes(tmp_path: Path, console: Console, source: str) -> None:
    def config(path: Path, steps: int) -> RunConfig:
        return replace(tiny(steps), data=DataConfig(path=str(path), cache_dir=str(tmp_path / "cache")))

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


def test_log_hook_is_called_outside_of_steps_only(tmp_path: Path, console: Console) -> None:
    # What is looked at in between must not change what is computed: with and without pictures and monitor.
    train(tiny(5), out=tmp_path / "busy", console=console)
    train(tiny(5, sample_every=0, evaluate_every=0, log_every=5), out=tmp_path / "quiet", console=console)
    busy, quiet = (load_checkpoint(checkpoints(tmp_path / n / "checkpoints")[-1]) for n in ("busy", "quiet"))
    for key in STATE:
        assert equal(busy[key], quiet[key]), key


def test_a_failed_start_leaves_the_folder_free(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    with pytest.raises(DataError, match="there is no"):
        train(replace(tiny(2), data=DataConfig(path=str(tmp_path / "typo"))), out=out, console=console)
    assert not out.exists()
    assert train(tiny(2), out=out, console=console).finished


def test_a_run_can_be_resumed_from_its_first_moment(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    with pytest.raises(DivergedError):
        train(tiny(40, lr_g=1e30, lr_d=1e30, save_every=40), out=out, console=console)
    assert int(read_snapshot(out).contents["step"]) == 0  # type: ignore[call-overload]


def test_resume_goes_back_where_the_latest_checkpoint_is_damaged(tmp_path: Path) -> None:
    out, said = tmp_path / "run", io.StringIO()
    train(tiny(6), out=out, console=Console(file=io.StringIO()))
    latest = checkpoints(out / "checkpoints")[-1]
    latest.write_bytes(latest.read_bytes()[:3000])
    assert train(tiny(7), resume=out, console=Console(file=said, soft_wrap=True)).step == 7
    assert "going back to the one before" in said.getvalue()
    assert "resuming at step 3" in said.getvalue()


def test_what_an_interruption_left_undone_at_the_end_is_done_by_resuming(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    train(tiny(4), out=out, console=console)
    for name in ("generator.safetensors", "attention.png"):
        (out / name).unlink()
    assert train(resume=out, console=console).finished
    assert load(out / "generator.safetensors").provenance["step"] == 4
    assert (out / "attention.png").exists()


def test_a_resumed_run_keeps_the_latest_wishes(tmp_path: Path, console: Console) -> None:
    out = tmp_path / "run"
    train(tiny(2), out=out, console=console)
    with pytest.raises(RunError, match="is at step 2 already"):
        train(tiny(1), resume=out, console=console)
    assert from_json((out / "config.json").read_text()).train.total_steps == 2
    config = json.loads((out / "config.json").read_text())
    config["train"]["total_steps"] = 5  # asked for, and killed before the next checkpoint could hold it
    (out / "config.json").write_text(json.dumps(config))
    assert train(resume=out, console=console).step == 5


def test_weights_of_another_network_are_refused(tmp_path: Path, console: Console) -> None:
    plain = tiny(2)
    plain = replace(plain, generator=replace(plain.generator, attention=()))
    train(plain, out=tmp_path / "plain", console=console)
    with pytest.raises(ValueError, match="both runs need the same size, widths, attention"):
        train(tiny(2), out=tmp_path / "b", init_from=tmp_path / "plain" / "generator.safetensors", console=console)


def test_the_ablation_names_its_weights_and_those_of_attention(tmp_path: Path, console: Console) -> None:
    base = tiny(2)
    config = replace(
        base,
        generator=replace(base.generator, base_width=64, attention=(), residual=(8,)),
        discriminator=replace(base.discriminator, base_width=32, attention=(), residual=(8,)),
    )
    train(
        replace(config, train=replace(config.train, sample_every=0, evaluate_every=0)),
        out=tmp_path / "run",
        console=console,
    )
    said = console.file.getvalue()  # type: ignore[attr-defined]
    # SPEC 1.3 and 2: at 256 channels 82,945 against 81,921, at 64 channels 4,609 against 5,121.
    assert "residual block at feat8: 82,945 parameters (attention there has 81,921)" in said
    assert "residual block at feat8: 4,609 parameters (attention there has 5,121)" in said
