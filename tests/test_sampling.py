import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import spectral_norms
from sagan.sampling import (
    along,
    attention_gammas,
    attention_maps,
    batched,
    generate,
    interpolate,
    noise_directions,
    sample_labels,
    sample_latents,
    sampling_copy,
    training_draws,
)
from sagan.training.step import train_step


def small_generator(**fields):
    torch.manual_seed(0)
    return Generator(GeneratorConfig(**{"size_px": 16, "num_classes": 3, "z_dim": 8, "base_width": 2} | fields))


def small_discriminator(**fields):
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(**{"size_px": 16, "num_classes": 3, "base_width": 4} | fields))


# Draws


def test_trap_15_fake_labels_are_uniform_over_all_classes():
    _, y = training_draws(0, "D", 5, 0, 100_000, 1, 7)
    assert y.dtype == torch.int64
    assert y.shape == (100_000,)
    counts = torch.bincount(y, minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_trap_15_fake_labels_are_fresh_for_each_player_step_and_update():
    draws = [
        training_draws(0, player, step, update, 64, 4, 10)
        for player in ("D", "G")
        for step in (0, 1)
        for update in (0, 1)
    ]
    for i in range(len(draws)):
        assert draws[i][1].unique().numel() > 3  # not one label for all
        for j in range(i):
            assert not torch.equal(draws[i][0], draws[j][0])
            assert not torch.equal(draws[i][1], draws[j][1])


def test_noise_is_standard_normal_and_independent_of_the_labels():
    z, y = training_draws(1, "G", 0, 0, 50_000, 2, 2)
    assert z.dtype == torch.float32
    assert stats.kstest(z[:, 0].numpy(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z.numpy().T)[0, 1]) < 5 / np.sqrt(50_000)
    assert abs(z[y == 0].mean() - z[y == 1].mean()) < 5 * np.sqrt(2 / 50_000)


def test_training_draws_are_a_function_of_their_key():
    a, b = training_draws(3, "D", 2, 1, 5, 4, 3), training_draws(3, "D", 2, 1, 5, 4, 3)
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    assert not torch.equal(a[0], training_draws(4, "D", 2, 1, 5, 4, 3)[0])
    assert training_draws(3, "D", 2, 1, 5, 4, 0)[1] is None


def test_a_sample_does_not_depend_on_those_drawn_with_it():
    whole = sample_latents(7, range(20), 6, 1.5)
    assert torch.equal(torch.cat([sample_latents(7, part, 6, 1.5) for part in batched(20, 7)]), whole)
    assert torch.equal(sample_latents(7, [13], 6, 1.5)[0], whole[13])
    assert not torch.equal(sample_latents(8, [13], 6), sample_latents(7, [13], 6))
    labels = sample_labels(7, range(20), 5)
    assert torch.equal(sample_labels(7, [13], 5)[0], labels[13])
    assert sample_labels(7, range(3), 0) is None


def test_sample_labels_are_uniform():
    counts = torch.bincount(sample_labels(0, range(4000), 4), minlength=4)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_truncation_redraws_the_tails_and_nothing_else():
    z, truncated = sample_latents(0, range(400), 32), sample_latents(0, range(400), 32, 0.8)
    assert truncated.abs().max() <= 0.8
    inside = z.abs() <= 0.8
    assert torch.equal(truncated[inside], z[inside])
    # Redrawn, not clipped: nothing gathers at the bound, and the tails follow the normal between the bounds.
    assert stats.kstest(truncated.flatten().numpy(), stats.truncnorm(-0.8, 0.8).cdf).pvalue > 1e-4
    assert torch.equal(sample_latents(0, range(4), 32, 50.0), z[:4])


@pytest.mark.filterwarnings("error")
def test_truncation_beyond_all_numbers_of_the_noise_changes_nothing():
    free = sample_latents(0, range(4), 8)
    for truncation in (1e300, math.inf):
        assert torch.equal(sample_latents(0, range(4), 8, truncation), free)


@pytest.mark.parametrize("truncation", [0.0, -1.0, 0.005, float("nan")])
def test_truncation_that_would_never_end_is_refused(truncation):
    with pytest.raises(ValueError, match=r"truncation must be above 0\.01"):
        sample_latents(0, [0], 4, truncation)


def test_ranges_cover_everything_once():
    assert list(batched(7, 3)) == [range(3), range(3, 6), range(6, 7)]
    assert list(batched(0, 3)) == []


# Images


def test_trap_18_samples_are_quantised_rgb():
    class Painter(nn.Module):
        """Paints red, with a green of 0 and a blue beyond the range."""

        def __init__(self):
            super().__init__()
            self.config = GeneratorConfig(size_px=16, num_classes=0)
            self.colour = nn.Parameter(torch.tensor([1.0, 0.0, -1.5]))

        def forward(self, z, y):
            return self.colour[None, :, None, None].expand(len(z), 3, 16, 16)

    images = generate(Painter(), torch.zeros(3, 4), None, batch_size=2)
    assert images.dtype == np.uint8
    assert images.shape == (3, 16, 16, 3)
    assert (images == [255, 128, 0]).all()


@pytest.mark.parametrize("num_classes", [0, 3])
def test_images_do_not_depend_on_the_batch_size(num_classes):
    G = small_generator(num_classes=num_classes).eval()
    z, y = sample_latents(0, range(7), 8), sample_labels(0, range(7), num_classes)
    whole = generate(G, z, y).astype(int)
    assert whole.std() > 1.0
    assert np.abs(generate(G, z, y, batch_size=3) - whole).max() <= 1  # up to rounding
    assert not any(parameter.grad is not None for parameter in G.parameters())


def test_trap_25_making_a_sampler_leaves_the_training_generator_alone(
    tiny_state, pictures, engine, snapshot_of, assert_same
):
    state, config = tiny_state(ema_decay=0.9)
    for _ in range(2):
        train_step(state, config, pictures, engine, seed=0)
    for network in (state.G, state.ema):
        before, random_state = snapshot_of(state), torch.get_rng_state()
        modes = {name: module.training for name, module in network.named_modules()}
        wanted = [parameter.requires_grad for parameter in network.parameters()]

        ready = sampling_copy(network, batches=2, batch_size=8, seed=0)
        generate(ready, torch.zeros(2, 8), torch.tensor([0, 1]))
        attention_maps(ready, torch.zeros(2, 8), torch.tensor([0, 1]))

        assert_same(before, snapshot_of(state))
        assert torch.equal(torch.get_rng_state(), random_state)
        assert {name: module.training for name, module in network.named_modules()} == modes
        assert [parameter.requires_grad for parameter in network.parameters()] == wanted
        assert not any(module.training for module in ready.modules())
        assert not any(parameter.requires_grad for parameter in ready.parameters())
        for kept, copied in zip(network.buffers(), ready.buffers(), strict=True):
            assert kept.data_ptr() != copied.data_ptr()


def test_a_sampler_holds_standing_statistics_of_all_its_batches():
    G = small_generator(attention=(), spectral_norm=False)
    ready = sampling_copy(G, batches=3, batch_size=16, seed=5)
    first = ready.blocks[0].norm1
    inputs = []
    with torch.no_grad():
        for batch in batched(48, 16):
            inputs.append(G.linear(sample_latents(5, batch, 8, stream="standing statistics")).view(16, 8, 4, 4))
    means = torch.stack([h.mean((0, 2, 3)) for h in inputs]).mean(0)
    variances = torch.stack([h.var((0, 2, 3), correction=0) for h in inputs]).mean(0)
    torch.testing.assert_close(first.running_mean, means)
    torch.testing.assert_close(first.running_var, variances)


@pytest.mark.parametrize("sampling_norm", ["standing", "running"])
def test_without_batches_or_where_it_is_asked_for_a_sampler_keeps_the_running_averages(sampling_norm):
    G = small_generator(sampling_norm=sampling_norm)
    G(torch.randn(4, 8), torch.tensor([0, 1, 2, 0]))
    ready = sampling_copy(G, batches=0 if sampling_norm == "standing" else 2, batch_size=8, seed=0)
    norms = lambda network: [m for m in network.modules() if isinstance(m, ConditionalBatchNorm2d)]  # noqa: E731
    for a, b in zip(norms(G), norms(ready), strict=True):
        assert torch.equal(a.running_mean, b.running_mean)
        assert torch.equal(a.running_var, b.running_var)
    for norm, weight in spectral_norms(ready):
        assert torch.linalg.svdvals(norm(weight).flatten(1))[0].item() == pytest.approx(1.0, abs=0.02)


# Interpolation


def test_interpolation_goes_from_one_end_to_the_other_on_the_great_circle():
    start, end = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])
    path = interpolate(start, end, 5)
    assert path.shape == (5, 3)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], end, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(path.norm(dim=1), torch.full((5,), 3.0))
    torch.testing.assert_close(path[2], torch.tensor([3 / 2**0.5, 3 / 2**0.5, 0.0]))
    steps = (path[1:] - path[:-1]).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(4))


def test_straight_interpolation_and_ends_that_are_equal_or_opposite():
    start, end = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -2.0])
    torch.testing.assert_close(interpolate(start, end, 3, spherical=False)[1], torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(interpolate(start, start, 4), start.expand(4, 2))
    assert torch.isfinite(interpolate(start, -start, 5)).all()
    assert torch.isfinite(interpolate(start, torch.zeros(2), 5)).all()
    with pytest.raises(ValueError, match="at least 2 frames, found 1"):
        interpolate(start, end, 1)


def test_directions_are_those_that_the_first_layer_amplifies_most():
    G = small_generator().eval()
    directions = noise_directions(G)
    torch.testing.assert_close(directions @ directions.T, torch.eye(8), atol=1e-5, rtol=0.0)
    gains = (directions @ G.linear.weight.T).norm(dim=1)
    expected = torch.from_numpy(np.linalg.svd(G.linear.weight.detach().numpy(), compute_uv=False))
    torch.testing.assert_close(gains.detach(), expected, atol=1e-4, rtol=1e-4)
    assert (directions.gather(1, directions.abs().argmax(1, keepdim=True)) > 0).all()


def test_directions_are_those_of_all_layers_that_hear_the_noise():
    G = small_generator(noise_entry="chunks").eval()
    directions = noise_directions(G)
    torch.testing.assert_close(directions @ directions.T, torch.eye(8), atol=1e-5, rtol=0.0)
    # 3, 3 and 2 numbers that no two layers share: each direction stays in one of the chunks
    inside = torch.stack([directions[:, part].norm(dim=1) for part in (slice(3), slice(3, 6), slice(6, 8))])
    torch.testing.assert_close(inside.amax(0), torch.ones(8), atol=1e-4, rtol=0.0)
    block = G.blocks[0]
    heard = [block.norm1.gain_noise, block.norm1.bias_noise, block.norm2.gain_noise, block.norm2.bias_noise]
    expected = torch.linalg.svdvals(torch.cat([layer.weight for layer in heard]))
    own = directions[inside[1] > 0.99]
    gains = torch.stack([(own[:, 3:6] @ layer.weight.T).square().sum(1) for layer in heard]).sum(0).sqrt()
    torch.testing.assert_close(gains, expected, atol=1e-4, rtol=1e-4)


def test_a_walk_along_a_direction():
    path = along(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]), 3.0, 3)
    torch.testing.assert_close(path, torch.tensor([[1.0, -1.0], [1.0, 2.0], [1.0, 5.0]]))
    with pytest.raises(ValueError, match="at least 2 frames, found 1"):
        along(torch.zeros(2), torch.ones(2), 1.0, 1)


# Attention


@pytest.mark.parametrize("form", ["slides", "official"])
def test_attention_maps_of_all_blocks(form, open_gates):
    G = open_gates(small_generator(attention=(8, 16), attention_form=form)).eval()
    z, y = sample_latents(0, range(2), 8), torch.tensor([0, 2])
    maps = attention_maps(G, z, y)
    pooled = 2 if form == "official" else 1
    assert {k: tuple(m.shape) for k, m in maps.items()} == {k: (2, k * k, k // pooled, k // pooled) for k in (8, 16)}
    for position in maps.values():
        torch.testing.assert_close(position.sum((2, 3)), torch.ones(position.shape[:2]))
    assert not any(block._forward_pre_hooks for block in G.attention.values())


def test_query_points_are_pixels_of_the_image():
    G = small_generator(attention=(8,)).eval()
    z, y = sample_latents(0, range(2), 8), torch.tensor([0, 2])
    rows = attention_maps(G, z, y)[8]
    found = attention_maps(G, z, y, [(0, 0), (1, 1), (0, 2), (15, 0), (7, 15)])[8]
    # SPEC 9: pixel (py, px) lies in cell (floor(py * 8 / 16), floor(px * 8 / 16)); row = y * 8 + x.
    torch.testing.assert_close(found, rows[:, [0, 0, 1, 56, 3 * 8 + 7]])


@pytest.mark.parametrize("query", [(16, 0), (0, 16), (-1, 3)])
def test_query_points_outside_the_image_are_refused(query):
    G = small_generator().eval()
    with pytest.raises(ValueError, match=f"query {query[0]},{query[1]} lies outside the image of 16x16 pixels"):
        attention_maps(G, torch.zeros(1, 8), torch.tensor([0]), [query])


def test_attention_maps_of_a_discriminator_and_of_a_network_without_any():
    D = small_discriminator().eval()
    maps = attention_maps(D, torch.rand(2, 3, 16, 16), torch.tensor([0, 1]), [(3, 3)])
    assert {k: tuple(m.shape) for k, m in maps.items()} == {8: (2, 1, 8, 8)}
    assert attention_maps(small_generator(attention=()).eval(), torch.zeros(1, 8), torch.tensor([0])) == {}


def test_maps_of_an_untrained_network_are_near_uniform():
    maps = attention_maps(
        small_generator(base_width=8).eval(), sample_latents(0, range(4), 8), torch.tensor([0, 1, 2, 0])
    )
    assert maps[8].mean().item() == pytest.approx(1 / 64)
    assert maps[8].max() < 10 / 64


def test_gammas_are_told_by_position():
    G = small_generator(attention=(16,), residual=(8,))
    nn.init.constant_(G.attention["16"].gamma, 0.25)
    assert attention_gammas(G) == {16: 0.25, 8: 0.0}
