import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.losses import discriminator_loss, generator_loss
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.models.discriminator import ClassifierLogits, Discriminator
from sagan.models.generator import Generator
from sagan.ops.norm import ConditionalBatchNorm2d
from sagan.ops.spectral import frozen_spectral, spectral_norms

FORMS = ("slides", "official", "paper_v2", "full")

# SPEC 1.4, 3.4 and 2: configuration and number of parameters.
COUNTS = [
    ({"attention": ()}, 39_443_137),
    ({"attention": (), "width": "thin"}, 30_041_857),
    ({"attention": (8,)}, 39_770_818),
    ({"attention": (16,)}, 39_525_058),
    ({"attention": (32,)}, 39_463_618),
    ({"attention": (64,)}, 39_448_258),
    ({"attention": (8,), "attention_form": "official"}, 39_770_818),
    ({"attention": (64,), "attention_form": "official"}, 39_448_258),
    ({"attention": (32,), "attention_form": "paper_v2"}, 39_443_137 + 8_193),
    ({"attention": (32,), "attention_form": "full"}, 39_443_137 + 36_865),
    ({"attention": (), "residual": (8,)}, 39_443_137 + 331_777),
    ({"attention": (), "residual": (16,)}, 39_443_137 + 82_945),
    ({"attention": (), "residual": (32,)}, 39_443_137 + 20_737),
    ({"attention": (), "residual": (64,)}, 39_443_137 + 4_609),
    ({"attention": (), "residual": (64,), "residual_ratio": 8}, 39_443_137 + 9_289),
    ({"attention": (), "head": "none"}, 39_443_137 - 1000 * 1024),
    ({"attention": (), "head": "auxiliary"}, 39_443_137),  # 1000 x 1024 without bias, as large as the embedding
    ({"attention": (), "num_classes": 0}, 39_443_137 - 1000 * 1024),
    *[
        (
            {"size_px": 64, "attention": (), "num_classes": classes, "width": "thin", "last_block_down": True},
            expected,
        )
        for classes, expected in ((1000, 11_165_441), (200, 10_346_241), (100, 10_243_841), (10, 10_151_681))
    ],
    *[
        ({"size_px": 64, "attention": (), "num_classes": classes}, expected)
        for classes, expected in ((1000, 20_566_721), (200, 19_747_521), (100, 19_645_121), (10, 19_552_961))
    ],
    ({"size_px": 64, "attention": (32,), "num_classes": 200}, 19_752_642),
    ({"size_px": 32, "attention": (), "num_classes": 10}, 1_055_105),
    ({"size_px": 32, "attention": (), "num_classes": 10, "linear_bias": False}, 1_055_104),
    ({"size_px": 32, "attention": (), "num_classes": 100}, 1_066_625),
    ({"size_px": 32, "attention": (16,), "num_classes": 10}, 1_075_586),
    ({"size_px": 256, "attention": ()}, 44_425_409),
    ({"attention": (), "width": "thin", "thin_first": True}, 30_005_013),
    # Counted in BigGAN-PyTorch's networks:
    ({"size_px": 32, "attention": (), "width_plan": "biggan"}, 4_460_801),
    ({"attention": (4,), "attention_form": "official", "attention_repeat": True}, 42_064_579),
]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def config(**fields):
    return DiscriminatorConfig(**{"size_px": 16, "num_classes": 3, "base_width": 4} | fields)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 16, 16, generator=generator) * 2.0 - 1.0, torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize(("fields", "expected"), COUNTS)
def test_parameter_counts_of_the_specification(fields, expected, no_memory):
    assert count(Discriminator(DiscriminatorConfig(**fields, spectral_norm=False))) == expected


def test_cheaper_blocks_have_the_parameters_that_they_should():
    fields = {"size_px": 64, "attention": (), "spectral_norm": False}
    plain, narrow = Discriminator(config(**fields)), Discriminator(config(**fields, narrow_largest=1))
    assert (plain.config.widths, narrow.config.widths) == ((4, 8, 16, 32, 64), (2, 8, 16, 32, 64))

    def block(i, o):  # conv1, conv2, shortcut and their biases
        return (9 * i * o + o) + (9 * o * o + o) + (i * o + o)

    assert count(plain) - count(narrow) == block(3, 4) + block(4, 8) - block(3, 2) - block(2, 8)
    single = Discriminator(config(**fields, single_largest=2))
    assert count(plain) - count(single) == (9 * 4 * 4 + 4) + (9 * 8 * 8 + 8)
    thin = Discriminator(config(**fields, width="thin", single_largest=2))
    assert count(thin.blocks[1]) == count(single.blocks[1])
    with pytest.raises(ValueError, match="single_largest must be from 0 to the 3 blocks"):
        config(single_largest=4)


@pytest.mark.parametrize("shortcut_relu", [False, True])
def test_a_block_with_one_convolution_is_what_it_says(inputs, shortcut_relu):
    torch.manual_seed(0)
    fields = {"attention": (), "spectral_norm": False, "shortcut_relu": shortcut_relu, "single_largest": 3}
    D = Discriminator(config(**fields)).double()
    x, y = inputs[0].double(), inputs[1]
    first, *others = D.blocks
    h = F.avg_pool2d(F.relu(first.conv1(x)), 2) + first.shortcut(F.avg_pool2d(x, 2))
    for block in others:
        assert not hasattr(block, "conv2") and block.shortcut is None and not block.down
        h = block.conv1(F.relu(h)) + (F.relu(h) if shortcut_relu else h)
    h = F.relu(h).sum((2, 3))
    expected = D.linear(h).squeeze(1) + (D.embedding.weight[y] * h).sum(1)
    torch.testing.assert_close(D(x, y), expected, atol=1e-10, rtol=1e-10)


def test_a_halving_block_with_one_convolution_is_what_it_says():
    torch.manual_seed(0)
    D = Discriminator(config(size_px=32, attention=(), spectral_norm=False, single_largest=2)).double()
    block, h = D.blocks[1], torch.randn(2, 8, 16, 16).double()
    expected = F.avg_pool2d(block.conv1(F.relu(h)) + block.shortcut(h), 2)
    torch.testing.assert_close(block(h), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("head", ["projection", "auxiliary"])
def test_spectral_normalisation_adds_no_parameter(head):
    assert count(Discriminator(config(head=head))) == count(Discriminator(config(head=head, spectral_norm=False)))


def test_the_two_networks_of_feat64_have_81_million_weights(no_memory):
    fields = {"attention": (64,), "attention_form": "official", "spectral_norm": False}
    both = count(Discriminator(DiscriminatorConfig(**fields))) + count(Generator(GeneratorConfig(**fields)))
    assert round(both / 1e6, 2) == 81.47


@pytest.mark.parametrize(
    ("size_px", "base_width", "position", "positions"),
    [
        (16, 4, 8, [8]),
        (32, 4, 16, [8, 16]),
        (64, 8, 16, [4, 8, 16, 32]),
        (128, 4, 32, [4, 8, 16, 32, 64]),
        (256, 4, 64, [4, 8, 16, 32, 64, 128]),
    ],
)
def test_shape_default_attention_and_positions_of_each_size(size_px, base_width, position, positions):
    torch.manual_seed(0)
    D = Discriminator(config(size_px=size_px, base_width=base_width))
    with torch.no_grad():
        logits = D(torch.rand(2, 3, size_px, size_px) * 2.0 - 1.0, torch.tensor([0, 2]))
    assert logits.shape == (2,)
    assert list(D.attention) == [str(position)]
    assert sorted(D.config.positions) == positions


@pytest.mark.parametrize("width", ["wide", "thin"])
@pytest.mark.parametrize("last_block_down", [False, True])
def test_the_network_is_the_one_of_the_specification(inputs, open_gates, width, last_block_down):
    """The whole forward once more, from plain operations in the paper's order."""
    torch.manual_seed(0)
    fields = {"attention": (8,), "spectral_norm": False, "width": width, "last_block_down": last_block_down}
    D = open_gates(Discriminator(config(**fields))).double()
    x, y = inputs[0].double(), inputs[1]
    for name, parameter in D.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)

    def conv(layer, t):
        return F.conv2d(t, layer.weight, layer.bias, padding=layer.weight.shape[2] // 2)

    def attend(block, t):
        q, k, v = (F.conv2d(t, layer.weight).flatten(2) for layer in (block.query, block.key, block.value))
        beta = torch.softmax(torch.einsum("bci,bcj->bji", k, q), dim=2)
        return t + block.gamma * torch.einsum("bji,bci->bcj", beta, v).view_as(t)

    first, second, third = D.blocks
    assert second.conv1.weight.shape == (8, 8, 3, 3)
    h = F.avg_pool2d(conv(first.conv2, F.relu(conv(first.conv1, x))), 2) + conv(first.shortcut, F.avg_pool2d(x, 2))
    h = attend(D.attention["8"], h)
    h = h + conv(second.conv2, F.relu(conv(second.conv1, F.relu(h))))
    main = conv(third.conv2, F.relu(conv(third.conv1, F.relu(h))))
    h = F.avg_pool2d(main, 2) + F.avg_pool2d(conv(third.shortcut, h), 2) if last_block_down else h + main
    h = F.relu(h).sum((2, 3))
    expected = F.linear(h, D.linear.weight, D.linear.bias)[:, 0] + (D.embedding.weight[y] * h).sum(1)
    torch.testing.assert_close(D(x, y), expected, atol=1e-10, rtol=1e-12)


def test_hidden_widths_of_a_thin_network_are_those_of_the_inputs(no_memory):
    wide = Discriminator(DiscriminatorConfig(attention=(), spectral_norm=False))
    thin = Discriminator(DiscriminatorConfig(attention=(), width="thin", spectral_norm=False))
    hidden = lambda D: [block.conv1.out_channels for block in D.blocks]  # noqa: E731
    assert hidden(wide) == [64, 128, 256, 512, 1024, 1024]
    assert hidden(thin) == [64, 64, 128, 256, 512, 1024]  # the first block keeps its 64, not 3


def test_down_sampling_blocks_of_each_size():
    downs = lambda size, **fields: list(DiscriminatorConfig(size_px=size, **fields).downs)  # noqa: E731
    assert downs(16) == [True, False, False]
    assert downs(32) == [True, True, False, False]
    assert downs(64) == [True] * 4 + [False]
    assert downs(64, last_block_down=True) == [True] * 5
    assert downs(128) == [True] * 5 + [False]
    assert downs(256) == [True] * 6 + [False]


@pytest.mark.parametrize("form", FORMS)
def test_with_gamma_zero_attention_changes_nothing(inputs, form):
    torch.manual_seed(0)
    D = Discriminator(config(attention=(8,), attention_form=form))
    plain = Discriminator(config(attention=()))
    plain.load_state_dict({k: v for k, v in D.state_dict().items() if not k.startswith("attention.")})
    assert torch.equal(D(*inputs), plain(*inputs))


@pytest.mark.parametrize("ratio", [None, 8])
def test_with_gamma_zero_the_ablation_block_changes_nothing(inputs, ratio):
    torch.manual_seed(0)
    D = Discriminator(config(attention=(), residual=(8,), residual_ratio=ratio))
    plain = Discriminator(config(attention=()))
    plain.load_state_dict({k: v for k, v in D.state_dict().items() if not k.startswith("residual.")})
    assert torch.equal(D(*inputs), plain(*inputs))


@pytest.mark.parametrize("field", ["attention", "residual"])
def test_a_block_works_once_after_the_first_output_of_its_size(open_gates, field):
    """At 32 px three blocks give 8x8: feat8 is after the first of them."""
    torch.manual_seed(0)
    D = open_gates(Discriminator(config(size_px=32, **{"attention": ()} | {field: (8, 16)})))
    order = []
    for name, module in D.named_modules():
        if name.startswith(("blocks.", f"{field}.")) and name.count(".") == 1:
            module.register_forward_hook(lambda _, __, ___, name=name: order.append(name))
    D(torch.zeros(1, 3, 32, 32), torch.tensor([0]))
    assert order == ["blocks.0", f"{field}.16", "blocks.1", f"{field}.8", "blocks.2", "blocks.3"]


def test_a_position_that_does_not_exist_names_those_that_do():
    with pytest.raises(ValueError, match="the discriminator has no feat32; it has feat8, feat16"):
        DiscriminatorConfig(size_px=32, attention=(32,))
    with pytest.raises(
        ValueError, match="the discriminator has no feat128; it has feat4, feat8, feat16, feat32, feat64"
    ):
        DiscriminatorConfig(residual=(128,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size_px": 100}, r"size_px must be one of \[16, 32, 64, 128, 256\], found 100"),
        ({"num_classes": -1}, "num_classes must be at least 0, found -1"),
        ({"base_width": 0}, "base_width must be at least 1, found 0"),
        ({"head": "concat"}, "head must be one of projection, auxiliary, none, found 'concat'"),
        ({"width": "narrow"}, "width must be one of wide, thin, found 'narrow'"),
        ({"attention_form": "v2"}, "attention_form must be one of slides, official, paper_v2, full, found 'v2'"),
        (
            {"residual": (32,), "attention": (), "residual_ratio": 0},
            "residual_ratio must be from 1 to the .* channels at feat32 .*, found 0",
        ),
    ],
)
def test_wrong_fields_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        DiscriminatorConfig(**fields)


def test_wrong_inputs_are_refused(inputs):
    x, y = inputs
    D = Discriminator(config())
    for images in (x[:, :1], x[:, :, :8], x[0]):
        with pytest.raises(ValueError, match=r"images must be \(B, 3, 16, 16\), found"):
            D(images, y)
    with pytest.raises(ValueError, match="conditional on 3 classes; pass labels"):
        D(x)
    for labels in (y[:, None], y[:3], y.int()):
        with pytest.raises(ValueError, match=r"labels must be int64 of shape \(4,\)"):
            D(x, labels)


def test_heads(inputs):
    x, y = inputs
    torch.manual_seed(0)
    auxiliary = Discriminator(config(head="auxiliary"))
    output = auxiliary(x, y)
    assert isinstance(output, ClassifierLogits)
    assert output.source.shape == (4,)
    assert output.classes.shape == (4, 3)
    assert auxiliary.classifier.bias is None
    assert auxiliary.embedding is None
    with frozen_spectral(auxiliary):
        assert torch.equal(auxiliary(x).source, auxiliary(x, y.flip(0)).source)

    for D in (Discriminator(config(head="none")), Discriminator(config(num_classes=0))):
        assert D(x).shape == (4,)
        assert D.embedding is None
        assert D.classifier is None


def test_trap_08_each_vector_moves_once_in_a_training_forward(inputs):
    for head in ("projection", "auxiliary"):
        D = Discriminator(config(attention=(8,), head=head)).double()
        expected = copy.deepcopy(D)
        for norm, weight in spectral_norms(expected):
            norm.iterate(weight)
        x, y = inputs
        D(x.double(), y)
        pairs = list(zip(spectral_norms(D), spectral_norms(expected), strict=True))
        # Blocks of 3, 2 and 2 convolutions, the linear layer, embedding or classifier, three in the attention block.
        assert len(pairs) == 3 + 2 + 2 + 1 + 1 + 3
        for (norm, _), (reference, _) in pairs:
            torch.testing.assert_close((norm.u, norm.v), (reference.u, reference.v), atol=1e-12, rtol=0.0)
            assert norm.prepared is None  # each layer took what was prepared for it


def test_switches_of_the_recipes_reach_the_layers():
    D = Discriminator(config(attention=(8,), sn_gradient="full", init="orthogonal", shortcut_relu=True))
    assert {norm.gradient for norm, _ in spectral_norms(D)} == {"full"}
    assert {block.shortcut_relu for block in D.blocks} == {True}
    for _, weight in spectral_norms(D):
        values = torch.linalg.svdvals(weight.detach().flatten(1))
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-5, rtol=0.0)
    assert {block.shortcut_relu for block in Discriminator(config()).blocks} == {False}


def test_trap_09_vectors_of_embedding_and_heads():
    D = Discriminator(config(num_classes=7))
    u_length = lambda layer: layer.parametrizations.weight[0].u.shape  # noqa: E731
    assert u_length(D.linear) == (1,)
    assert u_length(D.embedding) == (7,)
    assert u_length(D.blocks[0].conv1) == (8,)


@pytest.mark.parametrize("head", ["projection", "auxiliary", "none"])
def test_trap_13_real_and_fake_in_one_forward_equal_two(inputs, open_gates, head):
    torch.manual_seed(0)
    D = open_gates(Discriminator(config(head=head)))
    x, y = inputs
    with frozen_spectral(D):
        together, first, second = D(x, y), D(x[:2], y[:2]), D(x[2:], y[2:])
    if head != "auxiliary":
        together, first, second = (together,), (first,), (second,)
    for whole, a, b in zip(together, first, second, strict=True):
        torch.testing.assert_close(whole, torch.cat([a, b]), atol=1e-5, rtol=1e-5)


def test_trap_13_no_layer_of_the_discriminator_mixes_samples():
    for fields in ({}, {"head": "auxiliary"}, {"width": "thin"}, {"attention": (), "residual": (8,)}):
        D = Discriminator(config(**fields))
        assert not [m for m in D.modules() if isinstance(m, (nn.modules.batchnorm._BatchNorm, ConditionalBatchNorm2d))]


def test_trap_16_features_are_summed_not_averaged():
    """A constant map of twice the height and width gives four times the features."""
    logits = []
    for last_block_down in (True, False):  # ends at 4x4, at 8x8
        D = Discriminator(config(attention=(), spectral_norm=False, head="none", last_block_down=last_block_down))
        for parameter in D.parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(D.blocks[-1].conv2.bias, 0.5)
        nn.init.ones_(D.linear.weight)
        logits += D(torch.zeros(1, 3, 16, 16)).tolist()
    assert logits == [8 * 0.5 * 4 * 4, 8 * 0.5 * 8 * 8]


def test_trap_16_with_a_unit_vector_as_embedding_the_logit_is_a_feature(inputs):
    torch.manual_seed(0)
    D = Discriminator(config(spectral_norm=False))
    features = []
    D.linear.register_forward_pre_hook(lambda _, args: features.append(args[0]))
    nn.init.zeros_(D.linear.weight)
    nn.init.eye_(D.embedding.weight)  # row k is the k-th unit vector of the 8
    logits = D(*inputs)
    [h] = features
    assert h.shape == (4, 8)
    assert h.min() >= 0.0
    assert torch.equal(logits, h[torch.arange(4), inputs[1]])


def test_trap_15_the_logits_are_a_vector(inputs):
    D = Discriminator(config())
    assert D(*inputs).shape == (4,)
    assert D(inputs[0][:1], inputs[1][:1]).shape == (1,)


def test_logits_of_the_untrained_published_network_are_near_zero():
    """SPEC 11: |mean| about .03 on random images, so that L_D = 2 and L_G = 0."""
    torch.manual_seed(0)
    D = Discriminator(DiscriminatorConfig())
    with torch.no_grad(), frozen_spectral(D):
        logits = D(torch.rand(2, 3, 128, 128) * 2.0 - 1.0, torch.tensor([0, 999]))
    # Over seeds a logit spreads by .055, the difference of two by .03: no seed is likely to be this far out.
    assert 1e-4 < logits.abs().max() < 0.3
    assert discriminator_loss("hinge", logits[:1], logits[1:]).item() == pytest.approx(2.0, abs=0.15)
    assert generator_loss("hinge", logits).item() == pytest.approx(0.0, abs=0.3)


def test_start_of_the_weights():
    torch.manual_seed(0)
    D = Discriminator(config(spectral_norm=False))
    for name, parameter in D.named_parameters():
        if name.endswith(("bias", "gamma")):
            assert (parameter == 0.0).all(), name
        else:
            rows, columns = parameter.shape[:2]
            bound = (6.0 / (parameter[0, 0].numel() * (rows + columns))) ** 0.5
            least = 1e-9 ** (1 / parameter.numel()) * bound  # so many uniform numbers all stay below it once in 1e9
            assert least < parameter.abs().max() <= bound, name


def test_attention_can_follow_every_block_of_a_height(inputs, open_gates):
    torch.manual_seed(0)
    once = open_gates(Discriminator(config(attention=(8,))))
    D = open_gates(Discriminator(config(attention=(8,), attention_repeat=True)))
    assert D.config.heights == (8, 8, 8)
    assert list(D.attention) == ["8", "8-2", "8-3"]
    assert list(once.attention) == ["8"]
    seen = []
    for name, block in D.attention.items():
        block.register_forward_hook(lambda *_, name=name: seen.append(name))
    D(*inputs)
    assert seen == ["8", "8-2", "8-3"]
    D.load_state_dict(once.state_dict(), strict=False)
    for name in ("8-2", "8-3"):
        nn.init.zeros_(D.attention[name].gamma)
    D.eval(), once.eval()
    torch.testing.assert_close(D(*inputs), once(*inputs))


def test_the_first_block_can_be_thin_too():
    thin = Discriminator(config(width="thin", thin_first=True))
    assert thin.blocks[0].conv1.out_channels == 3
    assert thin.blocks[1].conv1.out_channels == thin.blocks[1].conv1.in_channels
    with pytest.raises(ValueError, match="thin_first goes with width thin"):
        config(thin_first=True)


def test_biases_and_eps_of_linear_layers():
    torch.manual_seed(0)
    D = Discriminator(config(bias_start="linear", sn_eps=1e-8, sn_eps_linear=1e-5))
    assert (D.linear.bias != 0.0).all()
    assert (D.blocks[0].conv1.bias == 0.0).all()
    eps = {weight.ndim: norm.eps for norm, weight in spectral_norms(D)}
    assert eps == {4: 1e-8, 2: 1e-5}
