import dataclasses
import itertools
import re

import pytest

from sagan.models.generator import Generator
from sagan.recipes.build import build_discriminator, with_classes
from sagan.recipes.config import RunConfig, differences
from sagan.recipes.presets import PRESETS, at_size, recipe_steps


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def networks(config):
    """Both networks of a preset, without spectral normalisation, which adds no parameter."""
    plain = lambda part: dataclasses.replace(part, spectral_norm=False)  # noqa: E731
    return Generator(plain(config.generator)), build_discriminator(plain(config.discriminator))


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


def changed(base, other):
    """What a preset changes of another: {field: value}."""
    return {
        name: getattr(getattr(PRESETS[other](), name.split(".")[0]), name.split(".")[1])
        for name in differences(PRESETS[base](), PRESETS[other]())
    }


def test_slides_is_the_papers_own_recipe_on_all_pictures():
    assert changed("sagan-128", "slides") == {"data.holdout_fraction": 0.0}


def test_acgan_differs_from_the_paper_in_head_and_attention_alone():
    assert changed("slides", "acgan") == {
        "generator.attention": (),
        "discriminator.attention": (),
        "discriminator.head": "auxiliary",
    }


def test_official_differs_from_the_paper_where_the_authors_code_does():
    assert changed("slides", "official") == {
        "generator.attention_form": "official",
        "generator.sn_gradient": "full",
        "generator.bn_momentum": 0.001,
        "generator.bn_momentum_last": 0.0001,
        "generator.bn_biased": True,
        "generator.sampling_norm": "running",
        "discriminator.attention_form": "official",
        "discriminator.sn_gradient": "full",
        "train.batch_norm": "ghost",
        "train.beta2": 0.999,
    }
    assert PRESETS["official"]().train.ghost_size == 64


def test_best_known_is_the_column_of_the_specification():
    assert changed("slides", "best-known") == {
        "generator.attention": (64,),
        "generator.attention_form": "official",
        "generator.sn_eps": 1e-8,
        "generator.sn_eps_linear": 1e-12,
        "generator.bias_start": "linear",
        "generator.class_start": "weights",
        "generator.sampling_norm": "running",
        "discriminator.attention": (64,),
        "discriminator.attention_form": "official",
        "discriminator.sn_eps": 1e-8,
        "discriminator.sn_eps_linear": 1e-12,
        "discriminator.bias_start": "linear",
        "train.d_vectors": "separate",
        "train.d_order": "generated_first",
        "train.batch_norm": "ghost",
        "train.ghost_size": 32,
        "train.beta2": 0.999,
        "train.ema_decay": 0.999,
        "train.ema_start": 2000,
    }
    config = PRESETS["best-known"]()
    assert (config.generator.bn_eps, config.generator.init, config.data.flip) == (1e-5, "xavier", False)
    assert config.generator.class_conditioning == "tables"


def test_studio_like_is_the_column_of_the_specification():
    assert changed("slides", "studio-like") == {
        "data.flip": True,
        "generator.attention": (64,),
        "generator.attention_form": "official",
        "generator.sn_eps": 1e-6,
        "generator.init": "orthogonal",
        "generator.class_conditioning": "linear",
        "generator.class_vectors": "channels",
        "generator.bn_eps": 1e-4,
        "generator.sampling_norm": "running",
        "discriminator.attention": (64,),
        "discriminator.attention_form": "official",
        "discriminator.sn_eps": 1e-6,
        "discriminator.init": "orthogonal",
        "discriminator.shortcut_relu": True,
        "train.beta2": 0.999,
        "train.adam_eps": 1e-6,
        "train.d_vectors": "separate",
        "train.bn_tracking": "g_step_only",
    }


def test_sngan_projection_is_the_recipe_of_its_authors():
    assert changed("slides", "sngan-projection") == {
        "generator.attention": (),
        "generator.spectral_norm": False,
        "generator.init": "chainer",
        "generator.bn_eps": 2e-5,
        "generator.sampling_norm": "running",
        "discriminator.attention": (),
        "discriminator.init": "chainer",
        "discriminator.width": "thin",
        "train.total_steps": 450_000,
        "train.batch_size": 64,
        "train.g_batch_size": 128,
        "train.d_steps": 5,
        "train.lr_g": 2e-4,
        "train.lr_d": 2e-4,
        "train.lr_decay_start": 400_000,
        "train.d_vectors": "separate",
    }


@pytest.mark.parametrize(
    ("name", "size_px", "num_classes", "expected"),
    [
        ("official", 128, 1000, (42_078_852, 39_463_618)),  # feat32
        ("best-known", 128, 1000, (42_017_412, 39_448_258)),  # feat64
        ("studio-like", 128, 1000, (42_017_412, 39_448_258)),
        ("acgan", 128, 1000, (41_996_931, 39_443_137)),
        ("sngan-projection", 128, 1000, (41_996_931, 30_041_857)),
        ("sngan-projection", 64, 1000, (17_974_915, 11_165_441)),
        ("sngan-projection", 64, 200, (13_366_915, 10_346_241)),
        ("sngan-projection", 32, 10, (4_304_387, 1_055_104)),
        ("acgan", 64, 1000, (17_974_915, 20_566_721)),
        ("official", 32, 10, (4_386_308, 1_075_586)),  # 256 and 128 channels at 16x16
        ("studio-like", 32, 10, (4_386_308, 1_075_586)),
    ],
)
def test_recipes_have_the_published_parameters_at_every_size(name, size_px, num_classes, expected, no_memory):
    config = with_classes(at_size(PRESETS[name](), size_px), num_classes)
    assert tuple(count(network) for network in networks(config)) == expected


def test_sngan_projection_has_its_own_length_at_each_size():
    found = {}
    for size_px in (128, 64, 32):
        train = at_size(PRESETS["sngan-projection"](), size_px).train
        found[size_px] = (train.batch_size, train.generator_batch, train.total_steps, train.lr_decay_start)
        assert train.d_steps == 5
    assert found == {128: (64, 128, 450_000, 400_000), 64: (64, 64, 250_000, 200_000), 32: (64, 128, 50_000, 0)}


def test_blocks_stay_where_both_networks_have_their_place_else_they_move_to_the_default():
    def at(size_px, **fields):
        base = PRESETS["slides"]()
        both = {"generator": base.generator, "discriminator": base.discriminator}
        config = at_size(
            dataclasses.replace(base, **{k: dataclasses.replace(v, **fields) for k, v in both.items()}), size_px
        )
        assert config.generator.attention_positions == config.discriminator.attention_positions
        assert config.generator.residual == config.discriminator.residual
        return config.generator.attention_positions, config.generator.residual

    assert at(64) == ((16,), ())
    assert at(64, attention=(8, 32)) == ((8, 32), ())
    assert at(64, attention=(64,)) == ((16,), ())  # the discriminator's first output has 32
    assert at(32, attention=(32,)) == ((16,), ())
    assert at(32, attention=()) == ((), ())
    assert at(32, attention=(), residual=(64,)) == ((), (16,))
    assert at(64, attention=(), residual=(8,)) == ((), (8,))


def test_a_recipe_changes_nothing_but_what_the_size_asks_for():
    config = PRESETS["studio-like"]()
    assert at_size(config, 128) == config
    assert differences(config, at_size(config, 64)) == [
        "generator.size_px",
        "generator.attention",
        "discriminator.size_px",
        "discriminator.attention",
    ]
    with pytest.raises(ValueError, match="size_px must be 64 or 32, or the recipe's own 128, found 48"):
        at_size(config, 48)


def test_the_walk_from_studio_like_to_best_known_turns_one_switch_at_a_time():
    steps = recipe_steps()
    assert steps[0] == ("studio-like", PRESETS["studio-like"]())
    assert steps[-1][1] == PRESETS["best-known"]()
    names = [name for name, _ in steps]
    assert len(set(names)) == len(names)
    turned = [differences(before, after) for (_, before), (_, after) in itertools.pairwise(steps)]
    # The fields of a step are one switch: the same of both networks, and those that mean little one without the other.
    assert turned == [
        ["discriminator.shortcut_relu"],
        ["generator.class_conditioning", "generator.class_start", "generator.class_vectors"],
        ["generator.bn_eps"],
        ["train.batch_norm", "train.ghost_size"],
        ["train.bn_tracking"],
        ["generator.sn_eps", "generator.sn_eps_linear", "discriminator.sn_eps", "discriminator.sn_eps_linear"],
        ["generator.init", "generator.bias_start", "discriminator.init", "discriminator.bias_start"],
        ["train.adam_eps"],
        ["data.flip"],
        ["train.d_order"],
        ["train.ema_decay", "train.ema_start"],
    ]
    assert {"class tables without spectral norm", "batch norm eps 1e-5", "moving average from step 2,000"} <= set(names)


def test_the_walk_can_be_made_at_every_size():
    for size_px in (64, 32):
        walk = [at_size(config, size_px) for _, config in recipe_steps()]
        assert all(len(differences(a, b)) in (1, 2, 3, 4) for a, b in itertools.pairwise(walk))
        assert walk[-1] == at_size(PRESETS["best-known"](), size_px)


def test_classes_are_set_for_both_networks():
    config = with_classes(PRESETS["demo"](), 10)
    assert config.generator.num_classes == config.discriminator.num_classes == 10
    assert differences(PRESETS["demo"](), config) == ["generator.num_classes", "discriminator.num_classes"]
