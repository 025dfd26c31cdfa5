"""The resize that is part of FID."""

import pytest
import torch

from sagan.metrics.resize import resize_bilinear_tf1


def row(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_trap_17_golden_values():
    """Half-pixel centres would give 0, .25, .75, 1, aligned corners 0, 1/3, 2/3, 1."""
    assert resize_bilinear_tf1(row(0, 1), 1, 4).flatten().tolist() == [0.0, 0.5, 1.0, 1.0]
    assert resize_bilinear_tf1(row(0, 1).mT, 4, 1).flatten().tolist() == [0.0, 0.5, 1.0, 1.0]


def test_smaller_pictures_are_not_smoothed():
    assert resize_bilinear_tf1(row(0, 9, 1, 9, 2, 9), 1, 3).flatten().tolist() == [0.0, 1.0, 2.0]


def test_the_same_size_changes_nothing():
    images = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = resize_bilinear_tf1(images, 299, 299)
    assert found.dtype == torch.float32
    assert torch.equal(found, images.float())


@pytest.mark.parametrize("size", [(32, 32), (1, 1), (8, 200), (299, 64), (341, 512), (600, 301)])
def test_every_bit_equals_torch_fidelitys(size):
    oracle = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = torch.randint(0, 256, (2, 3, *size), generator=torch.Generator().manual_seed(0)).float()
    expected = oracle.interpolate_bilinear_2d_like_tensorflow1x(images, size=(299, 299), align_corners=False)
    assert torch.equal(resize_bilinear_tf1(images, 299, 299), expected)
    strided = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(resize_bilinear_tf1(strided, 299, 299), expected)


def test_the_input_is_left_alone():
    images = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    resize_bilinear_tf1(images, 4, 4).add_(1.0)
    resize_bilinear_tf1(images, 9, 2).add_(1.0)
    assert torch.equal(images, before)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) with at least one pixel, found \(3, 4, 4\)"):
        resize_bilinear_tf1(torch.zeros(3, 4, 4), 8, 8)
    with pytest.raises(ValueError, match="at least one pixel"):
        resize_bilinear_tf1(torch.zeros(1, 3, 0, 4), 8, 8)
    with pytest.raises(ValueError, match="at least 1, found 0x8"):
        resize_bilinear_tf1(torch.zeros(1, 3, 4, 4), 0, 8)
    with pytest.raises(ValueError, match="at least 1, found 8x0"):
        resize_bilinear_tf1(torch.zeros(1, 3, 4, 4), 8, 0)
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) .* found \(1, 1, 3, 4, 4\)"):
        resize_bilinear_tf1(torch.zeros(1, 1, 3, 4, 4), 8, 8)


def test_a_single_pixel_is_the_first_one():
    images = torch.arange(1.0, 13.0).reshape(1, 1, 3, 4)
    assert resize_bilinear_tf1(images, 1, 1).tolist() == [[[[1.0]]]]
    assert resize_bilinear_tf1(images[:, :, :1, :1], 2, 3).tolist() == [[[[1.0] * 3] * 2]]
