"""Previews: the same noise and classes each time, the first sample of each row for the timeline, and their variety."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sagan.data import open_dataset
from sagan.recipes.build import build_networks, with_classes
from sagan.recipes.config import with_size
from sagan.runs.previews import Previews
from sagan.runs.sampler import Sampler
from sagan.runs.samples import GRID_COLUMNS
from sagan.runs.stages import stages_of
from sagan.training.hooks import Hook, Hooks, Record
from sagan.training.state import new_state


@pytest.mark.usefixtures("own_cache")
def test_a_grid_its_first_column_and_how_varied_it_is(tmp_path, tiny, tiny_state, engine):
    config = tiny(6, sample_every=2)
    dataset = open_dataset(config.data, 16, progress=False)
    ten = {"num_classes": 10}
    state, _ = tiny_state(generator=ten, discriminator=ten, total_steps=6, sample_every=2)
    folder, lines = tmp_path / "samples", []

    class Lines(Hook):
        def on_line(self, record, line):
            lines.append(line)

    record = Record(config.train, state, engine)
    hook, sampler = Previews(config, folder, dataset, np.arange(len(dataset.labels)), np.arange(0)), Sampler()
    Hooks([sampler, hook, Lines()], record)
    for number in (1, 2, 4):
        state.step, record.sampler = number, None
        sampler.on_step(record)
        hook.on_step(record)
    assert sorted(p.name for p in folder.iterdir()) == [
        f"step-{number:08d}.{suffix}" for number in (2, 4) for suffix in ("npy", "png")
    ]
    assert record.pictures["samples"].ndim == 3
    kept = np.load(folder / "step-00000002.npy")
    assert kept.shape == (10, 16, 16, 3) and GRID_COLUMNS > 1
    # The generator did not move, and noise and classes are the same: so are the samples.
    assert np.array_equal(kept, np.load(folder / "step-00000004.npy"))
    found = [line for line in lines if "variety/within" in line]
    assert [line["step"] for line in found] == [2, 4]
    assert 0.0 <= found[0]["variety/within"] < 1.0  # an untrained generator is less varied than digits
    state.step = 2
    hook.on_start(record)  # the run goes on from step 2: what is of later steps is taken back
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000002.npy", "step-00000002.png"]
    assert torch.is_grad_enabled()


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(("size", "grown"), [("16x20", ()), ("64x80", (16, 32))])
def test_pictures_whose_sides_8_does_not_divide_are_compared_too(tmp_path, tiny, engine, size, grown):
    config = with_size(tiny(6, sample_every=2), size)
    config = stages_of(config, grown, 0.3)[0] if grown else config
    assert config.generator.image_size == (16, 20)
    config = replace(config, data=replace(config.data, flip=True))
    dataset = open_dataset(config.data, config.generator.image_size, progress=False)
    state, lines = new_state(*build_networks(with_classes(config, len(dataset.class_names))), config.train), []

    class Lines(Hook):
        def on_line(self, record, line):
            lines.append(line)

    record, every = Record(config.train, state, engine), np.arange(200)
    hook, sampler = Previews(config, tmp_path / "samples", dataset, every[20:], every[:20]), Sampler()
    Hooks([sampler, hook, Lines()], record)
    state.step = 2
    sampler.on_step(record)
    hook.on_step(record)
    assert {"variety/within", "overfitting/copies"} <= set().union(*lines)
