"""The scales of the experiments: their budgets and sizes."""

import pytest

from sagan.experiments.catalogue import EXPERIMENTS
from sagan.experiments.scales import paper, scale_of, small, smoke
from sagan.experiments.settings import Settings, changed


def test_the_paper_scale_is_the_papers_budget() -> None:
    train = paper().base.train
    assert (train.total_steps, train.batch_size, train.ema_decay) == (1_000_000, 256, 0.0)
    assert paper().judging.features == "inception"
    assert paper().judging.num == 50_000


def test_the_small_scale_and_rows_of_2500_steps_before_it() -> None:
    scale = small()
    assert (scale.base.train.total_steps, scale.judging.num, scale.seeds) == (6000, 2000, 3)
    # The stored rows of `structure` were made by --steps 2500 of a scale of 2,000: the same rows today.
    settings = Settings(experiment="structure", scale="small", data="pairs", seeds=3, steps=2500)
    train = changed(scale, settings, None).base.train
    assert (train.log_every, train.sample_every, train.save_every) == (125, 312, 625)
    assert (train.ema_decay, train.ema_start) == (0.998, 200)


def test_smoke_has_at_most_20_steps() -> None:
    for experiment in EXPERIMENTS.values():
        assert all(row.config is None or row.config.train.total_steps <= 20 for row in experiment.rows(smoke()))


def test_sizes_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="32 and 64 px"):
        scale_of("small", 128)
    with pytest.raises(ValueError, match="has 128 px"):
        scale_of("paper", 64)
