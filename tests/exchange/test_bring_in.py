"""From a foreign file to files of ours: the same images, and training that goes on."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from foreign_files import RUNS, source_of, started, write
from PIL import Image
from rich.console import Console

import sagan
from sagan.data import DataConfig
from sagan.exchange.bring_in import import_weights, read_networks
from sagan.exchange.config import ImportConfig
from sagan.generators.pretrained import load_discriminator
from sagan.recipes.written import read_config
from sagan.runs.train import RunError, train

SMALL = [run for run in RUNS if run.endswith("-32")]


def files(run, folder):
    """Write a run's files in the precision that people have."""
    tensors = {key: tensor.float() for key, tensor in started(run).items()}
    G, D = write(run, tensors, folder)
    return G, None if D is None else str(D)


@pytest.mark.parametrize("run", SMALL)
@torch.no_grad()
def test_the_folder_gives_the_source_s_images_and_logits(run, tmp_path):
    exact, D64 = write(run, started(run), tmp_path / "double")
    G, D = files(run, tmp_path / "single")
    options = {"which": "trained", "class_gains": "offset"} if source_of(run) == "mmgeneration" else {}
    read = read_networks(exact, ImportConfig(discriminator=None if D64 is None else str(D64), **options))
    imported = import_weights(G, tmp_path / "out", ImportConfig(discriminator=D, **options))
    assert imported.discriminator
    generator = sagan.load(tmp_path / "out")
    z, y = torch.randn(8, generator.config.z_dim, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5
    expected = read.generator(z.double(), y)
    assert torch.allclose(generator.network(z, y).double(), expected, rtol=0, atol=1e-5)
    found, _ = load_discriminator(tmp_path / "out")
    logits = read.discriminator(expected, y)
    assert torch.allclose(found(expected.float(), y).double(), logits, rtol=1e-4, atol=1e-4)
    assert generator.class_names == ("0", "1", "2", "3", "4")
    assert "imported from" in generator.provenance["weights"]


def test_a_weights_file_has_the_generator_alone_and_says_so(tmp_path):
    G, D = files("studiogan-32", tmp_path / "single")
    (tmp_path / "names.txt").write_text("\n".join("abcde"))
    config = ImportConfig(discriminator=D, class_names=str(tmp_path / "names.txt"))
    imported = import_weights(G, tmp_path / "g.safetensors", config)
    assert not imported.discriminator
    assert "the discriminator" in imported.left_out[0]
    assert sagan.load("g.safetensors").class_names == tuple("abcde")


def test_standing_statistics_are_computed_where_they_are_asked_for(tmp_path):
    G, _ = files("studiogan-32", tmp_path / "single")
    import_weights(G, tmp_path / "stored.safetensors")
    import_weights(G, tmp_path / "standing.safetensors", ImportConfig(statistics="standing"))
    stored, standing = (sagan.load(tmp_path / f"{name}.safetensors") for name in ("stored", "standing"))
    assert "as its file has them" in stored.provenance["batch_norm"]
    assert "standing statistics, 3 batches of 100" in standing.provenance["batch_norm"]
    name = "blocks.0.norm1.running_mean"
    assert torch.equal(
        stored.network.state_dict()[name],
        torch.as_tensor(started("studiogan-32")["G/blocks.0.0.bn1.bn.running_mean"].float()),
    )
    assert not torch.allclose(stored.network.state_dict()[name], standing.network.state_dict()[name], atol=1e-2)


def test_the_moving_average_is_taken_where_there_is_one(tmp_path):
    G, _ = files("mmgeneration-32", tmp_path / "single")
    average = read_networks(G, ImportConfig(class_gains="offset"))
    trained = read_networks(G, ImportConfig(class_gains="offset", which="trained"))
    assert average.average
    assert not trained.average
    assert "the trained generator" in average.left_out
    weight = "conv.parametrizations.weight.original"
    both = [read.generator.state_dict()[weight] for read in (average, trained)]
    assert torch.allclose(both[0], 1.5 * both[1])
    assert (average.step, average.generator.config.bn_eps) == (826, 1e-5)


def run_on(folder, out, pictures, **changes):
    """Train a step from an imported folder on random pictures; give what was said."""
    rng = np.random.default_rng(0)
    for name in ("3", "new"):
        (pictures / name).mkdir(parents=True)
        for i in range(4):
            image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(image).save(pictures / name / f"{i}.png")
    config = replace(
        changes.pop("config"), data=DataConfig(path=str(pictures), cache_dir=str(pictures.parent / "cache"))
    )
    few = {"total_steps": 1, "batch_size": 4, "batch_norm": "local", "d_steps": 1, "log_every": 1, "sample_every": 0}
    config = replace(config, train=replace(config.train, **few, lr_g=1e-9, lr_d=1e-9))
    said = io.StringIO()
    train(config, out=out, init_from=folder, console=Console(file=said, soft_wrap=True))
    return said.getvalue()


TRAINED = ["mimicry-sagan-32"] + [
    pytest.param(run, marks=pytest.mark.slow("trains on published recipes")) for run in ("biggan-32", "studiogan-32")
]


@pytest.mark.long("trains a step")
@pytest.mark.parametrize("run", TRAINED)
def test_training_goes_on_from_both_networks(run, tmp_path):
    G, D = files(run, tmp_path / "single")
    import_weights(G, tmp_path / "out", ImportConfig(discriminator=D))
    written = read_config(tmp_path / "out" / "config.json")
    assert not written.says_pictures
    said = run_on(tmp_path / "out", tmp_path / "run", tmp_path / "pictures", config=written.config)
    assert "both networks" in said
    assert "1 class kept by name (3)" in said
    weight = "linear.parametrizations.weight.original"
    for network in ("generator", "discriminator"):
        before = getattr(read_networks(G, ImportConfig(discriminator=D)), network).state_dict()[weight]
        folder = torch.load(tmp_path / "run" / "checkpoints" / "step-00000001.pt", weights_only=True)
        after = folder["G" if network == "generator" else "D"][weight]
        assert torch.allclose(before, after, atol=1e-6)


@pytest.mark.slow("trains on a published recipe")
def test_a_run_starts_from_a_folder_with_the_generator_alone(tmp_path):
    G, D = files("studiogan-32", tmp_path / "single")
    import_weights(G, tmp_path / "alone")
    import_weights(G, tmp_path / "both", ImportConfig(discriminator=D))
    config = read_config(tmp_path / "both" / "config.json").config
    said = run_on(tmp_path / "alone", tmp_path / "run", tmp_path / "pictures", config=config)
    assert "the discriminator starts fresh" in said


def test_imported_networks_cannot_be_resumed_and_the_way_is_told(tmp_path):
    G, D = files("studiogan-32", tmp_path / "single")
    import_weights(G, tmp_path / "out", ImportConfig(discriminator=D))
    with pytest.raises(RunError, match="no state of training; start a run from them"):
        train(resume=tmp_path / "out", console=Console(quiet=True))


def test_an_import_that_fails_at_its_last_file_leaves_no_folder(tmp_path, monkeypatch):
    G, D = files("studiogan-32", tmp_path / "single")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sagan.exchange.bring_in.save_checkpoint", full)
    with pytest.raises(OSError, match="out could not be written: the disk is full"):
        import_weights(G, tmp_path / "in" / "out", ImportConfig(discriminator=D))
    assert list((tmp_path / "in").iterdir()) == []
    monkeypatch.undo()
    import_weights(G, tmp_path / "in" / "out", ImportConfig(discriminator=D))
    assert sagan.load(tmp_path / "in" / "out").class_names == ("0", "1", "2", "3", "4")
