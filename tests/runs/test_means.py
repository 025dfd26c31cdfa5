"""Metrics of every step become means in a line of the log, and a checkpoint carries the sums between two lines."""

import pytest
import torch

from sagan.runs.means import Means
from sagan.training.hooks import Hook, Hooks, Record


class Lines(Hook):
    """Keeps the lines that are made."""

    def __init__(self):
        self.made = []

    def on_line(self, record, line):
        self.made.append(line)


@pytest.fixture
def record(tiny_state, engine):
    state, config = tiny_state(total_steps=10, log_every=4)
    return Record(config, state, engine)


def step(record, means, number, loss):
    record.state.step = number
    record.metrics = {"loss_d": torch.tensor(loss)}
    means.on_step(record)


def test_a_line_has_the_means_since_the_last_one(record, tiny, engine):
    means = Means(tiny(10, log_every=4), engine, {})
    lines = Lines()
    Hooks([means, lines], record)
    means.on_start(record)
    for number, loss in enumerate((1.0, 2.0, 3.0, 6.0, 10.0), 1):
        step(record, means, number, loss)
    assert [line["step"] for line in lines.made] == [4]
    assert lines.made[0]["loss_d"] == 3.0
    assert means.count == 1 and float(means.sums["loss_d"]) == 10.0


def test_what_a_checkpoint_carries_goes_on(record, tiny, engine):
    first, second = (Means(tiny(10, log_every=4), engine, {}) for _ in range(2))
    Hooks([first], record)
    first.on_start(record)
    step(record, first, 1, 1.0)
    step(record, first, 2, 5.0)
    lines = Lines()
    Hooks([second, lines], record)
    second.load_state_dict(first.state_dict())
    second.on_start(record)
    step(record, second, 3, 2.0)
    step(record, second, 4, 4.0)
    assert [line["loss_d"] for line in lines.made] == [3.0]
