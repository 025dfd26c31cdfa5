"""The cost of a step, measured in a process of its own."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sagan.recipes.build import build_networks
from sagan.recipes.config import RunConfig
from sagan.speed import step as step_module
from sagan.speed.step import measure_step, measure_step_here, random_batch
from sagan.training import engine as engine_module
from sagan.training.config import EngineConfig
from sagan.training.replay import WARM_UP
from sagan.training.state import new_state
from sagan.training.step import train_step

Make = Callable[..., RunConfig]


@pytest.mark.long("a process of its own")
def test_a_step_is_measured_and_nothing_is_left(
    tiny_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('a file of the working folder was imported')")
    monkeypatch.chdir(tmp_path)
    config = tiny_config(batch_size=8, accumulate=2, ema_decay=0.9)
    cost = measure_step(config, rounds=2)
    assert cost.seconds.rounds == 2
    assert 0.0 < cost.update_s < cost.seconds.median
    assert cost.processor_s > 0.0
    assert cost.judge_s > 0.0
    assert cost.sample_s > 0.0
    assert cost.base_bytes is not None
    assert cost.state_bytes is not None
    assert cost.peak_bytes is not None
    assert cost.run_bytes is not None
    assert cost.available_bytes is not None
    assert 50e6 < cost.base_bytes < cost.peak_bytes <= cost.run_bytes < cost.available_bytes
    assert cost.base_bytes + cost.state_bytes <= cost.peak_bytes
    assert cost.checkpoint_bytes == new_state(*build_networks(config), config.train).num_bytes()
    assert cost.threads == torch.get_num_threads()
    assert "cpu" in cost.device or torch.cuda.is_available()
    assert [path.name for path in tmp_path.iterdir()] == ["torch.py"]


@pytest.mark.parametrize(("every", "rounds", "done"), [(1, 5, 7), (3, 7, 18), (16, 2, 8)])
def test_penalties_now_and_then_have_their_share_of_a_step(
    tiny_config: Make, monkeypatch: pytest.MonkeyPatch, every: int, rounds: int, done: int
) -> None:
    now, penalised = [0.0], list[int]()

    def step(state: Any, config: Any, *_: Any) -> None:
        dear = config.penalises and state.step % config.penalty_every == 0
        penalised.append(dear)
        now[0] += 5.0 if dear else 1.0
        state.step += 1

    monkeypatch.setattr(step_module, "step_with", lambda engine: step)
    monkeypatch.setattr("sagan.speed.clock.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(step_module, "_update_seconds", lambda *_: 0.0)
    monkeypatch.setattr(step_module, "_judge_seconds", lambda *_: 0.0)
    cost = measure_step_here(tiny_config(r1=1.0, penalty_every=every), rounds=rounds, warm_up=2, limit_s=1e9)
    assert cost.seconds.median == pytest.approx((every - 1 + 5.0) / every)
    assert (cost.seconds.rounds, len(penalised)) == (rounds if every == 1 else 2 * rounds, done)
    assert sum(penalised) == 2 + rounds


@pytest.mark.long("a process of its own")
@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is not there")
def test_a_device_that_is_not_there_is_one_sentence(tiny_config: Make) -> None:
    config = replace(tiny_config(), engine=EngineConfig(device="cuda"))
    with pytest.raises(ValueError, match=r"^device cuda: PyTorch sees no CUDA device here"):
        measure_step(config, rounds=1)


@pytest.mark.parametrize(
    ("code", "said", "kind", "message"),
    [
        (-9, "", MemoryError, "8 images needs more memory than there is"),
        (1, "RuntimeError: DefaultCPUAllocator: can't allocate memory", MemoryError, "8 images"),
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried to", MemoryError, "8 images"),
        (1, "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", MemoryError, "8 images"),
        (1, "RuntimeError: GET was unable to find an engine to execute this computation", MemoryError, "8 images"),
        (1, "Traceback\nKeyError: 'u'", RuntimeError, "code 1; it said: KeyError: 'u'"),
    ],
)
def test_how_the_process_ends_is_understood(
    tiny_config: Make, monkeypatch: pytest.MonkeyPatch, code: int, said: str, kind: type[Exception], message: str
) -> None:
    def ended(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, code, "", said)

    monkeypatch.setattr(subprocess, "run", ended)
    with pytest.raises(kind, match=message):
        measure_step(tiny_config())


def test_the_pictures_to_measure_with_have_the_run_s_shape(tiny_config: Make) -> None:
    batch = random_batch(tiny_config(batch_size=6))
    assert batch.images.shape == (6, 16, 16, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.labels.dtype == torch.int64
    assert set(batch.labels.tolist()) <= {0, 1, 2}
    assert random_batch(tiny_config(batch_size=6), 4).images.shape == (4, 16, 16, 3)
    unconditional = tiny_config(generator={"num_classes": 0}, discriminator={"num_classes": 0})
    assert random_batch(unconditional).labels.unique().tolist() == [0]


def test_a_step_that_is_to_be_recorded_is_measured_when_it_is(
    monkeypatch: pytest.MonkeyPatch, tiny_config: Make
) -> None:
    config = tiny_config()
    done: list[int] = []

    def steps(_: object) -> Callable[..., Any]:
        def step(state: Any, *args: Any) -> Any:
            done.append(state.step)
            return train_step(state, *args)

        return step

    monkeypatch.setattr(step_module, "step_with", steps)
    monkeypatch.setattr(engine_module, "records_steps", lambda *_: (True, ""))
    measure_step_here(config, rounds=2, warm_up=1, limit_s=60.0)
    assert done == list(range(WARM_UP + 1 + 2))
