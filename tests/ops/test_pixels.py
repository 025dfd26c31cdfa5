import pytest
import torch

from sagan.ops.pixels import images_to_uint8, uint8_to_images


def test_trap_18_quantisation_rounds_and_clips():
    assert images_to_uint8(torch.tensor([-1.0, 0.0, 0.999, 1.0])).tolist() == [0, 128, 255, 255]
    assert images_to_uint8(torch.tensor([-7.0, -1.001, 1.004, 300.0])).tolist() == [0, 0, 255, 255]


def test_trap_18_what_is_stored_comes_back_from_a_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(images_to_uint8(uint8_to_images(pixels)), pixels)


def test_values_go_to_the_nearest_level():
    values = torch.tensor([10.4, 10.6], dtype=torch.float64) / 127.5 - 1.0
    assert images_to_uint8(values).tolist() == [10, 11]


def test_stored_pixels_fill_the_networks_range():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    images = uint8_to_images(pixels)
    assert images.dtype == torch.float32
    assert images[0] == -1.0
    assert images[2] == 1.0
    assert images[1].item() == pytest.approx(51 * 2 / 255 - 1)
    assert pixels.tolist() == [0, 51, 255]


def test_quantisation_leaves_its_input_alone():
    images = torch.tensor([0.25])
    images_to_uint8(images)
    assert images.item() == 0.25


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"uint8, found torch\.float32"):
        uint8_to_images(torch.zeros(3))
    with pytest.raises(TypeError, match=r"floating point in \[-1, 1\], found torch\.uint8"):
        images_to_uint8(torch.zeros(3, dtype=torch.uint8))
