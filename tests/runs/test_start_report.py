"""What a person is told of the networks when a run starts."""

from dataclasses import replace
from pathlib import Path

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
