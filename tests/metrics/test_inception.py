"""The Inception network of FID against torch-fidelity's, with weights made here; nothing is downloaded."""

import numpy as np
import pytest
import torch

from sagan.evaluation import metric_name
from sagan.metrics import inception, weights
from sagan.metrics.features import network_protocol
from sagan.metrics.inception import NAME, OTHER_NAME, SHA256, Inception, load_inception
from sagan.metrics.weights import KnownFile, WeightsError, sha256_of


@pytest.fixture(scope="module")
def network(inception_file):
    return load_inception(inception_file)


@pytest.fixture(scope="module")
def state(inception_file):
    return torch.load(inception_file, weights_only=True)


@pytest.fixture(scope="module")
def images():
    """Four pictures of 40x32 px, of which some are smooth and some noisy."""
    generator = torch.Generator().manual_seed(1)
    smooth = torch.rand(4, 5, 4, 3, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    noise = torch.rand(4, 40, 32, 3, generator=generator) * torch.linspace(0.0, 1.0, 4).view(4, 1, 1, 1)
    return ((smooth + noise) / 2 * 255).round().to(torch.uint8)


def relative(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def test_features_and_logits_equal_torch_fidelitys(network, inception_file, images):
    oracle = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    names = ["2048", "logits_unbiased", "logits"]
    expected = oracle("inception-v3-compat", names, feature_extractor_weights_path=inception_file)(
        images.permute(0, 3, 1, 2)
    )
    found = network(images)
    with_bias = load_inception(inception_file, logit_bias=True)(images[:1]).logits
    assert expected[0].std(0).mean() > 0.01 * expected[0].mean()  # Pictures differ: the comparison sees something.
    assert relative(found.features, expected[0]) < 1e-5
    assert relative(found.logits, expected[1]) < 1e-5
    assert relative(with_bias, expected[2][:1]) < 1e-5
    assert relative(expected[1], expected[2]) > 1e-3  # With or without bias is not the same.


def test_what_it_says_of_itself(network, state, inception_file):
    assert network.weights_sha256 == sha256_of(inception_file)
    assert (network.name, network.logits) == (OTHER_NAME, "without bias")
    official = Inception(state, SHA256, logit_bias=True)
    assert (official.name, official.logits) == (NAME, "with bias")
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.fixture
def official(state, tmp_path, monkeypatch):
    """Write a file as old as the published one, without check sums inside, and let it be the published one."""
    file = tmp_path / "renamed.pth"
    torch.save(state, file, _use_new_zipfile_serialization=False)
    known = KnownFile(network=NAME, names=("official.pth",), sha256=sha256_of(file), size=file.stat().st_size)
    monkeypatch.setattr(weights, "KNOWN_FILES", (known,))
    return file


def test_the_published_file_is_known_under_any_name_and_refused_when_damaged(official):
    network = load_inception(official)
    assert (network.name, network.weights_known) == (NAME, True)
    assert "network_weights" not in network_protocol(network)
    assert metric_name("fd", network) == "FID"
    size = official.stat().st_size
    with official.open("r+b") as stream:
        for place in (0, size - 1, *np.random.default_rng(1).integers(1, size - 1, 10).tolist()):
            stream.seek(place)
            (before,) = stream.read(1)
            stream.seek(place)
            stream.write(bytes([before ^ 1 << place % 8]))
            stream.flush()
            with pytest.raises(WeightsError, match=r"renamed\.pth has the .* bytes of official\.pth, but its SHA-256"):
                load_inception(official)
            stream.seek(place)
            stream.write(bytes([before]))
            stream.flush()
    assert load_inception(official).name == NAME


def test_other_weights_are_unknown_and_make_nothing_called_fid(network, inception_file):
    told = network_protocol(network)
    assert told["network_weights"] == "unknown weights"
    assert told["weights_sha256"] == sha256_of(inception_file)
    names = [metric_name(metric, network) for metric in ("fd", "is", "kd", "intra")]
    assert names == [f"{name}(inception-v3)" for name in ("FD", "IS", "KD", "intra-FD")]


def test_features_do_not_depend_on_the_batch(network, images):
    one_by_one = torch.cat([network(image[None]).features for image in images])
    assert relative(one_by_one, network(images).features) < 1e-5


def test_a_file_without_counts_of_batches_loads_too(state, network):
    """Files converted from TensorFlow have no num_batches_tracked."""
    bare = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert len(bare) < len(state)
    assert torch.equal(Inception(bare, "").head.weight, network.head.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Mixed_7c.branch_pool.bn.bias": None}, "Mixed_7c.branch_pool.bn.bias is missing"),
        ({"fc.weight": torch.zeros(1000, 2048)}, r"fc.weight is \(1000, 2048\), expected \(1008, 2048\)"),
        ({"fc.bias": torch.full((1008,), torch.nan)}, "fc.bias holds NaN"),
        ({"AuxLogits.fc.bias": torch.zeros(8)}, "AuxLogits.fc.bias and 0 more have no place"),
    ],
)
def test_other_networks_are_refused(state, change, message):
    changed = {key: value for key, value in (state | change).items() if value is not None}
    with pytest.raises(WeightsError, match=f"a.pth does not hold the weights of the Inception network.*{message}"):
        Inception(changed, "", file="a.pth")


def test_float_images_are_refused(network):
    with pytest.raises(ValueError, match=r"uint8 in 0..255, found float32 in \[-1, -1\]"):
        network(-torch.ones(1, 8, 8, 3))


def test_without_a_path_the_cache_is_looked_in(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(inception, "find_weights", lambda *args, **kwargs: asked.append((args, kwargs)) or tmp_path)
    with pytest.raises(WeightsError, match="not a file"):
        load_inception(cache_dir=str(tmp_path), progress=False)
    assert asked == [((inception.DOWNLOADS, tmp_path / "weights"), {"progress": False})]
    assert all(download.sha256[:8] in download.file_name for download in inception.DOWNLOADS)
