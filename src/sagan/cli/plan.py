"""``sagan plan``: predict what a run takes on this machine."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sagan.cli.flags import combined, parse_with_preset
from sagan.cli.parse import UsageError
from sagan.cli.train import TrainFlags, check_devices, check_weights
from sagan.recipes.choose import Choice
from sagan.recipes.config import RunConfig

WHAT = (
    "What a run takes on this machine - memory, hours, disk - and how to cut its batches to fit, before it starts. "
    "A few steps are really done; nothing is written. It takes all flags of `sagan train` but --resume and --grow, "
    "with --memory-limit on top."
)


@dataclass(frozen=True, kw_only=True)
class PlanFlags(TrainFlags):
    """Flags of ``sagan plan``."""

    HIDDEN: ClassVar[tuple[str, ...]] = ("resume", "grow", "grow_share")
    """What is not taken, but refused in a sentence of its own."""
    memory_limit: float | None = None
    """Memory that the run may take, in GB; unset is what is available."""
    out: Path | None = None
    """The run folder of `sagan train`; it changes nothing here."""
    resume: Path | None = None
    """Not taken: a run that goes on keeps the batches that it has."""
    init_from: Path | None = None
    """Weights to start from, as in `sagan train`; they change nothing here."""
    grow: tuple[int, ...] = ()
    """Not taken: each stage is a run of its own, with a plan of its own."""
    grow_share: float = 0.3
    """Goes with --grow."""
    devices: str = "1"
    """As in `sagan train`. On GPUs the plan is that of each process; on processors that of one with the whole batch."""


def run(arguments: list[str]) -> int:
    """Parse, plan, print."""
    flags, choice = parse_with_preset(PlanFlags, arguments, "plan", WHAT, _check)
    with_data = choice.says_pictures(flags.config, flags.data)
    from sagan.cli.terminal import error_console
    from sagan.speed.plan import make_plan, train_command

    config, processes, note = _of_a_process(combined(flags), flags.devices)
    plan = make_plan(
        config,
        with_data=with_data,
        limit_bytes=None if flags.memory_limit is None else int(flags.memory_limit * 1e9),
        processes=processes,
        console=error_console(),
    )
    command = train_command(arguments, plan.config.train.accumulate, skip_unreadable=plan.must_skip)
    print(f"{choice.sentence}\n{note}{plan.text(command)}")
    return 0


def _check(flags: PlanFlags, _: Choice) -> None:
    if flags.memory_limit is not None and not flags.memory_limit > 0.0:
        raise UsageError(f"--memory-limit must be above 0, found {flags.memory_limit}")
    if flags.resume is not None:
        raise UsageError(
            "--resume: a run that goes on keeps the batches that it has, so there is nothing to plan; for the same run "
            f"from its beginning give --config {flags.resume / 'config.json'} in its place"
        )
    if flags.grow:
        raise UsageError(
            "--grow makes each stage a run of its own: plan the last one without --grow, which takes the most, and "
            f"others with --size {flags.grow[0]}"
        )
    check_weights(flags)
    check_devices(flags.devices)


def _of_a_process(config: RunConfig, devices: str) -> tuple[RunConfig, int, str]:
    """Give the configuration to plan for, how many processes share its batches, and a line that says so.

    Raises:
        ValueError: If there are no such devices, or the batch cannot be shared equally.
    """
    from sagan.machine import usable_device
    from sagan.runs.launch import number_of_processes

    count = number_of_processes(devices, config.engine.device)
    if count == 1:
        return config, 1, ""
    config.train.check_division(count)
    if usable_device(config.engine.device) == "cpu":
        said = "share this machine's cores and memory; below is one with the whole batch, which is about as fast"
        return config, count, f"devices:  {count} processes {said}\n"
    train = config.train
    of_g = None if train.g_batch_size is None else train.g_batch_size // count
    share = replace(train, batch_size=train.batch_size // count, g_batch_size=of_g)
    said = (
        f"below is what each of them does, with {share.batch_size:,} of the {train.batch_size:,} pictures of a batch; "
        "that they exchange gradients is not counted"
    )
    return replace(config, train=share), 1, f"devices:  {count}; {said}\n"
