"""Rounds, quartiles and the rate of a matrix product."""

import pytest
import torch

from sagan.speed import clock
from sagan.speed.clock import Spread, matmul_dtype, matmul_rate, mixed, spread, timed_rounds
from sagan.training.config import EngineConfig
from sagan.training.engine import Engine

CPU = torch.device("cpu")


def test_a_spread_is_median_and_quartiles() -> None:
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(median=3.0, low=2.0, high=4.0, rounds=5)
    assert spread([0.5]) == Spread(median=0.5, low=0.5, high=0.5, rounds=1)


def test_rounds_of_several_kinds_have_their_shares() -> None:
    often, seldom = spread([1.0, 2.0, 3.0]), spread([10.0])
    assert mixed([often, seldom], [0.75, 0.25]) == Spread(median=4.0, low=3.625, high=4.375, rounds=4)


def test_the_warm_up_is_not_counted() -> None:
    calls: list[None] = []
    assert timed_rounds(lambda: calls.append(None), CPU, 4, warm_up=3).rounds == 4
    assert len(calls) == 7


def test_the_limit_ends_the_rounds_but_leaves_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "timed", lambda work, device: 1.0)
    assert timed_rounds(lambda: None, CPU, 100, limit_s=5.0).rounds == 5
    assert timed_rounds(lambda: None, CPU, 100, limit_s=0.0).rounds == 2
    assert timed_rounds(lambda: None, CPU, 1, limit_s=0.0).rounds == 1


def test_the_rate_of_a_product_is_two_n_cubed_by_the_best_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "MATMUL_SIZE", {"cpu": 64})
    times = iter([3.0, 2.0, 4.0, 5.0, 2.5, 9.0])
    monkeypatch.setattr(clock, "timed", lambda work, device: next(times))
    assert matmul_rate(CPU, torch.float32) == 2 * 64**3 / 2.0


def test_the_product_has_the_precision_of_the_networks(engine: Engine) -> None:
    assert matmul_dtype(engine) == torch.float32
    assert matmul_dtype(Engine(EngineConfig(device="cpu", precision="bf16"))) == torch.bfloat16
