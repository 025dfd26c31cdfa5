"""What is chosen for few pictures: said each with its reason, never against a flag, nothing for more pictures."""

from dataclasses import replace

import pytest

from sagan.recipes.few import AUGMENT, EXACT, FEW, features_advice, for_few, transfer_advice
from sagan.recipes.presets import PRESETS, PROJECTED


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in EXACT])
def test_few_pictures_are_augmented_and_more_change_nothing(name):
    config = PRESETS[name]()
    chosen, said = for_few(config, FEW)
    assert chosen == replace(config, train=replace(config.train, augment=AUGMENT))
    assert len(said) == 1 and said[0].startswith("--train.augment color translation cutout, as D would soon know 1,000")
    assert f"--train.augment{''.join(f' {op}' for op in config.train.augment)})" in said[0]
    assert for_few(config, FEW + 1) == (config, [])


def test_who_says_what_d_sees_is_heard():
    config = PRESETS["sagan-64-cpu"]()
    assert for_few(config, 100, keep=["train.augment"]) == (config, [])


@pytest.mark.parametrize("field", ["adaptive_augment", "consistency"])
def test_what_needs_operations_gets_all_of_them(field):
    """With the preset's translation alone it would be another thing than what was measured under its name."""
    config = PRESETS["sagan-64-cpu"]()
    asked = replace(config, train=replace(config.train, **{field: 0.6}))
    chosen, said = for_few(asked, 100, keep=[f"train.{field}"])
    assert chosen.train == replace(asked.train, augment=AUGMENT) and len(said) == 1


def test_transfer_is_recommended_to_those_who_do_not_use_it():
    assert "--init-from RUN" in transfer_advice(100, started=False)[0]
    assert transfer_advice(100, started=True) == transfer_advice(FEW + 1, started=False) == []


@pytest.mark.parametrize("size", PROJECTED)
def test_a_frozen_network_is_recommended_where_there_is_a_preset_with_it(size):
    plain, projected = PRESETS[f"sagan-{size}-cpu"](), PRESETS[PROJECTED[size]]()
    assert f"--preset sagan-{size}-projected" in features_advice(plain, FEW, started=False)[0]
    assert features_advice(plain, FEW + 1, started=False) == features_advice(plain, FEW, started=True) == []
    others = [projected, *(PRESETS[name]() for name in ("demo", "sagan-128", f"sagan-{size}"))]
    assert [features_advice(config, FEW, started=False) for config in others] == [[], [], [], []]


def test_presets_with_a_frozen_network_are_found_by_their_size():
    for size, name in PROJECTED.items():
        config = PRESETS[name]()
        assert (config.generator.size_px, config.discriminator.features) == (size, "efficientnet-lite0")


def test_recipes_of_others_are_presets():
    assert set(EXACT) < set(PRESETS)
