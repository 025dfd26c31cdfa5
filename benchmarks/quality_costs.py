"""What a step of each arm of `benchmarks/quality.py` costs, in processor seconds, for each leg of it.

With that a budget is a number of steps, which any device may compute: a step is the same but for rounding. One arm,
the reference, has been trained by seconds before: its costs are the means over that run, with all that went on beside
the steps. Others are measured against it, a few steps of either by turns, so that whatever else the machine does slows
both alike. Legs with the same work in a step (other rates, another moving average) share one measurement, so that noise
gives neither more steps.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from quality_train import Leg, Task, legs
from raw import processor

from sagan.data import Batches, open_dataset
from sagan.generators.snapshot import read_snapshot
from sagan.machine import versions
from sagan.recipes.build import build, with_classes
from sagan.recipes.config import RunConfig, to_json
from sagan.runs.states import states_of
from sagan.training.config import TrainConfig
from sagan.training.step import train_step

ROUNDS, STEPS = 8, 2
"""How often either takes its turn, and its steps in a turn, unless a penalty comes more seldom."""
WARM = 1
"""Turns that do not count."""
SAME_WORK = (
    *("lr_g", "lr_d", "beta1", "beta2", "ema_decay", "ema_start", "ema_rampup"),
    *("lr_decay_start", "fade_steps", "lecam_start", "total_steps", "save_every"),
)
"""Fields of a recipe that change what a step does and not how much it computes."""


def measure_costs(tasks: Sequence[Task], reference: Task, file: Path) -> None:
    """Measure the arms that a file has not yet, and write it after each.

    Raises:
        FileNotFoundError: If the reference has not been trained by seconds under its folder for runs.
    """
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {"processor": processor(), "threads": 1, "versions": versions(), "costs": {}}
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
    else:
        found |= {"reference": {"arm": reference.arm, "set": reference.set} | costs_of_run(reference)}
    known: dict[str, float] = {}
    for task in tasks:
        if task.arm in found["costs"]:
            known |= {work_of(leg.config): found["costs"][task.arm][leg.name] for leg in legs(task)}
    for task in tasks:
        if task.arm not in found["costs"]:
            found["costs"][task.arm] = costs_of(task, reference, found["reference"]["costs"], known)
            file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{task.arm}: {found['costs'][task.arm]}", flush=True)


def costs_of_run(task: Task) -> dict[str, Any]:
    """Read from the checkpoints of a task that was trained by seconds what a step of each leg came to, and of how many.

    Raises:
        FileNotFoundError: If there are none.
    """
    spent_s, costs, steps = 0.0, {}, {}
    for leg in legs(task):
        contents = read_snapshot(task.folder / leg.name).contents
        now_s = float(states_of(contents)["budget"]["spent_s"])
        steps[leg.name] = int(contents["step"])  # type: ignore[call-overload]
        costs[leg.name], spent_s = round((now_s - spent_s) / steps[leg.name], 5), now_s
    return {"costs": costs, "steps": steps}


def costs_of(task: Task, reference: Task, costs: dict[str, float], known: dict[str, float]) -> dict[str, float]:
    """Give what a step of each leg of an arm costs; adds to ``known``, by the work, what had to be measured."""
    beside = {leg.name: leg for leg in legs(reference)}
    known |= {work_of(leg.config): costs[name] for name, leg in beside.items()}
    for leg in legs(task):
        if work_of(leg.config) not in known:
            other = beside.get(leg.name, beside["run"])
            known[work_of(leg.config)] = round(costs[other.name] * ratio(leg, other), 5)
    return {leg.name: known[work_of(leg.config)] for leg in legs(task)}


def work_of(config: RunConfig) -> str:
    """Write a configuration without what does not change the work of a step."""
    usual = TrainConfig()
    return to_json(replace(config, train=replace(config.train, **{name: getattr(usual, name) for name in SAME_WORK})))


def ratio(leg: Leg, other: Leg) -> float:
    """Measure how many times as much processor time a step of a leg takes as one of another: the median of turns."""
    train = leg.config.train
    steps = train.penalty_every if train.penalises else STEPS
    one, two = stepper(leg.config), stepper(other.config)
    return statistics.median([one(steps) / two(steps) for _ in range(WARM + ROUNDS)][WARM:])


def stepper(config: RunConfig) -> Callable[[int], float]:
    """Give what does so many steps of a fresh run, and tells the processor seconds that they took."""
    images = open_dataset(config.data, config.generator.image_size)
    config = with_classes(config, len(images.class_names))
    parts = build(config)
    indices, _ = images.split(config.data.holdout_fraction, config.data.holdout_max, config.seed)
    flags = {"balanced": config.data.balanced, "flip": config.data.flip}
    batches = Batches(images, indices, config.train.batch_size, config.seed, **flags)

    def steps(count: int) -> float:
        start = time.process_time()
        for _ in range(count):
            train_step(parts.state, config.train, batches, parts.engine, config.seed)
        return time.process_time() - start

    return steps
