import numpy as np
import pytest
import torch

from sagan.generators import pretrained
from sagan.generators.pretrained import (
    EXPORTED,
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    TrainedGenerator,
    blend_classes,
    class_index,
    default_queries,
    load,
    load_discriminator,
    read_snapshot,
    sampling_norm_of,
)
from sagan.generators.weights import WeightsError, save_weights
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.recipes.config import to_json
from sagan.sampling import generate, sample_latents, sampling_copy
from sagan.training.checkpoint import CheckpointError, checkpoint_path, save_checkpoint
from sagan.training.step import train_step

NAMES = ["red", "green", "2"]
PUBLISHED = (STANDING_BATCHES, STANDING_BATCH_SIZE)


@pytest.fixture(autouse=True)
def few_batches(monkeypatch):
    """Standing statistics of 2 batches of 8, which take no time."""
    monkeypatch.setattr(pretrained, "STANDING_BATCHES", 2)
    monkeypatch.setattr(pretrained, "STANDING_BATCH_SIZE", 8)


@pytest.fixture
def run_folder(tmp_path, tiny_config, tiny_state, pictures, engine, open_gates):
    """A run folder as far as this room knows it: checkpoints of steps 1 and 3."""

    def make(num_classes=3, generator=None, **train):
        classes = {"num_classes": num_classes}
        config = tiny_config(classes | (generator or {}), classes, **train)
        state, recipe = tiny_state(classes | (generator or {}), classes, **train)
        open_gates(state.G)
        for _ in range(3):
            train_step(state, recipe, pictures, engine, seed=0)
            if state.step != 2:
                contents = {
                    **state.state_dict(),
                    "config": to_json(config),
                    "class_names": NAMES[:num_classes],
                    "data": {"source": "colours"},
                    "versions": {"sagan": "0"},
                }
                save_checkpoint(checkpoint_path(tmp_path / "run" / "checkpoints", state.step), contents)
        return tmp_path / "run", state

    return make


@pytest.fixture
def trained(open_gates, tiny_config):
    torch.manual_seed(0)
    G = open_gates(Generator(tiny_config().generator))
    for layer in G.modules():
        if hasattr(layer, "gain"):
            torch.nn.init.normal_(layer.gain)
            torch.nn.init.normal_(layer.bias)
    return TrainedGenerator(sampling_copy(G, batches=2, batch_size=16, seed=0), tuple(NAMES), {})


# Loading


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_run_folder_gives_its_latest_checkpoint_ready_to_sample(run_folder, decay):
    folder, state = run_folder(ema_decay=decay)
    found = load(folder)
    assert found.class_names == tuple(NAMES)
    assert found.config == state.G.config
    assert not found.network.training
    assert found.provenance["step"] == 3
    assert found.provenance["data"] == {"source": "colours"}
    assert ("moving average, decay 0.5" if decay else "no moving average") in found.provenance["weights"]
    assert found.provenance["batch_norm"] == "standing statistics, 2 batches of 8, seed 0"
    ready = sampling_copy(state.sampled, batches=2, batch_size=8, seed=0)
    assert (found.sample(4, seed=1) == generate(ready, sample_latents(1, range(4), 8), found.labels(4, seed=1))).all()


def test_running_averages_are_sampled_with_where_the_configuration_says_so(run_folder, capsys):
    folder, state = run_folder(generator={"sampling_norm": "running", "bn_momentum": 0.5, "bn_momentum_last": 0.25})
    found = load(folder, progress=True)
    assert (
        found.provenance["batch_norm"] == "running averages, momentum 0.5 (0.25 in the last layer), unbiased variance"
    )
    assert capsys.readouterr().err == ""  # nothing was computed
    for name, buffer in state.G.state_dict().items():
        if "running_" in name:
            assert torch.equal(found.network.state_dict()[name], buffer), name
    assert np.array_equal(load(folder, preview=True).sample(3), found.sample(3))


def test_the_protocol_of_running_averages_names_all_that_they_depend_on():
    config = GeneratorConfig(sampling_norm="running", bn_momentum=0.001, bn_biased=True)
    assert sampling_norm_of(config, 2, 8) == "running averages, momentum 0.001, biased variance"


def test_standing_statistics_are_of_100_batches_of_100():
    assert PUBLISHED == (100, 100)


def test_a_checkpoint_file_can_be_named(run_folder):
    folder, _ = run_folder()
    assert load(checkpoint_path(folder / "checkpoints", 1)).provenance["step"] == 1
    assert load(str(folder)).provenance["step"] == 3


def test_the_exported_weights_are_taken_where_they_are_of_the_latest_step(run_folder):
    folder, _ = run_folder()
    plain = load(folder)
    images = plain.sample(3)
    marked = dict(plain.provenance, mark="exported")
    save_weights(plain.network, folder / EXPORTED, plain.class_names, marked)
    assert load(folder).provenance["mark"] == "exported"
    assert (load(folder).sample(3) == images).all()
    assert (load(folder / EXPORTED).sample(3) == images).all()
    save_weights(plain.network, folder / EXPORTED, plain.class_names, dict(marked, step=1))
    assert "mark" not in load(folder).provenance


def test_a_discriminator_comes_with_its_class_names(run_folder):
    folder, state = run_folder()
    D, names = load_discriminator(folder)
    assert names == tuple(NAMES)
    assert not D.training
    x, y = torch.rand(2, 3, 16, 16), torch.tensor([0, 1])
    assert torch.equal(D(x, y), state.D.eval()(x, y))
    with pytest.raises(ValueError, match="holds the generator only; the discriminator is in the run folder"):
        load_discriminator(folder / EXPORTED)


def test_what_is_not_there_or_no_run_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such run folder, checkpoint or weights file"):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint .* is it a run folder"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "x.pt").write_text("hello")
    with pytest.raises(CheckpointError):
        load(tmp_path / "x.pt")
    (tmp_path / "x.safetensors").write_text("hello")
    with pytest.raises(WeightsError):
        load(tmp_path / "x.safetensors")


def test_the_configuration_travels_in_the_checkpoint(run_folder, tiny_config):
    folder, _ = run_folder()
    assert read_snapshot(folder).config == tiny_config()


# Sampling


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


def test_class_index():
    assert class_index("green", NAMES) == 1
    assert class_index("2", NAMES) == 2  # a name before a number
    assert class_index("0", ["1", "0"]) == 1
    assert class_index("1", NAMES) == class_index(1, NAMES) == 1
    for wrong in (3, -1, "3", "-1", "", "1.0"):
        with pytest.raises(ValueError, match="no class"):
            class_index(wrong, NAMES)
    with pytest.raises(ValueError, match="this network is unconditional"):
        class_index(0, [])


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


# Attention


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


# Interpolation


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


def test_a_folder_that_kept_only_the_weights_samples_from_them(run_folder, tmp_path):
    folder, _ = run_folder()
    save_weights(load(folder).network, tmp_path / "kept" / EXPORTED, NAMES, {"step": 3})
    assert np.array_equal(load(tmp_path / "kept").sample(2), load(tmp_path / "kept" / EXPORTED).sample(2))
