"""Previews: the same noise and classes each time, the first sample of each row for the timeline, and their variety."""

import numpy as np
import pytest
import torch

from sagan.data import open_dataset
from sagan.runs.previews import Previews
from sagan.runs.sampler import Sampler
from sagan.runs.samples import GRID_COLUMNS
from sagan.training.hooks import Hook, Hooks, Record


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
