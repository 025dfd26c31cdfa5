"""What tests of convolutions share: a layer's tensors, and the comparison of two ways to compute it."""

import pytest
import torch


@pytest.fixture
def layer():
    """Make input, weight and bias with different numbers of channels, in float64."""
    torch.manual_seed(0)

    def make(kernel, height, width, bias=True):
        tensors = [torch.randn(2, 3, height, width), torch.randn(5, 3, kernel, kernel), torch.randn(5)]
        return [t.double().requires_grad_() for t in (tensors if bias else tensors[:2])]

    return make


@pytest.fixture
def assert_equal_functions():
    """Compare values and the gradients with respect to every input, at all positions."""

    def compare(function, reference, inputs):
        found, wanted = function(*inputs), reference(*inputs)
        assert found.shape == wanted.shape
        direction = torch.randn_like(wanted)
        for a, b in zip(
            [found, *torch.autograd.grad(found, inputs, direction)],
            [wanted, *torch.autograd.grad(wanted, inputs, direction)],
            strict=True,
        ):
            torch.testing.assert_close(a, b, atol=1e-10, rtol=0)

    return compare
