import contextlib
import copy
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional as F

from sagan.losses import discriminator_loss, generator_loss
from sagan.ops import spectral
from sagan.ops.augment import augment, num_draws
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import SpectralNorm, frozen_spectral, spectral_norms
from sagan.randomness import keyed_generator
from sagan.sampling import training_draws
from sagan.training import step as step_module
from sagan.training.step import d_draws, d_step, g_draws, g_step, mean_logit, set_learning_rate, train_step


@pytest.fixture
def one_d_step(pictures, engine):
    """Do one D step on the k-th batch."""

    def do(state, config, k=0):
        batch = pictures(k, config.batch_size)
        return d_step(state, config, engine.images(batch), batch.labels, d_draws(state, config, 0, engine, 0), engine)

    return do


@pytest.fixture
def moves(monkeypatch):
    """Count how often each spectral normalisation iterates, by itself or with others, as a dictionary that fills."""
    counts = {}
    iterate, moved = SpectralNorm.iterate, spectral._moved

    def counted(self, weight, iterations=1):
        counts[self] = counts.get(self, 0) + iterations
        iterate(self, weight, iterations)

    def counted_together(norms, weights):
        counts.update({norm: counts.get(norm, 0) + 1 for norm in norms})
        return moved(norms, weights)

    monkeypatch.setattr(SpectralNorm, "iterate", counted)
    monkeypatch.setattr(spectral, "_moved", counted_together)
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
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    assert moves == dict.fromkeys(norms_of(state.G), 1)
    assert_same(before, snapshot_of(state.D))


def test_trap_08_with_accumulation_vectors_move_in_the_first_micro_batch_only(tiny_state, one_d_step, engine, moves):
    state, config = tiny_state(accumulate=4)
    moves.clear()
    one_d_step(state, config)
    assert moves == dict.fromkeys(norms_of(state.D) | norms_of(state.G), 1)
    moves.clear()
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    assert moves == dict.fromkeys(norms_of(state.G), 1)
    assert not any(norm.frozen for norm in norms_of(state.G) | norms_of(state.D))


def test_gradients_are_averaged_over_the_processes_with_those_of_the_last_micro_batch(
    tiny_state, one_d_step, engine, monkeypatch
):
    state, config = tiny_state(accumulate=3, batch_size=9)
    kept = []

    def keeping(module, keep):
        kept.append((module, keep))
        return contextlib.nullcontext()

    monkeypatch.setattr(engine, "keeping_gradients", keeping)
    one_d_step(state, config)
    assert kept == [(state.D, True), (state.D, True), (state.D, False)]
    kept.clear()
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    assert kept == [(state.G, True), (state.G, True), (state.G, False)]


def test_trap_08_several_d_steps_move_d_as_often(tiny_state, pictures, engine, moves):
    state, config = tiny_state(d_steps=3)
    moves.clear()
    train_step(state, config, pictures, engine, seed=0)
    assert moves == dict.fromkeys(norms_of(state.D), 3) | dict.fromkeys(norms_of(state.G), 4)


def test_trap_12_a_g_step_leaves_d_alone(tiny_state, engine, snapshot_of, assert_same, open_gates):
    state, config = tiny_state()
    open_gates(state.D)
    before = snapshot_of(state.D)
    old = snapshot_of(state.G)
    g_step(state, config, g_draws(state, config, engine, 0), engine)
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
    train_step(state, config, pictures, engine, seed=0)
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
        train_step(state, config, pictures, engine, seed=3)
    keys = [key for key, _, _ in drawn]
    assert keys == [(3, p, step, update) for step in (0, 1) for p, update in (("D", 0), ("D", 1), ("G", 0))]
    for i in range(6):
        for j in range(i):
            assert not torch.equal(drawn[i][1], drawn[j][1])
    assert len({tuple(y.tolist()) for _, _, y in drawn}) > 1


def twin_inputs(pictures):
    """What the first step of seed 0 sees, scaled and drawn here: real images, their labels, noise and fake labels."""
    batch = pictures(0)
    x = batch.images.permute(0, 3, 1, 2) / 127.5 - 1.0
    return x, batch.labels, *training_draws(0, "D", 0, 0, 8, 8, 3)


@pytest.mark.parametrize("loss", ["hinge", "non-saturating"])
def test_a_d_step_is_the_published_update(tiny_state, pictures, one_d_step, loss):
    """The same update by hand: two forwards with the same vectors, the sum of both losses, Adam's formula."""
    state, config = tiny_state(loss=loss)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    x, y, z, y_fake = twin_inputs(pictures)
    with torch.no_grad():
        x_fake = G(z, y_fake)
    D(x, y)  # moves the vectors as the step's own forward does
    with frozen_spectral(D):
        real_logits, fake_logits = D(x, y), D(x_fake, y_fake)
    expected = discriminator_loss(loss, real_logits, fake_logits)
    expected.backward()

    metrics = one_d_step(state, config)

    assert metrics["loss_d"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert metrics["real_logits"].item() == pytest.approx(real_logits.mean().item(), rel=1e-4)
    assert metrics["fake_logits"].item() == pytest.approx(fake_logits.mean().item(), rel=1e-4)
    assert not any(metric.requires_grad for metric in metrics.values())
    assert_first_adam_step(state.D, D, config.lr_d)


@pytest.mark.parametrize("loss", ["hinge", "non-saturating"])
def test_a_g_step_is_the_published_update(tiny_state, engine, loss):
    state, config = tiny_state(loss=loss)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    z, y = training_draws(0, "G", 0, 0, 8, 8, 3)
    with frozen_spectral(D):
        expected = generator_loss(loss, D(G(z, y), y))
    expected.backward()

    metrics = g_step(state, config, g_draws(state, config, engine, 0), engine)

    assert metrics["loss_g"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert_first_adam_step(state.G, G, config.lr_g)


def assert_first_adam_step(after, before, lr):
    """Adam without momentum moves each weight at its first step by lr against the sign of its gradient."""
    compared = 0
    for (name, new), old in zip(after.named_parameters(), before.parameters(), strict=True):
        clear = old.grad.abs() > 1e-4  # where rounding cannot turn the sign
        expected = old.detach() - lr * old.grad.sign()
        torch.testing.assert_close(
            new.detach()[clear], expected[clear], atol=0.01 * lr, rtol=0.0, msg=lambda m, name=name: f"{name}: {m}"
        )
        compared += int(clear.sum())
    assert compared > 500


@pytest.mark.parametrize("on_fake", [False, True])
def test_the_auxiliary_head_adds_cross_entropy_for_d(tiny_state, pictures, one_d_step, on_fake):
    state, config = tiny_state(discriminator={"head": "auxiliary"}, auxiliary_weight=0.5, auxiliary_on_fake=on_fake)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    x, y, z, y_fake = twin_inputs(pictures)
    with torch.no_grad():
        x_fake = G(z, y_fake)
    output = D(torch.cat([x, x_fake]))
    entropy = F.cross_entropy(output.classes[:8], y)
    if on_fake:
        entropy = entropy + F.cross_entropy(output.classes[8:], y_fake)
    (discriminator_loss("hinge", output.source[:8], output.source[8:]) + 0.5 * entropy).backward()

    metrics = one_d_step(state, config)

    assert metrics["class_loss_d"].item() == pytest.approx(entropy.item(), rel=1e-4)
    for after, before in zip(state.D.parameters(), D.parameters(), strict=True):
        torch.testing.assert_close(after.grad, before.grad, atol=1e-4, rtol=1e-3)


def test_the_auxiliary_head_adds_cross_entropy_for_g(tiny_state, engine):
    state, config = tiny_state(discriminator={"head": "auxiliary"}, auxiliary_weight=0.5)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    z, y = training_draws(0, "G", 0, 0, 8, 8, 3)
    with frozen_spectral(D):
        output = D(G(z, y))
    entropy = F.cross_entropy(output.classes, y)
    (0.5 * entropy - output.source.mean()).backward()

    metrics = g_step(state, config, g_draws(state, config, engine, 0), engine)

    assert metrics["class_loss_g"].item() == pytest.approx(entropy.item(), rel=1e-4)
    for after, before in zip(state.G.parameters(), G.parameters(), strict=True):
        torch.testing.assert_close(after.grad, before.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [
        ({"num_classes": 0}, {"num_classes": 0}),
        ({}, {"head": "none"}),
        ({"attention": (8, 16), "attention_form": "official"}, {"attention_form": "official"}),
        ({"attention": (), "residual": (8,)}, {"attention": (), "residual": (8,), "width": "thin"}),
        ({"spectral_norm": False}, {}),
    ],
)
def test_every_kind_of_network_trains(tiny_state, pictures, engine, snapshot_of, generator, discriminator):
    state, config = tiny_state(generator, discriminator)
    if state.D.linear.bias is not None:  # While all logits are within the margins, what pulls it up and down cancels
        torch.nn.init.constant_(state.D.linear.bias, 3.0)
    before = snapshot_of(state.G), snapshot_of(state.D)
    for _ in range(2):
        metrics = train_step(state, config, pictures, engine, seed=0)
    assert set(metrics) == {"loss_d", "loss_g", "real_logits", "fake_logits"}
    assert all(torch.isfinite(metric) for metric in metrics.values())
    for network, old in zip((state.G, state.D), before, strict=True):
        for name, parameter in network.named_parameters():
            # At gamma 0 the inside of a gated block has no gradient yet; it has after the first step moved gamma.
            assert not torch.equal(parameter, old[name]), name


def test_d_gradient_of_micro_batches_is_that_of_the_whole_batch(tiny_state, pictures, one_d_step, monkeypatch):
    """G is put in evaluation mode: its batch statistics are per micro-batch, D has none."""
    gradients, losses = [], []
    for accumulate in (1, 2, 4):
        state, config = tiny_state(accumulate=accumulate)
        state.G.eval()
        losses.append(one_d_step(state, config)["loss_d"])
        gradients.append([parameter.grad for parameter in state.D.parameters()])
    for other in (1, 2):
        torch.testing.assert_close(losses[other], losses[0], atol=1e-5, rtol=1e-5)
        for a, b in zip(gradients[other], gradients[0], strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_g_can_make_another_number_of_images_than_d_sees(tiny_state, pictures, engine):
    state, config = tiny_state(g_batch_size=24, d_steps=2, accumulate=2)
    seen = []
    state.G.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    train_step(state, config, pictures, engine, seed=0)
    assert [len(z) for z in seen] == [4, 4] * 2 + [12, 12]
    z, _ = training_draws(0, "G", 0, 0, 24, 8, 3)
    assert torch.equal(torch.cat(seen[4:]), z)


def test_a_g_step_on_more_images_is_the_published_update_on_those(tiny_state, engine):
    """Adam without momentum moves each weight at its first step by lr against the sign of its gradient."""
    state, config = tiny_state({"spectral_norm": False}, {"spectral_norm": False}, g_batch_size=16, lr_g=1e-3)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    z, y = training_draws(0, "G", 0, 0, 16, 8, 3)
    (-D(G(z, y), y).mean()).backward()
    metrics = g_step(state, config, g_draws(state, config, engine, 0), engine)
    assert metrics["loss_g"].item() == pytest.approx(-D(G(z, y), y).mean().item(), abs=1e-5)
    for (name, found), expected in zip(state.G.named_parameters(), G.parameters(), strict=True):
        clear = expected.grad.abs() > 1e-5
        moved = (found - expected)[clear]
        torch.testing.assert_close(moved, -1e-3 * expected.grad[clear].sign(), atol=2e-5, rtol=0.0, msg=name)


def test_augmentation_reaches_all_images_of_a_larger_g_batch(tiny_state, pictures, engine):
    state, config = tiny_state(g_batch_size=16, augment=("color", "translation"))
    train_step(state, config, pictures, engine, seed=0)
    assert state.step == 1


def test_training_is_a_function_of_the_seed(tiny_state, pictures, engine, snapshot_of, assert_same):
    results = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)  # PyTorch's own random state plays no part
        state, config = tiny_state(ema_decay=0.9, augment=("color", "translation", "cutout"))
        for _ in range(3):
            train_step(state, config, pictures, engine, seed=seed)
        results.append(snapshot_of(state))
    assert_same(results[0], results[1])
    weight = "conv.parametrizations.weight.original"
    assert not torch.equal(results[0]["G"][weight], results[2]["G"][weight])


def test_the_step_asks_for_every_real_batch_once_in_order(tiny_state, pictures, engine):
    state, config = tiny_state(d_steps=2)
    asked = []

    def next_batch(k):
        asked.append(k)
        return pictures(k)

    for _ in range(3):
        train_step(state, config, next_batch, engine, seed=0)
    assert asked == [0, 1, 2, 3, 4, 5]
    assert state.step == 3


def test_augmentation_is_of_all_that_d_sees_and_g_learns_through_it(tiny_state, one_d_step, engine):
    """With cutout alone every image that D sees has a hole of exact zeros."""
    state, config = tiny_state(augment=("cutout",))
    seen = []
    state.D.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    one_d_step(state, config)
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    assert [len(x) for x in seen] == [16, 8]
    holes = torch.cat(seen).eq(0.0).all(1)  # (24, 16, 16)
    assert (holes.sum((1, 2)) >= 16).all()
    assert len({tuple(hole.flatten().tolist()) for hole in holes}) > 12  # drawn for each image
    assert state.G.conv.parametrizations.weight.original.grad.abs().max() > 0.0


def test_real_and_generated_pictures_are_augmented_by_draws_of_their_own(tiny_state, pictures, one_d_step, engine):
    """Neither has the other's: D would see the same hole, and the same move, in both halves of its batch."""
    policy = ("color", "translation", "cutout")
    state, config = tiny_state(augment=policy, accumulate=2)
    G, seen = copy.deepcopy(state.G), []
    x, _, z, y_fake = twin_inputs(pictures)
    state.D.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    one_d_step(state, config)
    real, fake = (
        torch.from_numpy(keyed_generator(0, f"augment {which}", 0, 0).random((8, num_draws(policy)), dtype="float32"))
        for which in ("real", "fake")
    )
    assert not torch.equal(real, fake)
    for i, half in enumerate(seen):
        part = slice(4 * i, 4 * i + 4)
        with torch.no_grad(), frozen_spectral(G) if i else nullcontext():
            x_fake = G(z[part], y_fake[part])
        torch.testing.assert_close(half[:4], augment(x[part], policy, real[part]))
        torch.testing.assert_close(half[4:], augment(x_fake, policy, fake[part]), atol=1e-5, rtol=1e-4)
    assert len(seen) == 2


def test_learning_rates_are_constant_or_fall_linearly_to_zero(tiny_state):
    state, config = tiny_state(total_steps=100, lr_d=4e-4)

    def rate(step, config):
        set_learning_rate(state.optimizer_d, config.lr_d, step, config)
        [group] = state.optimizer_d.param_groups
        return group["lr"]

    assert [rate(step, config) for step in (0, 50, 99)] == [4e-4] * 3
    _, config = tiny_state(total_steps=100, lr_d=4e-4, lr_decay_start=60)
    assert rate(59, config) == rate(60, config) == 4e-4
    assert rate(80, config) == pytest.approx(2e-4)
    assert rate(99, config) == pytest.approx(1e-5)
    _, config = tiny_state(total_steps=100, lr_d=4e-4, lr_decay_start=99)
    assert rate(99, config) == 4e-4  # the last step is the first that falls


def test_two_time_scales_reach_the_optimisers(tiny_state, pictures, engine):
    state, config = tiny_state(lr_g=1e-4, lr_d=4e-4, beta2=0.95)
    train_step(state, config, pictures, engine, seed=0)
    [g], [d] = state.optimizer_g.param_groups, state.optimizer_d.param_groups
    assert (g["lr"], d["lr"]) == (1e-4, 4e-4)
    assert g["betas"] == d["betas"] == (0.0, 0.95)
    assert g["eps"] == d["eps"] == 1e-8
    assert g["weight_decay"] == d["weight_decay"] == 0


def test_mean_logit_moves_nothing(tiny_state, pictures, engine, snapshot_of, assert_same):
    for head in ("projection", "auxiliary"):
        state, _ = tiny_state(discriminator={"head": head})
        before, random_state = snapshot_of(state), torch.get_rng_state()
        batch = pictures(3)
        found = mean_logit(state, batch, engine, 3)  # eight pictures in three forwards
        assert_same(before, snapshot_of(state))
        assert torch.equal(torch.get_rng_state(), random_state)
        assert state.D.training
        assert not found.requires_grad
        with torch.no_grad():
            output = state.D.eval()(batch.images.permute(0, 3, 1, 2) / 127.5 - 1.0, batch.labels)
        expected = output.source if head == "auxiliary" else output
        assert found.item() == pytest.approx(expected.mean().item(), rel=1e-4)


@pytest.mark.long("trains 200 steps, three times")
def test_acceptance_200_steps_on_coloured_pictures(tiny_state, pictures, engine):
    """SPEC 11: no NaN, spectral norms in range, gamma leaves 0; and labels steer colours.

    The contrast is 0 for a generator that ignores its labels. Over 8 seeds and two sets of processor instructions it
    was 1.4 or more: about 3 where all three classes have found their colour, about 1.5 where two still share one, which
    after so few steps happens with every third seed and, for one seed, on some processors and not on others.
    """
    state, config = tiny_state({"base_width": 4}, {"base_width": 8}, total_steps=200, batch_size=16)
    for _ in range(200):
        metrics = train_step(state, config, lambda k: pictures(k, 16), engine, seed=0)
        assert all(torch.isfinite(metric) for metric in metrics.values())
    for network in (state.G, state.D):
        assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())
        assert all(block.gamma.abs() > 1e-4 for block in network.attention.values())
        network.eval()
        for norm, weight in spectral_norms(network):
            top = torch.linalg.svdvals(norm(weight).detach().flatten(1))[0].item()
            assert 1.0 - 1e-4 <= top < 1.3
    with torch.no_grad():
        y = torch.arange(3).repeat(20)
        images = state.G.train()(torch.randn(60, 8, generator=torch.Generator().manual_seed(0)), y)
    colours = torch.stack([images[y == k].mean((0, 2, 3)) for k in range(3)])  # class, channel
    contrast = (colours - colours.mean(0)).trace().item()
    assert contrast > 0.7


@pytest.mark.parametrize(("rule", "times"), [("once", 1), ("joint", 2), ("separate", 3)])
def test_trap_08_ds_vectors_move_as_the_rule_says(tiny_state, pictures, engine, moves, rule, times):
    state, config = tiny_state(d_vectors=rule)
    looks = []
    state.D.register_forward_hook(lambda *_: looks.append(1))
    moves.clear()
    train_step(state, config, pictures, engine, seed=0)
    assert len(looks) == max(2, times)  # and at nothing that no loss asks for
    assert {norm: moves[norm] for norm in norms_of(state.D)} == dict.fromkeys(norms_of(state.D), times)
    assert {norm: moves[norm] for norm in norms_of(state.G)} == dict.fromkeys(norms_of(state.G), 2)
    assert not any(norm.frozen for norm in norms_of(state.D))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gs_vectors_can_move_in_its_own_step_only(tiny_state, one_d_step, engine, moves, accumulate):
    state, config = tiny_state(g_vectors="g_step_only", accumulate=accumulate)
    moves.clear()
    one_d_step(state, config)
    assert not norms_of(state.G) & moves.keys()
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    assert {norm: moves[norm] for norm in norms_of(state.G)} == dict.fromkeys(norms_of(state.G), 1)


@pytest.mark.parametrize("heads", ["projection", "auxiliary"])
def test_separate_forwards_give_the_loss_of_a_joint_one(tiny_state, one_d_step, heads):
    # D has no batch statistics; with vectors that have converged a further move changes nothing but rounding.
    found = []
    for rule in ("once", "separate"):
        state, config = tiny_state(d_vectors=rule, discriminator={"head": heads})
        spectral.refresh_spectral(state.D, 500)
        found.append(one_d_step(state, config))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heads", ["projection", "auxiliary"])
@pytest.mark.parametrize("order", ["real_first", "generated_first"])
def test_ds_separate_forwards_come_in_the_order_asked_for(tiny_state, one_d_step, pictures, engine, order, heads):
    state, config = tiny_state(d_vectors="separate", d_order=order, discriminator={"head": heads})
    seen, logits = [], []
    state.D.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    state.D.register_forward_hook(lambda module, inputs, output: logits.append(getattr(output, "source", output)))
    metrics = one_d_step(state, config)
    real = engine.images(pictures(0, config.batch_size))
    assert [torch.equal(x, real) for x in seen] == ([True, False] if order == "real_first" else [False, True])
    of_real, of_generated = logits if order == "real_first" else logits[::-1]
    assert (metrics["real_logits"], metrics["fake_logits"]) == (of_real.mean(), of_generated.mean())
    assert metrics["real_logits"] != metrics["fake_logits"]


def test_running_averages_can_move_in_gs_own_step_only(tiny_state, one_d_step, engine):
    def running(state):
        return [b.clone() for name, b in state.G.named_buffers() if "running" in name]

    for rule in ("each", "g_step_only"):
        state, config = tiny_state(bn_tracking=rule)
        before = running(state)
        one_d_step(state, config)
        middle = running(state)
        same = [torch.equal(a, b) for a, b in zip(before, middle, strict=True)]
        assert len(same) > 0
        assert all(same) if rule == "g_step_only" else not any(same)
        g_step(state, config, g_draws(state, config, engine, 0), engine)
        assert not any(torch.equal(a, b) for a, b in zip(middle, running(state), strict=True))
