"""Importers against runs of the sources by their own code: images and logits of training and of evaluation mode."""

import pytest
import torch
from checks import slow_at_128
from compare import close, pairs_close
from foreign_files import RUNS, keys_of, source_of, started, write
from formula import classes, measured, numbers, pixels
from replay import Float64Engine, Pictures, Replay, of_source

from sagan.exchange.bring_in import Read, read_networks
from sagan.exchange.config import ImportConfig


def options(run: str, discriminator: object, **more: object) -> ImportConfig:
    path = None if discriminator is None else str(discriminator)
    if source_of(run) == "mmgeneration":
        more = {"which": "trained", "class_gains": "offset", **more}
    return ImportConfig(discriminator=path, **more)


def brought_in(run: str, tensors: dict, folder) -> Read:
    G, D = write(run, tensors, folder)
    return read_networks(G, options(run, D))


def noise_and_classes(run: str, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    recipe = RUNS[run]
    count = recipe.train.batch_size
    z = numbers(f"{run}/z {what}", (count, recipe.generator.z_dim))
    return z, classes(f"{run}/y {what}", count, recipe.generator.num_classes)


def real(run: str, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    recipe = RUNS[run]
    count = recipe.train.batch_size
    images = pixels(f"{run}/x {what}", count, recipe.generator.size_px)
    y = classes(f"{run}/y {what}", count, recipe.generator.num_classes)
    return Float64Engine().images(Pictures(images, y, torch.zeros(count, dtype=torch.bool))), y


@pytest.mark.parametrize("run", RUNS)
def test_the_configuration_is_read_from_shapes(run, tmp_path):
    read = brought_in(run, started(run), tmp_path)
    recipe = RUNS[run]
    for found, expected in ((read.generator, recipe.generator), (read.discriminator, recipe.discriminator)):
        for field in ("size_px", "num_classes", "base_width", "attention_form", "spectral_norm", "widths"):
            assert getattr(found.config, field) == getattr(expected, field), field
        assert set(found.config.attention) == set(expected.attention)
    for field in ("z_dim", "bn_eps", "upsampling", "class_conditioning"):
        assert getattr(read.generator.config, field) == getattr(recipe.generator, field), field
    D = read.discriminator.config
    assert (D.shortcut_relu, D.head) == (recipe.discriminator.shortcut_relu, recipe.discriminator.head)
    assert D.downs == recipe.discriminator.downs
    assert read.source == source_of(run)


@pytest.mark.long("networks of 128 px in float64")
@pytest.mark.parametrize("run", RUNS)
@torch.no_grad()
def test_a_forward_in_training_mode_is_that_of_the_source(run, tmp_path):
    """Every number comes from the source itself here: what it started from, and what came out."""
    expected, _ = of_source(run)
    tensors = started(run)
    read = brought_in(run, tensors, tmp_path)
    networks = {"G": read.generator.train(), "D": read.discriminator.train()}
    for key in keys_of(run):  # a source without v has moved on by the iteration of its evaluation mode
        if key.in_evaluation:
            networks[key.network].state_dict()[key.ours[0]].copy_(key.taken(tensors[key.name])[0])
    y = noise_and_classes(run, "D 1")[1]
    images = networks["G"](*noise_and_classes(run, "D 1"))
    assert pairs_close(expected.forward["images D 1"], measured(f"{run}/images D 1", images), 1e-10)
    x, labels = real(run, "real 1")
    if RUNS[run].train.d_vectors == "joint":
        on_real, on_fake = networks["D"](torch.cat([x, images]), torch.cat([labels, y])).chunk(2)
    elif RUNS[run].train.d_order == "generated_first":
        on_fake, on_real = networks["D"](images, y), networks["D"](x, labels)
    else:
        on_real, on_fake = networks["D"](x, labels), networks["D"](images, y)
    assert close(expected.forward["logits real 1"], on_real.tolist(), 1e-10)
    assert close(expected.forward["logits fake 1"], on_fake.tolist(), 1e-10)


class Replayed(Replay):
    """A run that keeps the tensors that the source would write after its updates."""

    def _note_evaluation(self) -> None:
        self.after = {key.name: self._tensor(key) - key.added for key in self.keys}
        super()._note_evaluation()


@pytest.mark.parametrize("run", slow_at_128(RUNS))
@torch.no_grad()
def test_evaluation_mode_is_that_of_the_source(run, tmp_path, monkeypatch):
    expected, level = of_source(run)
    replay = Replayed(run, RUNS[run])
    with torch.enable_grad():
        replay(level, monkeypatch)
    read = brought_in(run, replay.after, tmp_path)
    z, y = noise_and_classes(run, "evaluation")
    images = read.generator(z, y)
    logits = read.discriminator(*real(run, "evaluation")).tolist()
    # The replay of two updates differs from the source's by rounding, StudioGAN's by its way to iterate class maps.
    relative = 1e-3 if source_of(run) == "studiogan" else 1e-8
    for theirs, allowed in ((expected.evaluation, relative), (replay.measured.evaluation, 1e-10)):
        assert pairs_close(theirs["images"], measured(f"{run}/images evaluation", images), allowed)
        assert close(theirs["pixels"], images.flatten()[:: images.numel() // 7][:7].tolist(), allowed)
        assert close(theirs["logits"], logits, allowed)
