"""The loop: steps and, between them, three hooks. It knows neither pictures nor metrics nor files."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from sagan.training.config import TrainConfig
from sagan.training.engine import Engine
from sagan.training.state import TrainState
from sagan.training.step import NextBatch, train_step


class Hooks(Protocol):
    """What happens between steps."""

    def log(self, state: TrainState, metrics: dict[str, Tensor]) -> None:
        """Take the metrics of the step that was just done; called after every step."""

    def evaluate(self, state: TrainState) -> None:
        """Look at the samples; called after every step, decides itself whether it is due."""

    def save(self, state: TrainState, *, last: bool) -> None:
        """Save if due; always if ``last``."""


def train_loop(
    state: TrainState,
    config: TrainConfig,
    next_batch: NextBatch,
    engine: Engine,
    hooks: Hooks,
    seed: int,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until ``config.total_steps``, or until ``stop`` says so after a finished step.

    Returns:
        Whether all steps are done.
    """
    while state.step < config.total_steps and not stop():
        metrics = train_step(state, config, next_batch, engine, seed)
        hooks.log(state, metrics)
        hooks.evaluate(state)
        hooks.save(state, last=False)
    hooks.save(state, last=True)
    return state.step >= config.total_steps
