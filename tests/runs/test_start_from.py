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
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.recipes.config import RunConfig
from sagan.runs.start_from import _flag, _unlike, check_start
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
    assert "1 class starts fresh (bee)" in text
    old, new = load(tmp_path / "a").network.state_dict(), load(tmp_path / "b").network.state_dict()
    gain = "blocks.0.norm1.gain"
    # Classes are sorted: old cat, dog, emu; new bee, cat, dog. One step moves a weight by about the learning rate.
    assert torch.allclose(new[gain][1:], old[gain][:2], atol=5e-3)
    assert torch.allclose(new[gain][0], torch.ones_like(new[gain][0]), atol=5e-3)


def test_weights_of_another_network_are_refused(tmp_path: Path, console: Console, tiny_full) -> None:
    plain = tiny_full(2)
    plain = replace(plain, generator=replace(plain.generator, attention=()))
    train(plain, out=tmp_path / "plain", console=console)
    with pytest.raises(ValueError, match=r"generator\.attention is nowhere there and 8 here"):
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


G = GeneratorConfig(size_px=32, num_classes=3, base_width=8, z_dim=16, attention=(8,))
D = DiscriminatorConfig(size_px=32, num_classes=3, base_width=8, attention=(8,))


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (G, {"size_px": 16}),
        (G, {"start_grid": (4, 6)}),
        (G, {"z_dim": 17}),
        (G, {"noise_entry": "whole"}),
        (G, {"base_width": 16}),
        (G, {"width_plan": "biggan"}),
        (G, {"attention": None}),
        (G, {"attention": ()}),
        (G, {"attention_form": "official"}),
        (G, {"residual": (16,)}),
        (G, {"spectral_norm": False}),
        (G, {"class_conditioning": "linear"}),
        (G, {"class_start": "weights"}),
        (G, {"class_vectors": "channels"}),
        (G, {"sn_eps": 1e-3, "bn_eps": 0.1, "bn_momentum": 0.2, "bn_biased": True, "init": "orthogonal"}),
        (G, {"sampling_norm": "running", "upsampling": "bilinear", "fold": False, "sn_gradient": "full"}),
        (G, {"narrow_largest": 1}),
        (G, {"single_largest": 1}),
        (G, {"inside": 64}),
        (replace(G, attention=()), {"attention_form": "official"}),
        (replace(G, num_classes=0), {"class_conditioning": "linear"}),
        (D, {"base_width": 16}),
        (D, {"width_plan": "biggan"}),
        (D, {"width": "thin"}),
        (replace(D, size_px=64), {"width": "thin"}),
        (D, {"attention": (16,)}),
        (D, {"attention_repeat": True}),
        (D, {"head": "auxiliary"}),
        (replace(D, num_classes=0, head="none"), {"head": "projection"}),
        (D, {"last_block_down": True}),
        (D, {"linear_bias": False}),
        (D, {"shortcut_relu": True, "sn_eps": 1e-3, "bias_start": "all"}),
        (D, {"start_grid": (4, 6)}),
    ],
    ids=str,
)
def test_fields_are_named_exactly_where_they_change_what_weights_there_are(base, changes) -> None:
    def shapes(config: GeneratorConfig | DiscriminatorConfig) -> dict[str, tuple[int, ...]]:
        network = Generator(config) if isinstance(config, GeneratorConfig) else Discriminator(config)
        return {key: tuple(value.shape) for key, value in network.state_dict().items()}

    part = "generator" if isinstance(base, GeneratorConfig) else "discriminator"
    other = replace(base, **changes)
    named = _unlike(part, base, other, folded=False)
    assert bool(named) == (shapes(base) != shapes(other)), named
    assert {name.removeprefix(f"{part}.") for name in named} <= {
        *changes,
        "attention",
    }  # whose default goes by the size


def test_flags_give_the_values_that_the_weights_have() -> None:
    both = {"generator": G, "discriminator": D}
    assert _flag("generator.base_width", both) == "--base-width 8"
    assert _flag("discriminator.attention", both) == "--attention 8"
    assert _flag("generator.base_width", {"generator": G}) == "--generator.base-width 8"
    assert _flag("generator.base_width", {**both, "discriminator": replace(D, base_width=16)}) == (
        "--generator.base-width 8"
    )
    assert _flag("generator.attention", {"generator": replace(G, attention=())}) == "--generator.attention"
    assert _flag("generator.size_px", {"generator": replace(G, start_grid=(4, 6))}) == "--size 32x48"
    assert _flag("generator.spectral_norm", both) == "--generator.spectral-norm"
    assert _flag("discriminator.last_block_down", both) == "--discriminator.no-last-block-down"


@pytest.mark.slow("trains")
def test_other_networks_are_refused_before_anything_is_said_or_read(
    tmp_path: Path, tiny_full, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("pictures were read")

    first = tiny_full(1)
    train(first, out=tmp_path / "first", console=Console(file=io.StringIO()))
    monkeypatch.setattr("sagan.runs.prepare.open_dataset", read)
    wide = replace(first, generator=replace(first.generator, z_dim=5), discriminator=first.discriminator)
    said = io.StringIO()
    for source in ("first", "first/generator.safetensors", "first/checkpoints/step-00000001.pt"):
        with pytest.raises(ValueError, match=r"generator.z_dim is \d+ there and 5 here; for networks like those give"):
            train(wide, out=tmp_path / "b", init_from=tmp_path / source, console=Console(file=said))
        check_start(tmp_path / source, first)
    assert said.getvalue() == ""
    assert not (tmp_path / "b").exists()
