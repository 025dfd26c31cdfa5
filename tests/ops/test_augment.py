import pytest
import torch

from sagan.ops.augment import augment, num_draws

ALL = ("color", "translation", "cutout")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def draws(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_num_draws():
    assert num_draws(()) == 0
    assert [num_draws((op,)) for op in ALL] == [3, 2, 2]
    assert num_draws(ALL) == 7


def test_an_empty_policy_is_the_identity():
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(augment(images, (), torch.empty(2, 0)), images)


def test_unknown_operations_and_wrong_shapes_are_refused():
    images = torch.randn(2, 3, 8, 8)
    with pytest.raises(ValueError, match="unknown augmentation 'flip'; choose from color, translation, cutout"):
        augment(images, ("flip",), torch.rand(2, 2))
    for shape in [(2, 6), (1, 7), (7,)]:
        with pytest.raises(ValueError, match=r"= \(2, 7\), found"):
            augment(images, ALL, torch.rand(shape))


def test_neutral_colour_draws_change_nothing():
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(augment(images, ("color",), torch.full((2, 3), 0.5)), images)


@pytest.mark.parametrize(("u", "shift"), [(0.0, -0.5), (0.75, 0.25)])
def test_brightness_adds(u, shift):
    images = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(augment(images, ("color",), draws([u, 0.5, 0.5])), images + shift)


@pytest.mark.parametrize(("u", "factor"), [(0.0, 0.0), (0.25, 0.5), (0.75, 1.5)])
def test_saturation_scales_the_distance_from_the_pixels_grey(u, factor):
    images = torch.randn(1, 3, 4, 4)
    grey = (images[:, 0] + images[:, 1] + images[:, 2])[:, None] / 3
    expected = factor * images + (1 - factor) * grey
    torch.testing.assert_close(augment(images, ("color",), draws([0.5, u, 0.5])), expected)


@pytest.mark.parametrize(("u", "factor"), [(0.0, 0.5), (0.75, 1.25)])
def test_contrast_scales_the_distance_from_the_images_mean(u, factor):
    images = torch.randn(2, 3, 4, 4)
    result = augment(images, ("color",), draws([0.5, 0.5, u], [0.5, 0.5, 0.5]))
    torch.testing.assert_close(result[0], factor * images[0] + (1 - factor) * images[0].mean())
    torch.testing.assert_close(result[1], images[1])


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Move an image (C, H, W), pixel by pixel, with zeros from outside."""
    result = torch.zeros_like(image)
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            if 0 <= row - down < image.shape[1] and 0 <= column - right < image.shape[2]:
                result[:, row, column] = image[:, row - down, column - right]
    return result


def test_translation_covers_every_move_up_to_an_eighth_equally():
    image = torch.rand(2, 16, 8) + 1  # reaches 2 down and 1 right; no zeros of its own
    images = image.expand(15, -1, -1, -1)
    us = torch.cartesian_prod((torch.arange(5) + 0.5) / 5, (torch.arange(3) + 0.5) / 3)
    result = augment(images, ("translation",), us)
    moves = [(down, right) for down in range(-2, 3) for right in range(-1, 2)]
    for moved, (down, right) in zip(result, moves, strict=True):
        assert torch.equal(moved, shifted(image, down, right))


def test_the_ends_of_the_range_stay_in_range():
    images = torch.rand(2, 3, 16, 16) + 1
    almost_one = torch.tensor(1 - 1e-12, dtype=torch.float64).float().item()
    assert almost_one == 1.0
    low, high = augment(images, ("translation",), draws([0.0, 0.0], [almost_one, almost_one]))
    assert torch.equal(low, shifted(images[0], -2, -2))
    assert torch.equal(high, shifted(images[1], 2, 2))
    for image in augment(images, ("cutout",), draws([0.0, 0.0], [almost_one, almost_one])):
        assert (image == 0).sum() == 3 * 4 * 4  # a quarter of the square is inside


@pytest.mark.parametrize(
    ("size", "u", "rows"), [(8, 0.5, range(2, 6)), (8, 0.0, range(2)), (6, 0.5, range(2, 5)), (5, 0.5, range(1, 4))]
)
def test_cutout_zeroes_half_the_side(size, u, rows):
    images = torch.rand(1, 3, size, size) + 1
    expected = images.clone()
    for row in rows:
        for column in rows:
            expected[:, :, row, column] = 0
    assert torch.equal(augment(images, ("cutout",), draws([u, u])), expected)


def test_cutout_takes_rows_from_its_first_draw():
    hole = augment(torch.ones(1, 1, 8, 12), ("cutout",), draws([0.0, 0.5]))[0, 0] == 0
    assert hole.any(1).nonzero().flatten().tolist() == [0, 1]
    assert hole.any(0).nonzero().flatten().tolist() == [3, 4, 5, 6, 7, 8]


def test_operations_take_their_draws_in_the_order_of_the_policy():
    images = torch.rand(2, 3, 16, 16)
    us = torch.rand(2, 7)
    step_by_step = augment(images, ("cutout",), us[:, :2])
    step_by_step = augment(step_by_step, ("translation",), us[:, 2:4])
    step_by_step = augment(step_by_step, ("color",), us[:, 4:])
    assert torch.equal(augment(images, ("cutout", "translation", "color"), us), step_by_step)


def test_each_image_depends_on_itself_and_its_own_draws_only():
    images, us = torch.randn(4, 3, 16, 16), torch.rand(4, 7)
    result = augment(images, ALL, us)
    assert torch.equal(augment(images, ALL, us), result)
    alone = augment(images[2:3], ALL, us[2:3])
    torch.testing.assert_close(alone, result[2:3])
    other_images, other_us = images.clone(), us.clone()
    other_images[0], other_us[1] = torch.randn(3, 16, 16), torch.rand(7)
    changed = augment(other_images, ALL, other_us)
    torch.testing.assert_close(changed[2:], result[2:])
    assert not torch.allclose(changed[0], result[0])
    assert not torch.allclose(changed[1], result[1])


def test_gradients_against_finite_differences():
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    us = torch.rand(2, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: augment(x, ALL, us), [images])


def test_gradients_reach_exactly_the_pixels_that_are_seen():
    images = torch.randn(1, 1, 8, 8, requires_grad=True)
    augment(images, ("translation", "cutout"), draws([0.0, 0.5, 0.0, 0.0])).sum().backward()
    expected = torch.ones(8, 8)
    expected[0] = 0  # moved out at the top
    expected[1:3, :2] = 0  # cut out after the move by one row
    assert torch.equal(images.grad[0, 0], expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_dtype_stays(dtype):
    images = torch.randn(2, 3, 8, 8).to(dtype)
    assert augment(images, ALL, torch.rand(2, 7)).dtype == dtype


def test_the_input_is_not_changed():
    images = torch.randn(2, 3, 8, 8)
    before = images.clone()
    augment(images, ALL, torch.rand(2, 7))
    assert torch.equal(images, before)
