"""What `--dry-run` says of the time that rows take: measured as they will run, and counted update for update."""

from types import SimpleNamespace

import pytest
import torch

from sagan.data.parallel import cores
from sagan.experiments import cost
from sagan.experiments.jobs import threads_each

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have every row take 600 s; gives the threads that PyTorch had each time."""
    threads = []

    def plan(config, **_: object) -> SimpleNamespace:
        threads.append(torch.get_num_threads())
        return SimpleNamespace(total_s=600.0, peak_bytes=None, config=config, busy=False, micro_batch=8)

    monkeypatch.setattr(cost, "make_plan", plan)
    return threads


def test_the_steps_have_the_threads_of_a_row(monkeypatch: pytest.MonkeyPatch, planned: list[int], smoke_sweep) -> None:
    orders = smoke_sweep("table2").orders()
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "measured here with 3 thread(s)" in cost.time_needed(orders, 2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    cost.time_needed(orders, cores())
    assert planned == [3, 1]
    assert torch.get_num_threads() == before


def test_rows_are_counted_by_their_updates(planned: list[int], smoke_sweep) -> None:
    orders = {order.name: order for order in smoke_sweep("table2").orders()}
    acgan, sngan = orders["AC-GAN"], orders["SNGAN-projection"]
    # Five updates of D and one of G against one and one: three times as long.
    assert "about 40 min" in cost.time_needed([acgan, sngan], 1)
    assert "about 20 min" in cost.time_needed([acgan, sngan], 2)


@pytest.mark.parametrize(("value", "threads"), [("2", 2), ("", cores()), ("0", cores()), ("many", cores())])
def test_threads_that_mean_nothing_are_not_taken(monkeypatch: pytest.MonkeyPatch, value: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_each(1) == threads
