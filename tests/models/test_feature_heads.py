"""A discriminator that looks through a frozen network: shapes, formulas, what is trained and what is stored."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.losses import discriminator_loss, generator_loss
from sagan.models.blocks import style_of
from sagan.models.config import FEATURE_WIDTHS, DiscriminatorConfig, GeneratorConfig
from sagan.models.discriminator import Discriminator
from sagan.models.feature_heads import FeatureDiscriminator, Head, frozen
from sagan.models.generator import Generator
from sagan.recipes.build import build_discriminator, check_sizes
from sagan.recipes.config import RunConfig
from sagan.runs.transfer import class_tables
from sagan.training.config import TrainConfig
from sagan.training.regularisers import gradient_penalties, signs
from sagan.training.state import new_state
from sagan.training.step import picture_logits, train_step

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


def images(size=(32, 32), count=4):
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
    logits = D(images(size), torch.tensor([0, 1, 2, 0]))
    assert logits.shape == (4, 5 * grid[0] * grid[1])
    assert logits.std() > 0


@pytest.mark.parametrize("grid", [(4, 4), (4, 6)])
def test_with_enlarge_the_frozen_network_sees_the_picture_so_many_times_larger(grid):
    """Heads on maps are those of a discriminator of twice the size, which gets the enlarged picture."""
    small, large = made(features_enlarge=2, start_grid=grid), made(size_px=64, start_grid=grid)
    large.heads[1:].load_state_dict(small.heads[1:].state_dict())
    x, y = images((8 * grid[0], 8 * grid[1])), torch.tensor([0, 1, 2, 0])
    enlarged = F.interpolate(x, (16 * grid[0], 16 * grid[1]), mode="bilinear", align_corners=False)
    places = grid[0] * grid[1]
    torch.testing.assert_close(small(x, y)[:, places:], large(enlarged, y)[:, places:])
    plain = made(start_grid=grid)
    plain.heads[0].load_state_dict(small.heads[0].state_dict())
    torch.testing.assert_close(small(x, y)[:, :places], plain(x, y)[:, :places])


def test_enlarge_goes_with_a_frozen_network():
    with pytest.raises(ValueError, match="features_enlarge is for a frozen network"):
        config(features="none", features_enlarge=2)
    for wrong in (0, 3, 16, 2.0, True):
        with pytest.raises(ValueError, match="features_enlarge must be 1, 2, 4 or 8"):
            config(features_enlarge=wrong)


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
    heads = copy.deepcopy(D.heads.state_dict())
    optimizer = torch.optim.SGD([*D.parameters()], 1.0, weight_decay=0.1)
    D(images(), torch.zeros(4, dtype=torch.int64)).sum().backward()
    optimizer.step()
    assert not torch.equal(heads["0.conv.bias"], D.heads.state_dict()["0.conv.bias"])
    assert all(torch.equal(a, b) for a, b in zip(before, D.look.buffers(), strict=True))
    D.to(torch.float64)
    assert next(iter(D.look.buffers())).dtype == torch.float64  # it moves with the network


def test_gradients_reach_the_pictures_through_it_and_through_colours():
    D, x = made(), images().requires_grad_()
    D(x, torch.zeros(4, dtype=torch.int64))[:, 16:].sum().backward()  # all but the head on the picture
    assert x.grad.abs().sum() > 0
    swapped = images()[:, [2, 1, 0]]
    with torch.no_grad():
        one, other = (D.eval()(p, torch.zeros(4, dtype=torch.int64)) for p in (images(), swapped))
    torch.testing.assert_close(one[:, 16:], other[:, 16:], rtol=0.0, atol=1e-4)  # this test's network sees no colours
    assert (one[:, :16] - other[:, :16]).abs().max() > 1e-3


def test_vectors_move_once_in_a_forward_and_rest_in_evaluation():
    D = made().train()
    vectors = {name: value.clone() for name, value in D.state_dict().items() if name.endswith(".0.u")}
    raw = D.state_dict()["heads.1.conv.parametrizations.weight.original"].flatten(1)
    D(images(), torch.zeros(4, dtype=torch.int64))
    once = F.normalize(raw.t() @ vectors["heads.1.conv.parametrizations.weight.0.u"], dim=0)
    expected = F.normalize(raw @ once, dim=0)
    torch.testing.assert_close(D.state_dict()["heads.1.conv.parametrizations.weight.0.u"], expected)
    moved = {name: D.state_dict()[name].clone() for name in vectors}
    D.eval()(images(), torch.zeros(4, dtype=torch.int64))
    assert all(torch.equal(moved[name], D.state_dict()[name]) for name in vectors)


def test_attention_works_on_a_map_of_its_size_and_changes_its_head_alone():
    D = made(attention=(8,)).eval()
    y = torch.zeros(4, dtype=torch.int64)
    with torch.no_grad():
        before = D(images(), y)
        D.attention["8"].gamma.fill_(1.0)
        after = D(images(), y)
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
    assert made(num_classes=0)(images()).shape == (4, 80)
    assert made(head="none")(images(), None).shape == (4, 80)
    with pytest.raises(ValueError, match="pass labels"):
        made()(images())
    with pytest.raises(ValueError, match=r"images must be \(B, 3, 32, 32\)"):
        made()(images((16, 16)), torch.zeros(4, dtype=torch.int64))


def test_all_class_tables_are_known_for_a_transfer():
    D = made()
    tables = class_tables(D)
    assert len(tables) == 5
    assert all(D.state_dict()[name].shape[0] == 3 for name in tables)


def test_the_least_of_weights_is_below_what_there_is():
    for size_px in (16, 64):
        D = made(size_px=size_px, base_width=32)
        check_sizes(D.config, [tuple(value.shape) for value in D.state_dict().values()])
    with pytest.raises(ValueError, match="asks for"):
        check_sizes(replace(D.config, base_width=800), [tuple(value.shape) for value in D.state_dict().values()])


def photos():
    """Two photos that come with scikit-learn, in [-1, 1], 224 px of their middle."""
    from sklearn.datasets import load_sample_images

    images = [torch.from_numpy(image[100:324, 200:424].copy()) for image in load_sample_images().images]
    return torch.stack(images).permute(0, 3, 1, 2) / 127.5 - 1


def test_the_published_network_gives_maps_of_mean_0_and_deviation_about_1_on_photos():
    D = build_discriminator(config(size_px=64))
    maps = D.look.maps(photos())
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7)]
    for found in maps:
        assert found.mean().abs() < 0.15
        assert 0.8 < found.std() < 1.25
    assert not [name for name in D.state_dict() if name.startswith("look")]


def test_a_file_of_another_network_is_named_as_before():
    from sagan.metrics import efficientnet
    from sagan.metrics.efficientnet import EfficientNetLite0
    from sagan.metrics.weights import WeightsError, read_state_dict

    state, sha256 = read_state_dict(efficientnet._packaged_file())
    with pytest.raises(WeightsError, match=r"_blocks\.2\._bn2"):
        EfficientNetLite0(state | {"_blocks.2._bn2.weight": torch.ones(23)}, sha256)


def test_the_plain_class_does_not_pretend():
    with pytest.raises(ValueError, match="build_discriminator"):
        Discriminator(config(size_px=64))


def test_penalties_signs_and_logits_of_pictures_take_the_mean_of_the_judges():
    x = images().requires_grad_()
    D = made().eval()
    y = torch.zeros(4, dtype=torch.int64)
    logits = D(x, y)
    expected = torch.autograd.grad(D(x, y).mean(1).sum(), x)[0].square().sum((1, 2, 3)).mean()
    term, norms = gradient_penalties(TrainConfig(r1=2.0), logits, (x, x))
    torch.testing.assert_close(norms["r1"], expected)
    torch.testing.assert_close(term, expected)
    assert signs(torch.tensor([[3.0, -1.0, -1.0], [-1.0, -1.0, 1.0]])).item() == 0.0


@pytest.mark.parametrize(
    "fields",
    [
        {"lecam": 0.1, "lecam_start": 0},
        {"consistency": 1.0, "augment": ("translation",)},
        {"adaptive_augment": 0.6, "augment": ("translation",)},
        {"loss": "relativistic", "r1": 1.0, "r2": 1.0},
        {"d_vectors": "separate"},
    ],
)
def test_every_recipe_trains_it(fields, engine, pictures):
    run = RunConfig(
        generator=GeneratorConfig(size_px=16, num_classes=3, base_width=2, z_dim=8),
        discriminator=config(size_px=16),
        train=TrainConfig(batch_size=4, **fields),
    )
    torch.manual_seed(0)
    state = new_state(Generator(run.generator), FeatureDiscriminator(run.discriminator, frozen(Look())), run.train)
    before = copy.deepcopy(state.D.state_dict())
    metrics = train_step(state, run.train, lambda k: pictures(k, 4), engine, 0)
    assert all(value.ndim == 0 and value.isfinite() for value in metrics.values())
    assert any(not torch.equal(before[name], held) for name, held in state.D.state_dict().items())
    seen = picture_logits(state, pictures(9, 6), engine, 4)
    assert seen.shape == (6,)


def test_maps_are_those_that_features_are_made_from():
    """The last map before its normalisation, of a picture at 224 px, has the 320 features as its mean."""
    network = build_discriminator(config(size_px=64)).look
    images = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    last = network.maps(images.permute(0, 3, 1, 2) / 127.5 - 1)[-1]
    raw = last * network.spread_15 + network.mean_15
    torch.testing.assert_close(raw.mean((2, 3)), network(images).features, rtol=1e-3, atol=1e-3)
