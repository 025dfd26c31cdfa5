import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.ops.norm import (
    ConditionalBatchNorm2d,
    mean_and_variance,
    of_all,
    set_batch_statistics,
    standing_statistics,
)
from sagan.ops.spectral import spectral_norm, spectral_norms


@pytest.fixture
def x():
    return torch.randn(6, 4, 5, 5, generator=torch.Generator().manual_seed(0)) * 3.0 + 2.0


@pytest.fixture
def y():
    return torch.tensor([0, 1, 2, 0, 1, 0])


def test_trap_06_gain_starts_at_one_and_bias_at_zero(x, y):
    norm = ConditionalBatchNorm2d(4, 3)
    assert norm.gain.shape == norm.bias.shape == (3, 4)
    assert torch.equal(norm.gain, torch.ones(3, 4))
    assert torch.equal(norm.bias, torch.zeros(3, 4))
    torch.testing.assert_close(norm(x, y), F.batch_norm(x, None, None, training=True, eps=1e-5))


def test_trap_06_statistics_know_nothing_of_classes(x, y):
    one, other = ConditionalBatchNorm2d(4, 3), ConditionalBatchNorm2d(4, 3)
    one(x, y)
    other(x, y.flip(0))
    assert torch.equal(one.running_mean, other.running_mean)
    assert torch.equal(one.running_var, other.running_var)


def test_trap_06_a_row_changes_only_the_samples_of_its_class(x, y):
    norm = ConditionalBatchNorm2d(4, 3)
    before = norm(x, y)
    with torch.no_grad():
        norm.gain[1] = 5.0
        norm.bias[1] = 7.0
    after = norm(x, y)
    assert torch.equal(after[y != 1], before[y != 1])
    torch.testing.assert_close(after[y == 1], 5.0 * before[y == 1] + 7.0)


def test_trap_06_only_seen_classes_get_gradient(x):
    norm = ConditionalBatchNorm2d(4, 3)
    norm(x, torch.tensor([0, 2, 0, 2, 2, 0])).square().mean().backward()
    assert norm.gain.grad[1].abs().max() == 0.0
    assert norm.bias.grad[1].abs().max() == 0.0
    assert (norm.gain.grad[[0, 2]].abs() > 0.0).all()


def test_each_channel_is_normalised_over_batch_and_positions_of_all_classes(x, y):
    pixels = x.numpy().astype(np.float64).transpose(1, 0, 2, 3).reshape(4, -1)
    expected = (pixels - pixels.mean(1, keepdims=True)) / np.sqrt(pixels.var(1, keepdims=True) + 1e-5)
    found = ConditionalBatchNorm2d(4, 3)(x, y).detach().numpy().transpose(1, 0, 2, 3).reshape(4, -1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_classes_it_is_pytorchs_batch_normalisation(x):
    ours, theirs = ConditionalBatchNorm2d(4, 0, eps=1e-3, momentum=0.3), nn.BatchNorm2d(4, eps=1e-3, momentum=0.3)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_missing_labels_are_asked_for(x):
    with pytest.raises(ValueError, match="conditional on 3 classes; pass the labels"):
        ConditionalBatchNorm2d(4, 3)(x)


def test_trap_07_running_variance_is_the_unbiased_one():
    norm = ConditionalBatchNorm2d(1, 0, momentum=0.001)
    norm(torch.tensor([0.0, 2.0]).view(2, 1, 1, 1))
    # Biased variance 1 would leave the initial 1 (the official TensorFlow layer); unbiased variance 2 gives 1.001.
    assert norm.running_var.item() == pytest.approx(1.001, abs=1e-7)
    assert norm.running_mean.item() == pytest.approx(0.001, abs=1e-7)


def test_trap_07_the_biased_running_variance_is_the_official_codes():
    norm = ConditionalBatchNorm2d(1, 0, momentum=0.001, biased=True)
    norm(torch.tensor([0.0, 2.0]).view(2, 1, 1, 1))
    assert norm.running_var.item() == pytest.approx(1.0, abs=1e-7)
    assert norm.running_mean.item() == pytest.approx(0.001, abs=1e-7)


@pytest.mark.parametrize("group_size", [None, 2])
@pytest.mark.parametrize("fused", [True, False])
def test_biased_running_variances_average_those_of_all_batches_and_groups(x, y, fused, group_size):
    norm = ConditionalBatchNorm2d(4, 3, momentum=0.3, biased=True)
    other = ConditionalBatchNorm2d(4, 3, momentum=0.3)
    mean, variance = np.zeros(4), np.ones(4)
    for batch in (x, 2.0 * x + 1.0):
        for layer in (norm, other):
            layer.fused, layer.group_size = fused, group_size
        outputs = [layer(batch.clone().requires_grad_(), y) for layer in (norm, other)]
        assert torch.equal(*outputs)
        outputs[0].sum().backward()  # and the buffers may move before
        for group in np.split(batch.numpy(), 1 if group_size is None else len(x) // group_size):
            mean += 0.3 * (group.mean((0, 2, 3)) - mean)
            variance += 0.3 * (group.var((0, 2, 3)) - variance)
    np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(norm.running_var, variance, rtol=1e-5)
    assert (other.running_var > norm.running_var).all()
    before = norm.running_var.clone()
    norm.eval()(x, y)
    assert torch.equal(norm.running_var, before)


def linear_norm(spectral):
    torch.manual_seed(0)
    norm = ConditionalBatchNorm2d(4, 3, conditioning="linear")
    if spectral:
        spectral_norm(norm.gain_map)
        spectral_norm(norm.bias_map)
    return norm


def test_one_class_has_maps_like_several_and_none_has_tables(x):
    norm = ConditionalBatchNorm2d(4, 1, conditioning="linear")
    assert {name: tuple(parameter.shape) for name, parameter in norm.named_parameters()} == {
        "gain_map.weight": (1, 4),
        "bias_map.weight": (1, 4),
    }
    with pytest.raises(ValueError, match="conditional on 1 classes; pass the labels"):
        norm(x)
    assert {name for name, _ in ConditionalBatchNorm2d(4, 0, conditioning="linear").named_parameters()} == {
        "gain",
        "bias",
    }


@pytest.mark.parametrize("spectral", [False, True])
def test_linear_conditioning_is_one_plus_a_map_of_the_one_hot_class(x, y, spectral):
    norm = linear_norm(spectral)
    assert {name.split(".")[0] for name, _ in norm.named_parameters()} == {"gain_map", "bias_map"}
    found = norm(x, y)
    norm.eval()  # the vectors rest from here on
    one_hot = F.one_hot(y, 3).float()
    gain, bias = 1.0 + one_hot @ norm.gain_map.weight, one_hot @ norm.bias_map.weight
    expected = F.batch_norm(x, None, None, training=True) * gain[:, :, None, None] + bias[:, :, None, None]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_linear_conditioning_moves_its_spectral_vectors_once_in_a_training_forward(x, y, monkeypatch):
    norm = linear_norm(spectral=True)
    moved = []
    monkeypatch.setattr("sagan.ops.spectral.SpectralNorm.iterate", lambda self, *_: moved.append(self))
    norm(x, y)
    assert len(moved) == len(set(moved)) == 2
    norm.eval()(x, y)
    assert len(moved) == 2


def test_tables_can_be_set_in_place_of_the_maps(x, y):
    norm = linear_norm(spectral=True).eval()
    expected = norm(x, y)
    norm.set_tables(*norm.tables())
    assert sorted(name for name, _ in norm.named_parameters()) == ["bias", "gain"]
    assert torch.equal(norm(x, y), expected)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("training", [True, False])
def test_heard_noise_moves_gain_and_bias_linearly(x, y, classes, training):
    torch.manual_seed(0)
    norm = ConditionalBatchNorm2d(4, classes).train(training)
    norm.hear(5)
    noise = torch.randn(len(x), 5)
    torch.nn.init.normal_(norm.gain)
    rows = y if classes else torch.zeros_like(y)
    gain = norm.gain[rows] + noise @ norm.gain_noise.weight.T
    bias = norm.bias[rows] + noise @ norm.bias_noise.weight.T
    normalised = F.batch_norm(x, None if training else norm.running_mean, None if training else norm.running_var,
                              training=training)  # fmt: skip
    expected = normalised * gain[:, :, None, None] + bias[:, :, None, None]
    torch.testing.assert_close(norm(x, y, noise), expected, atol=1e-5, rtol=1e-5)
    norm.set_tables(*norm.tables())
    torch.testing.assert_close(norm(x, rows, noise), expected, atol=1e-5, rtol=1e-5)
    assert {name for name, _ in norm.named_parameters()} == {"gain", "bias", "gain_noise.weight", "bias_noise.weight"}


def test_without_classes_there_is_nothing_to_map_from(x):
    norm = ConditionalBatchNorm2d(4, 0, conditioning="linear")
    assert torch.equal(norm(x), ConditionalBatchNorm2d(4, 0)(x))


@pytest.mark.parametrize("batch", [2, 6])
def test_trap_07_after_standing_statistics_of_equal_batches_evaluation_equals_training(x, y, batch):
    x, y = x[:batch], y[:batch]
    norm = ConditionalBatchNorm2d(4, 3)
    expected = norm(x, y)
    norm.eval()
    assert standing_statistics(norm, [lambda: norm(x, y)] * 3) == 3
    torch.testing.assert_close(norm(x, y), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_mean_and_variance_are_those_of_each_channel(x, memory_format, dtype):
    x = (x + 100.0).to(dtype).contiguous(memory_format=memory_format)  # squares would cancel in fp32
    mean, variance = mean_and_variance(x)
    values = x.double().numpy()
    assert mean.dtype == variance.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), rtol=1e-12 if dtype == torch.float64 else 1e-6)
    np.testing.assert_allclose(variance, values.var((0, 2, 3)), rtol=1e-12 if dtype == torch.float64 else 1e-5)


def test_standing_statistics_average_the_means_and_biased_variances_of_batches(x):
    for norm in (ConditionalBatchNorm2d(4, 0), nn.BatchNorm2d(4)):
        batches = [x, 5.0 * x + 1.0, x[:2] - 3.0]
        standing_statistics(norm, [partial(norm, b) for b in batches])
        arrays = [b.numpy().astype(np.float64) for b in batches]
        np.testing.assert_allclose(norm.running_mean, np.mean([a.mean((0, 2, 3)) for a in arrays], 0), rtol=1e-5)
        np.testing.assert_allclose(norm.running_var, np.mean([a.var((0, 2, 3)) for a in arrays], 0), rtol=1e-5)


def test_in_a_stack_the_second_layer_sees_what_batch_statistics_of_the_first_give(x):
    network = nn.Sequential(ConditionalBatchNorm2d(4), nn.Conv2d(4, 3, 1), ConditionalBatchNorm2d(3)).eval()
    network[0].running_mean.fill_(100.0)  # must not be what the first layer normalises with
    with torch.no_grad():
        hidden = network[1](F.batch_norm(x, None, None, training=True))
    standing_statistics(network, [lambda: network(x)])
    torch.testing.assert_close(network[2].running_mean, hidden.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network[2].running_var, hidden.var((0, 2, 3), correction=0), atol=1e-5, rtol=1e-4)


def test_standing_statistics_move_nothing_else_and_give_modes_back(x):
    network = nn.Sequential(spectral_norm(nn.Conv2d(4, 4, 3)), ConditionalBatchNorm2d(4), nn.Dropout(0.5))
    network.train()
    network[2].eval()
    [(norm, weight)] = spectral_norms(network)
    norm.u.copy_(F.normalize(torch.randn_like(norm.u), dim=0))
    before = (norm.u.clone(), norm.v.clone(), weight.detach().clone(), network[1].gain.detach().clone())
    seen = []
    network[2].register_forward_pre_hook(lambda module, _: seen.append((module.training, torch.is_grad_enabled())))

    standing_statistics(network, [lambda: network(x)])

    assert [module.training for module in network] == [True, True, False]
    assert seen == [(False, False)]
    assert all(torch.equal(a, b) for a, b in zip(before, (norm.u, norm.v, weight, network[1].gain), strict=True))
    network(x)
    assert network[1]._forward_pre_hooks == {}


def test_an_error_or_no_batch_gives_the_modes_back_too(x):
    norm = ConditionalBatchNorm2d(4).eval()
    with pytest.raises(ValueError, match="at least one batch"):
        standing_statistics(norm, [])
    assert torch.equal(norm.running_var, torch.ones(4))
    with pytest.raises(ZeroDivisionError):
        standing_statistics(norm, [lambda: 1 / 0])
    assert not norm.training
    assert norm._forward_pre_hooks == {}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_trap_23_groups_are_normalised_like_batches_of_their_own(memory_format):
    torch.manual_seed(0)
    x = torch.randn(128, 3, 4, 4).contiguous(memory_format=memory_format)
    x[64:] *= 3.0
    y = torch.randint(0, 5, (128,))
    ghost, plain = ConditionalBatchNorm2d(3, 5), ConditionalBatchNorm2d(3, 5)
    set_batch_statistics(ghost, "ghost", 64)
    out = ghost(x, y)
    assert out.is_contiguous(memory_format=memory_format)
    expected = torch.cat([plain(x[:64], y[:64]), plain(x[64:], y[64:])])
    assert torch.equal(out, expected)
    assert torch.equal(ghost.running_mean, plain.running_mean)
    assert torch.equal(ghost.running_var, plain.running_var)
    assert not torch.allclose(out, ConditionalBatchNorm2d(3, 5)(x, y), atol=0.1)
    assert torch.equal(ghost.eval()(x, y), plain.eval()(x, y))  # groups are of training only


def test_trap_23_a_batch_that_no_groups_make_up_is_refused():
    layer = ConditionalBatchNorm2d(3)
    set_batch_statistics(layer, "ghost", 64)
    with pytest.raises(ValueError, match="a batch of 96 images cannot be cut into groups of 64"):
        layer(torch.zeros(96, 3, 2, 2))


def test_standing_statistics_normalise_whole_batches_also_where_training_has_groups():
    x = torch.cat([torch.zeros(4, 1, 2, 2), torch.ones(4, 1, 2, 2)])
    layer = ConditionalBatchNorm2d(1)
    set_batch_statistics(layer, "ghost", 4)
    standing_statistics(layer, [lambda: layer(x)])
    assert (layer.running_mean.item(), layer.running_var.item()) == (0.5, 0.25)
    assert layer.group_size == 4


class Exchange:
    """Stands for two processes that gather tensors: two threads that wait for each other."""

    def __init__(self):
        self.here, self.places, self.barrier = threading.local(), [None, None], threading.Barrier(2, timeout=60)

    def gather(self, tensor):
        self.places[self.here.number] = tensor.clone()
        self.barrier.wait()
        gathered = torch.stack(self.places)
        self.barrier.wait()
        return gathered

    def run(self, work):
        def start(number):
            self.here.number = number
            return work(number)

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(start, range(2)))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_trap_22_synchronised_parts_are_normalised_like_the_whole_batch(fused, biased, monkeypatch):
    torch.manual_seed(0)
    whole = ConditionalBatchNorm2d(3, 2, momentum=0.3, biased=biased).double()
    for table in (whole.gain, whole.bias):
        torch.nn.init.normal_(table, 0.5)
    whole.fused = fused
    layers = [copy.deepcopy(whole), copy.deepcopy(whole)]
    x, y, wanted = 2.0 + torch.randn(6, 3, 3, 5).double(), torch.tensor([0, 1, 1, 0, 0, 1]), torch.randn(6, 3, 3, 5)
    wanted = wanted.double()

    def run(layer, part):
        inputs = x[part].clone().requires_grad_()
        output = layer(inputs, y[part])
        output.backward(wanted[part])
        return output.detach(), inputs.grad

    expected = run(whole, slice(0, 6))
    exchange = Exchange()
    monkeypatch.setattr("sagan.ops.norm.of_all", exchange.gather)
    monkeypatch.setattr("sagan.ops.norm._num_processes", lambda: 2)
    for layer in layers:
        set_batch_statistics(layer, "sync", 0)
    found = exchange.run(lambda number: run(layers[number], slice(3 * number, 3 * number + 3)))
    for part, together in zip(zip(*found, strict=True), expected, strict=True):
        torch.testing.assert_close(torch.cat(part), together, rtol=1e-9, atol=1e-11)
    for table in ("gain", "bias"):  # the gradients of the parts are added up elsewhere
        parts = sum(getattr(layer, table).grad for layer in layers)
        torch.testing.assert_close(parts, getattr(whole, table).grad, rtol=1e-9, atol=1e-11)
    for layer in layers:
        torch.testing.assert_close(layer.running_mean, whole.running_mean)
        torch.testing.assert_close(layer.running_var, whole.running_var)
        assert not layer.running_var.requires_grad


@pytest.mark.parametrize("name", ["all_gather_single", "all_gather_into_tensor"])
def test_tensors_are_gathered_by_the_function_that_this_pytorch_has(name, monkeypatch):
    def gather(gathered, here):
        gathered.copy_(torch.cat([here, 10.0 + here]))

    known = {"is_available": lambda: True, "is_initialized": lambda: True, "get_world_size": lambda: 2}
    monkeypatch.setattr("sagan.ops.norm.distributed", SimpleNamespace(**known, **{name: gather}))
    here = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(of_all(here), torch.stack([here, 10.0 + here]))


def test_defaults_are_pytorchs():
    ours, pytorchs = ConditionalBatchNorm2d(3), nn.BatchNorm2d(3)
    assert (ours.eps, ours.momentum) == (pytorchs.eps, pytorchs.momentum)


def test_in_a_single_process_synchronised_is_plain():
    x = torch.randn(8, 3, 4, 4)
    layer, plain = ConditionalBatchNorm2d(3), ConditionalBatchNorm2d(3)
    set_batch_statistics(layer, "sync", 64)
    assert torch.equal(layer(x), plain(x))


def test_standing_statistics_of_shared_batches_are_divided_by_all_of_them():
    """Of two processes with one batch each, the other of which has mean 3 and variance 4."""
    x = torch.cat([torch.zeros(4, 1, 2, 2), torch.full((4, 1, 2, 2), 2.0)])  # mean 1, variance 1
    layer = ConditionalBatchNorm2d(1)

    def add_up(sums):
        return sums + (1 if sums.ndim == 0 else torch.tensor([[3.0], [4.0]]))

    assert standing_statistics(layer, [lambda: layer(x)], add_up) == 2
    assert (layer.running_mean.item(), layer.running_var.item()) == (2.0, 2.5)


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalising_and_scaling_in_one_equals_the_plain_form(num_classes, layout):
    torch.manual_seed(0)
    plain = ConditionalBatchNorm2d(5, num_classes, momentum=0.3).double()
    for table in (plain.gain, plain.bias):
        torch.nn.init.normal_(table, 0.5)
    fused = copy.deepcopy(plain)
    plain.fused = False
    x = (3.0 + torch.randn(6, 5, 4, 7, dtype=torch.float64)).contiguous(memory_format=layout)
    y = torch.tensor([0, 2, 2, 1, 0, 2])
    wanted = torch.randn_like(x)
    found = []
    for layer in (plain, fused):
        inputs = x.clone().requires_grad_()
        output = layer(inputs, y)
        output.backward(wanted)
        found.append((output, inputs.grad, layer.gain.grad, layer.bias.grad, layer.running_mean, layer.running_var))
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() < 1e-10 * one.abs().max()
    assert found[1][0].is_contiguous(memory_format=layout)


def test_the_fused_form_keeps_one_map_and_refuses_a_second_derivative():
    layer = ConditionalBatchNorm2d(3, 2)
    x = torch.randn(4, 3, 5, 5, requires_grad=True)
    output = layer(x, torch.tensor([0, 1, 1, 0]))
    maps = [saved for saved in output.grad_fn.saved_tensors if saved.shape == x.shape]
    assert [saved.data_ptr() for saved in maps] == [x.data_ptr()]
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(output.square().sum(), x, create_graph=True)
