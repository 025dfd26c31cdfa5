from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.models import blocks
from sagan.models.blocks import (
    DiscriminatorBlock,
    GeneratorBlock,
    LayerStyle,
    ResidualAblation,
    class_norm,
    initialised,
)
from sagan.models.config import check_positions
from sagan.ops.attention import SelfAttention2d
from sagan.ops.resample import Form
from sagan.ops.spectral import spectral_norms

# SPEC 1.3 and 2, gamma included: channels, then parameters of the matched block and of the one with ratio 8.
ABLATION = [
    (64, 4_609, 9_289),
    (128, 20_737, 37_009),
    (256, 82_945, 147_745),
    (512, 331_777, 590_401),
    (1024, 1_308_673, 2_360_449),
]


PLAIN = LayerStyle(spectral=False)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def norm(channels, num_classes=4, style=PLAIN, conditioning="tables"):
    return class_norm(channels, num_classes, style, eps=1e-5, momentum=0.1, biased=False, conditioning=conditioning)


def up_block(in_channels=5, out_channels=3):
    return GeneratorBlock(in_channels, out_channels, norm=norm, style=PLAIN).double()


def down_block(in_channels=5, out_channels=3, *, down=True, first=False, hidden=3):
    return DiscriminatorBlock(in_channels, out_channels, hidden, down=down, first=first, style=PLAIN).double()


def randomise(module):
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


@pytest.fixture
def x():
    return torch.randn(4, 5, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def conditional_norm(norm, x, y):
    normalised = F.batch_norm(x, None, None, training=True, eps=1e-5)
    return normalised * norm.gain[y][:, :, None, None] + norm.bias[y][:, :, None, None]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("out_channels", [3, 5])
def test_up_block_equals_the_papers_order(x, out_channels, fold):
    block = randomise(up_block(out_channels=out_channels))
    block.fold = fold
    y = torch.tensor([0, 3, 3, 1])
    up = lambda t: t.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    h = F.relu(conditional_norm(block.norm1, x, y))
    h = F.conv2d(up(h), block.conv1.weight, block.conv1.bias, padding=1)
    h = F.relu(conditional_norm(block.norm2, h, y))
    h = F.conv2d(h, block.conv2.weight, block.conv2.bias, padding=1)
    expected = h + F.conv2d(up(x), block.shortcut.weight, block.shortcut.bias)  # convolution AFTER up-sampling
    torch.testing.assert_close(block(x, y), expected, atol=1e-10, rtol=0.0)


def pooled(t):
    return t.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("out_channels", [3, 5])
def test_down_block_equals_the_papers_order(x, first, out_channels, fold):
    block = randomise(down_block(out_channels=out_channels, first=first, hidden=out_channels))
    block.fold = fold
    h = x if first else F.relu(x)
    h = F.relu(F.conv2d(h, block.conv1.weight, block.conv1.bias, padding=1))
    h = pooled(F.conv2d(h, block.conv2.weight, block.conv2.bias, padding=1))
    expected = h + pooled(F.conv2d(x, block.shortcut.weight, block.shortcut.bias))  # pooling AFTER convolution
    torch.testing.assert_close(block(x), expected, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("form", get_args(Form))
def test_the_form_that_the_rule_names_is_taken_and_changes_no_gradient(x, form, monkeypatch):
    taken = []
    for name in ("upsample_conv", "conv_downsample"):
        function = getattr(blocks, name)
        spy = lambda *a, function=function: (taken.append(a[3]), function(*a))[1]  # noqa: E731
        monkeypatch.setattr(blocks, name, spy)
    monkeypatch.setattr(blocks, "resample_form", lambda *_, **__: form)
    monkeypatch.setattr(blocks, "product_pays", lambda *_, **__: form == "product")
    test_folding_changes_no_gradient(x)
    assert taken == ["plain", form] * 2


def test_folding_changes_no_gradient(x):
    for block, inputs in ((up_block(), (x, torch.tensor([0, 3, 3, 1]))), (down_block(), (x,))):
        gradients = []
        randomise(block)
        for fold in (False, True):
            block.fold = fold
            block.zero_grad()
            block(*inputs).square().sum().backward()
            gradients.append([parameter.grad.clone() for parameter in block.parameters()])
        torch.testing.assert_close(*gradients, atol=1e-8, rtol=1e-10)


def test_block_without_down_sampling_keeps_the_size_and_has_a_shortcut_only_for_other_channels(x):
    same, other = down_block(out_channels=5, down=False, hidden=5), down_block(out_channels=3, down=False)
    assert same.shortcut is None
    assert down_block(out_channels=5, down=True).shortcut is not None
    torch.testing.assert_close(
        same(x) - x, F.conv2d(F.relu(same.conv1(F.relu(x))), same.conv2.weight, same.conv2.bias, padding=1)
    )
    torch.testing.assert_close(
        other(x) - F.conv2d(x, other.shortcut.weight, other.shortcut.bias), other.conv2(F.relu(other.conv1(F.relu(x))))
    )


@pytest.mark.parametrize("down", [True, False])
def test_trap_11_the_shortcut_sees_the_input_as_it_is(x, down):
    block = down_block(out_channels=5, down=down, hidden=5)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    if down:
        block.shortcut.weight.data[:, :, 0, 0] = torch.eye(5)
    assert (x < 0.0).any()
    before = x.clone()
    torch.testing.assert_close(block(x), pooled(x) if down else x, atol=1e-12, rtol=0.0)
    assert torch.equal(x, before)


def test_trap_11_the_ablation_block_leaves_its_input_alone(x):
    block = ResidualAblation(5, style=PLAIN).double()
    nn.init.constant_(block.gamma, 1.0)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("channels", "matched", "ratio_8"), ABLATION)
def test_ablation_block_has_the_counts_of_the_specification(channels, matched, ratio_8, no_memory):
    assert count(ResidualAblation(channels, style=PLAIN)) == matched
    assert count(ResidualAblation(channels, "official", style=PLAIN)) == matched
    assert count(ResidualAblation(channels, ratio=8, style=PLAIN)) == ratio_8


@pytest.mark.parametrize("form", ["slides", "official", "paper_v2", "full"])
def test_ablation_block_matches_the_attention_block_of_its_form(form, no_memory):
    for channels in (128, 256, 512):
        residual = count(ResidualAblation(channels, form, style=PLAIN))
        # The middle is a whole number of channels, and half a channel is 9 C weights.
        assert abs(residual - count(SelfAttention2d(channels, form, spectral_norm=False))) <= 9 * channels


def test_ablation_block_is_the_identity_at_the_start_and_then_gated(x):
    block = ResidualAblation(5, ratio=1, style=PLAIN).double()
    assert torch.equal(block(x), x)
    inner = block.conv2(F.relu(block.conv1(F.relu(x))))
    assert inner.abs().max() > 0.1
    nn.init.constant_(block.gamma, -2.0)
    torch.testing.assert_close(block(x), x - 2.0 * inner)
    assert block.gamma.numel() == 1


def test_ablation_block_is_normalised_and_has_biases_only_with_a_ratio():
    assert len(list(spectral_norms(ResidualAblation(64)))) == 2
    assert not list(spectral_norms(ResidualAblation(64, style=PLAIN)))
    assert ResidualAblation(64).conv1.bias is None
    assert torch.equal(ResidualAblation(64, ratio=8).conv2.bias, torch.zeros(64))


@pytest.mark.parametrize("layer", [nn.Conv2d(7, 11, 3), nn.Linear(30, 20), nn.Embedding(40, 25)])
def test_layers_start_xavier_uniform_with_zero_biases(layer):
    initialised(layer, PLAIN)
    rows, columns = layer.weight.shape[:2]
    field = layer.weight[0, 0].numel()
    bound = (6.0 / (field * (rows + columns))) ** 0.5
    largest = layer.weight.detach().abs().max().item()
    assert 0.95 * bound < largest <= bound
    assert layer.weight.detach().std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert getattr(layer, "bias", None) is None or torch.equal(layer.bias, torch.zeros_like(layer.bias))


@pytest.mark.parametrize("layer", [nn.Conv2d(7, 11, 3), nn.Linear(30, 20), nn.Embedding(40, 25)])
def test_orthogonal_layers_start_with_equal_singular_values(layer):
    initialised(layer, LayerStyle(spectral=False, init="orthogonal"))
    values = torch.linalg.svdvals(layer.weight.detach().flatten(1))
    torch.testing.assert_close(values, torch.ones_like(values), atol=1e-5, rtol=0.0)
    assert getattr(layer, "bias", None) is None or torch.equal(layer.bias, torch.zeros_like(layer.bias))


def bound_of(layer):
    """Largest weight in units of Glorot's bound: the gain."""
    rows, columns = layer.weight.shape[:2]
    return layer.weight.detach().abs().max().item() / (6.0 / (layer.weight[0, 0].numel() * (rows + columns))) ** 0.5


def test_chainers_gain_is_that_of_the_two_large_convolutions_of_a_block():
    torch.manual_seed(0)  # the largest of the shortcut's 144 weights is near its bound, not at it
    style = LayerStyle(spectral=False, init="chainer")
    blocks = (
        GeneratorBlock(64, 48, norm=norm, style=style),
        DiscriminatorBlock(64, 48, 48, down=True, style=style),
        DiscriminatorBlock(3, 48, 48, down=True, first=True, style=style),
    )
    for block in blocks:
        assert bound_of(block.conv1) == pytest.approx(2**0.5, rel=0.03)
        assert bound_of(block.conv2) == pytest.approx(2**0.5, rel=0.03)
        assert bound_of(block.shortcut) == pytest.approx(1.0, rel=0.1)
        assert bound_of(block.shortcut) <= 1.0
    for layer in (nn.Linear(30, 20), nn.Embedding(40, 25)):
        assert bound_of(initialised(layer, style)) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("spectral", [False, True])
def test_linear_maps_of_the_class_are_layers_like_all_others(spectral):
    made = norm(16, 5, LayerStyle(spectral=spectral, sn_eps=1e-6, init="orthogonal"), "linear")
    for layer in (made.gain_map, made.bias_map):
        values = torch.linalg.svdvals(layer.weight.detach())
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-4, rtol=0.0)
    assert [n.eps for n, _ in spectral_norms(made)] == [1e-6] * (2 if spectral else 0)


def test_trap_11_the_shortcut_can_be_asked_to_see_what_an_in_place_relu_leaves(x):
    for down, out_channels in ((True, 3), (False, 5), (False, 3)):
        block = DiscriminatorBlock(5, out_channels, 4, down=down, shortcut_relu=True, style=PLAIN).double()
        usual = DiscriminatorBlock(5, out_channels, 4, down=down, style=PLAIN).double()
        usual.load_state_dict(block.state_dict())
        # The input is overwritten before the shortcut reads it; a second ReLU changes nothing in the main path.
        torch.testing.assert_close(block(x), usual(F.relu(x)))
        assert not torch.allclose(block(x), usual(x))
    first = DiscriminatorBlock(5, 3, 3, down=True, first=True, shortcut_relu=True, style=PLAIN).double()
    plain = DiscriminatorBlock(5, 3, 3, down=True, first=True, style=PLAIN).double()
    plain.load_state_dict(first.state_dict())
    assert torch.equal(first(x), plain(x))


def test_positions_are_checked():
    available = {8: 64, 16: 20}
    check_positions("generator", available, (8,), (16,))
    with pytest.raises(ValueError, match="attention: the generator has no feat32; it has feat8, feat16"):
        check_positions("generator", available, (8, 32), ())
    with pytest.raises(ValueError, match="residual: the generator has no feat4; it has feat8, feat16"):
        check_positions("generator", available, (), (4,))
    with pytest.raises(ValueError, match=r"attention: a position is named twice in \(8, 8\)"):
        check_positions("generator", available, (8, 8), ())
    with pytest.raises(ValueError, match="both name feat8 of the discriminator"):
        check_positions("discriminator", available, (8,), (8,))
    with pytest.raises(ValueError, match="divisible by 8, found 20; change base_width"):
        check_positions("generator", available, (16,), ())
