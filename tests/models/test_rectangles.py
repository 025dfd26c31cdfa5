"""Networks for images that are no squares: the same layers on another grid."""

from dataclasses import replace

import pytest
import torch

from sagan.models.config import DiscriminatorConfig, GeneratorConfig, lasting_fields, network_size
from sagan.models.discriminator import Discriminator
from sagan.models.generator import Generator
from sagan.recipes.config import RunConfig
from sagan.sampling import attention_maps, generate

# Height x width, base widths of G and D, attention in both.
NETWORKS = [
    ((64, 96), 4, 4, (8, 16)),
    ((96, 64), 4, 4, (8, 16)),
    ((32, 48), 4, 8, (8, 16)),
    ((128, 192), 2, 4, (32,)),
    ((16, 64), 4, 8, (8,)),
]


def networks(size, g_width, d_width, attention, **fields):
    size_px, start_grid = network_size(size)
    both = {"size_px": size_px, "start_grid": start_grid, "num_classes": 3, "attention": attention} | fields
    torch.manual_seed(0)
    return (
        Generator(GeneratorConfig(z_dim=8, base_width=g_width, **both)),
        Discriminator(DiscriminatorConfig(base_width=d_width, **both)),
    )


def inputs(count=2):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(1)), torch.arange(count) % 3


@pytest.mark.parametrize(("size", "g_width", "d_width", "attention"), NETWORKS)
def test_shapes_and_gradients(size, g_width, d_width, attention, open_gates):
    G, D = (open_gates(network) for network in networks(size, g_width, d_width, attention))
    assert G.config.image_size == D.config.image_size == size
    z, y = inputs()
    x = G(z, y)
    assert x.shape == (2, 3, *size)
    assert x.abs().max() <= 1.0
    logits = D(x, y)
    assert logits.shape == (2,)
    logits.sum().backward()
    for network in (G, D):
        used = {name: p.grad for name, p in network.named_parameters() if "embedding" not in name}
        assert [name for name, grad in used.items() if grad is None or not grad.abs().sum() > 0] == []
    assert generate(G.eval(), z, y).shape == (2, *size, 3)


@pytest.mark.parametrize(("size", "g_width", "d_width", "attention"), NETWORKS)
@pytest.mark.parametrize("form", ["slides", "official"])
def test_folded_and_plain_forms_are_one_function(size, g_width, d_width, attention, form, open_gates):
    results = []
    for fold in (True, False):
        both = networks(size, g_width, d_width, attention, fold=fold, attention_form=form)
        G, D = (open_gates(network).double() for network in both)
        z, y = inputs()
        x = G(z.double(), y)
        logits = D(x, y)
        grads = torch.autograd.grad(logits.sum(), [*G.parameters(), D.blocks[0].conv1.parametrizations.weight.original])
        results.append([x, logits, *grads])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", ["slides", "official", "paper_v2", "full"])
def test_an_upright_network_with_turned_weights_makes_the_turned_image(form, open_gates):
    """Rows become columns: each kernel and the rows of the first layer are transposed, nothing else."""
    wide, tall = (
        [open_gates(net).double() for net in networks(size, 4, 8, (8, 16), attention_form=form, spectral_norm=False)]
        for size in ((32, 48), (48, 32))
    )
    for old, new in zip(wide, tall, strict=True):
        weights = {
            name: value.transpose(2, 3) if value.ndim == 4 else value for name, value in old.state_dict().items()
        }
        new.load_state_dict(weights)
    with torch.no_grad():
        rows, columns = wide[0].config.start_grid
        for old in (tall[0].linear.weight, tall[0].linear.bias):
            old.copy_(old.view(-1, rows, columns, *old.shape[1:]).transpose(1, 2).reshape_as(old))
    z, y = inputs()
    x, turned = (net[0](z.double(), y) for net in (wide, tall))
    torch.testing.assert_close(turned, x.transpose(2, 3), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(tall[1](turned, y), wide[1](x, y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(32, 48), (48, 32)])
def test_a_query_is_read_off_the_map_of_its_place(size, open_gates):
    z, y = inputs()
    G, D = (open_gates(net.eval()) for net in networks(size, 4, 8, (8, 16)))
    for network, given in ((G, z), (D, G(z, y).detach())):
        every = attention_maps(network, given, y)
        some = attention_maps(network, given, y, [(0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, 3)])
        for position, maps in every.items():
            grid = tuple(side * position // 32 for side in size)
            assert maps.shape == (2, grid[0] * grid[1], *grid)
            places = [0, grid[0] * grid[1] - 1, grid[0] // 2 * grid[1] + 3 * grid[1] // size[1]]
            torch.testing.assert_close(some[position], maps[:, places])
    with pytest.raises(ValueError, match=f"outside the image of {size[0]}x{size[1]} pixels"):
        attention_maps(G, z, y, [size])


def test_what_is_counted_of_a_square_is_the_same_with_the_field_spelled_out():
    plain = GeneratorConfig(size_px=64, base_width=2, attention=(8,))
    spelled = replace(plain, start_grid=(4, 4))
    assert lasting_fields(plain) == lasting_fields(spelled)
    assert "start_grid" not in lasting_fields(plain)
    assert lasting_fields(replace(plain, start_grid=(4, 6)))["start_grid"] == (4, 6)
    weights = [{k: v.shape for k, v in Generator(config).state_dict().items()} for config in (plain, spelled)]
    assert weights[0] == weights[1]
    wider = Generator(replace(plain, start_grid=(4, 6)))
    differing = [k for k, v in wider.state_dict().items() if v.shape != weights[0][k]]
    assert all(name.startswith("linear.") for name in differing)
    assert differing


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start_grid": (5, 6)}, r"start_grid must be rows and columns, the shorter 4 .* found \(5, 6\)"),
        ({"start_grid": (4, 17)}, "the longer at most 16"),
        ({"start_grid": (4,)}, "start_grid must be rows and columns"),
        ({"start_grid": (4, 5), "last_block_down": True}, "last_block_down would halve a map of 4x5"),
        ({"start_grid": (5, 4), "attention": (4,), "attention_form": "official"}, "pools 2x2 and feat4"),
    ],
)
def test_grids_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DiscriminatorConfig(**({"size_px": 64} | fields))


def test_maps_with_an_odd_side_work_where_nothing_halves_them():
    for fields in ({"last_block_down": False}, {"attention": (4,), "attention_form": "slides"}):
        D = Discriminator(DiscriminatorConfig(size_px=64, start_grid=(4, 5), num_classes=0, base_width=4, **fields))
        assert D(torch.zeros(1, 3, 64, 80)).shape == (1,)


def test_both_networks_must_agree():
    with pytest.raises(ValueError, match=r"generator\.start_grid \(4, 6\) and discriminator\.start_grid \(4, 4\)"):
        RunConfig(generator=GeneratorConfig(start_grid=(4, 6)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [(64, (64, (4, 4))), ("64x96", (64, (4, 6))), ((96, 64), (64, (6, 4))), ("128x192", (128, (4, 6)))],
)
def test_the_size_of_images_says_the_grid(size, expected):
    assert network_size(size) == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("64x100", "size 64x100 is none of the networks: .* 64, 80, 96, .* or 256 px"),
        ("60x90", "size must be one of 16, 32, 64, 128 or 256 px, or have one as its shorter side, found 60x90"),
        (48, "found 48"),
        ("64x320", "the longer is one of"),
        ("big", "size is the side of a square"),
    ],
)
def test_sizes_without_a_network_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        network_size(size)


def test_an_image_of_another_size_is_refused():
    D = Discriminator(DiscriminatorConfig(size_px=16, start_grid=(4, 6), num_classes=0, base_width=4))
    with pytest.raises(ValueError, match=r"images must be \(B, 3, 16, 24\), found \(1, 3, 24, 16\)"):
        D(torch.zeros(1, 3, 24, 16))


def test_a_map_is_summed_not_averaged():
    """The logit of a larger image is that of more positions: SAGAN sums, so it grows with the area."""
    D = Discriminator(
        DiscriminatorConfig(
            size_px=16,
            start_grid=(4, 8),
            num_classes=0,
            base_width=4,
            attention=(),
            linear_bias=False,
            spectral_norm=False,
        )
    )
    for name, parameter in D.named_parameters():  # nothing negative, so that no position takes away from the sum
        with torch.no_grad():
            parameter.fill_(0.1) if name.endswith("bias") else parameter.abs_()
    square = Discriminator(replace(D.config, start_grid=(4, 4)))
    square.load_state_dict(D.state_dict())
    D.eval(), square.eval()
    with torch.no_grad():
        share = D(torch.zeros(1, 3, 16, 32)) / square(torch.zeros(1, 3, 16, 16))
        assert 2.0 < share < 4.0  # twice the area, and less of it at an edge
