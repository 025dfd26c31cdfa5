"""Feature networks by name: refused before anything else takes time."""

import pytest

import sagan
from sagan.evaluation import EvaluateConfig
from sagan.metrics.weights import WeightsError


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
