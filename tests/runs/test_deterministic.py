"""Runs that ask for the same bits each time: equal to others on a processor, and ended by what has no such form."""

from dataclasses import replace

import pytest
import torch

from sagan.training.config import EngineConfig
from sagan.training.hooks import Hook
from sagan.training.kernels import NotDeterministicError


class Refusing(Hook):
    """Does after the second step what has no deterministic form."""

    def on_step(self, record):
        assert torch.are_deterministic_algorithms_enabled()
        if record.step == 2:
            torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))


def asked(config):
    return replace(config, engine=EngineConfig(device="cpu", precision="fp32", deterministic=True))


@pytest.mark.long("trains twice, with samples and values")
def test_on_a_processor_such_a_run_equals_another_bit_for_bit(tmp_path, tiny_full, run, last, assert_same):
    kinds = {"plain": tiny_full(4), "asked": asked(tiny_full(4))}
    held = {}
    for name, config in kinds.items():
        said = run(config, tmp_path / name)[1]
        assert ("the same bits each time" in said) is (name == "asked")
        assert not torch.are_deterministic_algorithms_enabled()
        held[name] = {key: last(tmp_path / name)[key] for key in ("G", "D", "ema", "optimizer_g", "optimizer_d")}
    assert_same(held["plain"], held["asked"])


@pytest.mark.long("trains, and goes on")
def test_an_operation_without_such_a_form_ends_it_and_it_goes_on_without(tmp_path, tiny, run):
    with pytest.raises(NotDeterministicError, match=r"^put_ has no form here .* --engine.no-deterministic$"):
        run(asked(tiny(3)), tmp_path / "run", hooks=[Refusing()])
    assert not torch.are_deterministic_algorithms_enabled()
    without = replace(asked(tiny(3)), engine=EngineConfig(device="cpu", precision="fp32"))
    result, _ = run(without, resume=tmp_path / "run")
    assert (result.finished, result.step) == (True, 3)
