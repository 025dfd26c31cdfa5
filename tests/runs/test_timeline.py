"""Samples of a whole run over time: up to ten steps, evenly, none after the step of the checkpoint."""

import numpy as np

from sagan.runs import timeline as module
from sagan.runs.timeline import TIMELINE_COLUMNS, Timeline
from sagan.training.hooks import Record


def test_up_to_ten_steps_are_drawn_evenly(tmp_path, tiny, tiny_state, engine, monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "timeline", lambda images, steps, **_: drawn.append((images.shape, steps)))
    monkeypatch.setattr(module, "save_image", lambda *_: None)
    state, config = tiny_state()
    record, hook = Record(config, state, engine), Timeline(tiny(40), tmp_path, ("a", "b"))
    hook.on_save(record)
    assert drawn == []  # nothing to draw yet
    (tmp_path / "samples").mkdir()
    for number in range(1, 31):
        np.save(tmp_path / "samples" / f"step-{number:08d}.npy", np.zeros((2, 16, 16, 3), np.uint8))
    state.step = 28
    hook.on_save(record)
    ((shape, steps),) = drawn
    assert steps[0] == 1 and steps[-1] == 28 and len(steps) == TIMELINE_COLUMNS
    assert shape == (TIMELINE_COLUMNS, 2, 16, 16, 3)
    gaps = np.diff(steps)
    assert gaps.max() - gaps.min() <= 1
