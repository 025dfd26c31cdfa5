"""The command line that makes again what is shown."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from sagan.cli.main import main
from sagan.generators.config import AttentionConfig, SampleConfig
from sagan.generators.pretrained import load
from sagan.models.generator import Generator
from sagan.studio.commands import attention_command, flag_name, own_command, sample_command
from sagan.studio.drawing import draw


def test_a_class_is_called_by_its_name_or_by_its_number_where_the_name_is_taken():
    names = ["cat", "dog", "cat"]
    assert [flag_name(c, names) for c in range(3)] == ["cat", "dog", "2"]
    with pytest.raises(ValueError, match="there is no class 3; this generator has 3"):
        flag_name(3, names)


def test_names_with_blanks_are_quoted():
    config = SampleConfig(classes=("a b", "it's"), num=2, seed=3, truncation=0.25)
    words = shlex.split(sample_command(Path("my runs/x.pt"), config, "s.png"))
    assert words == [
        *("sagan", "sample", "my runs/x.pt", "--class", "a b", "it's", "--num", "2"),
        *("--seed", "3", "--truncation", "0.25", "--out", "s.png"),
    ]


def test_the_end_of_a_walk_is_said_even_where_it_is_the_usual_one():
    walk = SampleConfig(interpolate=5, seed=7)
    assert "--end-seed 8 --end-index 0" in sample_command(Path("x"), walk, "w.gif")
    walk = SampleConfig(interpolate=5, direction=2)
    command = sample_command(Path("x"), walk, "w.gif")
    assert "--direction 2 --reach 5.0" in command
    assert "end-seed" not in command


def test_attention():
    config = AttentionConfig(num=3, sample=2, queries_px=[(1, 2), (3, 4)], position=8)
    command = attention_command(Path("x"), config, "a.png")
    assert command == "sagan attention x --num 3 --sample 2 --query 1,2 3,4 --layer 8 --seed 0 --out a.png"
    assert own_command(Path("run"), (1, 2), 8, "o.png").endswith("--query 1,2 --layer 8 --out o.png")


@pytest.mark.parametrize("config", [SampleConfig(num=7), SampleConfig(interpolate=20, classes=("red", "green"))])
def test_what_a_command_draws_is_what_is_shown_in_the_same_batches(config, weights, tmp_path, monkeypatch):
    file, sizes = weights(start_grid=(4, 6)), []
    forward = Generator.forward

    def noted(self, z, *rest):
        sizes.append(len(z))
        return forward(self, z, *rest)

    monkeypatch.setattr(Generator, "forward", noted)
    shown = draw(load(file), config, lambda _: None).images
    batches = sizes.copy()
    sizes.clear()
    out = tmp_path / "again.npz"
    assert main(shlex.split(sample_command(file, config, str(out)))[1:]) == 0
    with np.load(out) as again:
        assert np.array_equal(again["images"], shown)
    assert sizes == batches
    assert len(sizes) > 1
