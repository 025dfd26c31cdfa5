import copy
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from sagan.ops.attention import SelfAttention2d, _tile, attend
from sagan.ops.spectral import frozen_spectral, spectral_norms

FORMS = ["slides", "official", "paper_v2", "full"]
LEAN = ["fused", "tiled"]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def block(channels=16, form="slides", gamma=0.7, **options) -> SelfAttention2d:
    made = SelfAttention2d(channels, form, **options)
    nn.init.constant_(made.gamma, gamma)
    return made


def picking(conv: nn.Conv2d, *channels: int) -> None:
    """Make the outputs of a 1x1 convolution copies of these input channels (all others 0)."""
    with torch.no_grad():
        conv.weight.zero_()
        for output, channel in enumerate(channels):
            conv.weight[output, channel] = 1.0


def four_loops(attention: SelfAttention2d, x: Tensor) -> Tensor:
    """Compute beta_ji and o_j of the paper entry by entry: batch, query j, key i, channel."""

    def columns(features: Tensor) -> list[list[list[float]]]:
        return features.flatten(2).transpose(1, 2).tolist()

    f, g, h = attention.key(x), attention.query(x), attention.value(x)
    if attention.form == "official":
        f, h = naive_max_pool(f), naive_max_pool(h)
    o = torch.zeros(len(x), h.shape[1], x.shape[2] * x.shape[3], dtype=x.dtype)
    for b, (fs, gs, hs) in enumerate(zip(columns(f), columns(g), columns(h), strict=True)):
        for j in range(len(gs)):
            weights = [math.exp(sum(p * q for p, q in zip(fs[i], gs[j], strict=True))) for i in range(len(fs))]
            for i in range(len(fs)):
                for c in range(o.shape[1]):
                    o[b, c, j] += weights[i] / sum(weights) * hs[i][c]
    o = o.reshape(len(x), -1, *x.shape[2:])
    return o if attention.output is None else attention.output(o)


def naive_max_pool(x: Tensor) -> Tensor:
    return torch.stack([x[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]).amax(0)


def attention_inputs(batch=2, queries=12, keys=20, width=4, value_width=6, **options) -> list[Tensor]:
    shapes = [(batch, queries, width), (batch, keys, width), (batch, keys, value_width)]
    return [torch.randn(*shape, requires_grad=True, **options) for shape in shapes]


def value_and_gradients(implementation: str, inputs: list[Tensor]) -> list[Tensor]:
    result = attend(*inputs, implementation)
    direction = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).reshape(result.shape)
    return [result.detach(), *torch.autograd.grad(result, inputs, direction)]


# Traps of the specification


def test_trap_01_softmax_axis():
    attention = block(8, gamma=1.0, spectral_norm=False)
    picking(attention.query, 0)
    picking(attention.key, 0)
    picking(attention.value, *range(8))
    t = math.sqrt(math.log(3))
    x = torch.zeros(1, 8, 1, 4)
    x[0, 0, 0, 3] = t
    expected = torch.tensor([t / 4, t / 4, t / 4, t / 2])  # over the wrong axis: t/6, t/6, t/6, t/2
    torch.testing.assert_close((attention(x) - x)[0, 0, 0], expected, atol=1e-6, rtol=0)


def test_trap_02_transposed_attention():
    attention = block(8, gamma=1.0, spectral_norm=False)
    picking(attention.key, 0)  # the paper's f
    picking(attention.query, 1)  # the paper's g
    picking(attention.value, 2)
    a, h = 1.5, torch.tensor([3.0, -1.0])
    x = torch.zeros(1, 8, 1, 2)
    x[0, 0, 0] = torch.tensor([0.0, 1.0])
    x[0, 1, 0] = torch.tensor([a, 0.0])
    x[0, 2, 0] = h
    expected = torch.stack([torch.softmax(torch.tensor([0.0, a]), 0) @ h, h.mean()])
    torch.testing.assert_close((attention(x) - x)[0, 0, 0], expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_trap_02_transposed_attention_against_four_loops(form, bias):
    attention = block(16, form, bias=bias).eval()
    if bias:
        for conv in (attention.query, attention.key, attention.value, attention.output):
            if conv is not None:
                nn.init.normal_(conv.bias)
    x = torch.randn(2, 16, 4, 6)
    with torch.no_grad():
        torch.testing.assert_close(attention(x), x + 0.7 * four_loops(attention, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_trap_03_gamma_placement_and_shape(form):
    attention = SelfAttention2d(16, form)
    assert attention.gamma.numel() == 1
    x = torch.randn(2, 16, 4, 4)
    y = attention(x)
    assert torch.equal(y, x)
    (y * torch.randn_like(y)).sum().backward()
    assert attention.gamma.grad.item() != 0
    for name, parameter in attention.named_parameters():
        assert name == "gamma" or not parameter.grad.any(), name

    attention.eval().requires_grad_(False)
    attention.gamma.fill_(2.0)
    torch.testing.assert_close(attention(x), x + 2 * four_loops(attention, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("implementation", LEAN)
def test_trap_04_sdpa_scaling(implementation):
    query, key, value = attention_inputs(width=16)
    expected = torch.einsum("bij,bjc->bic", torch.einsum("bic,bjc->bij", query, key).softmax(-1), value)
    torch.testing.assert_close(attend(query, key, value, implementation), expected, atol=1e-5, rtol=0)


def test_trap_05_pooling_order_in_official():
    attention = block(16, "official", spectral_norm=False, gamma=1.0)
    x = torch.randn(1, 16, 4, 6)
    key = attention.key(x)
    assert (naive_max_pool(key) - attention.key(naive_max_pool(x))).abs().max() > 0.1, "this input tells no order apart"
    rows = attention.attention_map(x)
    assert rows.shape == (1, 24, 6)
    torch.testing.assert_close(rows.sum(2), torch.ones(1, 24))
    with torch.no_grad():
        torch.testing.assert_close(attention(x) - x, four_loops(attention, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(3, 4), (4, 3)])
def test_trap_05_pooling_order_in_official_refuses_odd_sizes(size):
    x = torch.randn(1, 16, *size)
    with pytest.raises(ValueError, match=f"even height and width, found {size[0]}x{size[1]}"):
        block(16, "official")(x)
    with pytest.raises(ValueError, match="even height and width"):
        block(16, "official").attention_map(x)
    assert block(16, "slides")(x).shape == x.shape


# The block


@pytest.mark.parametrize(
    ("channels", "counts"),
    {
        64: (5_121, 5_121, 2_049, 9_217, 5_201),
        128: (20_481, 20_481, 8_193, 36_865, 20_641),
        256: (81_921, 81_921, 32_769, 147_457, 82_241),
        512: (327_681, 327_681, 131_073, 589_825, 328_321),
        1024: (1_310_721, 1_310_721, 524_289, 2_359_297, 1_312_001),
    }.items(),
)
def test_parameter_counts(channels, counts):
    blocks = [SelfAttention2d(channels, form, spectral_norm=False) for form in FORMS]
    blocks.append(SelfAttention2d(channels, spectral_norm=False, bias=True))
    assert tuple(sum(p.numel() for p in b.parameters()) for b in blocks) == counts


@pytest.mark.parametrize("form", FORMS)
def test_spectral_norm_covers_every_convolution_and_adds_no_parameter(form):
    attention, plain = SelfAttention2d(64, form), SelfAttention2d(64, form, spectral_norm=False)
    assert sum(p.numel() for p in attention.parameters()) == sum(p.numel() for p in plain.parameters())
    assert not list(spectral_norms(plain))
    convs = [m for m in attention.modules() if isinstance(m, nn.Conv2d)]
    assert len(list(spectral_norms(attention))) == len(convs) == (3 if form == "slides" else 4)
    with frozen_spectral(attention):
        # 15 iterations from the initialised weight: close to its first singular value, never above it.
        for conv in convs:
            assert 0.999 < torch.linalg.svdvals(conv.weight.flatten(1).double())[0] < 1.3


def test_weights_start_glorot_uniform_and_biases_at_zero():
    attention = SelfAttention2d(256, "full", spectral_norm=False, bias=True)
    for conv in (attention.query, attention.key, attention.value, attention.output):
        bound = math.sqrt(6 / sum(conv.weight.shape[:2]))
        assert 0.99 * bound < conv.weight.abs().max() <= bound
        assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert not conv.bias.any()


@pytest.mark.parametrize("channels", [0, 4, 12, 100])
def test_channels_that_do_not_split_by_eight_are_refused(channels):
    with pytest.raises(ValueError, match=f"divisible by 8.*found {channels}"):
        SelfAttention2d(channels)


def test_many_channels_are_those_that_were_asked_for():
    assert block(512)(torch.zeros(1, 512, 2, 2)).shape == (1, 512, 2, 2)


@pytest.mark.parametrize(("width", "value_width", "wanted"), [(2, 16, 16), (3, 17, 24), (9, 8, 16), (1, 1, 8)])
def test_fused_kernels_get_one_width_that_is_the_next_multiple_of_eight(width, value_width, wanted, monkeypatch):
    seen = []
    kernel = torch.nn.functional.scaled_dot_product_attention

    def watched(*given, **options):
        seen.extend(t.shape[-1] for t in given)
        return kernel(*given, **options)

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", watched)
    query, key, value = torch.randn(1, 5, width), torch.randn(1, 4, width), torch.randn(1, 4, value_width)
    assert attend(query, key, value, "fused").shape == (1, 5, value_width)
    assert seen == [wanted] * 3


def test_a_tile_has_as_many_whole_rows_as_fit():
    # 2**20 entries, 4 MiB in fp32; at least one row, and no more than there are queries.
    def rows(queries, keys):
        with torch.device("meta"):
            return tuple(_tile(torch.empty(2, queries, 3), torch.empty(2, keys, 3)).shape)

    assert rows(4096, 4096) == (256, 4096)
    assert rows(100, 4096) == (100, 4096)
    assert rows(10, 2**21) == (1, 2**21)


def test_wrong_inputs_and_names_are_refused():
    with pytest.raises(ValueError, match=r"takes \(B, 16, H, W\), found \(1, 8, 4, 4\)"):
        block(16)(torch.randn(1, 8, 4, 4))
    with pytest.raises(ValueError, match=r"found \(16, 4, 4\)"):
        block(16).attention_map(torch.randn(16, 4, 4))
    with pytest.raises(ValueError, match="unknown attention form 'slide'; choose one of slides, official"):
        SelfAttention2d(16, "slide")
    with pytest.raises(ValueError, match="unknown attention implementation 'flash'"):
        SelfAttention2d(16, implementation="flash")
    with pytest.raises(ValueError, match="unknown attention implementation 'flash'"):
        attend(*attention_inputs(), implementation="flash")


def test_spectral_vectors_move_once_in_a_training_forward_and_never_in_evaluation():
    attention = block(16)
    x = torch.randn(1, 16, 4, 4)
    before = copy.deepcopy(attention.state_dict())
    attention.eval()(x)
    assert all(torch.equal(before[name], value) for name, value in attention.state_dict().items())
    twin = copy.deepcopy(attention)
    attention.train()(x)
    for norm, weight in spectral_norms(twin):
        norm.iterate(weight, 1)
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(attention.state_dict()[name], value)
    assert any(not torch.equal(before[name], value) for name, value in attention.state_dict().items())


@pytest.mark.parametrize("form", FORMS)
def test_a_deep_copy_computes_the_same_and_shares_nothing(form):
    attention = block(16, form).eval()
    twin = copy.deepcopy(attention)
    x = torch.randn(1, 16, 4, 4)
    expected = attention(x)
    assert torch.equal(twin(x), expected)
    with torch.no_grad():
        twin.gamma.fill_(3.0)
        for parameter in twin.key.parameters():
            parameter.zero_()
    assert torch.equal(attention(x), expected)


@pytest.mark.parametrize("form", FORMS)
def test_channels_last_input_gives_the_same(form):
    attention = block(16, form).eval()
    x = torch.randn(2, 16, 4, 6)
    torch.testing.assert_close(attention(x.contiguous(memory_format=torch.channels_last)), attention(x))


@pytest.mark.parametrize("size", [4, 32])  # a small map and one that is not stored
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # PyTorch's own, inside the exporter
def test_exports_with_any_batch_size(size):
    attention = block(16, spectral_norm=False).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(attention, (torch.randn(2, 16, size, size),), dynamic_shapes=({0: batch},))
    x = torch.randn(5, 16, size, size)
    torch.testing.assert_close(program.module()(x), attention(x))


# The map


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_attention_map_is_what_forward_applies(form, training):
    attention = block(16, form).train(training)
    x = torch.randn(2, 16, 4, 6)
    rows = attention.attention_map(x)
    assert rows.shape == (2, 24, math.prod(attention.key_grid(4, 6)))
    torch.testing.assert_close(rows.sum(2), torch.ones(2, 24))
    assert rows.min() >= 0
    with frozen_spectral(attention):
        value = attention.value(x)
        if form == "official":
            value = naive_max_pool(value)
        attended = torch.einsum("bji,bci->bcj", rows, value.flatten(2)).reshape(2, -1, 4, 6)
        if attention.output is not None:
            attended = attention.output(attended)
        torch.testing.assert_close(attention(x), x + 0.7 * attended, atol=1e-5, rtol=0)


@pytest.mark.parametrize("queries", [[5, 0, 23, 5], torch.tensor([5, 0, 23, 5]), (), None])
def test_attention_map_gives_the_asked_rows(queries):
    attention = block(16, "official")
    x = torch.randn(2, 16, 4, 6)
    full = attention.attention_map(x)
    wanted = range(24) if queries is None else [int(q) for q in queries]
    rows = attention.attention_map(x, queries)
    assert rows.shape == (2, len(wanted), 6)
    torch.testing.assert_close(rows, full[:, list(wanted)])


def test_attention_map_rows_are_row_major_positions():
    attention = block(8, spectral_norm=False)
    picking(attention.query, 0)
    picking(attention.key, 1)
    x = torch.zeros(1, 8, 2, 3)
    x[0, 0, 1, 0] = 1.0  # only the position of row 1, column 0 asks,
    x[0, 1, 0, 2] = 9.0  # and what it looks for is at row 0, column 2
    rows = attention.attention_map(x)[0].reshape(6, 2, 3)
    assert rows[1 * 3 + 0, 0, 2] > 0.99
    torch.testing.assert_close(rows[0], torch.full((2, 3), 1 / 6))


@pytest.mark.parametrize("queries", [[24], [-1], [0.0], [[1, 2]], [True], torch.tensor(3)])
def test_attention_map_refuses_what_is_no_position(queries):
    with pytest.raises(ValueError, match="queries"):
        block(16).attention_map(torch.randn(1, 16, 4, 6), queries)


@pytest.mark.parametrize("training", [True, False])
def test_attention_map_leaves_the_block_as_it_is(training):
    attention = block(16, "full").train(training)
    before = copy.deepcopy(attention.state_dict())
    attention.attention_map(torch.randn(1, 16, 4, 4), [3])
    assert all(torch.equal(before[name], value) for name, value in attention.state_dict().items())
    assert attention.training is training
    assert not any(norm.frozen for norm, _ in spectral_norms(attention))


def test_attention_map_follows_the_callers_gradient_mode():
    attention = block(16)
    x = torch.randn(1, 16, 4, 4, requires_grad=True)
    assert attention.attention_map(x).requires_grad
    with torch.no_grad():
        assert not attention.attention_map(x).requires_grad


def test_key_grid():
    assert block(16, "slides").key_grid(3, 5) == (3, 5)
    assert block(16, "official").key_grid(4, 6) == (2, 3)


# The implementations


@pytest.mark.parametrize("tile_entries", [1, 50, 1 << 20])  # one row a tile, uneven tiles, one tile
@pytest.mark.parametrize("implementation", LEAN)
def test_implementations_agree_in_value_and_gradients(implementation, tile_entries, monkeypatch):
    monkeypatch.setattr("sagan.ops.attention._TILE_ENTRIES", tile_entries)
    inputs = attention_inputs(dtype=torch.float64)
    expected = value_and_gradients("explicit", inputs)
    for found, wanted in zip(value_and_gradients(implementation, inputs), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("implementation", LEAN)
def test_implementations_agree_on_large_logits(implementation):
    inputs = [t.detach().mul(40).requires_grad_() for t in attention_inputs(dtype=torch.float64)]
    expected = value_and_gradients("explicit", inputs)
    for found, wanted in zip(value_and_gradients(implementation, inputs), expected, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("implementation", LEAN)
@pytest.mark.parametrize("form", FORMS)
def test_implementations_agree_in_the_block(form, implementation, monkeypatch):
    monkeypatch.setattr("sagan.ops.attention._TILE_ENTRIES", 100)
    attention = block(16, form).eval().double()
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64, requires_grad=True)
    results = {}
    for name in ("explicit", implementation):
        attention.implementation = name
        y = attention(x)
        results[name] = [y, *torch.autograd.grad(y.square().sum(), [x, *attention.parameters()])]
    for found, wanted in zip(results[implementation], results["explicit"], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-9)


def test_tiled_gradient_against_finite_differences(monkeypatch):
    monkeypatch.setattr("sagan.ops.attention._TILE_ENTRIES", 13)
    inputs = attention_inputs(1, 5, 6, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, "tiled"), inputs)


@pytest.mark.parametrize("implementation", ["explicit", *LEAN])
def test_bf16_autocast_stays_close_to_fp32(implementation):
    attention = block(16, implementation=implementation).eval()
    x = torch.randn(2, 16, 4, 6, requires_grad=True)
    expected = attention(x)
    expected_gradient = torch.autograd.grad(expected.sum(), x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y = attention(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, expected, atol=0.05, rtol=0.02)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], expected_gradient, atol=0.05, rtol=0.05)


def test_explicit_can_be_differentiated_twice_and_the_others_say_that_they_cannot():
    inputs = attention_inputs(1, 3, 4, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda q, k, v: attend(q, k, v, "explicit"), inputs)
    with pytest.raises(RuntimeError, match=r"no second derivative.*use implementation='explicit'"):
        torch.autograd.grad(attend(*inputs, "tiled").sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        gradients = torch.autograd.grad(attend(*inputs, "fused").sum(), inputs[0], create_graph=True)
        gradients[0].sum().backward()


@pytest.mark.parametrize(("width", "value_width"), [(4, 32), (4, 4), (3, 5)])
def test_fused_runs_pytorchs_cpu_kernel(width, value_width):
    # The strides are those that the block hands over: positions in the middle, in memory last.
    query, key, value = (
        t.transpose(1, 2).contiguous().transpose(1, 2) for t in attention_inputs(1, 64, 64, width, value_width)
    )
    # acc_events: PyTorch 2.11 warns without it.
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
        attend(query, key, value, "fused")
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in {event.key for event in profile.key_averages()}


@pytest.mark.parametrize(("queries", "keys", "tiled"), [(256, 256, False), (1024, 256, False), (1024, 1024, True)])
@pytest.mark.parametrize("batch", [1, 8])
def test_auto_on_the_cpu_goes_by_the_map_of_one_sample(batch, queries, keys, tiled):
    attended = attend(*attention_inputs(batch, queries, keys, 1, 1), "auto")
    assert ("TiledAttention" in attended.grad_fn.name()) is tiled


MEMORY_PROBE = """
import pathlib, re
import torch
from sagan.ops.attention import SelfAttention2d

torch.set_num_threads(1)
block = SelfAttention2d(256)
torch.nn.init.constant_(block.gamma, 0.5)

def resident_kib(field):
    return int(re.search(field + r":\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

def forward_backward(size):
    block(torch.randn(1, 256, size, size, requires_grad=True)).sum().backward()

forward_backward(16)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
before = resident_kib("VmRSS")
forward_backward(128)
print((resident_kib("VmHWM") - before) / 1024)
"""


@pytest.mark.slow("a process of its own at 128x128 positions")
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="reads the peak of memory from Linux's /proc")  # noqa: PTH110
def test_peak_memory_at_128x128_positions():
    run = subprocess.run([sys.executable, "-c", MEMORY_PROBE], capture_output=True, text=True, check=True)
    extra_mib = float(run.stdout)
    assert 32 < extra_mib < 300  # input and output alone are 32; the explicit map needs about 4,100
