import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from sagan.ops.spectral import spectral_norms
from sagan.sampling import sampling_copy
from sagan.training.config import TrainConfig
from sagan.training.ema import decay_at, update_ema
from sagan.training.step import train_step


def test_trap_20_parameters_follow_the_decay():
    average, source = nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
    expected = average.weight.detach().clone()
    for step in range(5):
        nn.init.constant_(source.weight, float(step))
        update_ema(average, source, 0.9)
        expected = 0.9 * expected + 0.1 * step
    torch.testing.assert_close(average.weight.detach(), expected)


def test_trap_20_decay_zero_copies_exactly():
    average, source = nn.Linear(3, 2), nn.Linear(3, 2)
    update_ema(average, source, 0.0)
    assert torch.equal(average.weight, source.weight)


def test_trap_20_buffers_are_copied_whatever_their_type():
    average, source = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    source(torch.randn(5, 3))
    update_ema(average, source, 0.99)
    assert average.num_batches_tracked == 1  # an integer
    assert torch.equal(average.running_mean, source.running_mean)
    assert average.running_mean.data_ptr() != source.running_mean.data_ptr()


def test_trap_20_the_source_is_left_alone(snapshot_of, assert_same):
    average, source = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    before = snapshot_of(source)
    update_ema(average, source, 0.5)
    assert_same(before, snapshot_of(source))


def test_trap_20_before_its_start_the_average_is_a_copy(tiny_state, pictures, engine):
    state, config = tiny_state(ema_decay=0.9, ema_start=2)
    for _ in range(2):
        train_step(state, config, pictures, engine, seed=0)
        for average, parameter in zip(state.ema.parameters(), state.G.parameters(), strict=True):
            assert torch.equal(average, parameter)
    before = [parameter.clone() for parameter in state.ema.parameters()]
    train_step(state, config, pictures, engine, seed=0)
    for old, average, parameter in zip(before, state.ema.parameters(), state.G.parameters(), strict=True):
        torch.testing.assert_close(average, 0.9 * old + 0.1 * parameter.detach(), atol=1e-7, rtol=1e-5)
    assert not torch.equal(state.ema.conv.bias, state.G.conv.bias)


def test_early_the_average_looks_back_over_a_share_of_the_steps_so_far():
    config = TrainConfig(ema_decay=0.998, ema_start=10, ema_rampup=0.05)
    assert [decay_at(config, step) for step in (0, 9)] == [0.0, 0.0]
    for step in (10, 100, 6000):
        kept = decay_at(config, step) ** (0.05 * step)  # of an average after its half-life
        assert kept == pytest.approx(0.5, abs=1e-12)
    assert decay_at(config, 7000) == 0.998  # a half-life of 346 steps is reached at 6,925
    assert decay_at(replace(config, ema_start=0), 0) == 0.0
    assert decay_at(replace(config, ema_rampup=0.0), 10) == 0.998


def test_a_step_uses_the_decay_of_its_moment(tiny_state, pictures, engine):
    state, config = tiny_state(ema_decay=0.9, ema_rampup=0.5)
    for step in range(4):
        before = [parameter.clone() for parameter in state.ema.parameters()]
        train_step(state, config, pictures, engine, seed=0)
        decay = min(0.9, 0.5 ** (1 / (0.5 * step))) if step else 0.0
        for old, average, parameter in zip(before, state.ema.parameters(), state.G.parameters(), strict=True):
            torch.testing.assert_close(average, decay * old + (1 - decay) * parameter.detach(), atol=1e-7, rtol=1e-5)


def test_trap_20_spectral_vectors_are_copied_and_refreshed_for_sampling(tiny_state, pictures, engine):
    state, config = tiny_state(lr_g=0.02, ema_decay=0.9)  # a large rate turns the singular vectors quickly
    for _ in range(8):
        train_step(state, config, pictures, engine, seed=0)
    for (average, _), (norm, _) in zip(spectral_norms(state.ema), spectral_norms(state.G), strict=True):
        assert torch.equal(average.u, norm.u)
        assert torch.equal(average.v, norm.v)

    def worst(network):
        layers = [m for m in network.modules() if hasattr(m, "parametrizations")]
        tops = [torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() for layer in layers]
        return max(abs(top - 1.0) for top in tops)

    ready = sampling_copy(state.ema, batches=0, batch_size=1, seed=0)
    assert worst(ready) < 0.02
    assert worst(copy.deepcopy(state.ema).eval()) > 2.0 * worst(ready)  # the refresh was needed


def test_trap_20_the_average_is_sampled_in_evaluation_mode_and_holds_no_gradient(tiny_state, pictures, engine):
    state, config = tiny_state(ema_decay=0.9)
    assert state.sampled is state.ema
    modes = []
    state.ema.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    train_step(state, config, pictures, engine, seed=0)
    assert not any(parameter.requires_grad for parameter in state.ema.parameters())
    assert modes == []  # training runs no forward of it
    ready = sampling_copy(state.sampled, batches=1, batch_size=4, seed=0)
    assert not any(module.training for module in ready.modules())


def test_without_decay_there_is_no_average(tiny_state):
    state, _ = tiny_state(ema_decay=0.0)
    assert state.ema is None
    assert state.sampled is state.G


def test_running_averages_are_copied_or_averaged(tiny_state, pictures, engine):
    for rule in ("copy", "average"):
        state, config = tiny_state(ema_decay=0.75, ema_running=rule)
        before = {name: buffer.clone() for name, buffer in state.ema.named_buffers()}
        train_step(state, config, pictures, engine, seed=0)
        latest = dict(state.G.named_buffers())
        for name, buffer in state.ema.named_buffers():
            if rule == "average" and "running" in name:
                torch.testing.assert_close(buffer, 0.75 * before[name] + 0.25 * latest[name])
                assert not torch.equal(buffer, latest[name])
            else:
                assert torch.equal(buffer, latest[name]), name
