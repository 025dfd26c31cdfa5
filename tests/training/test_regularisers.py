"""Terms that hold D back: their formulas, what they remember, and that a resumed run goes on with it."""

import copy

import pytest
import torch

from sagan.losses import discriminator_loss
from sagan.ops.augment import augment, num_draws
from sagan.ops.spectral import frozen_spectral
from sagan.randomness import keyed_generator
from sagan.sampling import training_draws
from sagan.training.config import TrainConfig
from sagan.training.regularisers import consistency_penalty, lecam_penalty, move_controls, new_controls
from sagan.training.step import d_draws, d_step, g_draws, g_step, train_step


def scalar(value):
    return torch.tensor(value, dtype=torch.float64)


def test_lecam_is_the_distance_to_the_other_sides_average():
    controls = {"real_mean": scalar(2.0), "fake_mean": scalar(-1.0)}
    real, fake = torch.tensor([1.0, 3.0]).double(), torch.tensor([0.5]).double()
    # ((1 + 1)^2 + (3 + 1)^2) / 2 + (0.5 - 2)^2
    assert lecam_penalty(real, fake, controls).item() == 10.0 + 2.25
    swapped = {"real_mean": scalar(-1.0), "fake_mean": scalar(2.0)}
    assert lecam_penalty(real, fake, swapped).item() == 1.0 + 2.25


def test_consistency_is_the_mean_square_of_what_moved():
    plain, changed = torch.tensor([1.0, 2.0]), torch.tensor([1.5, 0.0])
    assert consistency_penalty(plain, changed).item() == (0.25 + 4.0) / 2


def test_averages_of_logits_follow_at_once_until_lecam_starts_and_slowly_then():
    config = TrainConfig(lecam=0.1, lecam_start=1, lecam_decay=0.75)
    controls = new_controls(config, torch.device("cpu"))
    first = {"real_logits": torch.tensor(4.0), "fake_logits": torch.tensor(-2.0)}
    move_controls(controls, config, 0, first)
    assert (controls["real_mean"].item(), controls["fake_mean"].item()) == (4.0, -2.0)
    move_controls(controls, config, 1, {"real_logits": torch.tensor(8.0), "fake_logits": torch.tensor(2.0)})
    assert (controls["real_mean"].item(), controls["fake_mean"].item()) == (5.0, -1.0)


def test_the_probability_follows_the_signs_and_stays_a_probability():
    config = TrainConfig(
        augment=("color",), adaptive_augment=0.6, adaptive_images=100, batch_size=8, d_steps=2, total_steps=1
    )
    controls = new_controls(config, torch.device("cpu"))
    found = []
    for sign in (1.0, 0.7, 0.5, 0.6, -1.0, -1.0, -1.0):
        move_controls(controls, config, 0, {"real_signs": torch.tensor(sign)})
        found.append(round(controls["augment_p"].item(), 4))
    assert found == [0.16, 0.32, 0.16, 0.16, 0.0, 0.0, 0.0]
    for _ in range(8):
        move_controls(controls, config, 0, {"real_signs": torch.tensor(1.0)})
    assert controls["augment_p"].item() == 1.0


def twin(pictures):
    batch = pictures(0)
    return batch, batch.images.permute(0, 3, 1, 2) / 127.5 - 1.0, *training_draws(0, "D", 0, 0, 8, 8, 3)


def gradient_of(D, loss):
    D.zero_grad(set_to_none=True)
    loss.backward()
    return [p.grad for p in D.parameters() if p.grad is not None]


def close(found, expected):
    assert len(found) == len(expected) > 3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=2e-4)


def test_the_step_adds_lecam_to_ds_loss_alone(tiny_state, pictures, engine):
    state, config = tiny_state(lecam=0.5, lecam_start=0)
    state.controls["real_mean"].fill_(3.0)
    state.controls["fake_mean"].fill_(-2.0)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    batch, x, z, y_fake = twin(pictures)
    with torch.no_grad():
        x_fake = G(z, y_fake)
    logits = D(torch.cat([x, x_fake]), torch.cat([batch.labels, y_fake]))
    real, fake = logits[:8], logits[8:]
    penalty = (real + 2.0).square().mean() + (fake - 3.0).square().mean()
    expected = gradient_of(D, discriminator_loss("hinge", real, fake) + 0.5 * penalty)
    metrics = d_step(state, config, engine.images(batch), batch.labels, d_draws(state, config, 0, engine, 0), engine)
    close([p.grad for p in state.D.parameters()], expected)
    assert metrics["lecam"].item() == pytest.approx(penalty.item(), rel=1e-4)
    assert metrics["loss_d"].item() == pytest.approx(discriminator_loss("hinge", real, fake).item(), rel=1e-4)


def test_before_its_start_lecam_changes_nothing(tiny_state, pictures, engine):
    found = []
    for changes in ({}, {"lecam": 0.5, "lecam_start": 2}):
        state, config = tiny_state(**changes)
        for _ in range(2):
            train_step(state, config, pictures, engine, seed=0)
        found.append([p.detach().clone() for p in state.D.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_with_consistency_d_learns_from_pictures_as_they_are(tiny_state, pictures, engine):
    policy = ("translation",)
    state, config = tiny_state(consistency=2.0, augment=policy)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    batch, x, z, y_fake = twin(pictures)
    with torch.no_grad():
        x_fake = G(z, y_fake)
    draws = [
        torch.from_numpy(keyed_generator(0, f"augment {which}", 0, 0).random((8, num_draws(policy)), dtype="float32"))
        for which in ("real", "fake")
    ]
    changed = [augment(images, policy, own) for images, own in zip((x, x_fake), draws, strict=True)]
    classes = torch.cat([batch.labels, y_fake])
    logits = D(torch.cat([x, x_fake, *changed]), torch.cat([classes, classes]))
    real, fake, real_t, fake_t = logits.split(8)
    moved = (real_t - real).square().mean() + (fake_t - fake).square().mean()
    expected = gradient_of(D, discriminator_loss("hinge", real, fake) + 2.0 * moved)
    metrics = d_step(state, config, engine.images(batch), batch.labels, d_draws(state, config, 0, engine, 0), engine)
    close([p.grad for p in state.D.parameters()], expected)
    assert metrics["consistency"].item() == pytest.approx(moved.item(), rel=1e-3)
    assert moved.item() > 1e-6


def test_with_consistency_g_learns_from_pictures_as_they_are(tiny_state, engine):
    state, config = tiny_state(consistency=2.0, augment=("cutout",))
    G, D, seen = copy.deepcopy(state.G), state.D, []
    z, y = training_draws(0, "G", 0, 0, 8, 8, 3)
    D.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    with torch.no_grad(), frozen_spectral(D):
        torch.testing.assert_close(seen[0], G(z, y), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_pictures_are_augmented_with_the_probability_of_now(tiny_state, pictures, engine, probability):
    state, config = tiny_state(augment=("cutout",), adaptive_augment=0.6)
    state.controls["augment_p"].fill_(probability)
    seen = []
    state.D.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    batch = pictures(0)
    d_step(state, config, engine.images(batch), batch.labels, d_draws(state, config, 0, engine, 0), engine)
    g_step(state, config, g_draws(state, config, engine, 0), engine)
    holes = (torch.cat(seen).eq(0.0).all(1).sum((1, 2)) >= 16).tolist()
    drawn = torch.cat(
        [
            torch.from_numpy(keyed_generator(0, f"augment {which}", 0, 0).random((8, 3), dtype="float32"))[:, 2]
            for which in ("real", "fake", "g")
        ]
    )
    assert holes == (drawn < probability).tolist()


def test_frozen_blocks_stay_and_the_others_learn(tiny_state, pictures, engine):
    state, config = tiny_state(freeze_d=1)
    before = copy.deepcopy(state.D)
    for _ in range(2):
        train_step(state, config, pictures, engine, seed=0)
    moved = {
        name: not torch.equal(old, new)
        for (name, old), new in zip(before.named_parameters(), state.D.parameters(), strict=True)
    }
    assert not any(moves for name, moves in moved.items() if name.startswith("blocks.0."))
    assert any(moves for name, moves in moved.items() if name.startswith("blocks.1."))
    with pytest.raises(ValueError, match="freeze_d must be below the 3 blocks"):
        tiny_state(freeze_d=3)


def test_what_is_remembered_is_in_the_state(tiny_state, pictures, engine):
    """Four steps are two, kept, loaded into a fresh state, and two more, bit for bit."""
    changes = {"lecam": 0.5, "lecam_start": 1, "augment": ("color",), "adaptive_augment": 0.6, "adaptive_images": 640}
    whole, config = tiny_state(**changes)
    whole.controls["augment_p"].fill_(0.5)
    for _ in range(4):
        train_step(whole, config, pictures, engine, seed=0)
    first, _ = tiny_state(**changes)
    first.controls["augment_p"].fill_(0.5)
    for _ in range(2):
        train_step(first, config, pictures, engine, seed=0)
    kept = copy.deepcopy(first.state_dict())
    second, _ = tiny_state(**changes)
    second.load_state_dict(kept)
    for _ in range(2):
        train_step(second, config, pictures, engine, seed=0)
    assert set(second.controls) == {"real_mean", "fake_mean", "augment_p"}
    assert all(torch.equal(second.controls[name], value) for name, value in whole.controls.items())
    assert all(torch.equal(a, b) for a, b in zip(whole.D.parameters(), second.D.parameters(), strict=True))
    assert 0.4 < whole.controls["augment_p"].item() < 0.6


def test_a_recipe_without_them_keeps_nothing(tiny_state):
    state, _ = tiny_state()
    assert state.controls == {} and "controls" not in state.state_dict()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lecam": -1.0}, "lecam must be at least 0"),
        ({"lecam_decay": 1.0}, "lecam_decay must be in"),
        ({"consistency": 1.0}, "consistency needs operations to augment by"),
        ({"adaptive_augment": 0.6}, "adaptive_augment needs operations"),
        ({"adaptive_augment": 0.6, "augment": ("color",), "loss": "relativistic"}, "goes by the sign of D's logits"),
        ({"steps_before": -1}, "steps_before must be at least 0"),
        ({"adaptive_augment": 1.5, "augment": ("color",)}, "adaptive_augment must be between 0 and 1"),
        ({"consistency": 1.0, "augment": ("color",), "adaptive_augment": 0.6}, "consistency goes with neither"),
        ({"freeze_d": -1}, "freeze_d must be at least 0"),
        ({"adaptive_images": 0}, "adaptive_images must be at least 1"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        TrainConfig(**fields)
