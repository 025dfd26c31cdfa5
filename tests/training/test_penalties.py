"""The relativistic loss in a step, and penalties on D's gradients: against autograd and finite differences."""

import copy
from dataclasses import replace

import pytest
import torch

from sagan.losses import discriminator_loss, generator_loss
from sagan.models.config import DiscriminatorConfig
from sagan.models.discriminator import Discriminator
from sagan.ops.attention import SelfAttention2d
from sagan.ops.augment import augment, num_draws
from sagan.ops.spectral import frozen_spectral
from sagan.randomness import keyed_generator
from sagan.sampling import training_draws
from sagan.training.config import EngineConfig, TrainConfig
from sagan.training.engine import Engine
from sagan.training.regularisers import gradient_penalties
from sagan.training.step import d_draws, d_step, g_draws, g_step, train_step


def small(open_gates, **fields):
    torch.manual_seed(0)
    config = DiscriminatorConfig(**{"size_px": 16, "num_classes": 3, "base_width": 4, "attention": (8,)} | fields)
    D = open_gates(Discriminator(config)).double().eval()
    for name, parameter in D.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, 0.0, 0.1)
    return D


@pytest.fixture
def sides():
    random = torch.Generator().manual_seed(0)
    x, x_fake = torch.rand(2, 3, 3, 16, 16, generator=random, dtype=torch.float64) * 2.0 - 1.0
    return x, x_fake, torch.tensor([0, 1, 2])


def penalties(D, config, x, x_fake, y):
    images = x.clone().requires_grad_(), x_fake.clone().requires_grad_()
    return gradient_penalties(config, D(torch.cat(images), torch.cat([y, y])), images)


def squared_gradients(D, x, y, h=1e-5):
    """Mean over pictures of the squared norm of the gradient of D's logit, by central differences of every pixel."""
    total = 0.0
    with torch.no_grad():
        for picture, label in zip(x, y, strict=True):
            moves = h * torch.eye(picture.numel(), dtype=torch.float64).view(-1, *picture.shape)
            labels = label.expand(len(moves))
            total += ((D(picture + moves, labels) - D(picture - moves, labels)) / (2.0 * h)).square().sum().item()
    return total / len(x)


@pytest.mark.parametrize("fold", [True, False])
def test_penalties_are_half_the_weighted_squared_norms(open_gates, sides, fold):
    D, (x, x_fake, y) = small(open_gates, fold=fold), (side[:1] for side in sides)
    term, norms = penalties(D, TrainConfig(r1=3.0, r2=0.5), x, x_fake, y)
    expected = {"r1": squared_gradients(D, x, y), "r2": squared_gradients(D, x_fake, y)}
    assert {name: value.item() for name, value in norms.items()} == pytest.approx(expected, rel=1e-6)
    assert expected["r1"] != pytest.approx(expected["r2"], rel=1e-3)
    assert term.item() == pytest.approx(1.5 * expected["r1"] + 0.25 * expected["r2"], rel=1e-6)


def test_only_what_is_asked_for_is_computed(open_gates, sides):
    D, (x, x_fake, y) = small(open_gates), sides
    term, norms = penalties(D, TrainConfig(r2=2.0), x, x_fake, y)
    assert set(norms) == {"r2"} and term.item() == pytest.approx(norms["r2"].item())
    lazy, _ = penalties(D, TrainConfig(r2=2.0, penalty_every=4), x, x_fake, y)
    assert lazy.item() == pytest.approx(4.0 * term.item())


@pytest.mark.parametrize("fields", [{}, {"fold": False}, {"attention_form": "official"}, {"single_largest": 1}])
def test_their_own_gradient_is_right(open_gates, sides, fields):
    """Second derivatives, through the folded convolutions, attention and spectral norm, against central differences.

    These are so near that hardly ever a ReLU bends between them, where penalties jump.
    """
    D, (x, x_fake, y) = small(open_gates, **fields), sides
    config = TrainConfig(r1=1.0, r2=2.0)
    penalties(D, config, x, x_fake, y)[0].backward()
    random = torch.Generator().manual_seed(1)
    for name, parameter in D.named_parameters():
        if parameter.grad is None:
            assert name == "linear.bias"  # moves all logits alike
            continue
        move = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
        move *= 1e-7 / move.norm()
        expected = 0.0
        for sign in (1.0, -1.0):
            moved = copy.deepcopy(D)
            with torch.no_grad():
                moved.get_parameter(name).add_(move, alpha=sign)
            expected += sign * penalties(moved, config, x, x_fake, y)[0].item() / 2e-7
        found = (parameter.grad * move).sum().item() / 1e-7
        assert found == pytest.approx(expected, rel=2e-4, abs=1e-6), name


def twin(pictures):
    batch = pictures(0)
    return batch, batch.images.permute(0, 3, 1, 2) / 127.5 - 1.0


def gradient_of(D, loss):
    D.zero_grad(set_to_none=True)
    loss.backward()
    return [p.grad for p in D.parameters()]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=3e-5, rtol=3e-4)


@pytest.mark.parametrize("vectors", ["once", "separate"])
def test_the_step_adds_penalties_on_pictures_before_augmentation(tiny_state, pictures, engine, vectors):
    policy = ("cutout",)
    state, config = tiny_state(loss="relativistic", r1=0.5, r2=0.25, augment=policy, d_vectors=vectors)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    batch, x = twin(pictures)
    y = batch.labels
    z, _ = training_draws(0, "D", 0, 0, 8, 8, 3)
    with torch.no_grad():
        x_fake = G(z, y)  # of the classes of the real pictures
    draws = [
        torch.from_numpy(keyed_generator(0, f"augment {which}", 0, 0).random((8, num_draws(policy)), dtype="float32"))
        for which in ("real", "fake")
    ]
    x.requires_grad_(), x_fake.requires_grad_()
    seen = [augment(images, policy, own) for images, own in zip((x, x_fake), draws, strict=True)]
    if vectors == "once":
        real, fake = D(torch.cat(seen), torch.cat([y, y])).split(8)
    else:
        real, fake = D(seen[0], y), D(seen[1], y)
    norms = [
        torch.autograd.grad(logits.sum(), images, create_graph=True)[0].square().sum((1, 2, 3)).mean()
        for logits, images in ((real, x), (fake, x_fake))
    ]
    loss = discriminator_loss("relativistic", real, fake)
    expected = gradient_of(D, loss + 0.25 * norms[0] + 0.125 * norms[1])
    metrics = d_step(state, config, engine.images(batch), y, d_draws(state, config, 0, engine, 0), engine)
    close([p.grad for p in state.D.parameters()], expected)
    assert metrics["r1"].item() == pytest.approx(norms[0].item(), rel=1e-3)
    assert metrics["r2"].item() == pytest.approx(norms[1].item(), rel=1e-3)
    assert metrics["loss_d"].item() == pytest.approx(loss.item(), rel=1e-4)


def test_gs_step_pairs_with_the_pictures_that_d_saw_last(tiny_state, pictures, engine):
    state, config = tiny_state(loss="relativistic", d_steps=2)
    for k in (0, 1):
        batch = pictures(k)
        d_step(state, config, engine.images(batch), batch.labels, d_draws(state, config, k, engine, 0), engine)
    G, D, x, y = copy.deepcopy(state.G), copy.deepcopy(state.D), engine.images(batch), batch.labels
    z, _ = training_draws(0, "G", 0, 0, 8, 8, 3)
    with frozen_spectral(D):
        with torch.no_grad():
            real = D(x, y)
        loss = generator_loss("relativistic", D(G(z, y), y), real)
    expected = gradient_of(G, loss)
    before = [buffer.clone() for buffer in state.D.buffers()]
    metrics = g_step(state, config, g_draws(state, config, engine, 0), engine, (x, y))
    assert metrics["loss_g"].item() == pytest.approx(loss.item(), rel=1e-4)
    close([p.grad for p in state.G.parameters()], expected)
    assert all(torch.equal(a, b) for a, b in zip(before, state.D.buffers(), strict=True))
    other, config = tiny_state(loss="relativistic", d_steps=2)
    train_step(other, config, pictures, engine, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(state.G.parameters(), other.G.parameters(), strict=True))


def test_penalties_come_every_so_many_steps(tiny_state, pictures, engine):
    state, config = tiny_state(r1=0.5, penalty_every=3)
    found = ["r1" in train_step(state, config, pictures, engine, seed=0) for _ in range(5)]
    assert found == [True, False, False, True, False]


def test_micro_batches_average_to_the_whole(tiny_state, pictures, engine):
    """With generated pictures that do not depend on the batch, of the classes of the real ones."""
    gradients = []
    for accumulate in (1, 2):
        state, config = tiny_state(loss="relativistic", r1=0.5, r2=0.5, accumulate=accumulate)
        batch, x = twin(pictures)
        generated = iter((0.5 * x.flip(0)).chunk(accumulate))
        state.G.forward = lambda z, y, generated=generated: next(generated).clone()
        metrics = d_step(state, config, x, batch.labels, d_draws(state, config, 0, engine, 0), engine)
        gradients.append([*(p.grad for p in state.D.parameters()), metrics["r1"], metrics["r2"]])
    close(*gradients)


def test_large_attention_maps_are_kept_where_they_are_differentiated_twice(tiny_state, engine):
    networks = {"size_px": 64, "base_width": 1, "attention": ()}, {"size_px": 64, "base_width": 8, "attention": (32,)}
    for changes, expected in (({"r1": 1.0}, "explicit"), ({}, "auto")):
        state, config = tiny_state(*networks, batch_size=2, **changes)
        block = state.D.attention["32"]
        assert isinstance(block, SelfAttention2d) and block.implementation == expected
    state, config = tiny_state(*networks, batch_size=2, r1=1.0)
    torch.nn.init.constant_(state.D.attention["32"].gamma, 0.5)
    metrics = d_step(
        state, config, torch.rand(2, 3, 64, 64), torch.tensor([0, 1]), d_draws(state, config, 0, engine, 0), engine
    )
    assert 0.0 < metrics["r1"].item() < float("inf")
    state.D.attention["32"].implementation = "auto"
    with pytest.raises(RuntimeError, match="tiled attention has no second derivative"):
        d_step(
            state, config, torch.rand(2, 3, 64, 64), torch.tensor([0, 1]), d_draws(state, config, 0, engine, 0), engine
        )


def test_a_step_in_bf16_is_finite(tiny_state, pictures):
    engine = Engine(EngineConfig(device="cpu", precision="bf16"))
    state, config = tiny_state(loss="relativistic", r1=0.5, r2=0.5)
    metrics = train_step(state, config, pictures, engine, seed=0)
    assert all(torch.isfinite(value) for value in metrics.values())
    assert all(torch.isfinite(p).all() for p in state.D.parameters())


def test_a_run_goes_on_bit_for_bit(tiny_state, pictures, engine, snapshot_of, assert_same):
    changes = {"loss": "relativistic", "r1": 0.5, "r2": 0.5, "penalty_every": 2, "augment": ("translation",)}
    whole, config = tiny_state(**changes)
    for _ in range(4):
        train_step(whole, config, pictures, engine, seed=0)
    first, _ = tiny_state(**changes)
    for _ in range(3):
        train_step(first, config, pictures, engine, seed=0)
    second, _ = tiny_state(**changes)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train_step(second, config, pictures, engine, seed=0)
    assert_same(snapshot_of(second.state_dict()), snapshot_of(whole.state_dict()))


def test_without_classes_pairs_are_of_any(tiny_state, pictures, engine):
    none = {"num_classes": 0}
    state, config = tiny_state(none, none, loss="relativistic", r1=0.5)
    metrics = train_step(state, config, pictures, engine, seed=0)
    assert all(torch.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"r1": -1.0}, "r1 must be at least 0"),
        ({"r2": -1.0}, "r2 must be at least 0"),
        ({"penalty_every": 0}, "penalty_every must be at least 1"),
        ({"r1": 1.0, "consistency": 1.0, "augment": ("color",)}, "consistency does not go with r1 and r2"),
        ({"loss": "relativistic", "g_batch_size": 512}, "g_batch_size must be batch_size 256 or unset, found 512"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        TrainConfig(**fields)


def test_compiled_networks_are_refused(tiny_config):
    config = tiny_config(r1=1.0)
    for compiled in ("on", "graphs"):
        with pytest.raises(ValueError, match=f"take engine.compile off, found {compiled}"):
            replace(config, engine=EngineConfig(compile=compiled))
