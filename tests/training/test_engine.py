from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import nn

from sagan.ops.pixels import images_to_uint8
from sagan.ops.spectral import frozen_spectral, prepare_spectral, spectral_norm
from sagan.recipes.build import build_networks
from sagan.training.config import EngineConfig
from sagan.training.engine import Engine, compiles
from sagan.training.state import new_state


class Batch:
    def __init__(self, images, flip):
        self.images = torch.tensor(images, dtype=torch.uint8)
        self.labels = torch.zeros(len(images), dtype=torch.int64)
        self.flip = torch.tensor(flip)


def test_trap_18_stored_pictures_become_rgb_planes_and_come_back(engine):
    red, blue = [255, 0, 51], [0, 0, 255]
    batch = Batch([[[red, blue], [blue, blue]]], [False])
    x = engine.images(batch)
    assert x.shape == (1, 3, 2, 2)
    assert x.dtype == torch.float32
    assert x[0, :, 0, 0].tolist() == [1.0, -1.0, pytest.approx(51 / 127.5 - 1.0)]
    assert x[0, :, 0, 1].tolist() == [-1.0, -1.0, 1.0]
    assert torch.equal(images_to_uint8(x).permute(0, 2, 3, 1), batch.images)


def test_pictures_are_mirrored_where_the_batch_says_so(engine):
    image = torch.arange(2 * 3 * 3).view(2, 3, 3).tolist()
    plain = engine.images(Batch([image, image], [False, False]))
    mixed = engine.images(Batch([image, image], [True, False]))
    assert torch.equal(mixed[1], plain[1])
    assert torch.equal(mixed[0], plain[0].flip(2))  # left to right
    assert not torch.equal(mixed[0], plain[0])


def test_memory_format():
    engine = Engine(EngineConfig(device="cpu", precision="fp32", channels_last=True))
    x = engine.images(Batch(torch.zeros(2, 4, 4, 3).tolist(), [False, True]))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert engine.module(nn.Conv2d(3, 5, 3)).weight.is_contiguous(memory_format=torch.channels_last)


def test_fp32_on_the_processor(engine):
    assert engine.device == torch.device("cpu")
    assert engine.reason == "cpu (asked for), fp32, not compiled (takes minutes; --engine.compile on)"
    with engine.autocast():
        assert nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == torch.float32


def test_bf16_autocast_is_of_forwards_only():
    engine = Engine(EngineConfig(device="cpu", precision="bf16"))
    layer = engine.module(nn.Linear(2, 2))
    with engine.autocast():
        assert layer(torch.zeros(1, 2)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32
    assert "bf16 autocast" in engine.reason


def test_a_step_in_bf16_keeps_weights_and_spectral_vectors_in_fp32(tiny_state, pictures):
    from sagan.training.step import train_step

    engine = Engine(EngineConfig(device="cpu", precision="bf16"))
    state, config = tiny_state()
    metrics = train_step(state, config, pictures, engine, seed=0)
    assert all(torch.isfinite(metric) for metric in metrics.values())
    assert {tensor.dtype for tensor in state.G.state_dict().values()} == {torch.float32}
    assert {metric.dtype for metric in metrics.values()} == {torch.float32}


@pytest.mark.parametrize("together", [False, True])
def test_sigma_is_computed_outside_autocast(monkeypatch, together):
    """Autocast lowers torch.mv on GPUs, where this cannot be seen in the result of a test on the processor."""
    layer = spectral_norm(nn.Linear(4, 4)).eval()
    lowered = []
    mv = torch.mv

    def spy(*args, **kwargs):
        lowered.append(torch.is_autocast_enabled("cpu"))
        return mv(*args, **kwargs)

    monkeypatch.setattr(torch, "mv", spy)
    with torch.autocast("cpu", torch.bfloat16):
        if together:
            prepare_spectral(layer)
        assert layer.weight.dtype == torch.float32
    assert lowered == [False]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="autocast lowers torch.mv on GPUs only")
def test_on_a_gpu_sigma_is_the_same_inside_autocast():
    layer = spectral_norm(nn.Linear(300, 200)).cuda().eval()
    expected = layer.weight
    with torch.autocast("cuda", torch.bfloat16):
        torch.testing.assert_close(layer.weight, expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    ("device", "name"), [("cuda", "PyTorch sees no CUDA device"), ("mps", "PyTorch sees no Apple GPU")]
)
def test_a_device_that_is_not_there_is_refused(device, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"device {device}: {name} here; use --engine.device cpu"):
        Engine(EngineConfig(device=device))


def test_auto_takes_the_processor_where_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert Engine(EngineConfig()).reason.startswith("cpu (found), fp32, ")


def test_wrong_fields_are_refused_by_name():
    with pytest.raises(ValueError, match="device must be one of auto, cpu, cuda, mps, found 'tpu'"):
        EngineConfig(device="tpu")
    with pytest.raises(ValueError, match="precision must be one of auto, fp32, bf16, found 'fp16'"):
        EngineConfig(precision="fp16")


@pytest.fixture
def compiled_engine(monkeypatch):
    """An engine that compiles; the graphs are captured and differentiated as ever but run by PyTorch itself."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr("sagan.training.engine.compiles", lambda wanted, device: (wanted == "on", "asked for"))
    yield Engine(EngineConfig(device="cpu", precision="fp32", compile="on"))
    torch._dynamo.reset()
    torch._dynamo.config.suppress_errors = False


@pytest.mark.slow("torch.compile")
def test_compiled_networks_have_the_values_gradients_and_keys_of_plain_ones(compiled_engine, engine, tiny_config):
    counters = torch._dynamo.utils.counters
    counters.clear()
    config = tiny_config()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64).requires_grad_()
    z, y = torch.randn(4, 8, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    found = []
    for used in (engine, compiled_engine):
        networks = [used.module(network.double()).train() for network in build_networks(config)]
        values = []
        for network, inputs in zip(networks, (z, x), strict=True):
            torch.nn.init.constant_(next(iter(network.attention.values())).gamma, 0.7)
            for frozen in (False, True):  # spectral vectors at rest, as in the G step, are another graph
                with frozen_spectral(network) if frozen else nullcontext():
                    output = network(inputs, y)
                values += [output, *torch.autograd.grad(output.square().sum(), [*network.parameters()])]
        found.append((values, [network.state_dict() for network in networks]))
    (values, states), (compiled_values, compiled_states) = found
    assert sum(counters["frames"].values()) >= 4  # it was compiled at all
    assert not counters["graph_break"]
    torch.testing.assert_close(compiled_values, values, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(compiled_states, states, atol=1e-10, rtol=1e-10)  # the same keys, u and v moved alike


def test_a_compiled_network_is_copied_as_a_plain_one(compiled_engine, tiny_config):
    config = tiny_config(ema_decay=0.9)
    G, D = (compiled_engine.module(network) for network in build_networks(config))
    assert G._compiled_call_impl is not None
    assert new_state(G, D, config.train).ema._compiled_call_impl is None


def test_what_is_compiled_and_why(monkeypatch):
    cpu = torch.device("cpu")
    assert compiles("auto", cpu)[0] is False
    assert compiles("off", cpu) == (False, "asked for")
    monkeypatch.setattr("sagan.training.engine.shutil.which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    monkeypatch.delenv("CXX", raising=False)
    assert compiles("on", cpu) == (True, "asked for")
    monkeypatch.setenv("CXX", "icpx")
    assert compiles("on", cpu) == (
        False,
        "asked for, but there is no C++ compiler here: looked for icpx and clang++",
    )


def test_cuda_graphs_are_asked_of_the_compiler_and_need_a_gpu(monkeypatch):
    assert compiles("graphs", torch.device("cuda")) == (True, "asked for")
    assert not Engine(EngineConfig(device="cpu", compile="graphs")).compiles
    assert "need a CUDA device" in Engine(EngineConfig(device="cpu", compile="graphs")).reason
    asked = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: asked.append(options["mode"]))
    monkeypatch.setattr("sagan.training.engine.compiles", lambda wanted, device: (True, "asked for"))
    for wanted in ("on", "graphs"):
        Engine(EngineConfig(device="cpu", compile=wanted)).module(torch.nn.Linear(2, 2))
    assert asked == [None, "reduce-overhead"]


@pytest.mark.parametrize("hardware", [True, False])
def test_bf16_on_a_processor_without_it_is_said(monkeypatch, hardware):
    monkeypatch.setattr("sagan.training.engine._has_bf16", lambda: hardware)
    reason = Engine(EngineConfig(device="cpu", precision="bf16")).reason
    assert ("far slower than fp32" in reason) is not hardware
    assert "bf16" not in Engine(EngineConfig(device="cpu")).reason  # never by itself


def test_cudnn_tries_its_kernels_only_on_a_gpu_and_if_asked(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    asked = Engine(EngineConfig(device="cpu", precision="fp32", cudnn_benchmark=True))
    assert "cuDNN" not in asked.reason
    assert torch.backends.cudnn.benchmark is False
