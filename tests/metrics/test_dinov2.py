"""DINOv2 through torch-fidelity, with a network of the right interface in the hub's place: nothing is downloaded."""

import pytest
import torch

from sagan.metrics.dinov2 import WIDTHS, load_dinov2
from sagan.metrics.features import network_protocol
from sagan.metrics.weights import WeightsError

oracle = pytest.importorskip("torch_fidelity.feature_extractor_dinov2")


class Small(torch.nn.Module):
    """384 features: a linear map of the mean colours of 14x14 patches in the middle."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 384)

    def forward(self, x):
        assert x.shape[1:] == (3, 224, 224)
        return self.linear(x.mean((2, 3)))


@pytest.fixture
def hub(monkeypatch):
    torch.manual_seed(0)
    network = Small()
    asked = []
    monkeypatch.setattr(torch.hub, "load", lambda *where: asked.append(where) or network)

    class Functional:
        @staticmethod
        def normalize(x, mean, std, inplace):
            mean, std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
            return (x - mean) / std

    class Torchvision:
        class transforms:  # noqa: N801
            functional = Functional

    monkeypatch.setattr(oracle, "torchvision", Torchvision)
    return network, asked


def test_features_are_those_of_torch_fidelitys_extractor(hub):
    network, asked = hub
    ours = load_dinov2("dinov2-vit-s-14")
    assert asked == [("facebookresearch/dinov2", "dinov2_vits14")]
    images = torch.randint(0, 256, (10, 20, 20, 3), dtype=torch.uint8)
    found = ours(images)
    mean = images.float().mean((1, 2))
    assert found.features.shape == (10, ours.width) == (10, 384)
    assert found.logits.shape == (10, 0)
    # Enlarging a picture keeps its mean colour nearly, so the features follow from it.
    scaled = (mean / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(found.features, network.linear(scaled), atol=0.2)
    expected = oracle.FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])(images.permute(0, 3, 1, 2))[0]
    assert torch.allclose(found.features, expected, atol=1e-6)


def test_the_hash_is_that_of_the_weights(hub):
    network, _ = hub
    assert network_protocol(load_dinov2("dinov2-vit-s-14"))["network_weights"] == "unknown weights"
    first = load_dinov2("dinov2-vit-s-14").weights_sha256
    assert load_dinov2("dinov2-vit-s-14").weights_sha256 == first
    with torch.no_grad():
        network.linear.bias[0] += 1e-3
    assert load_dinov2("dinov2-vit-s-14").weights_sha256 != first


def test_without_a_network_connection_there_is_one_sentence(monkeypatch):
    def refuse(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load", refuse)
    with pytest.raises(WeightsError, match=r"could not be fetched by torch.hub .*no route to host.*needs a network"):
        load_dinov2()


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="dinov2-vit-s-14, dinov2-vit-b-14"):
        load_dinov2("dinov2-vit-x-14")
    assert len(WIDTHS) == 4
