"""Trained networks from files."""

import numpy as np
import pytest
import torch

from sagan.generators.pretrained import (
    EXPORTED,
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    load,
    load_discriminator,
    sampling_norm_of,
)
from sagan.generators.weights import WeightsError, save_weights
from sagan.models.config import GeneratorConfig
from sagan.sampling import generate, sample_latents, sampling_copy
from sagan.training.checkpoint import CheckpointError, checkpoint_path

NAMES = ["red", "green", "2"]
PUBLISHED = (STANDING_BATCHES, STANDING_BATCH_SIZE)


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


def test_a_folder_that_kept_only_the_weights_samples_from_them(run_folder, tmp_path):
    folder, _ = run_folder()
    save_weights(load(folder).network, tmp_path / "kept" / EXPORTED, NAMES, {"step": 3})
    assert np.array_equal(load(tmp_path / "kept").sample(2), load(tmp_path / "kept" / EXPORTED).sample(2))


@pytest.mark.parametrize(
    ("device", "message"),
    [("foo", "device foo: PyTorch knows no such device"), ("cuda", "device cuda: PyTorch sees no CUDA device here")],
)
def test_a_device_that_is_not_there_is_refused_first(monkeypatch, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=message):
        load("nowhere", device=device)
