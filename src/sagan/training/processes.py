"""Which process of how many this one is: read from what ``torchrun``, SLURM's ``srun`` or our own launcher set."""

import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass

# torchrun's names; our launcher sets the same ones.
RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE = "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"


class ProcessLostError(RuntimeError):
    """Another process of the run has ended or no longer answers, so this one cannot go on."""


@dataclass(frozen=True)
class Process:
    """One process among those of a run."""

    rank: int = 0
    """Its number among all, 0 first; process 0 alone writes."""
    local_rank: int = 0
    """Its number among those of its machine."""
    world_size: int = 1
    """Processes in all."""
    local_world_size: int = 1
    """Processes on each machine."""


def current_process(environment: MutableMapping[str, str] = os.environ) -> Process:
    """Read which process this is; without a launcher it is the only one.

    Variables that ``torchrun`` would have set and that are missing are added to the environment. Inside a SLURM step
    of several tasks all of them are: process 0 is on the step's first node, at a port that follows from the job's
    number. Where they were set by hand without the local ones, all processes are taken to be on one machine.

    Raises:
        ValueError: If the variables contradict each other, or the machines have different numbers of processes, or it
            is not said where process 0 is.
    """
    if WORLD_SIZE not in environment and int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        environment.update(_from_slurm(environment))
    numbers: dict[str, int] = {}
    for name, default in ((WORLD_SIZE, "1"), (RANK, "0"), (LOCAL_RANK, None), (LOCAL_WORLD_SIZE, None)):
        text = environment.get(name) or default or str(numbers[RANK if name == LOCAL_RANK else WORLD_SIZE])
        if not text.isdecimal():
            raise ValueError(f"the environment variable {name} must be a number, found {text!r}")
        numbers[name] = int(text)
    if numbers[WORLD_SIZE] <= 1:
        return Process()
    process = Process(numbers[RANK], numbers[LOCAL_RANK], numbers[WORLD_SIZE], numbers[LOCAL_WORLD_SIZE])
    if (
        process.rank >= process.world_size
        or process.local_rank >= process.local_world_size
        or process.world_size % process.local_world_size
    ):
        raise ValueError(
            f"{RANK} {process.rank}, {LOCAL_RANK} {process.local_rank}, {WORLD_SIZE} {process.world_size} and "
            f"{LOCAL_WORLD_SIZE} {process.local_world_size} do not fit together; start the same number of processes on "
            "each machine, with torchrun or srun"
        )
    if not (environment.get(ADDRESS) and environment.get(PORT)):
        raise ValueError(
            f"{WORLD_SIZE} is {process.world_size}, but {ADDRESS} and {PORT} do not say where process 0 listens; start "
            "the processes with torchrun, srun or `sagan train --devices N`, which set them"
        )
    environment.update({name: str(number) for name, number in numbers.items()})
    return process


def _from_slurm(environment: MutableMapping[str, str]) -> dict[str, str]:
    tasks, nodes = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment.get("SLURM_STEP_NUM_NODES", 1))
    if tasks % nodes:
        raise ValueError(
            f"SLURM runs {tasks} tasks on {nodes} nodes; give each node the same number (--ntasks-per-node)"
        )
    hosts = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    first = re.sub(r"\[([^],-]*)[^]]*\]", r"\1", re.match(r"(?:[^,\[]|\[[^]]*\])*", hosts)[0])  # type: ignore[index]
    port = 15_000 + int(environment.get("SLURM_JOB_ID", 0)) % 10_000
    return {
        RANK: environment["SLURM_PROCID"],
        LOCAL_RANK: environment["SLURM_LOCALID"],
        WORLD_SIZE: str(tasks),
        LOCAL_WORLD_SIZE: str(tasks // nodes),
        "GROUP_RANK": environment.get("SLURM_NODEID", "0"),
        ADDRESS: environment.get(ADDRESS, first),
        PORT: environment.get(PORT, str(port)),
    }
