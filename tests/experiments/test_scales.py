"""The scales of the experiments: their budgets and sizes."""

import pytest

from sagan.experiments.catalogue import EXPERIMENTS
from sagan.experiments.scales import paper, scale_of, smoke


def test_the_paper_scale_is_the_papers_budget() -> None:
    train = paper().base.train
    assert (train.total_steps, train.batch_size, train.ema_decay) == (1_000_000, 256, 0.0)
    assert paper().judging.features == "inception"
    assert paper().judging.num == 50_000


def test_smoke_has_at_most_20_steps() -> None:
    for experiment in EXPERIMENTS.values():
        assert all(row.config is None or row.config.train.total_steps <= 20 for row in experiment.rows(smoke()))


def test_sizes_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="32 and 64 px"):
        scale_of("small", 128)
    with pytest.raises(ValueError, match="has 128 px"):
        scale_of("paper", 64)
