"""``sagan plan``: predict what a run takes on this machine."""

from dataclasses import dataclass

from sagan.cli.flags import ConfigFlags, combined, parse_with_preset
from sagan.cli.parse import UsageError

WHAT = (
    "What a run takes on this machine - memory, hours, disk - and how to cut its batches to fit, before it starts. "
    "A few steps are really done; nothing is written. All flags are those of `sagan train`."
)


@dataclass(frozen=True, kw_only=True)
class PlanFlags(ConfigFlags):
    """Flags of ``sagan plan``."""

    memory_limit: float | None = None
    """Memory that the run may take, in GB; unset is what is available."""


def run(arguments: list[str]) -> int:
    """Parse, plan, print."""
    flags, choice = parse_with_preset(PlanFlags, arguments, "plan", WHAT)
    if flags.memory_limit is not None and not flags.memory_limit > 0.0:
        raise UsageError(f"--memory-limit must be above 0, found {flags.memory_limit}")
    with_data = choice.says_pictures(flags.config, flags.data)
    from sagan.cli.terminal import error_console
    from sagan.speed.plan import make_plan, train_command

    plan = make_plan(
        combined(flags),
        with_data=with_data,
        limit_bytes=None if flags.memory_limit is None else int(flags.memory_limit * 1e9),
        console=error_console(),
    )
    command = train_command(arguments, plan.config.train.accumulate, skip_unreadable=plan.must_skip)
    print(f"{choice.sentence}\n{plan.text(command)}")
    return 0
