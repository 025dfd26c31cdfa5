"""The step as one CUDA graph: recorded once and replayed, where kernels take less time to compute than to launch."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sagan.training.config import TrainConfig
from sagan.training.ema import decay_at
from sagan.training.engine import Engine, RealBatch
from sagan.training.state import TrainState
from sagan.training.step import (
    Draws,
    NextBatch,
    StepInputs,
    compute_step,
    lecam_begun,
    penalty_due,
    set_schedules,
    step_inputs,
    train_step,
)
from sagan.training.update import Refused

WARM_UP = 3
"""Steps of a kind that are computed kernel by kernel before it is recorded: optimisers then have their state, libraries
their workspaces."""

Metrics = dict[str, Tensor]
Recorder = Callable[[Callable[[], Metrics]], tuple[Callable[[], object], Metrics]]
"""Records some work without doing it; gives what does it again, and where its results will lie."""


class Pictures(NamedTuple):
    """A batch of real pictures at a fixed place of the device; see :class:`~sagan.training.engine.RealBatch`."""

    images: Tensor
    labels: Tensor
    flip: Tensor


class Kind(NamedTuple):
    """What a step computes beside what its tensors say; steps of one kind are replays of one graph."""

    penalised: bool
    lecam: bool
    ema_decay: float | None
    """None where it changes from step to step."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A kind of step as it was recorded, and where it reads its inputs."""

    inputs: StepInputs
    rates: tuple[Tensor, Tensor]
    """Learning rates of D and G."""
    ema_decay: float | Tensor
    replay: Callable[[], object]
    metrics: Metrics

    def __call__(self, state: TrainState, inputs: StepInputs, ema_decay: float, engine: Engine) -> Metrics:
        """Do a step with these inputs."""
        for there, now in zip(tensors_of(self.inputs), tensors_of(inputs), strict=True):
            there.copy_(engine.tensor(now))
        for rate, optimizer in zip(self.rates, (state.optimizer_d, state.optimizer_g), strict=True):
            rate.fill_(optimizer.param_groups[0]["lr"])
        if isinstance(self.ema_decay, Tensor):
            self.ema_decay.fill_(ema_decay)
        self.replay()
        return {name: value.clone() for name, value in self.metrics.items()}


class StepGraph:
    """Does what :func:`~sagan.training.step.train_step` does, equal up to rounding, as one CUDA graph a step.

    A step launches a thousand kernels and more. Where networks are small these compute for less time than Python takes
    to launch them; a graph is launched at once. It holds the memory of a step for as long as it is there. A step that
    cannot be recorded is computed kernel by kernel, and a warning says why. For one process; networks that learnt from
    a checkpoint meanwhile are recorded anew.

    Source: the CUDA programming guide, "CUDA graphs"; the documentation of PyTorch, "Whole-network capture".
    """

    def __init__(self, record: Recorder | None = None) -> None:
        self._record = record or _recorder()
        self._recorded: dict[Kind, Recorded] = {}
        self._seen: dict[Kind, int] = {}
        self._failed = False
        self._loaded: Refused | None = None

    def __call__(
        self, state: TrainState, config: TrainConfig, next_batch: NextBatch, engine: Engine, seed: int
    ) -> Metrics:
        """Do one whole step and count it."""
        if self._loaded is not state.refused:  # the first step, or a checkpoint was loaded, whose tensors are others
            self._recorded, self._seen, self._loaded = {}, {}, state.refused
        set_schedules(state, config)
        inputs = step_inputs(state, config, next_batch, engine, seed)
        kind, ema_decay = kind_of(state, config), decay_at(config, state.step)
        if kind not in self._recorded and self._seen.get(kind, 0) >= WARM_UP and not self._failed:
            self._try_to_record(kind, state, config, inputs, engine)
        if kind in self._recorded:
            metrics = self._recorded[kind](state, inputs, ema_decay, engine)
        else:
            self._seen[kind] = self._seen.get(kind, 0) + 1
            metrics = compute_step(state, config, inputs, engine, ema_decay)
        state.step += 1
        return metrics

    def _try_to_record(
        self, kind: Kind, state: TrainState, config: TrainConfig, inputs: StepInputs, engine: Engine
    ) -> None:
        try:
            self._recorded[kind] = recorded(kind, state, config, inputs, engine, self._record)
        except RuntimeError as error:  # also for lack of memory: a graph keeps all of a step, and it may do without
            self._failed = True
            why = str(error).strip().splitlines()[0]
            warnings.warn(
                f"the step cannot be recorded as a CUDA graph ({why}); it is computed as without step_graph",
                RuntimeWarning,
                stacklevel=3,
            )


def step_with(engine: Engine) -> Callable[[TrainState, TrainConfig, NextBatch, Engine, int], Metrics]:
    """Give what does the steps of a run: :func:`train_step`, or a :class:`StepGraph` if the engine asks for one."""
    return StepGraph() if engine.step_graph else train_step


def kind_of(state: TrainState, config: TrainConfig) -> Kind:
    """Tell what kind of step the next one is."""
    decay = decay_at(config, state.step)
    moves = config.ema_rampup > 0.0 and 0.0 < decay < config.ema_decay
    return Kind(penalty_due(state, config), lecam_begun(state, config), None if moves else decay)


def recorded(
    kind: Kind, state: TrainState, config: TrainConfig, inputs: StepInputs, engine: Engine, record: Recorder
) -> Recorded:
    """Record a step of a kind. Nothing of the state changes but gradients, which are those of no step then."""
    held = StepInputs(
        tuple(Pictures(*(engine.tensor(each).clone() for each in _of(batch))) for batch in inputs.batches),
        tuple(_held(draws, engine) for draws in inputs.d),
        _held(inputs.g, engine),
    )
    rates = (torch.zeros((), device=engine.device), torch.zeros((), device=engine.device))
    ema_decay = torch.zeros((), device=engine.device) if kind.ema_decay is None else kind.ema_decay
    with _rates_on_device(state, rates):
        replay, metrics = record(lambda: compute_step(state, config, held, engine, ema_decay))
    return Recorded(inputs=held, rates=rates, ema_decay=ema_decay, replay=replay, metrics=metrics)


def tensors_of(inputs: StepInputs) -> list[Tensor]:
    """List all tensors of the inputs of a step."""
    pictures = [each for batch in inputs.batches for each in _of(batch)]
    return pictures + [each for draws in (*inputs.d, inputs.g) for each in draws if each is not None]


def _of(batch: RealBatch) -> tuple[Tensor, Tensor, Tensor]:
    return batch.images, batch.labels, batch.flip


def _held(draws: Draws, engine: Engine) -> Draws:
    return Draws(*(None if each is None else engine.tensor(each).clone() for each in draws))  # type: ignore[arg-type]


@contextmanager
def _rates_on_device(state: TrainState, rates: tuple[Tensor, Tensor]) -> Iterator[None]:
    """Inside the context optimisers read their learning rates from tensors, and may be recorded."""
    groups = [optimizer.param_groups[0] for optimizer in (state.optimizer_d, state.optimizer_g)]
    before = [{"lr": group["lr"], "capturable": group["capturable"]} for group in groups]
    try:
        for group, rate in zip(groups, rates, strict=True):
            group.update({"lr": rate, "capturable": True})
        yield
    finally:
        for group, old in zip(groups, before, strict=True):
            group.update(old)


def _recorder() -> Recorder:
    """Give what records CUDA graphs; all use the same memory, as no two of them run at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], Metrics]) -> tuple[Callable[[], object], Metrics]:
        graph = torch.cuda.CUDAGraph()
        # Other threads read pictures and write logs meanwhile, which is no part of the step.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            metrics = work()
        return graph.replay, metrics

    return record
