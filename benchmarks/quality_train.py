"""The process of `benchmarks/quality.py` that trains an arm up to a budget of processor seconds, and then leaves.

Cost is what this process spends, all of its threads, from the first step to the last: not the start of Python, not the
standing statistics of the weights that it leaves. A run that is called again goes on from its last checkpoint, which
keeps what was spent until then. An arm with stages is a run for each of them, which starts from the one before and
counts what that spent.

By steps (:class:`BySteps`), cost is the number of steps times what one was measured to take on a processor, and any
device may compute them.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quality_arms import SETS, Arm, chosen, configuration, with_fields
from rich.console import Console

import sagan
from sagan.data import NAMES
from sagan.recipes.config import RunConfig, from_json
from sagan.runs.grow import networks_at
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints
from sagan.training.config import Compile, Device, EngineConfig, Precision

PROBE_STEPS, PROBE_FROM = 30, 10
"""Steps of a trial that tells how many a budget allows, and the first that counts."""
PREVIEWS, LINES_A_PREVIEW, PREVIEWS_A_SCORE = 40, 4, 4
"""Sheets of samples in each run of a task that draws, lines of the log for each, and sheets for a measurement."""
SAVE_EVERY_S = 120.0
"""Processor seconds after which a checkpoint is made, so that an interrupted run loses no more."""
SAVE_EVERY, LOG_EVERY = 5000, 500
"""The same in steps on a GPU, which does them fast, and steps between lines of the log, which hold it up."""


class Budget(sagan.Hook):
    """Counts processor seconds and ends the run when they are spent."""

    name = "budget"

    def __init__(self, until_s: float, before: "Budget | None" = None) -> None:
        self.until_s, self._last = until_s, 0.0
        self.spent_s = 0.0 if before is None else before.spent_s
        self.steps_before = 0 if before is None else before.steps_done
        self.steps_done = self.steps_before
        self.steps: list[float] = []

    def on_start(self, record: Any) -> None:
        """Count from here, if there is anything left."""
        self._last = time.process_time()
        self.steps_done = self.steps_before + record.step
        if self.spent_s >= self.until_s:
            record.stop(f"{self.until_s:g} processor seconds are spent")

    def on_step(self, record: Any) -> None:
        """Add what the step cost."""
        now = time.process_time()
        self.steps.append(now - self._last)
        self.spent_s, self._last = self.spent_s + now - self._last, now
        self.steps_done = self.steps_before + record.step
        if self.spent_s >= self.until_s:
            record.stop(f"{self.until_s:g} processor seconds are spent")

    def state_dict(self) -> dict[str, object]:
        """Keep what is spent."""
        return {"spent_s": self.spent_s, "steps_before": self.steps_before}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from what was spent."""
        self.spent_s = float(state["spent_s"])  # type: ignore[arg-type]
        self.steps_before = int(state.get("steps_before", 0))  # type: ignore[call-overload]


class StoppedError(Exception):
    """A signal stopped the training; it is saved and can go on."""


@dataclass(frozen=True, kw_only=True)
class BySteps:
    """Train as many steps as a budget of processor seconds is, on any device."""

    costs: Mapping[str, float]
    """Processor seconds of a step, for each leg of the arm."""
    device: Device = "cpu"
    precision: Precision = "fp32"
    compile: Compile = "off"
    """What an arm cannot be trained with is `off` for it."""
    step_graph: bool = False


class Steps(Budget):
    """Ends the run after the steps that a budget is; each counts what it costs on a processor."""

    def __init__(self, leg: "Leg", until_s: float, before: Budget | None) -> None:
        super().__init__(until_s, before)
        self.leg = leg

    def on_start(self, record: Any) -> None:
        """Count what is done."""
        self.on_step(record)

    def on_step(self, record: Any) -> None:
        """Count, and end the run after the last one."""
        self.count(record.step)
        if record.step >= self.leg.steps_until(self.until_s):
            record.stop(f"as many steps as {self.until_s:g} processor seconds are")

    def count(self, step: int) -> None:
        """Say what so many steps are."""
        self.steps_done = self.steps_before + step
        self.spent_s = self.leg.starts_s + step * (self.leg.step_s or 0.0)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One arm with one seed on one set of pictures, up to a budget."""

    set: str
    arm: str
    seed: int
    budget_s: float
    """What it may spend in all: learning rates that fall have fallen then."""
    data: str
    work: str
    """Folder for runs and decoded pictures."""
    by_steps: BySteps | None = None
    """Unset counts the seconds that it really takes."""
    pictures: bool = False
    """Draw and measure samples while training, by steps alone: that is no part of the cost."""

    @property
    def way(self) -> Arm:
        """The arm that it trains."""
        return chosen(self.arm)

    @property
    def folder(self) -> Path:
        """Where its runs lie: arms that plan with their budget have some for each, others one that goes on."""
        horizon = f"-{self.budget_s:g}" if self.way.plans or self.pictures else ""
        kind = "-by-steps" if self.by_steps else ""
        return Path(self.work) / f"{self.set}-{self.arm}-{self.seed}{horizon}{kind}{'-drawn' if self.pictures else ''}"

    @property
    def config(self) -> RunConfig:
        """What it trains."""
        config = configuration(self.set, self.way, self.data, str(Path(self.work) / "cache"), self.seed)
        return config if self.by_steps is None else on_engine(config, self.by_steps)


def on_engine(config: RunConfig, by_steps: BySteps) -> RunConfig:
    """Give a configuration with a device, the pictures kept there; compiled if it can be."""
    engine = EngineConfig(device=by_steps.device, precision=by_steps.precision, step_graph=by_steps.step_graph)
    if by_steps.device != "cpu":
        data = replace(config.data, keep="device")
        config = replace(config, data=data, train=replace(config.train, log_every=LOG_EVERY))
    try:
        return replace(config, engine=replace(engine, compile=by_steps.compile))
    except ValueError:  # as with penalties of D's gradient
        return replace(config, engine=replace(engine, compile="off"))


def weights_at(task: Task, point_s: float) -> Path:
    """Say where the weights lie that a task leaves at a point of its budget."""
    return task.folder / f"at-{point_s:g}.safetensors"


def train_until(task: Task, point_s: float, init_from: Path | None = None) -> dict[str, Any]:
    """Train a task until so many seconds are spent, export the weights there, and say what it came to.

    Args:
        task: What to train.
        point_s: Processor seconds after which it leaves.
        init_from: A run that its first leg starts from; what that spent does not count.

    Raises:
        StoppedError: If a signal ended it before.
    """
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    budget: Budget | None = None
    before = init_from
    for leg in legs(task):
        run, until_s = task.folder / leg.name, min(point_s, leg.ends_s)
        budget = Budget(until_s, budget) if leg.step_s is None else Steps(leg, until_s, budget)
        if checkpoints(run / "checkpoints"):
            config = from_json((run / "config.json").read_text())
            result = train(config, resume=run, hooks=[budget], console=console)
        else:
            result = train(prepared(task, leg, before), out=run, init_from=before, hooks=[budget], console=console)
        if result.signal is not None:
            raise StoppedError(f"at step {result.step:,} of {leg.name}")
        if isinstance(budget, Steps):
            budget.count(result.step)  # also of a run that was done before
        before = run
        if point_s <= leg.ends_s:
            break
    assert budget is not None
    weights = weights_at(task, point_s)
    sagan.export(run, weights)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    warned = sorted({str(line["health"]) for line in lines if "health" in line and not line["over"]})
    return {"cost_s": round(budget.spent_s, 1), "step": budget.steps_done, "warned": warned}


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A run of a task: its only one, or that of a stage."""

    name: str
    config: RunConfig
    starts_s: float
    """Processor seconds that all before may spend."""
    ends_s: float
    step_s: float | None = None
    """What a step costs, where that is not measured as it is done."""
    last: bool = False

    def steps_until(self, point_s: float) -> int:
        """Give the steps that it does until a point of the budget."""
        assert self.step_s is not None
        return max(1, round((point_s - self.starts_s) / self.step_s))


def legs(task: Task) -> list[Leg]:
    """List the runs of a task: one for each stage, and the last."""
    arm, whole, found, start = task.way, task.config, list[Leg](), 0.0
    for i, stage in enumerate(arm.stages):
        config = whole if stage.size_px is None else networks_at(whole, stage.size_px, fades=i > 0)
        if stage.other:
            config = replace(config, data=replace(config.data, path=other_data(task)))
        end = start + stage.share * task.budget_s
        found.append(Leg(name=f"stage-{i + 1}", config=config, starts_s=start, ends_s=end))
        start = end
    grows = any(stage.size_px is not None for stage in arm.stages)
    config = with_fields(networks_at(whole, whole.generator.size_px, fades=grows), arm.later)
    found.append(Leg(name="run", config=config, starts_s=start, ends_s=task.budget_s, last=True))
    return found if task.by_steps is None else [replace(leg, step_s=task.by_steps.costs[leg.name]) for leg in found]


def other_data(task: Task) -> str:
    """Say where the other pictures of a set are: a name, or a file beside its own."""
    other = SETS[task.set].other
    return other if other in NAMES else str(Path(task.data).with_name(other))


def prepared(task: Task, leg: Leg, before: Path | None) -> RunConfig:
    """Give the configuration of a fresh run: checkpoints as often as time asks, and the steps that rates fall over."""
    config, arm = leg.config, task.way
    step_s = leg.step_s or probe(task, config, before)
    total = max(2, round((leg.ends_s - leg.starts_s) / step_s))
    on_gpu = config.engine.device == "cuda"
    often = SAVE_EVERY if on_gpu else max(1, round(SAVE_EVERY_S / step_s))
    changes: dict[str, Any] = {"save_every": often, "keep_last": 1}
    if arm.decay_from is not None and leg.last:
        start = round((arm.decay_from * task.budget_s - leg.starts_s) / step_s)
        changes |= {"total_steps": total, "lr_decay_start": max(0, start)}
    if task.pictures:
        every = max(1, total // PREVIEWS)
        changes |= {"sample_every": every, "log_every": max(1, every // LINES_A_PREVIEW)}
        changes |= {"evaluate_every": PREVIEWS_A_SCORE * every} | ({"total_steps": total} if leg.last else {})
    return replace(config, train=replace(config.train, **changes))


def probe(task: Task, config: RunConfig, before: Path | None) -> float:
    """Measure the processor seconds of a step, the median of some."""
    counted = sorted(tried(task, config, before, PROBE_STEPS)[1][PROBE_FROM:])
    return counted[len(counted) // 2]


def tried(
    task: Task, config: RunConfig, before: Path | None, steps: int, **train_fields: Any
) -> tuple[Path, list[float]]:
    """Train a few steps, in a folder of their own; gives that, and the processor seconds of each."""
    budget = Budget(float("inf"))
    short = replace(config, train=replace(config.train, **{"total_steps": steps, "log_every": steps} | train_fields))
    out = task.folder / f"probe-{time.time_ns()}"
    train(short, out=out, init_from=before, hooks=[budget], console=Console(quiet=True))
    return out, budget.steps
