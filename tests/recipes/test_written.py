"""Configurations in files that people write."""

import json
from dataclasses import replace

import pytest

from sagan.recipes.config import RunConfig, to_json
from sagan.recipes.presets import best_known
from sagan.recipes.written import read_config


def test_a_run_s_own_file_gives_its_configuration(tmp_path):
    (tmp_path / "config.json").write_text(to_json(best_known()))
    assert read_config(tmp_path / "config.json") == (best_known(), True, False)


def test_yaml_lays_a_few_keys_over_a_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: best-known\ntrain:\n  lr_g: 2e-4\n  batch_size: 64\ngenerator: {attention: [16, 32]}\n")
    base = best_known()
    expected = replace(
        base,
        train=replace(base.train, lr_g=2e-4, batch_size=64),
        generator=replace(base.generator, attention=(16, 32)),
    )
    assert read_config(file) == (expected, False, True)


def test_without_a_preset_the_rest_are_defaults(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"seed": 7, "data": {"path": "pictures"}}))
    config, says_pictures, _ = read_config(file)
    assert config == replace(RunConfig(seed=7), data=replace(RunConfig().data, path="pictures"))
    assert says_pictures


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "", "ends in .json, .yaml, .yml"),
        ("a.json", "{", "cannot be read"),
        ("a.yaml", "a: [1", "cannot be read"),
        ("a.yaml", "- 1", "holds no configuration keys"),
        ("a.yaml", "trian: {}", "did you mean train?"),
        ("a.yaml", "train: {batch_sise: 2}", "did you mean train.batch_size?"),
        ("a.yaml", "train: {batch_size: many}", "train.batch_size: 'many' is not of the type"),
        ("a.yaml", "preset: best-knwon", "did you mean best-known?"),
        ("a.json", '{"seed": -1}', "seed must be from 0"),
        ("a.yaml", "train: 3", "expected an object"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_config(tmp_path / name)
    assert name in str(caught.value)
