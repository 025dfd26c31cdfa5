"""What a trained generator gives."""

import numpy as np
import pytest
import torch

from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.generators.trained import TrainedGenerator, blend_classes, default_queries
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.sampling import generate, noise_directions, sample_latents, sampling_copy

NAMES = ["red", "green", "2"]


def test_samples_are_a_function_of_seed_index_and_class(trained):
    images = trained.sample(6, seed=3)
    assert images.dtype == np.uint8
    assert images.shape == (6, 16, 16, 3)
    assert (images == trained.sample(6, seed=3)).all()
    assert (images != trained.sample(6, seed=4)).any()
    assert np.abs(trained.sample(4, seed=3).astype(int) - images[:4]).max() <= 1
    assert np.abs(trained.sample(6, seed=3, batch_size=2).astype(int) - images).max() <= 1


def test_classes_are_repeated_in_order(trained):
    assert trained.labels(5, ["green", 0]).tolist() == [1, 0, 1, 0, 1]
    assert trained.labels(3, "green").tolist() == [1, 1, 1]
    assert trained.labels(2, 2).tolist() == [2, 2]
    assert set(trained.labels(100).tolist()) == {0, 1, 2}
    by_name, by_number = trained.sample(3, "green"), trained.sample(3, 1)
    assert (by_name == by_number).all()
    assert (by_name != trained.sample(3, "red")).any()


def test_truncation_reaches_the_noise(trained):
    assert (trained.sample(4, 0, truncation=0.1) != trained.sample(4, 0)).any()
    spread = lambda images: images.astype(float).std(0).mean()  # noqa: E731
    assert spread(trained.sample(32, 0, truncation=0.05)) < 0.3 * spread(trained.sample(32, 0))


def test_wrong_wishes_are_refused(trained):
    with pytest.raises(ValueError, match="num must be at least 1, found 0"):
        trained.sample(0)
    with pytest.raises(ValueError, match="classes is empty"):
        trained.sample(1, [])
    with pytest.raises(ValueError, match=r"no class 'gren'; did you mean green\? A number from 0 to 2 works too"):
        trained.sample(1, "gren")
    with pytest.raises(ValueError, match="truncation must be above"):
        trained.sample(1, truncation=-1.0)


def test_an_unconditional_generator(run_folder):
    folder, _ = run_folder(num_classes=0)
    found = load(folder)
    assert found.class_names == ()
    assert found.sample(2).shape == (2, 16, 16, 3)
    assert found.attention(1).labels is None
    assert found.interpolation(3).shape == (3, 16, 16, 3)
    with pytest.raises(ValueError, match="unconditional"):
        found.sample(1, "red")
    with pytest.raises(ValueError, match="unconditional"):
        found.interpolation(3, (0, 1))


def test_attention_shows_the_images_that_sample_gives(trained):
    result = trained.attention(3, "red", seed=2)
    assert (result.images == trained.sample(3, "red", seed=2)).all()
    assert result.labels.tolist() == [0, 0, 0]
    assert result.maps[8].shape == (3, 5, 8, 8)
    np.testing.assert_allclose(result.maps[8].sum((2, 3)), 1.0, rtol=1e-5)
    assert result.gammas == {8: pytest.approx(0.7)}
    assert trained.attention(1, queries_px=[(0, 0), (15, 15)]).maps[8].shape == (1, 2, 8, 8)


def test_default_queries_are_the_centre_and_the_quarters():
    assert default_queries(128) == ((64, 64), (32, 32), (32, 96), (96, 32), (96, 96))


def test_interpolation_ends_in_the_samples_of_both_seeds(trained):
    frames = trained.interpolation(5, ("red", "green"), seed=4)
    assert frames.shape == (5, 16, 16, 3)
    z = torch.stack([sample_latents(seed, [0], 8)[0] for seed in (4, 5)])
    ends = generate(trained.network, z, torch.tensor([0, 1])).astype(int)
    assert np.abs(frames[[0, -1]] - ends).max() <= 1
    assert (frames[1] != frames[0]).any()


def test_interpolation_of_one_latent_between_classes_and_of_one_class(trained):
    frames = trained.interpolation(3, ("red", "green"), seed=4, end_seed=4)
    assert (frames[0] != frames[2]).any()
    same = trained.interpolation(3, ("red", "red"), seed=4, end_seed=4)
    assert np.abs(same.astype(int) - same[0]).max() <= 1
    assert trained.interpolation(2, seed=4).shape == (2, 16, 16, 3)


@pytest.mark.parametrize("entry", ["chunks", "whole"])
def test_walks_between_classes_keep_the_noise_of_the_blocks(entry):
    torch.manual_seed(0)
    G = Generator(GeneratorConfig(size_px=16, num_classes=3, z_dim=8, base_width=4, attention=(), noise_entry=entry))
    for name, parameter in G.named_parameters():
        if name.endswith(("gain", "bias")):
            torch.nn.init.normal_(parameter)
    trained = TrainedGenerator(sampling_copy(G, batches=2, batch_size=8, seed=0), ("red", "green", "2"), {})
    grid = generate(*trained.inputs(SampleConfig(num=2, seed=4)))
    walk = SampleConfig(classes=("green", "2"), seed=4, index=2, end_seed=4, end_index=5, interpolate=4)
    frames = generate(*trained.inputs(walk)).astype(int)
    assert np.abs(frames[[0, -1]] - grid[[2, 5]]).max() <= 1
    assert (frames[1] != frames[0]).any()


def test_inputs_of_samples_are_class_by_class(trained):
    network, z, y = trained.inputs(SampleConfig(classes=("2", "red"), num=2, seed=4))
    assert network is trained.network
    assert y.tolist() == [2, 2, 0, 0]
    torch.testing.assert_close(z, sample_latents(4, range(4), 8))
    assert trained.inputs(SampleConfig(num=2)).y.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_walk_goes_from_one_sample_of_a_grid_to_another(trained):
    grid = generate(*trained.inputs(SampleConfig(num=2, seed=4)))
    walk = SampleConfig(classes=("green", "2"), seed=4, index=2, end_seed=4, end_index=5, interpolate=4)
    frames = generate(*trained.inputs(walk)).astype(int)
    assert np.abs(frames[[0, -1]] - grid[[2, 5]]).max() <= 1
    assert (frames[1] != frames[0]).any()


def test_a_walk_along_a_direction_has_the_sample_in_its_middle(trained):
    walk = SampleConfig(classes=("green",), seed=4, index=1, interpolate=5, direction=2, reach=3.0)
    network, z, y = trained.inputs(walk)
    assert network is trained.network
    assert y.tolist() == [1] * 5
    torch.testing.assert_close(z[2], sample_latents(4, [1], 8)[0])
    torch.testing.assert_close((z[1:] - z[:-1]).norm(dim=1), torch.full((4,), 1.5))
    torch.testing.assert_close((z[4] - z[0]) / 6, noise_directions(trained.network)[1])
    with pytest.raises(ValueError, match="direction must be from 1 to 8, found 9"):
        trained.inputs(SampleConfig(interpolate=2, direction=9))


def test_attention_of_some_of_the_samples_is_that_of_all(trained):
    every = trained.attention(4, ["red", "2"], seed=3)
    some = trained.attention(4, ["red", "2"], seed=3, only=[3, 1])
    assert some.labels.tolist() == [2, 2]
    assert np.array_equal(some.images, every.images[[3, 1]])
    np.testing.assert_allclose(some.maps[8], every.maps[8][[3, 1]], atol=1e-6)
    with pytest.raises(ValueError, match="there are 4 samples, counted from 0; found the number 4"):
        trained.attention(4, only=[4])


def test_blending_classes_is_linear_and_of_a_copy(trained, snapshot_of, assert_same):
    before = snapshot_of(trained.network)
    blended = blend_classes(trained.network, 0, 2, 5)
    assert_same(before, snapshot_of(trained.network))
    assert trained.config.num_classes == 3
    table, original = blended.blocks[0].norm1.gain, trained.network.blocks[0].norm1.gain
    assert table.shape == (5, original.shape[1])
    torch.testing.assert_close(table[[0, 4]], original[[0, 2]])
    torch.testing.assert_close(table[1], 0.75 * original[0] + 0.25 * original[2])


def test_blending_classes_of_linear_maps_blends_what_they_give(tiny_config, snapshot_of, assert_same):
    torch.manual_seed(0)
    G = Generator(tiny_config({"class_conditioning": "linear"}).generator)
    trained = TrainedGenerator(sampling_copy(G, batches=2, batch_size=16, seed=0), tuple(NAMES), {})
    before = snapshot_of(trained.network)
    blended = blend_classes(trained.network, 0, 2, 5)
    assert_same(before, snapshot_of(trained.network))
    gain, original = blended.blocks[0].norm1.gain, 1.0 + trained.network.blocks[0].norm1.gain_map.weight
    torch.testing.assert_close(gain[1], 0.75 * original[0] + 0.25 * original[2])
    frames = trained.interpolation(5, ("red", "2"), seed=4, end_seed=4)
    z = sample_latents(4, [0, 0], 8)
    ends = generate(trained.network, z, torch.tensor([0, 2])).astype(int)
    assert np.abs(frames[[0, -1]] - ends).max() <= 1
    assert (frames[2] != frames[0]).any()
