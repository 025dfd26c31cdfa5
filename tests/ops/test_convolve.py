import pytest
import torch
from torch.nn import functional as F

from sagan.ops.convolve import conv3x3, conv3x3_product, product_pays


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("as_product", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 6), (5, 3)])
def test_conv3x3(size, as_product, bias, layer, assert_equal_functions):
    assert_equal_functions(
        lambda x, w, b=None: conv3x3(x, w, b, as_product=as_product),
        lambda x, w, b=None: F.conv2d(x, w, b, padding=1),
        layer(3, *size, bias=bias),
    )


@pytest.mark.parametrize("size", [(3, 3), (4, 6), (5, 7)])
def test_product_with_a_stride(size, layer, assert_equal_functions):
    assert_equal_functions(
        lambda x, w, b: conv3x3_product(x, w, b, stride=2),
        lambda x, w, b: F.conv2d(x, w, b, stride=2),
        layer(3, *size),
    )


def test_a_product_pays_at_few_positions_and_many_channels():
    cpu = torch.device("cpu")
    assert product_pays(512, 1024, device=cpu)
    assert not product_pays(513, 1024, device=cpu)
    assert not product_pays(2, 1024, device=torch.device("cuda"))
