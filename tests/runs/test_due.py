"""After which steps samples are drawn and measured, and a line is written."""

import pytest

from sagan.runs.due import draws, logs, measures
from sagan.training.config import TrainConfig

EVERY = [(draws, "sample_every"), (measures, "evaluate_every"), (logs, "log_every")]


@pytest.mark.parametrize(("asked", "field"), EVERY)
def test_every_so_many_steps_and_after_the_last_one(asked, field):
    train = TrainConfig(total_steps=10, **{field: 4})
    assert [step for step in range(1, 11) if asked(train, step)] == [4, 8, 10]


@pytest.mark.parametrize(("asked", "field"), EVERY[:2])
def test_never_where_it_is_switched_off(asked, field):
    train = TrainConfig(total_steps=10, **{field: 0})
    assert not any(asked(train, step) for step in range(1, 11))
