"""What TensorBoard is given: numbers of lines and pictures, and no number of a step that is done again."""

import numpy as np
import pytest

from sagan.runs.board import Board
from sagan.training.hooks import Record


@pytest.fixture
def scalars():
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(folder, tag):
        found = accumulator.EventAccumulator(str(folder / "tensorboard"))
        found.Reload()
        return [(event.step, event.value) for event in found.Scalars(tag)], found.Tags()["images"]

    return read


def test_numbers_and_pictures_are_written_and_those_done_again_once(tmp_path, tiny_state, engine, scalars):
    state, config = tiny_state()
    record, hook = Record(config, state, engine), Board(tmp_path)
    hook.on_start(record)
    for number in (1, 2, 3):
        state.step = number
        hook.on_line(record, {"step": number, "loss_d": 0.5 * number})
    hook.on_line(record, {"step": 3, "health": "sign of collapse", "value": 9.0})
    record.pictures["samples"] = np.zeros((8, 8, 3), np.uint8)
    hook.on_step(record)
    state.step = 2  # the run goes back
    hook.on_start(record)
    hook.on_line(record, {"step": 3, "loss_d": 7.0})
    hook.on_end(record)
    assert scalars(tmp_path, "loss_d") == ([(1, 0.5), (2, 1.0), (3, 7.0)], ["samples"])
