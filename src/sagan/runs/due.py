"""After which steps samples are looked at."""

from sagan.training.config import TrainConfig


def _due(every: int, train: TrainConfig, step: int) -> bool:
    return every > 0 and (step % every == 0 or step == train.total_steps)


def draws(train: TrainConfig, step: int) -> bool:
    """Tell whether samples are drawn after a step."""
    return _due(train.sample_every, train, step)


def measures(train: TrainConfig, step: int) -> bool:
    """Tell whether the monitor measures after a step."""
    return _due(train.evaluate_every, train, step)


def logs(train: TrainConfig, step: int) -> bool:
    """Tell whether a line of the log is written after a step."""
    return _due(train.log_every, train, step)
