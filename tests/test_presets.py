import dataclasses
import re

import pytest

from sagan.build import with_classes
from sagan.config import RunConfig, differences
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.presets import PRESETS


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def networks(config):
    """Both networks of a preset, without spectral normalisation, which adds no parameter."""
    plain = lambda part: dataclasses.replace(part, spectral_norm=False)  # noqa: E731
    return Generator(plain(config.generator)), Discriminator(plain(config.discriminator))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_run_that_can_be_built(name, no_memory):
    config = PRESETS[name]()
    assert isinstance(config, RunConfig)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert PRESETS[name].__doc__
    assert config == PRESETS[name]()
    for num_classes in (0, 10):
        G, D = networks(with_classes(config, num_classes))
        assert count(G) > 0
        assert count(D) > 0
        assert G.config.size_px == D.config.size_px


@pytest.mark.parametrize("name", PRESETS)
def test_cadences_fit_the_length(name):
    train = PRESETS[name]().train
    for cadence in (train.log_every, train.sample_every, train.evaluate_every, train.save_every):
        assert cadence <= train.total_steps
    assert train.ema_start < train.total_steps


def test_sagan_128_is_the_papers(no_memory):
    config = PRESETS["sagan-128"]()
    G, D = networks(config)
    assert (count(G), count(D)) == (42_078_852, 39_463_618)  # feat32
    train = config.train
    assert (train.lr_g, train.lr_d, train.beta1, train.beta2) == (1e-4, 4e-4, 0.0, 0.9)
    assert (train.batch_size, train.d_steps, train.total_steps, train.loss) == (256, 1, 1_000_000, "hinge")
    assert (train.ema_decay, train.augment, config.data.flip) == (0.0, (), False)
    for part in (config.generator, config.discriminator):
        assert part.spectral_norm
        assert part.attention_form == "slides"
        assert part.attention_positions == (32,)
    assert config.discriminator.width == "wide"
    assert config.discriminator.head == "projection"


def test_acgan_128_differs_from_the_paper_in_head_and_attention_alone():
    assert differences(PRESETS["sagan-128"](), PRESETS["acgan-128"]()) == [
        "generator.attention",
        "discriminator.attention",
        "discriminator.head",
    ]
    assert PRESETS["acgan-128"]().discriminator.head == "auxiliary"
    assert PRESETS["acgan-128"]().generator.attention_positions == ()


def test_classes_are_set_for_both_networks():
    config = with_classes(PRESETS["demo"](), 10)
    assert config.generator.num_classes == config.discriminator.num_classes == 10
    assert differences(PRESETS["demo"](), config) == ["generator.num_classes", "discriminator.num_classes"]
