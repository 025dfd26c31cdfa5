"""docs/recipes.md: its tables say what the presets are, and say all in which a preset is no default."""

import dataclasses
import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from sagan.recipes.config import RunConfig, differences
from sagan.recipes.presets import PRESETS, recipe_steps

PAGE = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = ("slides", "official", "best-known", "studio-like", "sngan-projection", "acgan")
# What no source differs in from the others, or what no source has.
NOT_OF_A_SOURCE = {"train.sample_every", "train.evaluate_every", "train.save_every"}
# Rows that every recipe has.
ALWAYS = {
    "data.holdout_fraction",
    "data.flip",
    "generator.attention",
    "discriminator.attention",
    "generator.init",
    "generator.bias_start",
    "generator.class_conditioning",
    "generator.class_start",
    "generator.spectral_norm",
    "generator.bn_eps",
    "generator.sampling_norm",
    "train.d_vectors",
    "train.batch_norm",
    "train.bn_tracking",
    "train.beta2",
    "train.adam_eps",
    "train.lr_g",
    "train.lr_d",
    "train.batch_size",
    "train.total_steps",
    "train.d_steps",
    "train.ema_decay",
}
ALIKE_IN_BOTH = ("attention_form", "bias_start", "init", "sn_eps", "sn_eps_linear", "sn_gradient")
"""Fields that both networks have; a table that names G's alone means both."""


class Row(NamedTuple):
    difference: str
    source: str
    ours: str
    field: str


def table(recipe: str) -> list[Row]:
    text = PAGE.split(f"<!-- recipe: {recipe} -->\n")[1].split("\n\n")[0]
    rows = [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in text.splitlines()[2:]]
    assert rows
    return rows


def value(config: RunConfig, field: str) -> object:
    owner, key = field.split(".")
    return getattr(getattr(config, owner), key)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_table_says_what_the_preset_has(recipe: str) -> None:
    config = PRESETS[recipe]()
    for row in table(recipe):
        assert row.difference and row.source and row.ours
        if row.field == "-":
            continue
        field = re.fullmatch(r"`([a-z]+\.[a-z0-9_]+)`", row.field)
        assert field, row
        found = value(config, field[1])
        assert row.ours == (found if isinstance(found, str) else json.dumps(found)), row


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_table_is_complete(recipe: str) -> None:
    config = PRESETS[recipe]()
    fields = {row.field.strip("`") for row in table(recipe)}
    said = fields | {
        f"discriminator.{key}" for key in ALIKE_IN_BOTH if value_is_alike(config, key) and f"generator.{key}" in fields
    }
    changed = set(differences(RunConfig(), config)) - NOT_OF_A_SOURCE
    assert changed - said == set()
    assert ALWAYS - (said | ({"generator.class_start"} if recipe == "studio-like" else set())) == set()


def value_is_alike(config: RunConfig, key: str) -> bool:
    return bool(getattr(config.generator, key) == getattr(config.discriminator, key))


def test_what_the_ends_of_the_walk_differ_in_is_in_a_table_of_one_of_them() -> None:
    steps = [config for _, config in recipe_steps()]
    fields = {row.field.strip("`") for recipe in ("studio-like", "best-known") for row in table(recipe)}
    named = fields | {f.replace("generator.", "discriminator.") for f in fields}
    assert set(differences(steps[0], steps[-1])) <= named


def test_biggan_pytorchs_script_is_what_the_page_says() -> None:
    flags = re.search(r"`best-known` with `(.*?)` is it", PAGE, re.DOTALL)
    assert flags
    words = flags[1].split()
    config = PRESETS["best-known"]()
    for flag, text in zip(words[::2], words[1::2], strict=True):
        owner, key = flag.removeprefix("--").replace("-", "_").split(".")
        part = getattr(config, owner)
        kind = type(getattr(part, key)) if getattr(part, key) is not None else float
        config = dataclasses.replace(config, **{owner: dataclasses.replace(part, **{key: kind(text)})})
    assert (config.train.d_vectors, config.train.ema_running) == ("joint", "average")
    assert (config.train.ema_decay, config.train.ema_start) == (0.9999, 1999)
    assert config.generator.bias_start == config.discriminator.bias_start == "all"
    assert config.generator.sn_eps_linear == config.generator.sn_eps
