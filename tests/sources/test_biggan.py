"""BigGAN-PyTorch's networks and training with the options of its SAGAN, its thin discriminator at 64 px (README.md)."""

import biggan
import pytest
from checks import BATCH_SIZE, SMALL, Z_DIM, Options, apart, apart_at_start, apart_in_eps, sized, slow_at_128
from replay import Recipe

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.training.config import TrainConfig


def recipe(G: Options, D: Options) -> Recipe:
    both = {**SMALL, "sn_eps": 1e-8, "bias_start": "all", "width_plan": "biggan"}
    return Recipe(
        GeneratorConfig(**both, z_dim=Z_DIM, class_start="weights", **G),
        DiscriminatorConfig(**both, **D),
        TrainConfig(
            batch_size=BATCH_SIZE, beta2=0.999, d_vectors="joint", ema_decay=0.9, ema_start=1, ema_running="average"
        ),
        biggan.keys,
    )


RUNS = {
    "biggan-128": recipe(sized(128, 4, (64,)), sized(128, 8, (64,))),
    "biggan-64": recipe(sized(64, 4, (32,)), sized(64, 8, (32,), width="thin", thin_first=True)),
    "biggan-32": recipe(sized(32, 4, (16,)), sized(32, 4, (16, 8), attention_repeat=True)),
}


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_two_updates_are_those_of_the_source(run, monkeypatch):
    assert apart(run, RUNS[run], monkeypatch) == set()


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_networks_start_like_those_of_the_source(run):
    assert apart_at_start(run, RUNS[run]) == set()
    assert apart_in_eps(run, RUNS[run]) == {}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"train.d_vectors": "once"}, "value D 1"),
        ({"train.d_vectors": "separate"}, "gradient D 1"),
        ({"train.g_vectors": "g_step_only"}, "value G 1"),
        ({"train.bn_tracking": "g_step_only"}, "value G 1"),
        ({"train.ema_running": "copy"}, "average G 2"),
        ({"train.ema_start": 0}, "average G 1"),
        ({"train.lr_g": 2e-4}, "change G 1"),
        ({"train.beta2": 0.9}, "change D 2"),
        ({"generator.bn_eps": 2e-5}, "images D 1"),
        ({"generator.bn_momentum": 0.2}, "value G 1"),
        ({"generator.bn_biased": True}, "value G 1"),
    ],
)
def test_another_option_is_seen(options, seen, monkeypatch):
    updates = int(seen[-1])
    assert seen in apart("biggan-32", RUNS["biggan-32"].with_options(options), monkeypatch, updates)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"generator.class_start": "identity"}, "G/blocks.0.0.bn1.bias.weight"),
        ({"generator.bias_start": "linear"}, "G/blocks.0.0.conv1.bias"),
        ({"discriminator.bias_start": "zeros"}, "D/linear.bias"),
    ],
)
def test_another_start_is_seen(options, seen):
    assert seen in apart_at_start("biggan-32", RUNS["biggan-32"].with_options(options))


@pytest.mark.parametrize(
    ("run", "options"),
    [
        ("biggan-64", {"discriminator.thin_first": False}),
        ("biggan-64", {"generator.width_plan": "published"}),
        ("biggan-32", {"discriminator.width_plan": "published"}),
    ],
)
def test_other_widths_give_other_shapes(run, options, monkeypatch):
    with pytest.raises(AssertionError, match="other shapes"):
        apart(run, RUNS[run].with_options(options), monkeypatch, 1)
