"""Seconds of a piece of work, and how fast this machine multiplies matrices."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sagan.training.engine import Engine

MATMUL_SIZE = {"cpu": 2048, "cuda": 8192}
MATMUL_ROUNDS = 6


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Seconds that equal rounds of some work took."""

    median: float
    """The middle one."""
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    rounds: int
    """How many were timed."""


def spread(seconds: list[float]) -> Spread:
    """Sum up the seconds of several rounds."""
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return Spread(median=median, low=low, high=high, rounds=len(seconds))


def mixed(kinds: Sequence[Spread], shares: Sequence[float]) -> Spread:
    """Give the seconds of rounds of several kinds, each kind with its share of them."""
    median, low, high = (
        sum(share * getattr(kind, name) for kind, share in zip(kinds, shares, strict=True))
        for name in ("median", "low", "high")
    )
    return Spread(median=median, low=low, high=high, rounds=sum(kind.rounds for kind in kinds))


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Give the seconds of one call, waiting for the device before and after."""
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def timed_rounds(
    work: Callable[[], object], device: torch.device, rounds: int, *, warm_up: int = 1, limit_s: float = float("inf")
) -> Spread:
    """Time several rounds after a warm-up; from the second round on it ends early when ``limit_s`` have passed."""
    for _ in range(warm_up):
        work()
    seconds = [timed(work, device)]
    while len(seconds) < rounds and (len(seconds) < 2 or sum(seconds) < limit_s):
        seconds.append(timed(work, device))
    return spread(seconds)


def matmul_dtype(engine: Engine) -> torch.dtype:
    """Find the number type that the networks' products are computed in."""
    one = torch.ones(8, 8, device=engine.device)
    with engine.autocast():
        return (one @ one).dtype


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations a second of a large square product: the best of several rounds."""
    size = MATMUL_SIZE.get(device.type, 4096)
    a, b = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)

    def multiply() -> None:
        torch.mm(a, b, out=out)

    multiply()
    return 2.0 * size**3 / min(timed(multiply, device) for _ in range(MATMUL_ROUNDS))


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
