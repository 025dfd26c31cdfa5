"""What a person is told of the pictures and the networks when a run starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from sagan.runs.train import train


def test_the_ablation_names_its_weights_and_those_of_attention(tmp_path: Path, console: Console, tiny_full) -> None:
    base = tiny_full(2)
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


def test_copies_are_told_when_a_run_starts(tmp_path: Path, console: Console, tiny_full) -> None:
    base = tiny_full(2)
    size, train_config = base.generator.size_px, replace(base.train, sample_every=0, evaluate_every=0)
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8)
    images = images.repeat(size // 4, 1).repeat(size // 4, 2)
    images[40:60] = images[20:40]  # all of the third class lie in the second, too
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(60) // 20, class_names=["ant", "bee", "cow"])
    data = replace(base.data, path=str(tmp_path / "a.npz"), holdout_fraction=0.2, cache_dir=str(tmp_path / "cache"))
    train(replace(base, data=data, train=train_config), out=tmp_path / "run", console=console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "note: 20 picture(s) lie in two classes, with equal pixels (bee and cow)" in said
    assert "of 12 held-out pictures have near copies in training" in said
