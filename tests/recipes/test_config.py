import dataclasses
import json

import pytest

from sagan.data import DataConfig
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.config import RunConfig, differences, from_json, to_json
from sagan.recipes.presets import PRESETS
from sagan.training.config import EngineConfig, TrainConfig

UNUSUAL = RunConfig(
    data=DataConfig(path="/some where/ü", flip=True, holdout_fraction=0.0, class_names="names.txt"),
    generator=GeneratorConfig(size_px=64, attention=(), residual=(8, 16), residual_ratio=8, sn_eps=1e-8),
    discriminator=DiscriminatorConfig(size_px=64, attention=(32, 16), attention_form="official", head="auxiliary"),
    train=TrainConfig(augment=("color", "cutout"), lr_decay_start=5, lr_g=0.1 + 0.2, ema_decay=0.9999),
    engine=EngineConfig(device="cpu", precision="bf16", channels_last=True),
    seed=2**63 - 1,
)


@pytest.mark.parametrize("config", [RunConfig(), UNUSUAL, *(preset() for preset in PRESETS.values())])
def test_a_configuration_comes_back_from_its_file(config):
    assert from_json(to_json(config)) == config


def test_the_file_is_readable():
    text = to_json(UNUSUAL)
    assert json.loads(text)["discriminator"]["attention"] == [32, 16]
    assert len(text.splitlines()) > 40
    assert text.endswith("}\n")


def test_missing_fields_take_their_defaults():
    assert from_json("{}") == RunConfig()
    config = from_json('{"train": {"batch_size": 16}, "seed": 3}')
    assert config == RunConfig(train=TrainConfig(batch_size=16), seed=3)


def test_a_whole_number_is_fine_where_a_fraction_is_meant():
    config = from_json('{"train": {"ema_decay": 0, "lr_g": 1}}')
    assert isinstance(config.train.ema_decay, float)
    assert config.train.lr_g == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the configuration cannot be read: it is no JSON"),
        ("[]", "expected an object with keys, found a list"),
        ('{"train": 3}', r"configuration train\.: expected an object with keys, found 3"),
        ('{"trian": {}}', "unknown configuration key trian; did you mean train"),
        (
            '{"train": {"bach_size": 3}}',
            r"unknown configuration key train\.bach_size; did you mean train\.batch_size\?",
        ),
        ('{"zzz": 1}', "unknown configuration key zzz; known: data, generator"),
        ('{"train": {"batch_size": 16.0}}', r"train\.batch_size: 16\.0 is not of the type"),
        ('{"train": {"batch_size": true}}', r"train\.batch_size: True is not of the type"),
        ('{"train": {"lr_g": "1e-4"}}', r"train\.lr_g: '1e-4' is not of the type"),
        ('{"train": {"lr_g": true}}', r"train\.lr_g: True is not of the type"),
        ('{"train": {"lr_g": null}}', r"train\.lr_g: None is not of the type"),
        ('{"train": {"loss": "wgan"}}', r"train\.loss: 'wgan' is not of the type"),
        ('{"train": {"augment": ["cut"]}}', "'cut' is not of the type"),
        ('{"data": {"flip": 1}}', r"data\.flip: 1 is not of the type"),
        ('{"generator": {"attention": 8}}', r"generator\.attention: 8 is not of the type"),
        ('{"generator": {"attention": ["8"]}}', "'8' is not of the type"),
        ('{"generator": {"attention": [7]}}', "no feat7"),
        ('{"train": {"batch_size": 1}}', "batch_size must be at least 2, found 1"),
        ('{"seed": -1}', r"seed must be from 0 to 2\*\*63 - 1, found -1"),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(ValueError, match=message):
        from_json(text)


def test_both_networks_have_one_size():
    with pytest.raises(ValueError, match=r"generator\.size_px 64 and discriminator\.size_px 128 must be equal"):
        RunConfig(generator=GeneratorConfig(size_px=64))


def test_differences_are_dotted_names():
    assert differences(RunConfig(), RunConfig()) == []
    changed = dataclasses.replace(
        RunConfig(), seed=1, train=TrainConfig(lr_g=3e-4, total_steps=5), data=DataConfig(flip=True)
    )
    assert differences(RunConfig(), changed) == ["data.flip", "train.total_steps", "train.lr_g", "seed"]


@pytest.mark.parametrize(
    "kind", [RunConfig, DataConfig, GeneratorConfig, DiscriminatorConfig, TrainConfig, EngineConfig]
)
def test_configurations_are_frozen_and_take_keywords_only(kind):
    config = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)
    with pytest.raises(TypeError):
        kind(1)


def test_cuda_graphs_refuse_micro_batches():
    with pytest.raises(ValueError, match=r"take train\.accumulate 1, found 2"):
        RunConfig(train=TrainConfig(batch_size=8, accumulate=2), engine=EngineConfig(compile="graphs"))


def test_a_run_of_256_px_from_before_width_plans_keeps_its_widths():
    now = RunConfig(generator=GeneratorConfig(size_px=256), discriminator=DiscriminatorConfig(size_px=256))
    values = json.loads(to_json(now))
    for network in ("generator", "discriminator"):
        assert values[network].pop("width_plan") == "published"
    old = from_json(json.dumps(values))
    assert old.generator.widths == tuple(64 * k for k in (16, 16, 16, 8, 4, 2, 1))
    assert old.discriminator.widths == tuple(64 * k for k in (1, 2, 4, 8, 16, 16, 16))
    assert from_json(to_json(now)) == now
    assert now.generator.widths == tuple(64 * k for k in (16, 16, 8, 8, 4, 2, 1))
