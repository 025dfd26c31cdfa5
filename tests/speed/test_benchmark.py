"""Rates, their protocol, and the file that they are written to."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sagan.data import DataConfig
from sagan.metrics.weights import WeightsError
from sagan.recipes.config import RunConfig
from sagan.speed import benchmark as module
from sagan.speed.benchmark import (
    Benchmark,
    Rate,
    benchmark,
    benchmark_from_json,
    feature_networks,
    reading_rate,
    sampling_rate,
    step_rate,
)
from sagan.speed.clock import Spread
from sagan.speed.flops import step_flops
from sagan.speed.step import StepCost
from sagan.training.engine import Engine

Make = Callable[..., RunConfig]


@pytest.fixture
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes exactly 2 s; a large product reaches 3 and then 4 GFLOP/s."""
    rates = iter([3e9, 4e9])
    monkeypatch.setattr(module, "matmul_rate", lambda device, dtype: next(rates))
    cost = StepCost(
        seconds=Spread(median=2.0, low=1.9, high=2.2, rounds=5),
        processor_s=2.0,
        update_s=0.1,
        judge_s=0.1,
        sample_s=0.1,
        base_bytes=300_000_000,
        state_bytes=10,
        peak_bytes=900_000_000,
        run_bytes=950_000_000,
        available_bytes=10**10,
        checkpoint_bytes=10,
        device="cpu",
        threads=1,
    )
    monkeypatch.setattr(module, "measure_step", lambda config, **_: cost)


def result_of(rate: Rate) -> Benchmark:
    return Benchmark(
        machine={"torch": "2.13.0", "device": "cpu", "name": "x86_64", "threads": 1},
        network={"preset": "preset demo", "size_px": 16},
        rates=(rate,),
        missing=("features of inception: no weights here",),
    )


@pytest.mark.usefixtures("known_machine")
def test_a_step_is_a_share_of_the_best_product(tiny_config: Make, engine: Engine) -> None:
    config = tiny_config(batch_size=8)
    rate = step_rate(config, engine, rounds=5)
    assert rate.images_per_s == 8 / 2.0
    assert rate.values["model_flops_per_image"] == step_flops(config)
    assert rate.values["model_flops_per_s"] == step_flops(config) * 8 / 2.0
    assert rate.values["share_of_matmul"] == step_flops(config) * 8 / 2.0 / 4e9
    assert (rate.values["memory_before_bytes"], rate.values["memory_peak_bytes"]) == (300_000_000, 900_000_000)


@pytest.mark.usefixtures("known_machine")
def test_table_and_notes_show_the_numbers(tiny_config: Make, engine: Engine) -> None:
    rate = step_rate(tiny_config(batch_size=8), engine, rounds=5)
    rate = replace(rate, values=rate.values | {"model_flops_per_s": 1e9, "share_of_matmul": 0.25})
    result = result_of(rate)
    console = Console(width=100, file=io.StringIO())
    console.print(result.table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "step, 8 images" in shown
    assert "1,900 to 2,200" in shown
    notes = result.notes()
    assert "25 % of the 4 of a large matrix product (float32" in notes
    assert "memory: 900 MB at the peak, 300 MB of it before the networks are made" in notes
    assert "features of inception: no weights here" in notes
    assert "torch 2.13.0" in notes


@pytest.mark.usefixtures("known_machine")
def test_a_result_round_trips_through_json(tiny_config: Make, engine: Engine) -> None:
    result = result_of(step_rate(tiny_config(batch_size=8), engine, rounds=5))
    assert benchmark_from_json(result.to_json()) == result
    assert json.loads(result.to_json())["rates"][0]["images_per_s"] == 4.0


@pytest.mark.parametrize("text", ["{}", "[]", "no json"])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no result of `sagan benchmark`"):
        benchmark_from_json(text)


def test_a_newer_file_is_refused() -> None:
    with pytest.raises(ValueError, match="is of version 2, and this program reads up to 1; update sagan-torch"):
        benchmark_from_json('{"format": "sagan benchmark", "format_version": 2}')


def test_sampling_and_reading_are_measured(tiny_config: Make, engine: Engine, tmp_path: Path) -> None:
    config = tiny_config(batch_size=8)
    config = replace(config, data=DataConfig(path="digits", cache_dir=str(tmp_path)))
    sampled = sampling_rate(config, engine, rounds=2)
    assert (sampled.images, sampled.seconds.rounds) == (64, 2)
    assert sampled.images_per_s > 0.0
    made = reading_rate(config, rounds=2, with_data=False)
    assert (made.images, made.values["source"], made.values["pictures"]) == (160, "generated", 2000)
    assert not list(tmp_path.iterdir())
    read = reading_rate(config, rounds=2, with_data=True)
    assert (read.values["source"], read.values["pictures"]) == ("digits", 1797)


def test_the_whole_says_what_it_was_measured_with(tiny_config: Make) -> None:
    result = benchmark(tiny_config(), "tiny", what=("sampling",), rounds=2)
    assert [rate.name for rate in result.rates] == ["sampling"]
    assert {"torch", "python", "device", "name", "threads", "precision"} <= result.machine.keys()
    assert (result.network["preset"], result.network["size_px"]) == ("tiny", 16)
    with pytest.raises(ValueError, match="rounds must be at least 1, found 0"):
        benchmark(tiny_config(), "tiny", what=("sampling",), rounds=0)


def test_feature_networks_that_are_not_here_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path))

    def absent() -> None:
        raise WeightsError("not installed; run pip")

    monkeypatch.setattr(module, "load_efficientnet", absent)
    found, missing = feature_networks()
    assert found == []
    assert len(missing) == 2
    assert "features of inception: no weights here" in missing[0]
    assert "features of efficientnet-lite0: not installed; run pip" in missing[1]


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match=r"what takes some of step, sampling, data, features, found stp"):
        benchmark(RunConfig(), "x", what=("stp",))  # type: ignore[arg-type]
