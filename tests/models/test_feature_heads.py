"""A discriminator that looks through a frozen network: shapes, formulas, what is trained and what is stored."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.losses import discriminator_loss, generator_loss
from sagan.models.blocks import style_of
from sagan.models.config import FEATURE_WIDTHS, DiscriminatorConfig
from sagan.models.feature_heads import FeatureDiscriminator, Head, frozen
from sagan.recipes.build import build_discriminator, check_sizes
from sagan.runs.transfer import class_tables

WIDTHS = FEATURE_WIDTHS["efficientnet-lite0"]


class Look(nn.Module):
    """A network that is quickly made: each map is the picture, pooled, times a number for each channel."""

    def __init__(self):
        super().__init__()
        self.scale = nn.ParameterList(nn.Parameter(torch.linspace(-1, 1, width)) for width in WIDTHS)

    def maps(self, images):
        grey = images.mean(1, keepdim=True)
        return [
            F.avg_pool2d(grey, 2 ** (i + 2), ceil_mode=True) * scale[:, None, None]
            for i, scale in enumerate(self.scale)
        ]


def config(**fields):
    return DiscriminatorConfig(
        **{"size_px": 32, "num_classes": 3, "base_width": 2, "features": "efficientnet-lite0"} | fields
    )


def made(**fields):
    torch.manual_seed(0)
    return FeatureDiscriminator(config(**fields), frozen(Look()))


def pictures(size=(32, 32), count=4):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("size_px", "grid", "size"),
    [
        (16, (4, 4), (16, 16)),
        (32, (4, 4), (32, 32)),
        (64, (4, 6), (64, 96)),
        (32, (5, 4), (40, 32)),
        (128, (4, 4), (128, 128)),
    ],
)
def test_every_head_judges_each_place_of_the_start_grid(size_px, grid, size):
    D = made(size_px=size_px, start_grid=grid)
    logits = D(pictures(size), torch.tensor([0, 1, 2, 0]))
    assert logits.shape == (4, 5 * grid[0] * grid[1])
    assert logits.std() > 0


def test_a_logit_is_linear_in_the_features_of_its_place_plus_their_product_with_the_class():
    of = config(spectral_norm=False)
    head = Head(6, 8, of, style_of(of))
    x, y = torch.randn(2, 6, 8, 8), torch.tensor([2, 1])
    h = F.leaky_relu(head.conv(F.leaky_relu(head.downs[0](x), 0.2)), 0.2)
    place = h[1, :, 2, 3]
    expected = head.linear.weight.flatten() @ place + head.linear.bias[0] + head.embedding.weight[1] @ place
    torch.testing.assert_close(head(x, y)[1, 2 * 4 + 3], expected)


def test_a_map_smaller_than_the_start_grid_counts_each_place_as_the_part_that_it_covers():
    of = config(spectral_norm=False)
    head = Head(6, 2, of, style_of(of))
    logits = head(torch.randn(1, 6, 2, 2), torch.tensor([0])).view(4, 4)
    assert len(head.downs) == 0
    for rows in (slice(0, 2), slice(2, 4)):
        for columns in (slice(0, 2), slice(2, 4)):
            assert logits[rows, columns].unique().numel() == 1
    assert logits.unique().numel() == 4


def test_losses_are_means_over_all_judges():
    real, fake = torch.tensor([[2.0, 0.0], [1.0, -1.0]]), torch.tensor([[-2.0, 0.0], [1.0, -0.5]])
    assert discriminator_loss("hinge", real, fake).item() == pytest.approx((0 + 1 + 0 + 2) / 4 + (0 + 1 + 2 + 0.5) / 4)
    assert generator_loss("hinge", fake).item() == pytest.approx(1.5 / 4)
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        discriminator_loss("hinge", real[:, 0], fake)


def test_no_head_decides_for_the_others():
    """A hinge of a sum would be at rest where one head is sure; here each has gradients until it is sure itself."""
    sure, unsure = torch.full((4, 1), 5.0), torch.zeros(4, 1, requires_grad=True)
    discriminator_loss("hinge", torch.cat([sure, unsure], 1), torch.cat([-sure, -sure], 1)).backward()
    assert (unsure.grad < 0).all()


def test_the_network_that_it_looks_through_is_neither_trained_nor_stored():
    D = made()
    assert not [name for name, _ in D.named_parameters() if name.startswith("look")]
    assert not [name for name in D.state_dict() if name.startswith("look")]
    before = copy.deepcopy(list(D.look.buffers()))
    assert len(before) == len(WIDTHS)
    torch.optim.SGD(D.parameters(), 1.0)
    D(pictures(), torch.zeros(4, dtype=torch.int64)).sum().backward()
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, D.look.buffers(), strict=True))
    assert D.to(torch.float64).look.scale is not None
    assert next(iter(D.look.buffers())).dtype == torch.float64  # it moves with the network


def test_gradients_reach_the_pictures_through_it_and_through_colours():
    D, x = made(), pictures().requires_grad_()
    D(x, torch.zeros(4, dtype=torch.int64))[:, 16:].sum().backward()  # all but the head on the picture
    assert x.grad.abs().sum() > 0
    swapped = pictures()[:, [2, 1, 0]]
    with torch.no_grad():
        one, other = (D.eval()(p, torch.zeros(4, dtype=torch.int64)) for p in (pictures(), swapped))
    torch.testing.assert_close(one[:, 16:], other[:, 16:])  # this test's network sees no colours
    assert (one[:, :16] - other[:, :16]).abs().max() > 1e-3


def test_vectors_move_once_in_a_forward_and_rest_in_evaluation():
    D = made().train()
    vectors = {name: value.clone() for name, value in D.state_dict().items() if name.endswith(".0.u")}
    D(pictures(), torch.zeros(4, dtype=torch.int64))
    assert all(not torch.equal(vectors[name], D.state_dict()[name]) for name in vectors if vectors[name].numel() > 1)
    moved = {name: D.state_dict()[name].clone() for name in vectors}
    D.eval()(pictures(), torch.zeros(4, dtype=torch.int64))
    assert all(torch.equal(moved[name], D.state_dict()[name]) for name in vectors)


def test_attention_works_on_a_map_of_its_size_and_changes_its_head_alone():
    D = made(attention=(8,)).eval()
    y = torch.zeros(4, dtype=torch.int64)
    with torch.no_grad():
        before = D(pictures(), y)
        D.attention["8"].gamma.fill_(1.0)
        after = D(pictures(), y)
    changed = (before != after).view(4, 5, 16).any(2).any(0)
    assert changed.tolist() == [False, True, False, False, False]


def test_without_a_place_for_it_default_attention_is_left_out_and_asked_for_it_is_refused():
    assert config(attention=None, size_px=64).attention_positions == (16,)
    assert config(attention=None, size_px=32).attention_positions == ()
    with pytest.raises(ValueError, match=r"no feat16; it has feat8"):
        config(attention=(16,))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"width": "thin"}, "width"),
        ({"single_largest": 1}, "single_largest"),
        ({"head": "auxiliary"}, "head auxiliary"),
        ({"residual": (8,)}, "residual"),
        ({"fades": True}, "--grow"),
    ],
)
def test_what_heads_do_not_have_is_refused(fields, word):
    with pytest.raises(ValueError, match=word):
        config(**fields)


def test_unconditional_and_without_a_class_head():
    assert made(num_classes=0)(pictures()).shape == (4, 80)
    assert made(head="none")(pictures(), None).shape == (4, 80)
    with pytest.raises(ValueError, match="pass labels"):
        made()(pictures())
    with pytest.raises(ValueError, match=r"images must be \(B, 3, 32, 32\)"):
        made()(pictures((16, 16)), torch.zeros(4, dtype=torch.int64))


def test_all_class_tables_are_known_for_a_transfer():
    D = made()
    tables = class_tables(D)
    assert len(tables) == 5
    assert all(D.state_dict()[name].shape[0] == 3 for name in tables)


def test_the_least_of_weights_is_below_what_there_is():
    D = made(size_px=64, base_width=8)
    check_sizes(D.config, [tuple(value.shape) for value in D.state_dict().values()])
    with pytest.raises(ValueError, match="asks for"):
        check_sizes(replace(D.config, base_width=800), [tuple(value.shape) for value in D.state_dict().values()])


def test_the_published_network_gives_maps_of_mean_0_and_deviation_about_1():
    D = build_discriminator(config(size_px=64))
    maps = D.look.maps(pictures((64, 64), 2))
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert all(m.isfinite().all() and m.std() < 5 for m in maps)
    assert not [name for name in D.state_dict() if name.startswith("look")]


def test_maps_are_those_that_features_are_made_from():
    """The last map before its normalisation, of a picture at 224 px, has the 320 features as its mean."""
    network = build_discriminator(config(size_px=64)).look
    images = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    last = network.maps(images.permute(0, 3, 1, 2) / 127.5 - 1)[-1]
    raw = last * network.spread_15 + network.mean_15
    torch.testing.assert_close(raw.mean((2, 3)), network(images).features, rtol=1e-3, atol=1e-3)
