"""Training steps of `benchmarks/gpu_day.py`: images a second, memory and operations a second of each way to compute.

Each part is a process of its own. In each round every side does a few steps and then waits for the device; sides that
are many times slower take part in every fourth round. Ratios are medians of the ratios of the rounds.
"""

import argparse
import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

import folding
import step
import torch
from gpu_checks import cudnn, exact_fp32
from gpu_setting import Setting, facts, read_part
from torch import Tensor

import sagan.models.blocks
from sagan.ops.attention import SelfAttention2d
from sagan.ops.resample import Form, conv_downsample, upsample_conv
from sagan.recipes.build import Parts, build
from sagan.recipes.config import RunConfig
from sagan.recipes.presets import PRESETS
from sagan.speed.clock import spread, timed
from sagan.speed.flops import step_flops
from sagan.speed.step import random_batch
from sagan.training.config import EngineConfig
from sagan.training.engine import Engine
from sagan.training.step import train_step

GOAL_IMAGES_PER_S = 2963.0
"""A million steps of 256 images in a day."""
BATCHES = (256, 128, 64)
WARM_UP, STEPS_A_ROUND, RARELY = 3, 4, 4
REFERENCE = "bf16"

Step = Callable[[], object]
Forms = dict[tuple[str, int, int], Form]
Choice = Callable[[str, int, int, Form], Form]
"""The form for an operation (`up` or `down`), channels and height; the last is that of the rule."""


@dataclass(frozen=True)
class Side:
    """One way to compute the step."""

    name: str
    make: Callable[[], Step]
    flops_per_image: float
    context: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    rarely: bool = False
    """So slow that it takes part in one of several rounds, with one step."""


class Sides(Protocol):
    """Lists the sides of a part at a batch size."""

    def __call__(self, setting: Setting, batch: int) -> list[Side]: ...


# What the sides are


def preset(setting: Setting, batch: int) -> RunConfig:
    """Give the preset `sagan-128`, or a tiny network in its place."""
    config = PRESETS["sagan-128"]()
    if setting.toy:
        tiny = {"size_px": 16, "num_classes": 3, "base_width": 2, "z_dim": 8}
        G, D = replace(config.generator, **tiny), replace(config.discriminator, size_px=16, num_classes=3, base_width=4)
        config = replace(config, generator=replace(G, attention=()), discriminator=replace(D, attention=()))
    return replace(config, train=replace(config.train, batch_size=batch))


class Shared:
    """One state of the preset that several sides train on, so that they share its memory."""

    def __init__(self, setting: Setting, batch: int, compile: str = "off") -> None:  # noqa: A002
        self.setting, self.config = setting, preset(setting, batch)
        self.compile = "off" if setting.toy else compile  # a processor's compiler takes minutes

    @cached_property
    def parts(self) -> Parts:
        """Networks and optimisers, in bf16."""
        return build(self.config, self.engine("bf16"))

    @cached_property
    def batch(self) -> object:
        """Random pictures on the host, as they come from a data set."""
        return random_batch(self.config)

    def engine(self, precision: str) -> Engine:
        """Make an engine of a precision."""
        precision = precision if precision in self.setting.precisions else "fp32"
        return Engine(EngineConfig(device=self.setting.device, precision=precision, compile=self.compile))  # type: ignore[arg-type]

    def step(self, precision: str = "bf16") -> Step:
        """Give the step in a precision."""
        state, engine = self.parts.state, self.engine(precision)
        return lambda: train_step(state, self.config.train, lambda _: self.batch, engine, 0)  # type: ignore[arg-type,return-value]

    def side(self, name: str, precision: str = "bf16", **more: Any) -> Side:
        """Give a side that trains on this state."""
        return Side(name, partial(self.step, precision), step_flops(self.config), **more)


def eager_sides(setting: Setting, batch: int) -> list[Side]:
    """List the precisions, what could make bf16 faster without a compiler, and StudioGAN."""
    shared = Shared(setting, batch)
    sides = [
        shared.side(REFERENCE),
        shared.side("bf16, folds off", context=partial(folded, lambda *_: "plain")),
        *studiogan_sides(setting, batch),
        shared.side("bf16, explicit attention", context=partial(attention, shared, "explicit")),
        shared.side("TF32", "fp32", context=tf32, rarely=True),
        shared.side("fp32", "fp32", context=exact_fp32, rarely=True),
    ]
    if fastest_forms(setting):
        sides.insert(2, shared.side("bf16, folds as measured", context=partial(folded, as_measured(setting))))
    return sides


def searched_sides(setting: Setting, batch: int) -> list[Side]:
    """List what cuDNN's search may make faster; it has to be on from the first step of a process.

    What PyTorch has once chosen for a shape, searched or not, it keeps.
    """
    sides = [Shared(setting, batch).side(REFERENCE), *studiogan_sides(setting, batch)]
    return [replace(side, name=f"{side.name}, cuDNN's search", context=search) for side in sides]


def compiled_sides(setting: Setting, batch: int) -> list[Side]:
    """List the compiled step beside the same uncompiled and StudioGAN's."""
    shared, compiled = Shared(setting, batch), Shared(setting, batch, "on")
    sides = [shared.side(REFERENCE), compiled.side("bf16, compiled")]
    return sides + studiogan_sides(setting, batch)[-1:]


def graphs_sides(setting: Setting, batch: int) -> list[Side]:
    """List the step compiled and replayed as CUDA graphs beside the same uncompiled."""
    shared, graphs = Shared(setting, batch), Shared(setting, batch, "graphs")
    return [shared.side(REFERENCE), graphs.side("bf16, CUDA graphs")]


def graphs_searched_sides(setting: Setting, batch: int) -> list[Side]:
    """List the step as CUDA graphs, and as it is, where cuDNN tries its kernels first."""
    sides = graphs_sides(setting, batch)
    return [replace(side, name=f"{side.name}, cuDNN's search", context=search) for side in sides]


def unfolded_sides(setting: Setting, batch: int) -> list[Side]:
    """List the compiled step without folds: a compiler joins what the folds join, in part."""
    shared, compiled = Shared(setting, batch), Shared(setting, batch, "on")
    off = partial(folded, lambda *_: "plain")
    return [shared.side(REFERENCE), compiled.side("bf16, compiled, folds off", context=off)]


def studiogan_sides(setting: Setting, batch: int) -> list[Side]:
    """List StudioGAN's step and ours with the same networks (attention `official` at feat64)."""
    if setting.studiogan is None or setting.toy:
        return []
    args = argparse.Namespace(
        size=128,
        batch=batch,
        device=setting.device,
        precision="bf16",
        studiogan=setting.studiogan,
    )
    flops = step_flops(step.configuration(args))
    return [
        Side("bf16, StudioGAN's networks", lambda: step.ours(args), flops),
        Side("StudioGAN, its mixed precision", lambda: step.studiogan(args), flops),
    ]


# In which context they run


@contextlib.contextmanager
def search() -> Iterator[None]:
    """Inside the context cuDNN tries its kernels at the first step of a shape and takes the fastest."""
    with cudnn("benchmark", True):
        yield


@contextlib.contextmanager
def tf32() -> Iterator[None]:
    """Inside the context fp32 products and convolutions use TF32."""
    torch.set_float32_matmul_precision("high")
    try:
        with cudnn("allow_tf32", True):
            yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def attention(shared: Shared, implementation: str) -> Iterator[None]:
    """Inside the context attention is computed in one way."""
    networks = (shared.parts.state.G, shared.parts.state.D)
    blocks = [m for network in networks for m in network.modules() if isinstance(m, SelfAttention2d)]
    for block in blocks:
        block.implementation = implementation  # type: ignore[assignment]
    try:
        yield
    finally:
        for block in blocks:
            block.implementation = "auto"


@contextlib.contextmanager
def folded(choose: Choice) -> Iterator[None]:
    """Inside the context ``choose`` says in which form each resampling layer is computed."""
    blocks = sagan.models.blocks

    def up(x: Tensor, weight: Tensor, bias: Tensor | None = None, form: Form = "plain") -> Tensor:
        return upsample_conv(x, weight, bias, choose("up", x.shape[1], x.shape[2], form))

    def down(x: Tensor, weight: Tensor, bias: Tensor | None = None, form: Form = "plain") -> Tensor:
        return conv_downsample(x, weight, bias, choose("down", x.shape[1], x.shape[2], form))

    blocks.upsample_conv, blocks.conv_downsample = up, down
    try:
        yield
    finally:
        blocks.upsample_conv, blocks.conv_downsample = upsample_conv, conv_downsample


def as_measured(setting: Setting) -> Choice:
    """Choose the form that was the fastest of a layer by itself."""
    fastest = fastest_forms(setting)
    return lambda operation, channels, height, form: fastest.get((operation, channels, height), form)


# Layers by themselves


def layers(setting: Setting) -> dict[str, object]:
    """Time each 3x3 convolution of the preset by itself in all its forms, with cuDNN's search."""
    config = preset(setting, 2 if setting.toy else BATCHES[0])
    size, width = config.generator.size_px, 8 if setting.toy else config.generator.base_width
    args = argparse.Namespace(device=setting.device, precision=setting.precisions[-1], repeats=1 if setting.toy else 3)
    rows, started = [], time.monotonic()
    with search():
        for layer in dict.fromkeys(folding.layers(size, config.train.batch_size, width)):
            forms, _ = folding.candidates(layer, torch.device(setting.device))
            if len(forms) == 1 or time.monotonic() - started > setting.seconds:
                continue
            ms = folding.time_ms(layer, forms, args)
            rows.append({**layer._asdict(), "ms": ms, "fastest": min(ms, key=ms.__getitem__)})
    return facts(setting) | {"precision": args.precision, "rows": rows}


def fastest_forms(setting: Setting) -> Forms:
    """Read the fastest form of each resampling layer from the results of `layers`; {} if there are none."""
    found = read_part(setting.out, "layers")
    rows = [] if found is None else found["rows"]
    return {
        (row["operation"], row["inputs"], row["height"]): row["fastest"] for row in rows if row["operation"] != "conv"
    }


# Measuring


def measured(setting: Setting, list_sides: Sides) -> dict[str, object]:
    """Measure the sides of a part at the largest batch that fits."""
    for batch in (4,) if setting.toy else BATCHES:
        try:
            return (
                facts(setting)
                | {"batch": batch, "preset": "sagan-128"}
                | rounds(setting, list_sides(setting, batch), batch)
            )
        except torch.OutOfMemoryError:
            gc.collect()
            torch.cuda.empty_cache()
    raise MemoryError(f"the step does not fit at batch {BATCHES[-1]}")


def rounds(setting: Setting, sides: list[Side], batch: int) -> dict[str, object]:
    """Warm all sides up, then let them take turns for the time that is left.

    Raises:
        torch.OutOfMemoryError: If the first side does not fit; others that fail are left out and say why.
    """
    started, device = time.monotonic(), torch.device(setting.device)
    ready: dict[str, Step] = {}
    notes: dict[str, dict[str, object]] = {}
    for side in sides:
        if time.monotonic() - started > 0.6 * setting.seconds:
            notes[side.name] = {"error": "no time left"}
            continue
        try:
            ready[side.name], notes[side.name] = warmed_up(side, device)
        except Exception as error:
            if side is sides[0]:
                raise
            notes[side.name] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        print(side.name, notes[side.name], flush=True)
    times: dict[str, list[tuple[int, float]]] = {side.name: [] for side in sides}
    most, least = (2, 2) if setting.toy else (15, 3)
    for number in range(most):
        if number >= least and time.monotonic() - started > setting.seconds:
            break
        for side in sides:
            if side.name in ready and not (side.rarely and number % RARELY):
                count = 1 if side.rarely else STEPS_A_ROUND
                with side.context():
                    seconds = timed(partial(repeat, ready[side.name], count), device) / count
                times[side.name].append((number, seconds))
    reference = dict(times[sides[0].name])
    return {"rows": [row(side, times[side.name], reference, batch) | notes[side.name] for side in sides]}


def repeat(work: Step, count: int) -> None:
    """Do some steps after each other without waiting for the device in between."""
    for _ in range(count):
        work()


def warmed_up(side: Side, device: torch.device) -> tuple[Step, dict[str, object]]:
    """Make a side and do its first steps; give its step, what those took and its peak memory."""
    cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated() if cuda else 0
    start = time.monotonic()
    work = side.make()
    made = time.monotonic()
    with side.context():
        first = timed(work, device)
        repeat(work, 1 if side.rarely else WARM_UP)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        timed(work, device)
    peak = (torch.cuda.max_memory_allocated() - before) / 2**30 if cuda else None
    notes = {"build_s": made - start, "first_step_s": first, "peak_gib": peak}
    return work, notes


def row(side: Side, times: list[tuple[int, float]], reference: dict[int, float], batch: int) -> dict[str, object]:
    """Sum up the rounds of one side."""
    if not times:
        return {"name": side.name}
    seconds = spread([value for _, value in times])
    rate = batch / seconds.median
    return {
        "name": side.name,
        "ms": seconds.median * 1e3,
        "ms_low": seconds.low * 1e3,
        "ms_high": seconds.high * 1e3,
        "rounds": seconds.rounds,
        "images_per_s": rate,
        "of_goal": rate / GOAL_IMAGES_PER_S,
        "model_flops_per_s": rate * side.flops_per_image,
        "gflop_per_image": side.flops_per_image / 1e9,
        "speed_to_reference": statistics.median(reference[number] / value for number, value in times),
    }


def compiled(setting: Setting, list_sides: Sides) -> dict[str, object]:
    """Measure the sides of a part that compiles, and say how the compiler fared."""
    found = measured(setting, list_sides)
    counters = torch._dynamo.utils.counters
    breaks = {str(reason).splitlines()[0][:200]: count for reason, count in counters["graph_break"].items()}
    return found | {"graphs": dict(counters["stats"]), "graph_breaks": breaks, "inductor": dict(counters["inductor"])}


PARTS: dict[str, Callable[[Setting], dict[str, object]]] = {
    "layers": layers,
    "step": partial(measured, list_sides=eager_sides),
    "searched": partial(measured, list_sides=searched_sides),
    "compiled": partial(compiled, list_sides=compiled_sides),
    "graphs": partial(compiled, list_sides=graphs_sides),
    "graphs-searched": partial(compiled, list_sides=graphs_searched_sides),
    "compiled-unfolded": partial(compiled, list_sides=unfolded_sides),
}
