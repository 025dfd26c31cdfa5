import pytest
import torch
from torch.nn import functional as F

from sagan.ops.convolve import conv3x3, conv3x3_product, product_pays


def tensors(height, width, bias=True):
    """Make input, weight and bias with different numbers of channels, in float64."""
    torch.manual_seed(0)
    found = [torch.randn(2, 3, height, width), torch.randn(5, 3, 3, 3), torch.randn(5)]
    return [t.double().requires_grad_() for t in (found if bias else found[:2])]


def assert_equal_functions(function, reference, inputs):
    """Compare values and the gradients with respect to every input."""
    found, wanted = function(*inputs), reference(*inputs)
    assert found.shape == wanted.shape
    direction = torch.randn_like(wanted)
    for a, b in zip(
        [found, *torch.autograd.grad(found, inputs, direction)],
        [wanted, *torch.autograd.grad(wanted, inputs, direction)],
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("as_product", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 6), (5, 3)])
def test_conv3x3(size, as_product, bias):
    assert_equal_functions(
        lambda x, w, b=None: conv3x3(x, w, b, as_product=as_product),
        lambda x, w, b=None: F.conv2d(x, w, b, padding=1),
        tensors(*size, bias),
    )


@pytest.mark.parametrize("size", [(3, 3), (4, 6), (5, 7)])
def test_product_with_a_stride(size):
    assert_equal_functions(
        lambda x, w, b: conv3x3_product(x, w, b, stride=2), lambda x, w, b: F.conv2d(x, w, b, stride=2), tensors(*size)
    )


def test_a_product_pays_at_few_positions_and_many_channels():
    cpu = torch.device("cpu")
    assert product_pays(512, 1024, device=cpu)
    assert not product_pays(513, 1024, device=cpu)
    assert not product_pays(2, 1024, device=torch.device("cuda"))
