"""Presets by name, with changes."""

import json

import pytest

import sagan
from sagan.cli.flags import combined, parse_with_preset
from sagan.cli.train import TrainFlags
from sagan.recipes.build import build, with_classes
from sagan.recipes.choose import choose_preset


def test_a_preset_with_changes_is_what_the_flags_make():
    config = sagan.preset("sagan-32", size=64, base_width=8, attention=(8,), steps=7, batch_size=4, data="digits")
    assert (config.generator.size_px, config.discriminator.base_width, config.generator.attention) == (64, 8, (8,))
    assert (config.train.total_steps, config.train.batch_size, config.data.path) == (7, 4, "digits")
    assert build(with_classes(sagan.preset("demo", base_width=4), 2)).state.step == 0
    with pytest.raises(ValueError, match="did you mean sagan-32"):
        sagan.preset("sagan-33")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), (9000, 4500)),
        (("--steps", "27000"), (27_000, 13_500)),
        (("--steps=27_000",), (27_000, 13_500)),
        (("--train.total-steps", "600"), (600, 300)),
        (("--train.total_steps=600",), (600, 300)),
        (("--steps", "700", "--steps", "600"), (600, 300)),
        (("--steps", "None", "--train.total-steps", "600"), (600, 300)),
        (("--steps", "27000", "--train.lr-decay-start", "4500"), (27_000, 4500)),
        (("--steps", "27000", "--train.lr-decay-start", "None"), (27_000, None)),
    ],
)
def test_learning_rates_of_a_preset_fall_from_the_same_share_of_the_steps_on(flags, expected):
    arguments = ["--preset", "sagan-64-projected", "--data", "digits", *flags]
    parsed, _ = parse_with_preset(TrainFlags, arguments, "train", "")
    train = combined(parsed).train
    assert (train.total_steps, train.lr_decay_start) == expected


@pytest.mark.parametrize(
    ("train", "expected"),
    [({}, (27_000, 13_500)), ({"lr_decay_start": 4000}, (27_000, 4000)), ({"total_steps": 8000}, (27_000, 4500))],
)
def test_so_they_do_from_a_file_that_names_the_preset_and_says_no_length(tmp_path, train, expected):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"preset": "sagan-64-projected", "data": {"path": "digits"}, "train": train}))
    parsed, _ = parse_with_preset(TrainFlags, ["--config", str(file), "--steps", "27000"], "train", "")
    made = combined(parsed).train
    assert (made.total_steps, made.lr_decay_start) == expected


def test_the_one_for_photos_without_a_gpu_is_told_where_it_is_not_chosen():
    for size in (None, 32, 64):
        choice = choose_preset(None, size, cuda=False)
        assert f"--preset sagan-{size or 32}-projected" in choice.sentence and choice.name == f"sagan-{size or 32}-cpu"
    for choice in (choose_preset(None, 16, cuda=False), choose_preset(None, 64, cuda=True)):
        assert "projected" not in choice.sentence


def test_a_preset_of_other_length_is_what_the_flag_makes():
    train = sagan.preset("sagan-64-projected", steps=27_000).train
    assert (train.total_steps, train.lr_decay_start) == (27_000, 13_500)
    assert sagan.preset("sagan-64-cpu", steps=27_000).train.lr_decay_start is None
    with pytest.raises(ValueError, match="total_steps"):
        sagan.preset("sagan-64-projected", steps=0)
