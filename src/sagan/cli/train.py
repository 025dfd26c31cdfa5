"""``sagan train``: train a run, or go on with one."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from sagan.cli.flags import ConfigFlags, combined, named, parse_with_preset, steps_named
from sagan.cli.parse import UsageError, parse
from sagan.generators.hub import check_weights_there
from sagan.generators.staged import newest_stage
from sagan.recipes.choose import WHICH_PICTURES, Choice
from sagan.recipes.config import RunConfig, with_steps
from sagan.recipes.few import EXACT

WHAT = "Train a class-conditional self-attention GAN on your pictures."


@dataclass(frozen=True, kw_only=True)
class TrainFlags(ConfigFlags):
    """Flags of ``sagan train``."""

    out: Path | None = None
    """The new run folder; unset is runs/NAME-NUMBER."""
    resume: Path | None = None
    """Go on with the run in this folder (only --steps, cadences and the device may change)."""
    init_from: Path | None = None
    """Start from the weights of another run or a weights file; classes are matched by name."""
    grow: tuple[int, ...] = ()
    """Train at these sizes first, each half of the next, e.g. `16 32` before 64 px: each stage is a run of its own in a
    folder of --out; the same command again goes on where it stopped."""
    grow_share: float = 0.3
    """Part of all steps that each of these stages has."""
    devices: str = "1"
    """Processes on this machine that share each batch, each with a GPU of its own or a part of the cores: a number,
    or `auto` for one per GPU. For several machines start `sagan train` with torchrun or srun instead."""


def run(arguments: list[str]) -> int:
    """Parse, train, give the exit code: 0, or 128 + the signal that stopped it."""
    given = named(arguments, "preset", "resume", "config")
    if given["resume"] is None:
        flags, choice = parse_with_preset(TrainFlags, arguments, "train", WHAT, _check_start)
    else:
        flags, choice = _parse_resumed(arguments, given), None
    from sagan.runs.launch import launch_run, number_of_processes
    from sagan.runs.signals import end_with_parent
    from sagan.runs.train import train
    from sagan.speed.fits import saying_what_fits
    from sagan.training.processes import current_process

    end_with_parent()
    config = combined(flags)
    alone = current_process().world_size == 1
    if choice is not None and choice.reason and alone:
        print(choice.sentence, file=sys.stderr)
    if flags.grow:
        return _run_grown(flags, config)
    processes = number_of_processes(flags.devices, config.engine.device)
    if processes > 1 and alone:
        return launch_run(config, arguments, processes, out=flags.out, resume=flags.resume)
    exact = choice is None or choice.written is not None or choice.name in EXACT
    keep = None if exact else fields_named(arguments)
    with saying_what_fits(config) if alone else nullcontext():
        result = train(config, out=flags.out, resume=flags.resume, init_from=flags.init_from, keep_fields=keep)
    return 0 if result.signal is None else 128 + result.signal


def _check_start(flags: TrainFlags, choice: Choice) -> None:
    check_weights(flags)
    if not flags.grow and flags.grow_share != TrainFlags.grow_share:
        raise UsageError("--grow-share goes with --grow")
    check_devices(flags.devices)
    if not choice.says_pictures(flags.config, flags.data):
        raise UsageError(WHICH_PICTURES)


def check_devices(devices: str) -> None:
    """Check that a number of processes is one; what of it this machine has is checked later.

    Raises:
        UsageError: If it is not.
    """
    if devices != "auto" and not (devices.isdecimal() and int(devices) >= 1):
        raise UsageError(f"--devices takes a number of processes from 1 on, or auto; found {devices!r}")


def check_weights(flags: TrainFlags) -> None:
    """Check that there is something at ``--init-from``, if that is given.

    Raises:
        FileNotFoundError: If there is not.
    """
    if flags.init_from is not None:
        check_weights_there(flags.init_from, hub=False)


def fields_named(arguments: list[str]) -> frozenset[str]:
    """Give the configuration fields that have a flag, by their dotted names."""
    flags = (word.partition("=")[0] for word in arguments if word.startswith("--"))
    return frozenset(flag.removeprefix("--").replace("-", "_") for flag in flags if "." in flag)


def _run_grown(flags: TrainFlags, config: RunConfig) -> int:
    if flags.resume is not None or flags.init_from is not None or flags.devices != "1":
        raise UsageError(
            "--grow makes a run a stage, in one process: leave --resume, --init-from and --devices away; the same "
            "command with the same --out goes on"
        )
    from sagan.runs.folder import folder_for
    from sagan.runs.stages import train_grown

    out = flags.out or folder_for(config)
    result = train_grown(config, flags.grow, share=flags.grow_share, out=out)
    return 0 if result.signal is None else 128 + result.signal


def _parse_resumed(arguments: list[str], given: dict[str, str | None]) -> TrainFlags:
    for flag in ("preset", "config"):
        if given[flag] is not None:
            raise UsageError(f"--resume goes on with the run's own configuration: leave --{flag} away")
    if given["resume"] == "":
        raise UsageError("--resume is empty; name the folder of a run")
    if given["resume"] and not Path(given["resume"]).exists():
        raise UsageError(f"--resume {given['resume']}: no run to resume there, nor anything else")
    if given["resume"] and newest_stage(given["resume"]) != Path(given["resume"]):
        raise UsageError(
            f"--resume {given['resume']}: this is a folder of stages; the command with --grow that made it, with --out "
            f"{given['resume']}, goes on with them"
        )
    folder = Path(str(given["resume"]))
    if given["resume"] and not (folder / "config.json").is_file() and not any(folder.glob("checkpoints/*.pt")):
        raise UsageError(f"--resume {folder}: no run to resume there (it has neither config.json nor checkpoints)")
    from sagan.runs.resume import config_to_resume

    base = config_to_resume(folder)
    if (steps := steps_named(arguments)) is not None:
        base = with_steps(base, steps)
    return parse(
        TrainFlags,
        arguments,
        "train",
        TrainFlags(config=base),
        f"{WHAT}\n\nDefaults shown are those of the run's own configuration.",
    )
