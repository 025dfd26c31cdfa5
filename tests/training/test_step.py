import copy
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional as F

from sagan.losses import discriminator_loss, generator_loss
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import SpectralNorm, frozen_spectral, spectral_norms
from sagan.sampling import training_draws
from sagan.training import step as step_module
from sagan.training.step import d_step, g_step, mean_logit, set_learning_rate, train_step


@pytest.fixture
def one_d_step(pictures, engine):
    """Do one D step on the k-th batch."""

    def do(state, config, k=0):
        batch = pictures(k, config.batch_size)
        return d_step(state, config, engine.images(batch), batch.labels, 0, engine, seed=0)

    return do


@pytest.fixture
def moves(monkeypatch):
    """Count how often each spectral normalisation iterates, as a dictionary that fills."""
    counts = {}
    iterate = SpectralNorm.iterate

    def counted(self, weight, iterations=1):
        counts[self] = counts.get(self, 0) + iterations
        iterate(self, weight, iterations)

    monkeypatch.setattr(SpectralNorm, "iterate", counted)
    return counts


def norms_of(network):
    return {norm for norm, _ in spectral_norms(network)}


def test_trap_08_a_d_step_moves_every_vector_once(tiny_state, one_d_step, moves):
    state, config = tiny_state()
    moves.clear()
    one_d_step(state, config)
    assert moves == dict.fromkeys(norms_of(state.D) | norms_of(state.G), 1)


def test_trap_08_a_g_step_moves_only_those_of_g(tiny_state, engine, moves, snapshot_of, assert_same):
    state, config = tiny_state()
    moves.clear()
    before = snapshot_of(state.D)
    g_step(state, config, engine, seed=0)
    assert moves == dict.fromkeys(norms_of(state.G), 1)
    assert_same(before, snapshot_of(state.D))


def test_trap_08_with_accumulation_vectors_move_in_the_first_micro_batch_only(tiny_state, one_d_step, engine, moves):
    state, config = tiny_state(accumulate=4)
    moves.clear()
    one_d_step(state, config)
    assert moves == dict.fromkeys(norms_of(state.D) | norms_of(state.G), 1)
    moves.clear()
    g_step(state, config, engine, seed=0)
    assert moves == dict.fromkeys(norms_of(state.G), 1)
    assert not any(norm.frozen for norm in norms_of(state.G) | norms_of(state.D))


def test_trap_08_several_d_steps_move_d_as_often(tiny_state, pictures, engine, moves):
    state, config = tiny_state(d_steps=3)
    moves.clear()
    train_step(state, config, lambda k: pictures(k), engine, seed=0)
    assert moves == dict.fromkeys(norms_of(state.D), 3) | dict.fromkeys(norms_of(state.G), 4)


def test_trap_12_a_g_step_leaves_d_alone(tiny_state, engine, snapshot_of, assert_same, open_gates):
    state, config = tiny_state()
    open_gates(state.D)
    before = snapshot_of(state.D)
    old = snapshot_of(state.G)
    g_step(state, config, engine, seed=0)
    assert_same(before, snapshot_of(state.D))
    assert all(parameter.grad is None for parameter in state.D.parameters())
    assert all(parameter.requires_grad for parameter in state.D.parameters())
    moved = {name for name, p in state.G.named_parameters() if not torch.equal(p, old[name])}
    assert {"linear.parametrizations.weight.original", "conv.parametrizations.weight.original"} <= moved


def test_trap_12_a_d_step_leaves_the_weights_of_g_alone(tiny_state, one_d_step, snapshot_of, monkeypatch):
    state, config = tiny_state()
    before = snapshot_of(state.G)
    seen = []
    state.D.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    one_d_step(state, config)
    assert all(torch.equal(parameter, before[name]) for name, parameter in state.G.named_parameters())
    assert all(parameter.grad is None for parameter in state.G.parameters())
    assert [(len(x), x.requires_grad) for x in seen] == [(16, False)]  # real and generated in one forward, no graph


def test_trap_12_g_is_in_training_mode_in_the_d_step(tiny_state, one_d_step):
    state, config = tiny_state()
    one_d_step(state, config)
    norms = [layer for layer in state.G.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    assert all((layer.running_mean != 0.0).any() for layer in norms)


def test_trap_12_after_whole_steps_no_gradient_is_left_over(tiny_state, pictures, engine, one_d_step):
    """The gradients that a D step leaves must be of that step alone."""
    state, config = tiny_state()
    train_step(state, config, lambda k: pictures(k), engine, seed=0)
    fresh, _ = tiny_state()
    fresh.load_state_dict(copy.deepcopy(state.state_dict()))
    one_d_step(state, config, 1)
    one_d_step(fresh, config, 1)
    for a, b in zip(state.D.parameters(), fresh.D.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


def test_trap_15_both_players_draw_their_own_noise_and_labels(tiny_state, pictures, engine, monkeypatch):
    state, config = tiny_state(d_steps=2)
    drawn = []

    def spy(*args):
        drawn.append((args[:4], *training_draws(*args)))
        return drawn[-1][1:]

    monkeypatch.setattr(step_module, "training_draws", spy)
    for _ in range(2):
        train_step(state, config, lambda k: pictures(k), engine, seed=3)
    keys = [key for key, _, _ in drawn]
    assert keys == [(3, p, step, update) for step in (0, 1) for p, update in (("D", 0), ("D", 1), ("G", 0))]
    for i in range(6):
        for j in range(i):
            assert not torch.equal(drawn[i][1], drawn[j][1])
    assert len({tuple(y.tolist()) for _, _, y in drawn}) > 1


@pytest.mark.parametrize("loss", ["hinge", "non-saturating"])
def test_a_d_step_is_the_published_update(tiny_state, pictures, engine, loss):
    """The same update by hand: two forwards, the sum of both losses, Adam's formula at its first step."""
    state, config = tiny_state(loss=loss)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    batch = pictures(0)
    x = batch.images.permute(0, 3, 1, 2) / 127.5 - 1.0
    z, y_fake = training_draws(0, "D", 0, 0, 8, 8, 3)
    with torch.no_grad():
        x_fake = G(z, y_fake)
    D(x, batch.labels)  # moves the vectors once; both forwards that count then use the same ones
    with frozen_spectral(D):
        expected = discriminator_loss(loss, D(x, batch.labels), D(x_fake, y_fake))
    expected.backward()

    metrics = d_step(state, config, engine.images(batch), batch.labels, 0, engine, seed=0)

    assert metrics["loss_d"].item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, after), before in zip(state.D.named_parameters(), D.parameters(), strict=True):
        # Adam at its first step with betas (0, b): each weight moves by lr against the sign of its gradient.
        step = config.lr_d * before.grad / (before.grad.abs() + 1e-8)
        clear = before.grad.abs() > 1e-5
        torch.testing.assert_close(after.detach()[clear], (before - step).detach()[clear], atol=1e-5, rtol=0.0, msg=name)


@pytest.mark.parametrize("loss", ["hinge", "non-saturating"])
def test_a_g_step_is_the_published_update(tiny_state, engine, loss):
    state, config = tiny_state(loss=loss)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    z, y = training_draws(0, "G", 0, 0, 8, 8, 3)
    with frozen_spectral(D):
        expected = generator_loss(loss, D(G(z, y), y))
    expected.backward()

    metrics = g_step(state, config, engine, seed=0)

    assert metrics["loss_g"].item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, after), before in zip(state.G.named_parameters(), G.parameters(), strict=True):
        step = config.lr_g * before.grad / (before.grad.abs() + 1e-8)
        clear = before.grad.abs() > 1e-5
        torch.testing.assert_close(after.detach()[clear], (before - step).detach()[clear], atol=1e-5, rtol=0.0, msg=name)


@pytest.mark.parametrize("on_fake", [False, True])
def test_the_auxiliary_head_adds_cross_entropy_to_both_players(tiny_state, one_d_step, engine, on_fake):
    state, config = tiny_state(discriminator={"head": "auxiliary"}, auxiliary_weight=0.5, auxiliary_on_fake=on_fake)
    outputs = []
    state.D.register_forward_hook(lambda _, args, output: outputs.append((args[1], output)))
    d = one_d_step(state, config)
    g = g_step(state, config, engine, seed=0)
    (d_labels, d_output), (g_labels, g_output) = outputs

    entropy = F.cross_entropy(d_output.classes[:8], d_labels[:8])
    if on_fake:
        entropy = entropy + F.cross_entropy(d_output.classes[8:], d_labels[8:])
    torch.testing.assert_close(d["class_loss_d"], entropy.detach())
    torch.testing.assert_close(
        d["loss_d"], discriminator_loss("hinge", d_output.source[:8], d_output.source[8:]).detach()
    )
    torch.testing.assert_close(g["class_loss_g"], F.cross_entropy(g_output.classes, g_labels).detach())

    state, config = tiny_state(discriminator={"head": "auxiliary"}, auxiliary_weight=0.5, auxiliary_on_fake=on_fake)
    one_d_step(state, config)
    torch.testing.assert_close(
        state.D.classifier.parametrizations.weight.original.grad,
        _classifier_gradient(tiny_state, d_labels, on_fake, one_d_step),
    )


def _classifier_gradient(tiny_state, labels, on_fake, one_d_step):
    """The classifier's gradient comes from 0.5 x cross-entropy alone."""
    state, config = tiny_state(discriminator={"head": "auxiliary"}, auxiliary_weight=0.0, auxiliary_on_fake=on_fake)
    captured = []
    state.D.register_forward_hook(lambda _, args, output: captured.append(output.classes))
    weight = state.D.classifier.parametrizations.weight.original
    gradients = []

    def before_update(optimizer, *_):
        parts = [slice(0, 8), slice(8, 16)] if on_fake else [slice(0, 8)]
        loss = 0.5 * sum(F.cross_entropy(captured[0][part], labels[part]) for part in parts)
        gradients.append(torch.autograd.grad(loss, weight)[0])

    del before_update
    import unittest.mock

    backward = torch.Tensor.backward

    def spy(self, *args, **kwargs):
        parts = [slice(0, 8), slice(8, 16)] if on_fake else [slice(0, 8)]
        loss = 0.5 * sum(F.cross_entropy(captured[0][part], labels[part]) for part in parts)
        gradients.append(torch.autograd.grad(loss, weight, retain_graph=True)[0])
        backward(self, *args, **kwargs)

    with unittest.mock.patch.object(torch.Tensor, "backward", spy):
        one_d_step(state, config)
    return gradients[0]
