"""The process of `benchmarks/quality.py` that trains an arm up to a budget of processor seconds, and then leaves.

Cost is what this process spends, all of its threads, from the first step to the last: not the start of Python, not the
standing statistics of the weights that it leaves. A run that is called again goes on from its last checkpoint, which
keeps what was spent until then.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quality_arms import Arm, chosen, configuration
from rich.console import Console

import sagan
from sagan.recipes.config import RunConfig, from_json
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints

PROBE_STEPS, PROBE_FROM = 30, 10
"""Steps of a trial that tells how many a budget allows, and the first that counts."""
SAVE_EVERY_S = 120.0
"""Processor seconds after which a checkpoint is made, so that an interrupted run loses no more."""


class Budget(sagan.Hook):
    """Counts processor seconds and ends the run when they are spent."""

    name = "budget"

    def __init__(self, until_s: float) -> None:
        self.until_s, self.spent_s, self._last = until_s, 0.0, 0.0
        self.steps: list[float] = []

    def on_start(self, record: Any) -> None:
        """Count from here."""
        self._last = time.process_time()

    def on_step(self, record: Any) -> None:
        """Add what the step cost."""
        now = time.process_time()
        self.steps.append(now - self._last)
        self.spent_s, self._last = self.spent_s + now - self._last, now
        if self.spent_s >= self.until_s:
            record.stop(f"{self.until_s:g} processor seconds are spent")

    def state_dict(self) -> dict[str, object]:
        """Keep what is spent."""
        return {"spent_s": self.spent_s}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from what was spent."""
        self.spent_s = float(state["spent_s"])  # type: ignore[arg-type]


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

    @property
    def folder(self) -> Path:
        """Where the run lies: arms whose rates fall have one for each budget, others one that goes on."""
        horizon = f"-{self.budget_s:g}" if chosen(self.arm).decay_from is not None else ""
        return Path(self.work) / f"{self.set}-{self.arm}-{self.seed}{horizon}"

    @property
    def config(self) -> RunConfig:
        """What it trains."""
        return configuration(self.set, chosen(self.arm), self.data, str(Path(self.work) / "cache"), self.seed)


def weights_at(task: Task, point_s: float) -> Path:
    """Say where the weights lie that a task leaves at a point of its budget."""
    return task.folder / f"at-{point_s:g}.safetensors"


def train_until(task: Task, point_s: float) -> dict[str, Any]:
    """Train a task until so many seconds are spent, export the weights there, and say what it came to."""
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    run = task.folder / "run"
    budget = Budget(point_s)
    if checkpoints(run / "checkpoints"):
        config = from_json((run / "config.json").read_text())
        result = train(config, resume=run, hooks=[budget], console=console)
    else:
        result = train(prepared(task), out=run, hooks=[budget], console=console)
    weights = weights_at(task, point_s)
    sagan.export(run, weights)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    warned = sorted({str(line["health"]) for line in lines if "health" in line and not line["over"]})
    return {"cost_s": round(budget.spent_s, 1), "step": result.step, "warned": warned}


def prepared(task: Task) -> RunConfig:
    """Give the configuration of a fresh run: checkpoints as often as time asks, and the steps that rates fall over."""
    config, arm = task.config, chosen(task.arm)
    step_s = probe(task, config)
    changes: dict[str, Any] = {"save_every": max(1, round(SAVE_EVERY_S / step_s)), "keep_last": 1}
    if arm.decay_from is not None:
        total = max(2, round(task.budget_s / step_s))
        changes |= {"total_steps": total, "lr_decay_start": round(arm.decay_from * total)}
    return replace(config, train=replace(config.train, **changes))


def probe(task: Task, config: RunConfig) -> float:
    """Measure the processor seconds of a step, the median of some."""
    budget = Budget(float("inf"))
    short = replace(config, train=replace(config.train, total_steps=PROBE_STEPS, log_every=PROBE_STEPS))
    out = task.folder / f"probe-{time.time_ns()}"
    train(short, out=out, hooks=[budget], console=Console(quiet=True))
    counted = sorted(budget.steps[PROBE_FROM:])
    return counted[len(counted) // 2]


def arm_of(task: Task) -> Arm:
    """Give the arm of a task."""
    return chosen(task.arm)
