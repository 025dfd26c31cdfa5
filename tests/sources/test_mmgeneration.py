"""MMGeneration's best SAGAN, which the preset `best-known` is: its networks and training (README.md)."""

from dataclasses import replace

import mmgeneration
import pytest
from checks import BATCH_SIZE, SMALL, Z_DIM, Options, apart, apart_at_start, apart_in_eps, sized, slow_at_128
from replay import Recipe

from sagan.recipes.presets import best_known


def recipe(G: Options, D: Options) -> Recipe:
    preset = best_known()
    return Recipe(
        replace(preset.generator, **SMALL, z_dim=Z_DIM, **G),
        replace(preset.discriminator, **SMALL, **D),
        replace(preset.train, batch_size=BATCH_SIZE, batch_norm="local", ema_decay=0.9, ema_start=1),
        mmgeneration.keys,
    )


RUNS = {
    "mmgeneration-128": recipe(sized(128, 4, (64,)), sized(128, 8, (64,))),
    "mmgeneration-32": recipe(sized(32, 4, (16,)), sized(32, 8, (16,))),
}
SMALLER = RUNS["mmgeneration-32"]


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_two_updates_are_those_of_the_source(run, monkeypatch):
    assert apart(run, RUNS[run], monkeypatch) == set()


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_networks_start_like_those_of_the_source(run):
    assert apart_at_start(run, RUNS[run]) == set()


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_eps_is_that_of_the_source_but_for_layers_that_its_option_does_not_reach(run):
    # Attention keeps 1e-6, D's first block and G's last convolution keep PyTorch's 1e-12. No norm in a training comes
    # near either.
    unreached = {1e-6: ("theta", "phi", "g", "o"), 1e-12: ("to_rgb", "from_rgb")}
    found = apart_in_eps(run, RUNS[run])
    assert set(found.values()) == {(1e-6, 1e-8), (1e-12, 1e-8)}
    for name, (theirs, _) in found.items():
        assert set(name.replace("/", ".").split(".")) & set(unreached[theirs])


def test_another_eps_is_seen():
    convolution, linear = "D/conv_blocks.1.conv_1.conv.weight_u", "D/decision.weight_u"
    assert convolution in apart_in_eps("mmgeneration-32", SMALLER.with_options({"discriminator.sn_eps": 1e-12}))
    assert linear in apart_in_eps("mmgeneration-32", SMALLER.with_options({"discriminator.sn_eps_linear": None}))


def test_it_shows_d_generated_images_before_real_ones(monkeypatch):
    found = apart("mmgeneration-32", SMALLER.with_options({"train.d_order": "real_first"}), monkeypatch, 1)
    assert {"logits real 1", "logits fake 1"} <= found
    assert {"images D 1", "images G 1", "value G 1"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"train.d_vectors": "once"}, "logits G 1"),
        ({"train.ema_running": "average"}, "average G 2"),
        ({"train.ema_decay": 0.8}, "average G 2"),
        ({"train.ema_start": 0}, "average G 1"),
        ({"train.adam_eps": 1e-6}, "change G 1"),
        ({"generator.bn_eps": 1e-4}, "images D 1"),
    ],
)
def test_another_option_is_seen(options, seen, monkeypatch):
    assert seen in apart("mmgeneration-32", SMALLER.with_options(options), monkeypatch, int(seen[-1]))


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"generator.class_start": "identity"}, "G/conv_blocks.0.norm_1.bias_embedding.weight"),
        ({"generator.bias_start": "zeros"}, "G/noise2feat.bias"),
        ({"discriminator.bias_start": "all"}, "D/conv_blocks.1.conv_1.conv.bias"),
        ({"generator.init": "chainer"}, "G/conv_blocks.0.conv_1.conv.weight_orig"),
    ],
)
def test_another_start_is_seen(options, seen):
    assert seen in apart_at_start("mmgeneration-32", SMALLER.with_options(options))
