import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.models.config import DiscriminatorConfig, GeneratorConfig, lasting_fields
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import SpectralNorm, refresh_spectral, spectral_norms
from sagan.recipes.build import build_networks

FORMS = ("slides", "official", "paper_v2", "full")

# SPEC 1.4, 3.4 and 2: configuration and number of parameters.
COUNTS = [
    ({"attention": ()}, 41_996_931),
    ({"attention": (), "num_classes": 0}, 32_150_787),
    ({"attention": (8,)}, 43_307_652),
    ({"attention": (16,)}, 42_324_612),
    ({"attention": (32,)}, 42_078_852),
    ({"attention": (64,)}, 42_017_412),
    ({"attention": (8,), "attention_form": "official"}, 43_307_652),
    ({"attention": (64,), "attention_form": "official"}, 42_017_412),
    ({"attention": (32,), "attention_form": "paper_v2"}, 41_996_931 + 32_769),
    ({"attention": (32,), "attention_form": "full"}, 41_996_931 + 147_457),
    ({"attention": (8, 64)}, 41_996_931 + 1_310_721 + 20_481),
    ({"attention": (), "residual": (8,)}, 41_996_931 + 1_308_673),
    ({"attention": (), "residual": (16,)}, 41_996_931 + 331_777),
    ({"attention": (), "residual": (32,)}, 41_996_931 + 82_945),
    ({"attention": (), "residual": (64,)}, 41_996_931 + 20_737),
    ({"attention": (), "residual": (8,), "residual_ratio": 8}, 41_996_931 + 2_360_449),
    ({"attention": (), "residual": (32,), "residual_ratio": 8}, 41_996_931 + 147_745),
    ({"size_px": 64, "attention": ()}, 17_974_915),
    ({"size_px": 64, "attention": (), "num_classes": 200}, 13_366_915),
    ({"size_px": 64, "attention": (), "num_classes": 100}, 12_790_915),
    ({"size_px": 64, "attention": (), "num_classes": 10}, 12_272_515),
    ({"size_px": 64, "attention": (32,), "num_classes": 200}, 13_387_396),
    ({"size_px": 32, "attention": (), "num_classes": 10}, 4_304_387),
    ({"size_px": 32, "attention": (), "num_classes": 100}, 4_580_867),
    ({"size_px": 32, "attention": (16,), "num_classes": 10}, 4_386_308),
    ({"size_px": 256, "attention": ()}, 49_027_203),
    ({"size_px": 64, "attention": (), "width_plan": "biggan"}, 41_495_811),  # counted in BigGAN-PyTorch's network
]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def config(**fields):
    return GeneratorConfig(**{"size_px": 16, "num_classes": 3, "z_dim": 8, "base_width": 2} | fields)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 8, generator=generator), torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize(("fields", "expected"), COUNTS)
def test_parameter_counts_of_the_specification(fields, expected, no_memory):
    assert count(Generator(GeneratorConfig(**fields, spectral_norm=False))) == expected


def test_spectral_normalisation_adds_no_parameter():
    fields = {"attention": (8,), "residual": (16,), "residual_ratio": 2}
    assert count(Generator(config(**fields))) == count(Generator(config(**fields, spectral_norm=False)))


@pytest.mark.parametrize(
    ("size_px", "base_width", "position"), [(16, 2, 8), (32, 2, 16), (64, 4, 16), (128, 2, 32), (256, 2, 64)]
)
def test_shape_range_and_default_attention_of_each_size(size_px, base_width, position):
    torch.manual_seed(0)
    G = Generator(config(size_px=size_px, base_width=base_width))
    with torch.no_grad():
        images = G(torch.randn(2, 8), torch.tensor([0, 2]))
    assert images.shape == (2, 3, size_px, size_px)
    assert images.abs().max() <= 1.0
    assert images.std() > 0.01
    assert list(G.attention) == [str(position)]


def test_the_network_is_the_one_of_the_specification(inputs, open_gates):
    """The whole forward once more, from plain operations in the paper's order."""
    torch.manual_seed(0)
    G = open_gates(Generator(config(attention=(8,), spectral_norm=False))).double()
    z, y = inputs[0].double(), inputs[1]
    for layer in G.modules():
        if isinstance(layer, ConditionalBatchNorm2d):
            torch.nn.init.normal_(layer.gain, 1.0, 0.3)
            torch.nn.init.normal_(layer.bias, 0.0, 0.3)

    def normalise(layer, x):
        rows = y if layer.num_classes else torch.zeros_like(y)
        x = F.batch_norm(x, None, None, training=True, eps=1e-5)
        return F.relu(x * layer.gain[rows][:, :, None, None] + layer.bias[rows][:, :, None, None])

    def conv(layer, x):
        return F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[2] // 2)

    def up(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def attend(block, x):
        q, k, v = (F.conv2d(x, layer.weight).flatten(2) for layer in (block.query, block.key, block.value))
        beta = torch.softmax(torch.einsum("bci,bcj->bji", k, q), dim=2)  # over i, the keys
        return x + block.gamma * torch.einsum("bji,bci->bcj", beta, v).view_as(x)

    h = F.linear(z, G.linear.weight, G.linear.bias).reshape(4, 8, 4, 4)
    for height, block in zip((8, 16), G.blocks, strict=True):
        main = conv(block.conv2, normalise(block.norm2, conv(block.conv1, up(normalise(block.norm1, h)))))
        h = main + conv(block.shortcut, up(h))
        h = attend(G.attention["8"], h) if height == 8 else h
    expected = torch.tanh(conv(G.conv, normalise(G.norm, h)))
    torch.testing.assert_close(G(z, y), expected, atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("form", FORMS)
def test_with_gamma_zero_attention_changes_nothing(inputs, form):
    torch.manual_seed(0)
    G = Generator(config(attention=(8, 16), attention_form=form))
    plain = Generator(config(attention=()))
    plain.load_state_dict({k: v for k, v in G.state_dict().items() if not k.startswith("attention.")})
    assert torch.equal(G(*inputs), plain(*inputs))
    assert torch.equal(G.eval()(*inputs), plain.eval()(*inputs))


@pytest.mark.parametrize("ratio", [None, 8])
def test_with_gamma_zero_the_ablation_block_changes_nothing(inputs, ratio):
    torch.manual_seed(0)
    G = Generator(config(attention=(), residual=(8,), residual_ratio=ratio))
    plain = Generator(config(attention=()))
    plain.load_state_dict({k: v for k, v in G.state_dict().items() if not k.startswith("residual.")})
    assert torch.equal(G(*inputs), plain(*inputs))


@pytest.mark.parametrize("where", [(), (8,), (16,), (8, 16)])
@pytest.mark.parametrize("field", ["attention", "residual"])
def test_blocks_take_part_at_any_set_of_positions(inputs, open_gates, where, field):
    torch.manual_seed(0)
    G = Generator(config(**{"attention": ()} | {field: where})).eval()
    assert list(getattr(G, field)) == [str(k) for k in where]
    sizes = []
    for block in getattr(G, field).values():
        block.register_forward_hook(lambda _, args, __: sizes.append(args[0].shape[-1]))
    before = G(*inputs)
    after = open_gates(G)(*inputs)
    assert sizes == [*where, *where]
    assert torch.equal(before, after) == (not where)


def test_a_position_that_does_not_exist_names_those_that_do():
    with pytest.raises(ValueError, match="the generator has no feat64; it has feat8, feat16, feat32"):
        GeneratorConfig(size_px=32, attention=(64,))
    with pytest.raises(ValueError, match="the generator has no feat4; it has feat8, feat16, feat32, feat64, feat128"):
        GeneratorConfig(residual=(4,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size_px": 48}, r"size_px must be one of \[16, 32, 64, 128, 256\], found 48"),
        ({"num_classes": -1}, "num_classes must be at least 0, found -1"),
        ({"z_dim": 0}, "z_dim must be at least 1, found 0"),
        ({"base_width": 0}, "base_width must be at least 1, found 0"),
        ({"bn_momentum": 0.0}, r"bn_momentum must be in \(0, 1\], found 0.0"),
        ({"bn_momentum_last": 2.0}, r"bn_momentum_last must be in \(0, 1\], found 2.0"),
        ({"sn_gradient": "half"}, "sn_gradient must be one of stop, full, found 'half'"),
        ({"init": "he"}, "init must be one of xavier, chainer, orthogonal, found 'he'"),
        ({"class_conditioning": "table"}, "class_conditioning must be one of tables, linear, found 'table'"),
        ({"sampling_norm": "batch"}, "sampling_norm must be one of standing, running, found 'batch'"),
        ({"attention_form": "slide"}, "attention_form must be one of slides, official, paper_v2, full, found 'slide'"),
        (
            {"residual": (32,), "attention": (), "residual_ratio": 0},
            "residual_ratio must be from 1 to the .* channels at feat32 .*, found 0",
        ),
        (
            {"residual": (64,), "attention": (), "residual_ratio": 999},
            "from 1 to the 128 channels at feat64 of the generator, found 999",
        ),
    ],
)
def test_wrong_fields_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        GeneratorConfig(**fields)


def test_wrong_inputs_are_refused(inputs):
    z, y = inputs
    G = Generator(config())
    with pytest.raises(ValueError, match=r"z must be \(B, 8\), found \(4, 7\)"):
        G(z[:, :7], y)
    with pytest.raises(ValueError, match="conditional on 3 classes; pass labels"):
        G(z)
    for labels in (y[:, None], y[:3], y.int(), y.float()):
        with pytest.raises(ValueError, match=r"labels must be int64 of shape \(4,\)"):
            G(z, labels)
    with pytest.raises(IndexError):
        G(z, torch.tensor([0, 1, 2, 3]))


def test_without_classes_there_is_one_row_and_labels_play_no_part(inputs):
    G = Generator(config(num_classes=0)).eval()
    assert {layer.gain.shape[0] for layer in G.modules() if isinstance(layer, ConditionalBatchNorm2d)} == {1}
    assert torch.equal(G(inputs[0]), G(*inputs))


def test_the_class_enters_only_through_the_tables(inputs):
    torch.manual_seed(0)
    G = Generator(config()).eval()
    z = inputs[0][:1].expand(3, -1)
    y = torch.tensor([0, 1, 2])
    images = G(z, y)
    torch.testing.assert_close(images, images[:1].expand(3, -1, -1, -1))  # fresh tables are all equal
    torch.nn.init.constant_(G.blocks[0].norm1.bias[1], 1.0)
    images = G(z, y)
    assert torch.allclose(images[0], images[2], atol=1e-6)
    assert (images[0] - images[1]).abs().max() > 1e-3


def test_spectral_normalisation_is_on_every_layer_but_the_tables():
    G = Generator(config(attention=(8,)))
    # First linear layer, three convolutions in each of two blocks, last convolution, three in the attention block.
    assert len(list(spectral_norms(G))) == 1 + 2 * 3 + 1 + 3
    normalised = {name for name, module in G.named_modules() if isinstance(module, SpectralNorm)}
    assert not any("norm1" in name or "norm2" in name for name in normalised)
    assert not list(spectral_norms(Generator(config(spectral_norm=False))))


def test_start_of_the_weights():
    torch.manual_seed(0)
    G = Generator(config(base_width=4, spectral_norm=False, attention=(8,)))
    for name, parameter in G.named_parameters():
        if name.endswith("gain"):
            assert (parameter == 1.0).all(), name
        elif name.endswith(("bias", "gamma")):
            assert (parameter == 0.0).all(), name
        else:
            rows, columns = parameter.shape[:2]
            bound = (6.0 / (parameter[0, 0].numel() * (rows + columns))) ** 0.5
            assert 0.9 * bound < parameter.abs().max() <= bound, name


def test_options_reach_the_layers():
    G = Generator(config(sn_eps=1e-8, bn_eps=2e-5, bn_momentum=0.01, attention=(8,)))
    assert {norm.eps for norm, _ in spectral_norms(G)} == {1e-8}
    norms = [layer for layer in G.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    assert len(norms) == 2 * 2 + 1
    assert {(layer.eps, layer.momentum) for layer in norms} == {(2e-5, 0.01)}


def test_switches_of_the_recipes_reach_the_layers():
    G = Generator(
        config(
            attention=(8,),
            residual=(16,),
            sn_gradient="full",
            class_conditioning="linear",
            bn_momentum=0.001,
            bn_momentum_last=0.0001,
            bn_biased=True,
        )
    )
    norms = [layer for layer in G.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    assert [layer.momentum for layer in norms] == [0.001] * 4 + [0.0001]
    assert {layer.biased for layer in norms} == {True}
    # Besides those of test_spectral_normalisation_is_on_every_layer_but_the_tables two in each of four norms, and the
    # two convolutions of the ablation block.
    assert [norm.gradient for norm, _ in spectral_norms(G)] == ["full"] * (1 + 2 * 3 + 1 + 3 + 2 * 4 + 2)
    assert not any(
        "norm" in name
        for name, m in Generator(config(class_conditioning="linear", spectral_norm=False)).named_modules()
        if isinstance(m, SpectralNorm)
    )


@pytest.mark.parametrize("attention", [(), (8,)])
def test_orthogonal_weights_everywhere(attention):
    G = Generator(config(base_width=4, init="orthogonal", class_conditioning="linear", attention=attention))
    refresh_spectral(G)
    weights = list(spectral_norms(G))
    assert len(weights) == 1 + 2 * 3 + 1 + 2 * 4 + 3 * len(attention)
    for _, weight in weights:
        values = torch.linalg.svdvals(weight.detach().flatten(1))
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-5, rtol=0.0)


def test_linear_conditioning_has_the_parameters_of_the_tables(no_memory):
    tables, linear = (
        Generator(GeneratorConfig(class_conditioning=kind, spectral_norm=False)) for kind in ("tables", "linear")
    )
    assert count(tables) == count(linear)


@pytest.mark.parametrize("gradient", ["stop", "full"])
@pytest.mark.parametrize("conditioning", ["tables", "linear"])
def test_trap_08_each_vector_moves_once_in_a_training_forward(inputs, conditioning, gradient):
    switches = {"class_conditioning": conditioning, "sn_gradient": gradient}
    G = Generator(config(attention=(8,), attention_form="official", **switches)).double()
    expected = copy.deepcopy(G)
    for norm, weight in spectral_norms(expected):
        norm.iterate(weight)
    z, y = inputs
    G(z.double(), y)
    pairs = list(zip(spectral_norms(G), spectral_norms(expected), strict=True))
    for (norm, _), (reference, _) in pairs:
        torch.testing.assert_close((norm.u, norm.v), (reference.u, reference.v), atol=1e-12, rtol=0.0)
    G.eval()(z.double(), y)
    for (norm, _), (reference, _) in pairs:
        torch.testing.assert_close((norm.u, norm.v), (reference.u, reference.v), atol=1e-12, rtol=0.0)
        assert norm.prepared is None  # each layer took what was prepared for it


def test_weights_follow_from_the_seed_and_leave_pytorchs_random_state(tiny_config):
    torch.manual_seed(123)
    state = torch.get_rng_state()
    one, two, other = (build_networks(tiny_config(seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b, c in zip(one, two, other, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
        assert not torch.equal(a.linear.weight, c.linear.weight)


def test_start_of_biases_and_tables_and_eps_by_layer():
    torch.manual_seed(0)
    G = Generator(config(bias_start="linear", class_start="weights", sn_eps=1e-8, sn_eps_linear=1e-5))
    bound = G.config.z_dim**-0.5
    assert 0.5 * bound < G.linear.bias.abs().max() <= bound
    convs = [m for m in G.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert all((conv.bias == 0.0).all() for conv in convs)
    shares: list[torch.Tensor] = []
    for norm in [m for m in G.modules() if isinstance(m, ConditionalBatchNorm2d)]:
        if norm.num_classes == 0:
            assert (norm.gain == 1.0).all() and (norm.bias == 0.0).all()
            continue
        limit = (6.0 / (norm.num_classes + norm.num_features)) ** 0.5  # Glorot uniform of a (classes, C) matrix
        for drawn in (norm.gain.detach() - 1.0, norm.bias.detach()):
            shares.append((drawn.abs() / limit).flatten())
            least = 1e-9 ** (1 / drawn.numel()) * limit  # so many uniform numbers all stay below it once in 1e9
            assert least < drawn.abs().max() <= limit + 1e-6
    assert torch.cat(shares).max() > 0.9 and len(torch.cat(shares)) == 192  # all below 0.9 once in 6e8
    eps = {spectral.eps for spectral, weight in spectral_norms(G) if weight.ndim == 4}
    assert (eps, {spectral.eps for spectral, weight in spectral_norms(G) if weight.ndim == 2}) == ({1e-8}, {1e-5})

    G = Generator(config(bias_start="all"))
    assert all((m.bias != 0.0).any() for m in G.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)


def test_bilinear_upsampling_is_that_of_pytorch(inputs, open_gates):
    torch.manual_seed(0)
    G = open_gates(Generator(config(upsampling="bilinear", attention=(), spectral_norm=False))).double()
    z, y = inputs[0].double(), inputs[1]
    up = partial(F.interpolate, scale_factor=2, mode="bilinear", align_corners=False)
    h = G.linear(z).view(len(z), -1, 4, 4)
    for block in G.blocks:
        main = block.conv1(up(F.relu(block.norm1(h, y))))
        h = block.conv2(F.relu(block.norm2(main, y))) + block.shortcut(up(h))
    expected = torch.tanh(G.conv(F.relu(G.norm(h))))
    torch.testing.assert_close(G(z, y), expected, atol=1e-10, rtol=1e-10)
    nearest = Generator(config(attention=(), spectral_norm=False)).double()
    nearest.load_state_dict(G.state_dict())
    assert (nearest(z, y) - expected).abs().max() > 1e-3


def test_parts_of_the_noise_are_those_of_the_sources():
    at_64 = {"size_px": 64, "attention": (), "num_classes": 3}
    assert GeneratorConfig(**at_64, z_dim=32).noise_parts == ((0, 32), *((0, 0),) * 4)
    assert GeneratorConfig(**at_64, z_dim=32, noise_entry="whole").noise_parts == ((0, 32),) * 5
    # BigGAN's 20 for each place
    chunks = GeneratorConfig(**at_64, z_dim=100, noise_entry="chunks").noise_parts
    assert chunks == ((0, 20), (20, 40), (40, 60), (60, 80), (80, 100))
    assert config(z_dim=8, noise_entry="chunks").noise_parts == ((0, 3), (3, 6), (6, 8))
    with pytest.raises(ValueError, match="z_dim must be at least 3 for noise_entry chunks at this size, found 2"):
        config(z_dim=2, noise_entry="chunks")


@pytest.mark.parametrize("entry", ["chunks", "whole"])
@pytest.mark.parametrize("conditioning", ["tables", "linear"])
def test_noise_enters_the_blocks_with_the_class(inputs, entry, conditioning):
    torch.manual_seed(0)
    fields = {"attention": (), "noise_entry": entry, "class_conditioning": conditioning, "single_largest": 1}
    G = Generator(config(**fields, spectral_norm=False)).double()
    z, y = inputs[0].double(), inputs[1]
    parts = (z[:, :3], z[:, 3:6], z[:, 6:]) if entry == "chunks" else (z, z, z)

    def normalise(layer, x, noise):
        one_hot = F.one_hot(y, 3).double()
        gain, bias = layer.tables()
        # BigGAN's form: one matrix over the class and the noise, joined
        joined = torch.cat([one_hot, noise], 1)
        gain = joined @ torch.cat([gain, layer.gain_noise.weight.T])
        bias = joined @ torch.cat([bias, layer.bias_noise.weight.T])
        x = F.batch_norm(x, None, None, training=True, eps=1e-5)
        return F.relu(x * gain[:, :, None, None] + bias[:, :, None, None])

    def up(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    h = G.linear(parts[0]).view(len(z), -1, 4, 4)
    for block, noise in zip(G.blocks, parts[1:], strict=True):
        main = block.conv1(up(normalise(block.norm1, h, noise)))
        if not block.single:
            main = block.conv2(normalise(block.norm2, main, noise))
        h = main + block.shortcut(up(h))
    expected = torch.tanh(G.conv(F.relu(G.norm(h))))
    torch.testing.assert_close(G(z, y), expected, atol=1e-10, rtol=1e-10)


def test_maps_of_the_noise_are_layers_like_others():
    G = Generator(config(noise_entry="chunks"))
    normalised = {id(weight) for _, weight in spectral_norms(G)}
    maps = [m for block in G.blocks for m in block.modules() if isinstance(m, nn.Linear)]
    assert len(maps) == 8 and all(id(m.parametrizations.weight.original) in normalised for m in maps)
    plain = Generator(config())
    # 8 numbers are 3, 3 and 2: fewer for the start, and maps of the others for two normalisations of a block
    widths = plain.config.widths
    maps = 2 * 3 * (widths[0] + widths[1]) + 2 * 2 * (widths[1] + widths[2])
    assert count(G) == count(plain) - 16 * widths[0] * 5 + maps


def test_cheaper_blocks_have_the_parameters_that_they_should():
    fields = {"size_px": 64, "attention": (), "base_width": 4, "spectral_norm": False}
    plain = Generator(config(**fields))
    assert plain.config.widths == (64, 32, 16, 8, 4)
    narrow = Generator(config(**fields, narrow_largest=2))
    assert narrow.config.widths == (64, 32, 16, 4, 2)
    # conv1, conv2, shortcut and their biases, tables of both norms for 3 classes, of the last two blocks and the end
    blocks = [
        (9 * i * o + o) + (9 * o * o + o) + (i * o + o) + 2 * 3 * (i + o) for i, o in ((16, 8), (8, 4), (16, 4), (4, 2))
    ]
    ends = [2 * o + 9 * o * 3 + 3 for o in (4, 2)]
    assert count(plain) - count(narrow) == sum(blocks[:2]) - sum(blocks[2:]) + ends[0] - ends[1]
    single = Generator(config(**fields, single_largest=1))
    assert count(plain) - count(single) == 9 * 4 * 4 + 4 + 2 * 3 * 4
    assert [block.single for block in single.blocks] == [False, False, False, True]
    assert GeneratorConfig(size_px=64, base_width=1, attention=(), narrow_largest=1).widths[-1] == 1


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_a_block_with_one_convolution_is_what_it_says(inputs, upsampling):
    torch.manual_seed(0)
    fields = {"attention": (), "spectral_norm": False, "upsampling": upsampling, "single_largest": 2}
    G = Generator(config(**fields)).double()
    z, y = inputs[0].double(), inputs[1]
    more = {"align_corners": False} if upsampling == "bilinear" else {}
    up = partial(F.interpolate, scale_factor=2, mode=upsampling, **more)
    h = G.linear(z).view(len(z), -1, 4, 4)
    for block in G.blocks:
        assert not hasattr(block, "conv2")
        h = block.conv1(up(F.relu(block.norm1(h, y)))) + block.shortcut(up(h))
    expected = torch.tanh(G.conv(F.relu(G.norm(h))))
    torch.testing.assert_close(G(z, y), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"narrow_largest": -1}, "narrow_largest must be from 0 to the 2 blocks"),
        ({"single_largest": 3}, "single_largest must be from 0 to the 2 blocks"),
        ({"base_width": 4, "attention": (16,), "narrow_largest": 1}, "channels divisible by 8, found 8"),
    ],
)
def test_cheaper_blocks_that_make_no_sense_are_refused(fields, said):
    if "attention" in fields:  # half of 16 channels are 8, which attention can split; half of 8 are not
        assert config(**fields).positions == {8: 16, 16: 8}
        fields, said = fields | {"base_width": 2}, "channels divisible by 8, found 4"
    with pytest.raises(ValueError, match=said):
        config(**fields)


def test_class_maps_alone_iterate_from_the_side_that_was_asked_for():
    for vectors, side in (("classes", "left"), ("channels", "right")):
        G = Generator(config(class_conditioning="linear", class_vectors=vectors))
        maps = [m for m in G.modules() if isinstance(m, nn.Embedding)]
        of_maps = {norm for m in maps for norm, _ in spectral_norms(m)}
        assert len(of_maps) == len(maps) > 0
        assert {norm.side for norm in of_maps} == {side}
        assert {norm.side for norm, _ in spectral_norms(G) if norm not in of_maps} == {"left"}


def test_what_names_a_network_stays_where_later_fields_are_at_rest():
    old = lasting_fields(config())
    assert "upsampling" not in old and "width_plan" not in old
    assert lasting_fields(config(class_vectors="channels")) == old | {"class_vectors": "channels"}
    assert lasting_fields(config(upsampling="bilinear")) == old | {"upsampling": "bilinear"}
    assert lasting_fields(config(narrow_largest=1)) == old | {"narrow_largest": 1}
    assert lasting_fields(config(size_px=256, width_plan="first")) == old | {"size_px": 256}
    assert lasting_fields(config(size_px=256))["width_plan"] == "published"


@pytest.mark.parametrize("eps", [0.0, -1e-5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["bn_eps", "sn_eps", "sn_eps_linear"])
def test_what_keeps_divisors_above_0_must_be_above_0_and_finite(name, eps):
    with pytest.raises(ValueError, match=f"^{name} must be above 0 and finite, found"):
        GeneratorConfig(**{name: eps})
    if name != "bn_eps":
        with pytest.raises(ValueError, match=f"^{name} must be above 0 and finite, found"):
            DiscriminatorConfig(**{name: eps})
