"""An update whose gradients are not finite is left out, named, and nothing of the network or its optimiser moves."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import Adam

from sagan.training.update import SKIPS, Refused, update_weights


def made():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    return network, Adam(network.parameters(), lr=0.1, betas=(0.0, 0.9), fused=True)


def with_gradients(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def everything(network, optimizer):
    return copy.deepcopy({"network": network.state_dict(), "optimizer": optimizer.state_dict()})


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def test_a_finite_update_is_that_of_adam_bit_for_bit():
    (ours, our_adam), (plain, adam) = made(), made()
    refused = Refused()
    for seed in range(3):
        with_gradients(ours, seed), with_gradients(plain, seed)
        update_weights(our_adam, ours, "D", refused)
        adam.step()
    same(everything(ours, our_adam), everything(plain, adam))
    assert refused.first({"D": ours}) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("asks", [True, False], ids=["the optimiser skips", "waited for"])
def test_nothing_moves_where_a_gradient_is_not_finite(value, asks, monkeypatch):
    if not asks:
        monkeypatch.setattr("sagan.training.update.SKIPS", ())
    assert "cpu" in SKIPS
    network, optimizer = made()
    refused = Refused()
    with_gradients(network)
    update_weights(optimizer, network, "D", refused)
    before = everything(network, optimizer)
    with_gradients(network)
    network[1].weight.grad[1, 2] = value
    network[1].bias.grad[0] = value
    update_weights(optimizer, network, "D", refused)
    same(everything(network, optimizer), before)
    with_gradients(network, 5)
    update_weights(optimizer, network, "D", refused)  # the next one is done, and what was refused is still known
    assert not torch.equal(network[0].weight, before["network"]["0.weight"])
    assert refused.first({"D": network}) == "D/1.weight"


def test_gradients_that_are_large_and_finite_are_no_reason():
    network, optimizer = made()
    refused = Refused()
    with_gradients(network)
    network[0].weight.grad[0] = 3e38  # neither their sum is finite nor their squares
    update_weights(optimizer, network, "G", refused)
    assert refused.first({"G": network}) is None


def test_parameters_without_gradients_do_not_count():
    network, optimizer = made()
    network[0].requires_grad_(False)
    refused = Refused()
    with_gradients(network)
    network[0].weight.grad = network[0].bias.grad = None
    network[1].bias.grad[0] = float("nan")
    update_weights(optimizer, network, "G", refused)
    assert refused.first({"G": network}) == "G/1.bias"
