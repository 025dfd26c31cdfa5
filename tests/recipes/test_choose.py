"""Presets by name, with changes."""

import pytest

import sagan
from sagan.recipes.build import build, with_classes


def test_a_preset_with_changes_is_what_the_flags_make():
    config = sagan.preset("sagan-32", size=64, base_width=8, attention=(8,), steps=7, batch_size=4, data="digits")
    assert (config.generator.size_px, config.discriminator.base_width, config.generator.attention) == (64, 8, (8,))
    assert (config.train.total_steps, config.train.batch_size, config.data.path) == (7, 4, "digits")
    assert build(with_classes(sagan.preset("demo", base_width=4), 2)).state.step == 0
    with pytest.raises(ValueError, match="did you mean sagan-32"):
        sagan.preset("sagan-33")
