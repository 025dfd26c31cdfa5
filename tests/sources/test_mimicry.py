"""Mimicry's SAGAN and its cGAN-PD, the network of SNGAN-projection (README.md)."""

import mimicry
import pytest
from checks import BATCH_SIZE, SMALL, Z_DIM, Options, apart, apart_at_start, apart_in_eps, sized, slow_at_128
from replay import Recipe

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.training.config import TrainConfig


def recipe(G: Options, D: Options) -> Recipe:
    both = {**SMALL, "init": "chainer", "bias_start": "all"}
    return Recipe(
        GeneratorConfig(**both, z_dim=Z_DIM, upsampling="bilinear", **G),
        DiscriminatorConfig(**both, width="thin", shortcut_relu=True, **D),
        TrainConfig(batch_size=BATCH_SIZE, lr_g=2e-4, lr_d=2e-4, d_vectors="separate"),
        mimicry.keys,
    )


RUNS = {
    "mimicry-sagan-128": recipe(sized(128, 4, (32,)), sized(128, 8, (32,))),
    "mimicry-sagan-32": recipe(sized(32, 4, (16,)), sized(32, 8, (8,))),
    "mimicry-cgan-pd-128": recipe(sized(128, 4, spectral_norm=False), sized(128, 4)),
    "mimicry-cgan-pd-32": recipe(sized(32, 4, spectral_norm=False), sized(32, 8)),
}
SMALLER = RUNS["mimicry-sagan-32"]


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_two_updates_are_those_of_the_source(run, monkeypatch):
    assert apart(run, RUNS[run], monkeypatch) == set()


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_networks_start_like_those_of_the_source_but_for_attention(run):
    # It leaves attention where PyTorch starts convolutions.
    found = apart_at_start(run, RUNS[run])
    assert bool(found) == run.startswith("mimicry-sagan")
    assert all("attn_block" in name for name in found)
    assert apart_in_eps(run, RUNS[run]) == {}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"generator.upsampling": "nearest"}, "images D 1"),
        ({"discriminator.shortcut_relu": False}, "logits real 1"),
        ({"train.d_vectors": "joint"}, "logits fake 1"),
        ({"train.beta1": 0.5}, "change G 2"),
    ],
)
def test_another_option_is_seen(options, seen, monkeypatch):
    assert seen in apart("mimicry-sagan-32", SMALLER.with_options(options), monkeypatch, int(seen[-1]))


def test_another_width_gives_other_shapes(monkeypatch):
    wide = RUNS["mimicry-cgan-pd-128"].with_options({"discriminator.width": "wide"})
    with pytest.raises(AssertionError, match="other shapes"):
        apart("mimicry-cgan-pd-128", wide, monkeypatch, 1)


def test_another_start_is_seen():
    assert "G/l1.bias" in apart_at_start("mimicry-sagan-32", SMALLER.with_options({"generator.bias_start": "zeros"}))
    found = apart_at_start("mimicry-sagan-32", SMALLER.with_options({"discriminator.init": "xavier"}))
    assert "D/block2.c1.weight_orig" in found
