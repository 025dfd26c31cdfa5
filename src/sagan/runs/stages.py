"""A run in stages of growing sizes, one after the other."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from sagan.models.config import GENERATOR_WIDTHS
from sagan.recipes.config import RunConfig
from sagan.runs.folder import RunError
from sagan.runs.grow import networks_at
from sagan.runs.resume import config_to_resume
from sagan.runs.train import TrainResult, train
from sagan.training.checkpoint import checkpoints


def stages_of(config: RunConfig, sizes: Sequence[int], share: float) -> list[RunConfig]:
    """Cut a run into stages.

    Args:
        config: The whole run: its networks, and its steps in all stages together.
        sizes: Shorter sides in pixels of the stages before the last, each half of the next one.
        share: Part of all steps that each of these has.

    Raises:
        ValueError: If sizes are none that networks grow by, or nothing is left for the last stage.
    """
    whole = config.generator.size_px
    ends = [*sizes, whole]
    if not sizes or any(2 * a != b for a, b in pairwise(ends)) or sizes[0] not in GENERATOR_WIDTHS:
        fits = [size for size in sorted(GENERATOR_WIDTHS) if size < whole]
        raise ValueError(
            f"grow takes sizes that double up to half of {whole} px, the last ones of {', '.join(map(str, fits))}, "
            f"found {' '.join(map(str, sizes))}"
        )
    small = round(share * config.train.total_steps)
    rest = config.train.total_steps - small * len(sizes)
    if small < 1 or rest < 1:
        raise ValueError(
            f"grow_share must leave steps to each of the {len(ends)} stages of {config.train.total_steps:,} steps, "
            f"found {share:g}"
        )
    return [_stage(config, size, i, small if size < whole else rest, small * i) for i, size in enumerate(ends)]


def _stage(config: RunConfig, size_px: int, index: int, steps: int, before: int) -> RunConfig:
    """Give a stage; learning rates fall in the last one alone, the moving average goes on as if there were one.

    A block fades in within the first half of its stage, so that it is whole before the next one grows out of it.
    """
    start = config.train.lr_decay_start
    decay = max(0, start - before) if size_px == config.generator.size_px and start is not None else None
    fade = min(config.train.fade_steps, max(1, steps // 2)) if index else config.train.fade_steps
    train = replace(config.train, total_steps=steps, lr_decay_start=decay, steps_before=before, fade_steps=fade)
    return replace(networks_at(config, size_px, fades=index > 0), train=train)


def _folder(stage: RunConfig, out: Path) -> Path:
    return out / f"{stage.generator.size_px}px"


def _fading_as_begun(stage: RunConfig, config: RunConfig, folder: Path) -> RunConfig:
    """Let a stage that has saved fade in as it began to: over half of the steps that it had then, or over all asked."""
    begun = config_to_resume(folder).train.fade_steps
    fits = stage.generator.fades and begun <= config.train.fade_steps
    return replace(stage, train=replace(stage.train, fade_steps=begun)) if fits else stage


def _check_begun(stages: Sequence[RunConfig], total: int, share: float, out: Path) -> None:
    """Refuse, before any stage trains, steps with which a stage that has saved could not go on.

    Raises:
        RunError: If a stage was begun after other numbers of steps than are asked for.
    """
    for index, stage in enumerate(stages):
        folder = _folder(stage, out)
        if not checkpoints(folder / "checkpoints"):
            continue
        begun = config_to_resume(folder).train
        if not begun.steps_before or begun.steps_before == stage.train.steps_before:
            continue
        small = begun.steps_before // index
        steps = begun.steps_before + begun.total_steps if stage is stages[-1] else round(small / share)
        fits = round(share * steps) == small
        raise RunError(
            f"{folder} was begun after {small:,} steps in each stage before it, and --steps {total} with --grow-share "
            f"{share:g} asks for {stages[0].train.total_steps:,}; a run in stages keeps them, so give "
            f"{f'--steps {steps}' if fits else 'the --steps and --grow-share that it was begun with'}, or another --out"
        )


def train_grown(
    config: RunConfig, sizes: Sequence[int], *, share: float = 0.3, out: Path, console: Console | None = None
) -> TrainResult:
    """Train a run in stages, each in a folder of ``out`` named after its size; again, it goes on where it stopped.

    Args:
        config: The whole run.
        sizes: As in :func:`stages_of`.
        share: As in :func:`stages_of`.
        out: Folder of the folders.
        console: Where to report.

    Returns:
        The outcome of the last stage that was trained.

    Raises:
        ValueError: As :func:`stages_of`.
        RunError: As :func:`~sagan.runs.train.train`; also if a stage was begun with another configuration, or after
            other numbers of steps.
    """
    result: TrainResult | None = None
    before: Path | None = None
    stages = stages_of(config, sizes, share)
    _check_begun(stages, config.train.total_steps, share, out)
    for stage in stages:
        folder = _folder(stage, out)
        if checkpoints(folder / "checkpoints"):
            result = train(_fading_as_begun(stage, config, folder), resume=folder, console=console)
        else:
            result = train(stage, out=folder, init_from=before, console=console)
        if not result.finished:
            break
        before = folder
    assert result is not None  # there are two stages and more
    return result
