"""What a sweep is asked for, and what it refuses."""

import pytest

from sagan.experiments.scales import scale_of
from sagan.experiments.settings import Settings, SweepError, changed, groups_of, with_defaults

pytestmark = pytest.mark.usefixtures("own_place")


def test_which_pictures() -> None:
    with pytest.raises(SweepError, match="which pictures"):
        with_defaults(Settings(experiment="table1", scale="small", data="", seeds=0))
    with pytest.raises(SweepError, match="leave --data away"):
        with_defaults(Settings(experiment="structure", scale="small", data="digits", seeds=0))
    with pytest.raises(SweepError, match="did you mean table1"):
        with_defaults(Settings(experiment="tabel1", scale="small", data="digits", seeds=0))
    assert with_defaults(Settings(experiment="structure", scale="small", data="", seeds=0)).data == "pairs"
    assert with_defaults(Settings(experiment="table1", scale="small", data="digits", seeds=0)).seeds == 3


def test_several_experiments_keep_their_groups() -> None:
    assert groups_of("table1") == [["table1"]]
    assert groups_of("structure,ttur,figure3,table1,table1") == [["figure3", "table1"], ["ttur"], ["structure"]]
    assert [group[0] for group in groups_of("all")] == ["table1", "recipe-ablation", "ttur"]
    with pytest.raises(SweepError, match="did you mean table1"):
        groups_of("figure3,tabel1")


def test_changed_steps_keep_the_share_of_the_cadences() -> None:
    settings = Settings(experiment="table1", scale="small", data="digits", seeds=1, steps=1000, base_width=16, num=64)
    before, after = scale_of("small").base.train, changed(scale_of("small"), settings, None)
    train = after.base.train
    assert train.total_steps == 1000
    assert train.evaluate_every / train.total_steps == before.evaluate_every / before.total_steps
    assert after.base.generator.base_width == after.base.discriminator.base_width == 16
    assert (after.judging.num, after.base.monitor.num) == (64, 64)


def test_the_paper_scale_keeps_its_budget(smoke_sweep) -> None:
    with pytest.raises(SweepError, match="`paper` is the published budget"):
        smoke_sweep("table2", scale="paper", steps=1000, data="digits")
