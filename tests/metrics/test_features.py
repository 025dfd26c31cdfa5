"""Running a feature network over pictures, with one made here: it averages, and keeps a record of what it was given."""

import numpy as np
import pytest
import torch

from sagan.metrics.dinov2 import DinoV2
from sagan.metrics.efficientnet import EfficientNetLite0
from sagan.metrics.features import Features, check_images, extract, full_precision, network_protocol
from sagan.metrics.inception import Inception
from sagan.metrics.pixels import PixelNetwork


class Means:
    """Features: the mean of each channel in 0..255. Logits: their sum and its opposite."""

    name, weights_sha256, width, num_classes = "means", "abc", 3, 2
    image_px, resize, logits = 8, "none", "without bias"

    def __init__(self):
        self.batches, self.device = [], None

    def to(self, device):
        self.device = device

    def __call__(self, images):
        self.batches.append(len(images))
        features = images.float().mean((1, 2))
        total = features.sum(1)
        return Features(features, torch.stack([total, -total], 1))


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (11, 8, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("cuts", [(11,), (4, 4, 3), (1,) * 11, (2, 0, 9)])
def test_batches_are_cut_anew_and_keep_their_order(pictures, cuts):
    network = Means()
    given = np.split(pictures, np.cumsum(cuts)[:-1])
    found = list(extract(network, given, batch_size=4))
    assert network.batches == [4, 4, 3]
    assert [len(part.features) for part in found] == [4, 4, 3]
    np.testing.assert_allclose(torch.cat([part.features for part in found]), pictures.mean((1, 2)), rtol=1e-6)
    assert found[0].logits.shape == (4, 2)
    assert network.device == torch.device("cpu")


def test_tensors_and_arrays_that_cannot_be_written_to(pictures):
    pictures.flags.writeable = False
    (from_array,) = extract(Means(), [pictures])
    (from_tensor,) = extract(Means(), iter([torch.from_numpy(pictures.copy())]))
    assert torch.equal(from_array.features, from_tensor.features)


def test_no_pictures_give_no_features(pictures):
    assert list(extract(Means(), [])) == []
    assert list(extract(Means(), [pictures[:0]])) == []


def test_it_does_not_run_ahead(pictures):
    """Pictures are asked for as features are: memory does not grow with their number."""
    network = Means()
    next(extract(network, (pictures for _ in range(10**9)), batch_size=11))
    assert network.batches == [11]


def test_sizes_may_not_be_mixed(pictures):
    with pytest.raises(ValueError, match="pictures of 8x6 and of 8x8 pixels are mixed"):
        list(extract(Means(), [pictures, np.zeros((1, 8, 8, 3), np.uint8)]))
    with pytest.raises(ValueError, match="pictures of 8x8 and of 8x6 pixels are mixed"):
        list(extract(Means(), [np.zeros((1, 8, 8, 3), np.uint8), pictures]))


def test_a_broken_network_is_named(pictures):
    network = Means()
    network.__class__ = type(
        "Broken", (Means,), {"__call__": lambda *_: Features(torch.full((4, 3), torch.nan), torch.ones(4, 2))}
    )
    with pytest.raises(ValueError, match="means gave NaN or infinity"):
        list(extract(network, [pictures]))


def test_batch_size_must_be_positive(pictures):
    with pytest.raises(ValueError, match="at least 1, found 0"):
        next(extract(Means(), [pictures], batch_size=0))
    assert [len(part.features) for part in extract(Means(), [pictures], batch_size=1)] == [1] * 11


@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((1, 4, 4, 3), 0.5, np.float32), r"uint8 in 0..255, found float32 in \[0.5, 0.5\]; round them first"),
        (np.full((1, 4, 4, 3), np.nan), "hold NaN or infinity"),
        (np.zeros((1, 4, 4, 3), np.int64), "found int64; convert"),
        (np.zeros((1, 3, 4, 4), np.uint8), r"found \(1, 3, 4, 4\); permute"),
        (np.zeros((4, 4, 3), np.uint8), r"\(N, H, W, 3\), red, green, blue, found \(4, 4, 3\)$"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"found \(2, 4, 4, 1\)$"),
        (np.zeros((2, 0, 4, 3), np.uint8), r"found \(2, 0, 4, 3\)$"),
    ],
)
def test_other_pictures_are_refused(images, message, make):
    with pytest.raises(ValueError, match=message):
        check_images(make(images))
    with pytest.raises(ValueError, match=message):
        list(extract(Means(), [make(images)]))


def test_the_protocol_names_what_features_depend_on():
    assert network_protocol(Means()) == {
        "network": "means",
        "weights_sha256": "abc",
        "feature_width": 3,
        "image_px": 8,
        "resize": "none",
        "logits": "without bias",
    }


def test_precision_is_full_inside_and_set_back_outside():
    a = torch.rand(64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    product = torch.backends.cuda.matmul
    before = product.fp32_precision
    try:
        product.fp32_precision = "tf32"
        with torch.autocast("cpu", torch.bfloat16), full_precision(a.device):
            inside = a @ a
            assert product.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert product.fp32_precision == "tf32"
    finally:
        product.fp32_precision = before
    assert inside.dtype == torch.float32
    assert not inside.requires_grad


@pytest.mark.parametrize(
    ("network", "num_classes", "image_px", "resize"),
    [
        (Inception, 1008, 299, "bilinear as in TensorFlow 1"),
        (EfficientNetLite0, 1000, 224, "bilinear, antialiased, half-pixel centres"),
        (DinoV2, 0, 224, "bilinear as in TensorFlow 1"),
        (PixelNetwork, 0, 8, "mean of the pixels of each cell"),
    ],
)
def test_networks_say_what_goes_in_and_which_classes_come_out(network, num_classes, image_px, resize):
    """It is part of the protocol of every value, and without classes there is no score."""
    assert (network.num_classes, network.image_px, network.resize) == (num_classes, image_px, resize)
