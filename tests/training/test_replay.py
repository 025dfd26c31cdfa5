import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sagan.models.config import FEATURE_WIDTHS
from sagan.models.feature_heads import frozen
from sagan.recipes.build import build
from sagan.training import replay
from sagan.training.config import EngineConfig
from sagan.training.engine import Engine, records_steps
from sagan.training.hooks import Hooks, Record
from sagan.training.loop import train_loop
from sagan.training.processes import Process
from sagan.training.replay import WARM_UP, StepGraph
from sagan.training.step import compute_step, train_step

RECIPES = {
    "plain": {},
    "several updates of D": {"d_steps": 2},
    "accumulation": {"accumulate": 2},
    "falling rates": {"lr_decay_start": 5},
    "an average that begins late": {"ema_start": 6},
    "an average that is short at first": {"ema_decay": 0.9, "ema_rampup": 0.5},
    "augmentation": {"augment": ("color", "translation", "cutout")},
    "adaptive augmentation": {"adaptive_augment": 0.6, "adaptive_images": 64, "augment": ("translation",)},
    "LeCam that begins late": {"lecam": 0.1, "lecam_start": 7},
    "penalties every third step": {"r1": 1.0, "r2": 1.0, "penalty_every": 3, "loss": "relativistic"},
    "consistency": {"consistency": 1.0, "augment": ("translation",)},
}
STEPS = 12
TOLERANCES = {"fp32": (1e-3, 0.1), "bf16": (5e-2, 0.5)}
"""By how much losses, and updates of weights, may differ after one step from equal states: kernels on a GPU may add in
another order."""


class Emulated:
    """Records without a GPU: what is replayed sees the step, the rates and the inputs as they were when recorded."""

    def __init__(self, state):
        self.state = state
        self.recorded = 0

    def __call__(self, work):
        self.recorded += 1
        groups = [optimizer.param_groups[0] for optimizer in (self.state.optimizer_d, self.state.optimizer_g)]
        then = {"step": self.state.step, "rates": [group["lr"] for group in groups]}
        assert all(group["capturable"] for group in groups)
        metrics = {}

        def replay():
            now = {"step": self.state.step, "rates": [group["lr"] for group in groups]}
            self.see(then, groups)
            metrics.update(work())
            self.see(now, groups)

        return replay, metrics

    def see(self, which, groups):
        self.state.step = which["step"]
        for group, rate in zip(groups, which["rates"], strict=True):
            group["lr"] = rate


def assert_alike(one, other, tolerance=1e-5):
    for network in ("G", "D", "ema"):
        ours, theirs = getattr(one, network).state_dict(), getattr(other, network).state_dict()
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(one.controls, other.controls)


def tensors_in(value):
    """List the tensors in containers, in their order."""
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in items for tensor in tensors_in(item)]


def flat(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def buffers_of(network):
    return torch.cat([buffer.flatten().float() for buffer in network.buffers()])


def counts_of(state):
    """Give how many updates each parameter had."""
    optimizers = (state.optimizer_d, state.optimizer_g)
    return torch.stack([held["step"] for optimizer in optimizers for held in optimizer.state.values()])


def assert_each_step_does_the_same(steps, one, other, config, pictures, engine, tolerances):
    """Train ``one`` by ``steps`` and ``other`` by plain ones, always from the state that ``one`` has reached.

    So rounding has a single step to grow in; training makes it larger from step to step. The steps before anything is
    recorded are plain ones in both, and not compared.
    """
    tolerance, of_update = tolerances
    networks = {name: (getattr(one, name), getattr(other, name)) for name in ("G", "D", "ema")}
    for step in range(STEPS):
        before = {name: flat(theirs) for name, (_, theirs) in networks.items()}
        found, expected = (do(s, config, pictures, engine, 0) for do, s in ((steps, one), (train_step, other)))
        assert found.keys() == expected.keys()
        assert one.step == other.step == step + 1
        if step >= WARM_UP:
            pairs = {name: (value, expected[name]) for name, value in found.items()}
            pairs |= {f"control {name}": (value, other.controls[name]) for name, value in one.controls.items()}
            pairs |= {f"buffers of {name}": (buffers_of(a), buffers_of(b)) for name, (a, b) in networks.items()}
            pairs["counts of updates"] = (counts_of(one), counts_of(other))
            for name, pair in pairs.items():
                where = f"{name} in step {step}"
                torch.testing.assert_close(
                    *pair, rtol=tolerance, atol=tolerance, msg=lambda said, where=where: f"{where}: {said}"
                )
            for name, (ours, theirs) in networks.items():
                # Not each weight: Adam makes a whole step of a gradient that is rounding alone, as those of biases
                # before a batch normalisation are.
                apart, way = (flat(ours) - flat(theirs)).abs().median(), (flat(theirs) - before[name]).abs().mean()
                assert apart <= of_update * way, f"{name} in step {step}: {apart} apart on a way of {way}"
        # In place, as an optimiser and what was recorded hold these tensors.
        for there, here in zip(tensors_in(other.state_dict()), tensors_in(one.state_dict()), strict=True):
            there.copy_(here)


@pytest.mark.parametrize("recipe", RECIPES)
def test_replayed_steps_do_what_steps_do(tiny_state, pictures, engine, recipe):
    state, config = tiny_state(total_steps=STEPS, **{"ema_decay": 0.9} | RECIPES[recipe])
    other = copy.deepcopy(state)
    emulated = Emulated(state)
    steps = StepGraph(emulated)
    for _ in range(STEPS):
        found, expected = (do(s, config, pictures, engine, 0) for do, s in ((steps, state), (train_step, other)))
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-5)
    assert emulated.recorded
    assert state.step == STEPS
    assert_alike(state, other)
    assert isinstance(state.optimizer_g.param_groups[0]["lr"], float)  # as checkpoints have it
    assert not state.optimizer_g.param_groups[0]["capturable"]


@pytest.mark.parametrize(
    "recipe", ["consistency", "adaptive augmentation", "falling rates", "an average that is short at first"]
)
def test_the_comparison_of_single_steps_lets_right_ones_pass(tiny_state, pictures, engine, recipe):
    state, config = tiny_state(total_steps=STEPS, **{"ema_decay": 0.9} | RECIPES[recipe])
    other, emulated = copy.deepcopy(state), Emulated(state)
    assert_each_step_does_the_same(StepGraph(emulated), state, other, config, pictures, engine, (1e-6, 1e-5))
    assert emulated.recorded
    for ours, theirs in zip(tensors_in(state.state_dict()), tensors_in(other.state_dict()), strict=True):
        assert torch.equal(ours, theirs)  # brought level, all of it
        assert ours.data_ptr() != theirs.data_ptr()


class FirstRates(Emulated):
    """Keeps the learning rates of its first replay."""

    def see(self, which, groups):
        super().see(which, groups)
        rates = [group["lr"] for group in groups]
        if isinstance(rates[0], torch.Tensor):  # as recorded
            self.first = getattr(self, "first", [rate.clone() for rate in rates])
            for rate, first in zip(rates, self.first, strict=True):
                rate.copy_(first)


FAULTS = {
    "pictures and draws of the recorded step": ("consistency", Emulated, "tensors_of", lambda inputs: []),
    "draws for augmentation of the recorded step": (
        "consistency",
        Emulated,
        "tensors_of",
        lambda inputs: [*(x for draws in (*inputs.d, inputs.g) for x in (draws.z, draws.y)), *inputs.batches[0]],
    ),
    "learning rates of the first replay": ("falling rates", FirstRates, None, None),
    "vectors of D that move in G's step too": (
        "consistency",
        Emulated,
        "compute_step",
        lambda state, config, *more: compute_step(state, replace(config, d_vectors="joint"), *more),
    ),
    "another average": ("an average that is short at first", Emulated, "decay_at", lambda config, step: 0.8),
}


@pytest.mark.parametrize(
    ("fault", "precision"),
    [
        *((fault, "fp32") for fault in FAULTS),
        ("draws for augmentation of the recorded step", "bf16"),
        ("learning rates of the first replay", "bf16"),
    ],
)
def test_the_comparison_of_single_steps_finds(tiny_state, pictures, engine, monkeypatch, fault, precision):
    recipe, recorder, name, wrong = FAULTS[fault]
    state, config = tiny_state(total_steps=STEPS, **{"ema_decay": 0.9} | RECIPES[recipe])
    if name is not None:
        monkeypatch.setattr(replay, name, wrong)
    steps = StepGraph(recorder(state))
    with pytest.raises(AssertionError, match=r" in step \d+: "):
        assert_each_step_does_the_same(
            steps, state, copy.deepcopy(state), config, pictures, engine, TOLERANCES[precision]
        )
    assert steps._recorded


def test_every_kind_of_step_is_recorded_once_after_its_warm_up(tiny_state, pictures, engine):
    state, config = tiny_state(total_steps=40, ema_decay=0.9, lecam=0.1, lecam_start=8, ema_start=16)
    emulated = Emulated(state)
    steps = StepGraph(emulated)
    found = []
    for _ in range(24):
        steps(state, config, pictures, engine, 0)
        found.append(emulated.recorded)
    after = [8 * k + WARM_UP for k in range(3)]
    assert found == [sum(i >= first for first in after) for i in range(24)]


def test_after_a_checkpoint_was_loaded_steps_are_recorded_anew(tiny_state, pictures, engine):
    state, config = tiny_state(total_steps=20, ema_decay=0.9)
    emulated = Emulated(state)
    steps = StepGraph(emulated)
    for _ in range(5):
        steps(state, config, pictures, engine, 0)
    kept = copy.deepcopy(state.state_dict())
    expected = [steps(state, config, pictures, engine, 0)["loss_g"] for _ in range(5)]
    state.load_state_dict(kept)
    found = [steps(state, config, pictures, engine, 0)["loss_g"] for _ in range(5)]
    assert emulated.recorded == 2
    torch.testing.assert_close(found, expected)


def test_metrics_of_a_step_stay_when_the_next_is_replayed(tiny_state, pictures, engine):
    state, config = tiny_state(total_steps=20, ema_decay=0.9)
    steps = StepGraph(Emulated(state))
    metrics = [steps(state, config, pictures, engine, 0)["loss_d"] for _ in range(8)]
    assert len({float(value) for value in metrics}) == 8


def test_what_cannot_be_recorded_is_computed_and_told_once(tiny_state, pictures, engine):
    state, config = tiny_state(total_steps=20, ema_decay=0.9)
    other = copy.deepcopy(state)

    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore words")

    steps = StepGraph(refuse)
    with pytest.warns(
        RuntimeWarning, match=r"cannot be recorded as a CUDA graph \(operation not permitted when stream is capturing\)"
    ) as told:
        for _ in range(8):
            steps(state, config, pictures, engine, 0)
    assert len(told) == 1
    for _ in range(8):
        train_step(other, config, pictures, engine, 0)
    assert_alike(state, other, tolerance=0.0)


def test_too_little_memory_for_a_graph_ends_no_run(tiny_state, pictures, engine):
    state, config = tiny_state(total_steps=20, ema_decay=0.9)

    def refuse(work):
        raise torch.OutOfMemoryError("CUDA out of memory")

    steps = StepGraph(refuse)
    with pytest.warns(RuntimeWarning, match="CUDA out of memory"):
        for _ in range(8):
            steps(state, config, pictures, engine, 0)
    assert state.step == 8


def test_without_a_gpu_steps_are_as_always_and_it_is_told():
    asked = Engine(EngineConfig(device="cpu", step_graph=True))
    assert not asked.step_graph
    assert "no step graph (asked for, but it needs a CUDA device)" in asked.reason
    assert "step graph" not in Engine(EngineConfig(device="cpu")).reason
    cuda = torch.device("cuda")
    assert records_steps(
        EngineConfig(step_graph=True), cuda, Process(rank=0, world_size=1, local_rank=0, local_world_size=1)
    )[0]
    assert not records_steps(
        EngineConfig(step_graph=True), cuda, Process(rank=0, world_size=2, local_rank=0, local_world_size=2)
    )[0]


def test_graphs_of_parts_and_of_the_whole_exclude_each_other():
    with pytest.raises(ValueError, match="step_graph cannot be with compile graphs"):
        EngineConfig(step_graph=True, compile="graphs")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize(
    ("recipe", "precision"), [*((recipe, "fp32") for recipe in RECIPES), ("plain", "bf16"), ("augmentation", "bf16")]
)
def test_on_a_gpu_replayed_steps_do_what_steps_do(tiny_config, pictures, monkeypatch, recipe, precision):
    # As TF32, inputs of convolutions that differ in a last digit may differ by a thousandth once they are rounded.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    config = tiny_config(total_steps=STEPS, **{"ema_decay": 0.9} | RECIPES[recipe])
    config = replace(config, engine=EngineConfig(device="cuda", precision=precision, step_graph=True))
    parts, other, steps = build(config), build(config), StepGraph()
    assert_each_step_does_the_same(
        steps, parts.state, other.state, config.train, pictures, parts.engine, TOLERANCES[precision]
    )
    assert steps._recorded  # it was replayed: a failure would have warned, and warnings are errors


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_on_a_gpu_an_infinite_gradient_is_left_out_of_a_replayed_step_too(tiny_config, pictures):
    config = tiny_config(total_steps=STEPS)
    config = replace(config, engine=EngineConfig(device="cuda", precision="fp32", step_graph=True))
    parts = build(config)
    steps = StepGraph()
    for _ in range(WARM_UP + 2):
        steps(parts.state, config.train, pictures, parts.engine, 0)
    assert parts.state.refused_by() is None
    weight = next(parts.state.D.parameters())
    before = weight.detach().clone()
    with torch.no_grad():
        kept = parts.state.G.conv.bias.clone()
        parts.state.G.conv.bias.fill_(float("nan"))
    steps(parts.state, config.train, pictures, parts.engine, 0)
    assert parts.state.refused_by() is not None
    assert torch.equal(weight, before)
    assert torch.isnan(parts.state.G.conv.bias).all()
    with torch.no_grad():
        parts.state.G.conv.bias.copy_(kept)


def test_the_loop_takes_recorded_steps_where_the_engine_says_so(tiny_state, pictures, engine, monkeypatch):
    state, config = tiny_state(total_steps=3)
    taken = []

    class Steps:
        def __call__(self, *args):
            taken.append(args[0].step)
            return train_step(*args)

    monkeypatch.setattr(replay, "StepGraph", Steps)
    monkeypatch.setattr(engine, "step_graph", True)
    train_loop(Hooks([], Record(config, state, engine)), pictures, 0)
    assert taken == [0, 1, 2]


class Seen(nn.Module):
    """Has maps of the published widths, of pictures that are made smaller."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, width, 1) for width in FEATURE_WIDTHS["efficientnet-lite0"])

    def maps(self, images):
        return [conv(F.avg_pool2d(images, 2 ** (i + 2), ceil_mode=True)) for i, conv in enumerate(self.convs)]


@pytest.fixture
def looking(monkeypatch, tiny_config):
    """Make a configuration whose discriminator looks through the stand-in."""

    def seen(_):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            return frozen(Seen())

    def make(engine=None, **train):
        features = {"features": "efficientnet-lite0", "base_width": 2, "attention": (), "features_enlarge": 2}
        config = tiny_config(discriminator=features, total_steps=STEPS, ema_decay=0.9, **train)
        return replace(config, engine=EngineConfig(**{"device": "cpu", "precision": "fp32"} | (engine or {})))

    monkeypatch.setattr("sagan.recipes.build.frozen_network", seen)
    return make


def test_steps_with_a_frozen_network_are_replayed_too(looking, pictures):
    config = looking(augment=("translation",))
    parts = build(config)
    other = copy.deepcopy(parts.state)
    steps = StepGraph(Emulated(parts.state))
    for _ in range(STEPS):
        steps(parts.state, config.train, pictures, parts.engine, 0)
        train_step(other, config.train, pictures, parts.engine, 0)
    assert_alike(parts.state, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_judges_as_on_the_processor_and_the_frozen_network_goes_along(looking):
    on_gpu, here = build(looking({"device": "cuda"})).state.D, build(looking()).state.D
    on_gpu.load_state_dict(here.state_dict())
    x, y = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1, torch.tensor([0, 1, 2, 0])
    found, expected = on_gpu(x.cuda(), y.cuda()).cpu(), here(x, y)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)
    assert {buffer.device.type for buffer in on_gpu.look.buffers()} == {"cuda"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("how", [{"step_graph": True}, {"compile": "on"}, {}])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_gpu_it_learns_as_by_plain_steps(looking, pictures, how, precision):
    config, plain = looking({"device": "cuda", "precision": precision} | how), looking({"device": "cuda"})
    parts, other = build(config), build(plain)
    step = StepGraph() if "step_graph" in how else train_step
    for _ in range(STEPS):
        found = step(parts.state, config.train, pictures, parts.engine, 0)
        expected = train_step(other.state, plain.train, pictures, other.engine, 0)
        tolerance = 1e-2 if precision == "fp32" else 1e-1
        assert float(found["loss_d"]) == pytest.approx(float(expected["loss_d"]), rel=tolerance, abs=tolerance)
