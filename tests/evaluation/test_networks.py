"""Feature networks by name: refused before anything else takes time."""

import pytest

import sagan
from sagan.evaluation import EvaluateConfig
from sagan.evaluation.networks import fitting_network, load_network
from sagan.metrics.efficientnet import WIDE_FROM
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
