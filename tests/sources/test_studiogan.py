"""PyTorch-StudioGAN's SAGAN, which the preset `studio-like` is: its networks and training (README.md)."""

from dataclasses import replace

import pytest
import studiogan
from checks import BATCH_SIZE, SMALL, Z_DIM, Options, apart, apart_at_start, apart_in_eps, sized, slow_at_128
from replay import Recipe

from sagan.recipes.presets import studio_like


def recipe(G: Options, D: Options) -> Recipe:
    preset = studio_like()
    return Recipe(
        replace(preset.generator, **SMALL, z_dim=Z_DIM, **G),
        replace(preset.discriminator, **SMALL, **D),
        replace(preset.train, batch_size=BATCH_SIZE),
        studiogan.keys,
    )


RUNS = {
    "studiogan-128": recipe(sized(128, 4, (64,)), sized(128, 8, (64,))),
    "studiogan-32": recipe(sized(32, 4, (16,)), sized(32, 8, (16,))),
}


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_two_updates_are_those_of_the_source(run, monkeypatch):
    assert apart(run, RUNS[run], monkeypatch) == set()


def test_the_other_side_of_class_maps_is_seen_where_they_are_no_longer_converged(monkeypatch):
    """Their vectors start converged, and then both sides are the same; the first update moves the maps."""
    other = RUNS["studiogan-32"].with_options({"generator.class_vectors": "classes"})
    found = apart("studiogan-32", other, monkeypatch)
    assert {"gradient G 2", "value G 2"} <= found
    assert not any(name.endswith("1") for name in found)


@pytest.mark.parametrize("run", slow_at_128(RUNS))
def test_networks_start_like_those_of_the_source(run):
    assert apart_at_start(run, RUNS[run]) == set()
    assert apart_in_eps(run, RUNS[run]) == {}


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"train.bn_tracking": "each"}, "value G 1"),
        ({"train.adam_eps": 1e-8}, "change D 1"),
        ({"train.d_vectors": "once"}, "logits fake 1"),
        ({"train.d_vectors": "joint"}, "logits fake 1"),
        ({"discriminator.shortcut_relu": False}, "logits real 1"),
        ({"generator.bn_eps": 1e-5}, "images D 1"),
    ],
)
def test_another_option_is_seen(options, seen, monkeypatch):
    assert seen in apart("studiogan-32", RUNS["studiogan-32"].with_options(options), monkeypatch, 1)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_another_start_is_seen(network):
    other = RUNS["studiogan-32"].with_options({f"{network}.init": "xavier"})
    assert apart_at_start("studiogan-32", other) != set()
