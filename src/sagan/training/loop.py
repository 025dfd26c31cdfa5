"""The loop: steps and, between them, hooks. It knows neither pictures nor metrics nor files."""

from collections.abc import Callable

from sagan.training.engine import RealBatch
from sagan.training.hooks import Hooks
from sagan.training.replay import step_with
from sagan.training.step import NextBatch, batches_of_step


def train_loop(hooks: Hooks, next_batch: NextBatch, seed: int, received: Callable[[], int] = lambda: 0) -> bool:
    """Train until ``total_steps``, or until a signal or a hook ends the run after a finished step.

    Args:
        hooks: What happens between steps; their record has the training state, the recipe and the engine.
        next_batch: As for :func:`~sagan.training.step.train_step`.
        seed: The run's seed.
        received: Gives the number of the signal that this process received, or 0; asked before each step.

    Pictures that cannot be read end the run like a hook that stops it, saved and on all processes; the error is raised
    then, where it happened.

    Returns:
        Whether all steps are done.
    """
    record, state, config = hooks.record, hooks.record.state, hooks.record.config
    do_step = step_with(record.engine)
    unread: Exception | None = None
    with hooks.running():
        if state.step == 0:
            hooks.save()  # from now on the run can be resumed, whatever happens
        while state.step < config.total_steps:
            batches: dict[int, RealBatch] = {}
            try:  # before anything of the step is done, so that the state is whole
                batches = {position: next_batch(position) for position in batches_of_step(state, config)}
            except Exception as error:
                unread = error
                record.stop(str(error))
            if hooks.stopped(received()):
                break
            hooks.step(do_step(state, config, batches.__getitem__, record.engine, seed))
            if hooks.due():  # after a rollback the state is that of a checkpoint, which is saved
                hooks.save(last=state.step == config.total_steps)
        hooks.save(last=True)
    if unread is not None:
        raise unread
    return state.step >= config.total_steps
