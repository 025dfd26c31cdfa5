"""``sagan benchmark``: shown and written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sagan.speed.benchmark import benchmark_from_json

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.mark.slow("a step is measured in a process of its own")
def test_a_benchmark_is_shown_and_written(run: Run, error: Mistake) -> None:
    command = ["benchmark", "--preset", "demo", "--base-width", "8", "--batch-size", "8", "--rounds", "2"]
    code, out, err = run(*command, "--what", "step", "sampling", "--out", "speed.json")
    assert code == 0, err
    assert "step, 8 images" in out
    assert "of a large matrix product (float32" in out
    result = benchmark_from_json(Path("speed.json").read_text())
    assert [rate.name for rate in result.rates] == ["step", "sampling"]
    assert result.network["preset"] == "preset demo"
    peak = result.rates[0].values["memory_peak_bytes"]
    assert isinstance(peak, int)
    assert peak > 50_000_000
    assert ".json" in error(run(*command, "--out", "speed.txt"))
    assert "rounds must be at least 1" in error(run("benchmark", "--preset", "demo", "--rounds", "0"))
