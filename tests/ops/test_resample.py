from typing import get_args

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from sagan.ops.resample import (
    Form,
    conv1x1_downsample,
    conv_downsample,
    downsample_average,
    resample_form,
    sum_of_shifts,
    upsample_conv,
    upsample_conv1x1,
    upsample_nearest,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def up(x):
    """Repeat each position twice, without the functions under test."""
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def down(x):
    """Average 2x2 blocks; an odd last row or column is left out."""
    h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    return (x[..., 0:h:2, 0:w:2] + x[..., 1:h:2, 0:w:2] + x[..., 0:h:2, 1:w:2] + x[..., 1:h:2, 1:w:2]) / 4


SIZES = [(1, 1), (1, 4), (4, 6), (5, 3)]
EVEN_AND_ODD = [(2, 2), (4, 6), (5, 7), (3, 2)]


def test_plain_resampling():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert torch.equal(upsample_nearest(x), up(x))
    assert torch.equal(downsample_average(x), torch.tensor([[[[1.5]]]]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("size", SIZES)
def test_upsample_conv(size, form, bias, layer, assert_equal_functions):
    assert_equal_functions(
        lambda x, w, b=None: upsample_conv(x, w, b, form),
        lambda x, w, b=None: F.conv2d(up(x), w, b, padding=1),
        layer(3, *size, bias=bias),
    )


class Operations(TorchDispatchMode):
    """Notes what PyTorch is asked to compute: averages, products, and convolutions with the size of their kernel."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name == "convolution":
            self.seen.add(
                f"{args[1].shape[2]}x{args[1].shape[3]}, {'scattered' if args[6] else f'stride {args[3][0]}'}"
            )
        elif name in ("avg_pool2d", "linear", "mm", "bmm", "matmul"):
            self.seen.add("product" if name != "avg_pool2d" else name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("form", "upsampled", "downsampled"),
    [
        ("plain", {"3x3, stride 1"}, {"3x3, stride 1", "avg_pool2d"}),
        ("kernel", {"4x4, scattered"}, {"4x4, stride 2"}),
        ("box", {"3x3, scattered", "avg_pool2d"}, {"3x3, stride 2", "avg_pool2d"}),
        ("product", {"product"}, {"product", "avg_pool2d"}),
    ],
)
def test_each_form_does_the_work_that_it_is_named_for(form, upsampled, downsampled):
    x, weight = torch.randn(2, 8, 4, 4), torch.randn(8, 8, 3, 3)
    for function, wanted in ((upsample_conv, upsampled), (conv_downsample, downsampled)):
        with Operations() as operations:
            function(x, weight, None, form)
        assert operations.seen == wanted


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("size", EVEN_AND_ODD)
def test_conv_downsample(size, form, bias, layer, assert_equal_functions):
    assert_equal_functions(
        lambda x, w, b=None: conv_downsample(x, w, b, form),
        lambda x, w, b=None: down(F.conv2d(x, w, b, padding=1)),
        layer(3, *size, bias=bias),
    )


@pytest.mark.parametrize("size", SIZES)
def test_upsample_conv1x1_commutes(size, layer, assert_equal_functions):
    assert_equal_functions(upsample_conv1x1, lambda x, w, b: F.conv2d(up(x), w, b), layer(1, *size))


@pytest.mark.parametrize("size", EVEN_AND_ODD)
def test_conv1x1_downsample_commutes(size, layer, assert_equal_functions):
    assert_equal_functions(conv1x1_downsample, lambda x, w, b: down(F.conv2d(x, w, b)), layer(1, *size))


def test_the_cheap_order_is_the_one_that_runs(monkeypatch):
    sizes = []
    convolve = F.conv2d

    def watched(x, *arguments, **options):
        sizes.append(x.shape[2])
        return convolve(x, *arguments, **options)

    monkeypatch.setattr("sagan.ops.resample.F.conv2d", watched)
    x, weight = torch.randn(1, 3, 8, 8), torch.randn(5, 3, 1, 1)
    upsample_conv1x1(x, weight)
    conv1x1_downsample(x, weight)
    assert sizes == [8, 4]


def test_sum_of_shifts():
    row = torch.tensor([1.0, 10.0, 100.0])
    expected = torch.tensor([1.0, 11.0, 110.0, 100.0])
    assert torch.equal(sum_of_shifts(torch.outer(row, row)[None, None])[0, 0], torch.outer(expected, expected))


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_every_form_keeps_channels_last(form, layout):
    x, weight = torch.randn(2, 3, 6, 6), torch.randn(5, 3, 3, 3)
    x, weight = x.to(memory_format=torch.channels_last), weight.to(memory_format=layout)
    for function in (upsample_conv, conv_downsample):
        assert function(x, weight, None, form).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("form", get_args(Form))
def test_autocast_lowers_every_form(form):
    x, weight, bias = torch.randn(2, 3, 6, 6), torch.randn(5, 3, 3, 3), torch.randn(5)
    for function in (upsample_conv, conv_downsample):
        with torch.autocast("cpu", torch.bfloat16):
            found = function(x, weight, bias, form)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), function(x, weight, bias), atol=0.2, rtol=0.05)


@pytest.mark.parametrize(
    ("low_positions", "in_channels", "form"),
    [(2048, 1024, "product"), (2049, 1024, "box"), (2, 17, "product"), (2, 16, "kernel"), (10**6, 16, "kernel")],
)
def test_the_form_follows_channels_and_positions(low_positions, in_channels, form):
    assert resample_form(low_positions, in_channels, device=CPU) == form


def test_gpus_take_the_kernel_where_it_was_measured():
    assert resample_form(10**6, 64, device=torch.device("mps")) == "plain"
    assert resample_form(4096, 1024, device=torch.device("cuda")) == "kernel"
    assert resample_form(4095, 64, device=torch.device("cuda")) == "plain"
