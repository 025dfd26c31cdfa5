"""The rows of the experiments against what SPEC and the paper say of them."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from sagan.experiments.catalogue import (
    ALL,
    EXPERIMENTS,
    figure5_rows,
    figure6_rows,
    recipe_rows,
    stage_rows,
    structure_rows,
    table1_rows,
    table2_rows,
    ttur_rows,
)
from sagan.experiments.scales import paper, small, smoke
from sagan.recipes.build import build, build_networks, with_classes
from sagan.recipes.config import RunConfig, differences
from sagan.speed.step import random_batch
from sagan.training.step import train_step


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def config_of(rows, name: str) -> RunConfig:
    config = next(row.config for row in rows if row.name == name)
    assert config is not None
    return config


def test_rows_of_table_1_differ_in_the_block_alone() -> None:
    rows = table1_rows(paper())
    first = config_of(rows, "no attention")
    for row in rows[1:]:
        assert row.config is not None
        block = row.name.split()[0]
        assert differences(first, row.config) == [f"generator.{block}", f"discriminator.{block}"]
        position = (int(row.name.split("feat")[1]),)
        assert getattr(row.config.generator, block) == getattr(row.config.discriminator, block) == position


@pytest.mark.parametrize(("size", "there", "dashes"), [(32, {8, 16}, {32}), (64, {8, 16, 32}, set())])
def test_a_position_that_does_not_exist_has_no_network(size: int, there: set[int], dashes: set[int]) -> None:
    rows = table1_rows(small(size))
    made = {int(r.name.split("feat")[1]): r.config is not None for r in rows if "feat" in r.name}
    assert {k for k, exists in made.items() if exists} == there
    assert {k for k, exists in made.items() if not exists} == dashes


def test_the_residual_block_has_as_many_weights_as_attention() -> None:
    # SPEC 2: middle width round(1.25 * C / 18). At 32 px and base width 64, G has 256 channels and D has 128.
    base = small().base
    wide = RunConfig(
        generator=type(base.generator)(size_px=32, attention=(), num_classes=10),
        discriminator=type(base.discriminator)(size_px=32, attention=(), num_classes=10),
    )
    rows = table1_rows(replace(small(), base=wide))
    G, D = build_networks(config_of(rows, "residual feat16"))
    assert (count(G.residual), count(D.residual)) == (82_945, 20_737)
    G, D = build_networks(config_of(rows, "attention feat16"))
    assert (count(G.attention), count(D.attention)) == (81_921, 20_481)


def test_the_stages_are_those_of_the_paper() -> None:
    # SPEC 6.1: SN on D, SN on G, learning rates; one update of D a step; no attention.
    stages = {row.name: row.config for row in stage_rows(paper())}
    seen = {
        name: (
            config.discriminator.spectral_norm,
            config.generator.spectral_norm,
            config.train.lr_d,
            config.train.lr_g,
            config.train.d_steps,
            config.generator.attention,
        )
        for name, config in stages.items()
        if config is not None
    }
    assert seen == {
        "SN on D": (True, False, 4e-4, 4e-4, 1, ()),
        "SN on G/D": (True, True, 4e-4, 4e-4, 1, ()),
        "SN on G/D + TTUR": (True, True, 4e-4, 1e-4, 1, ()),
    }
    curves = {row.name: {step: p.value for step, p in row.curve.items()} for row in stage_rows(paper())}
    assert curves == {
        "SN on D": {10_000: 181.84},
        "SN on G/D": {10_000: 93.52, 160_000: 33.39, 260_000: 72.41},
        "SN on G/D + TTUR": {10_000: 99.04, 160_000: 40.96, 260_000: 34.62, 1_000_000: 22.96},
    }


def test_the_last_stage_is_the_first_row_of_table_1() -> None:
    assert config_of(stage_rows(small()), "SN on G/D + TTUR") == config_of(table1_rows(small()), "no attention")


def test_sagan_is_the_row_of_table_1_with_attention_at_its_place() -> None:
    attention = config_of(table1_rows(small()), "attention feat16")
    for rows in (table2_rows, figure5_rows, figure6_rows):
        assert config_of(rows(small()), "SAGAN") == attention
    assert config_of(table2_rows(paper()), "SAGAN") == config_of(table1_rows(paper()), "attention feat64")
    assert config_of(figure5_rows(paper()), "SAGAN") == config_of(table1_rows(paper()), "attention feat32")


@pytest.mark.parametrize(("scale", "times"), [(paper, 1), (small, 4), (smoke, 4)])
def test_long_runs_differ_in_their_learning_rates_alone(scale, times: int) -> None:
    base, rows = scale().base.train, ttur_rows(scale())
    configs = {row.name: row.config for row in rows}
    rates = {name: (config.train.lr_g, config.train.lr_d) for name, config in configs.items() if config is not None}
    assert rates == {
        "equal rates, high": (base.lr_d, base.lr_d),
        "equal rates, low": (base.lr_g, base.lr_g),
        "TTUR": (base.lr_g, base.lr_d),
    }
    assert base.lr_d == 4 * base.lr_g
    for config in configs.values():
        assert config is not None
        assert {*differences(config, rows[0].config)} <= {"train.lr_g", "train.lr_d"}
        assert config.train.total_steps == times * base.total_steps
    # The paper's stages, in longer runs.
    stages = {row.name: row.config for row in stage_rows(paper())}
    assert config_of(ttur_rows(paper()), "TTUR") == stages["SN on G/D + TTUR"]
    assert config_of(ttur_rows(paper()), "equal rates, high") == stages["SN on G/D"]


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("scale", [paper, small])
def test_rows_are_compared_with_rows_before_them_or_with_the_block_in_their_place(name: str, scale) -> None:
    rows = EXPERIMENTS[name].rows(scale())
    names = [row.name for row in rows]
    for i, row in enumerate(rows):
        assert {*row.against} <= {*names} - {row.name}
        assert all(other in names[:i] or other.startswith("residual") or name == "figure6" for other in row.against)
    assert any(row.against for row in rows) or len(rows) == 1


def test_all_is_every_experiment_that_has_no_pictures_of_its_own() -> None:
    named = [name for group in ALL for name in group]
    assert len({*named}) == len(named)
    assert {*named} == {name for name, experiment in EXPERIMENTS.items() if experiment.data is None}


def test_structure_compares_every_position_that_exists() -> None:
    names = ["no attention", "attention feat8", "attention feat16", "residual feat8", "residual feat16"]
    assert [row.name for row in structure_rows(small())] == names
    assert all(row.config is not None and row.config.train.evaluate_every == 0 for row in structure_rows(small()))


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("scale", [paper, small, smoke])
def test_every_experiment_has_rows_at_every_scale(name: str, scale) -> None:
    made = scale()
    rows = EXPERIMENTS[name].rows(made)
    assert len({row.name for row in rows}) == len(rows) > 1 or name == "figure5"
    for row in rows:
        assert row.config is None or row.config.generator.size_px == made.base.generator.size_px


@pytest.mark.long("trains a step of every row")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_row_trains_a_step(name: str) -> None:
    for row in EXPERIMENTS[name].rows(smoke()):
        if row.config is None:
            continue
        config = with_classes(row.config, 3)
        parts = build(config)
        before = [p.clone() for p in (*parts.state.G.parameters(), *parts.state.D.parameters())]
        batch = random_batch(config)
        metrics = train_step(parts.state, config.train, lambda _, batch=batch: batch, parts.engine, 0)
        after = [*parts.state.G.parameters(), *parts.state.D.parameters()]
        assert all(bool(torch.isfinite(value)) for value in metrics.values()), row.name
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), row.name


def test_recipes_keep_their_switches_and_take_the_budget_of_the_scale() -> None:
    scale = small()
    sngan = config_of(table2_rows(scale), "SNGAN-projection")
    # SPEC 3.7 and 6.3: thin D, no SN in G, five updates of D, twice as many fakes for G, equal rates that fall.
    assert sngan.discriminator.width == "thin"
    assert not sngan.generator.spectral_norm
    assert sngan.train.d_steps == 5
    assert (sngan.train.batch_size, sngan.train.g_batch_size) == (32, 64)
    assert sngan.train.lr_g == sngan.train.lr_d == pytest.approx(2 * scale.base.train.lr_g)
    assert sngan.train.lr_decay_start == 0
    assert sngan.train.total_steps == scale.base.train.total_steps
    assert sngan.generator.base_width == scale.base.generator.base_width

    full = config_of(table2_rows(paper()), "SNGAN-projection")
    assert (full.train.total_steps, full.train.batch_size, full.train.lr_decay_start) == (850_000, 64, 800_000)
    assert config_of(table2_rows(paper()), "SAGAN").generator.attention == (64,)
    assert config_of(table2_rows(paper()), "AC-GAN").discriminator.head == "auxiliary"


@pytest.mark.parametrize("scale", [paper, small])
def test_the_walk_between_recipes_turns_one_switch_a_row(scale) -> None:
    rows = recipe_rows(scale())
    configs = [row.config for row in rows]
    for a, b in pairwise(configs):
        assert a is not None
        assert b is not None
        found = {name.split(".")[1] for name in differences(a, b)}
        # Both networks share a switch; the groups of batch norm and the average have a size and a start, and what
        # starts a weight, or bounds a norm, has one for linear layers.
        pairs = (
            ("ghost_size", "batch_norm"),
            ("ema_decay", "ema_start"),
            ("class_conditioning", "class_start", "class_vectors"),
        )
        pairs += ("init", "bias_start"), ("sn_eps", "sn_eps_linear")
        assert len(found) == 1 or any(found <= set(pair) for pair in pairs)
        assert found
    assert configs[0] is not None
    assert configs[-1] is not None
    assert (configs[0].train.ema_decay, configs[-1].train.ema_decay > 0) == (0.0, True)
    assert (rows[0].published["fd"].value, rows[-1].published["fd"].value) == (34.73, 12.83)
