"""The loop: steps and, between them, hooks. It knows neither pictures nor metrics nor files."""

from collections.abc import Callable

from sagan.training.hooks import Hooks
from sagan.training.step import NextBatch, train_step


def train_loop(hooks: Hooks, next_batch: NextBatch, seed: int, received: Callable[[], int] = lambda: 0) -> bool:
    """Train until ``total_steps``, or until a signal or a hook ends the run after a finished step.

    Args:
        hooks: What happens between steps; their record has the training state, the recipe and the engine.
        next_batch: As for :func:`~sagan.training.step.train_step`.
        seed: The run's seed.
        received: Gives the number of the signal that this process received, or 0; asked before each step.

    Returns:
        Whether all steps are done.
    """
    record, state, config = hooks.record, hooks.record.state, hooks.record.config
    with hooks.running():
        if state.step == 0:
            hooks.save()  # from now on the run can be resumed, whatever happens
        while state.step < config.total_steps and not hooks.stopped(received()):
            hooks.step(train_step(state, config, next_batch, record.engine, seed))
            # After a rollback the state is that of a checkpoint, which is saved.
            if state.step % config.save_every == 0 or state.step == config.total_steps:
                hooks.save()
        hooks.save()
    return state.step >= config.total_steps
