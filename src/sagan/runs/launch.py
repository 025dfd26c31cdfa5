"""Start the processes of a run on this machine, watch them, and end all when one fails."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from sagan.data.parallel import cores
from sagan.recipes.config import RunConfig
from sagan.runs.folder import folder_for
from sagan.runs.signals import HANG_UP, PARENT, stopping
from sagan.streams import words_may_be_lost
from sagan.training.config import Device
from sagan.training.processes import ADDRESS, LOCAL_RANK, LOCAL_WORLD_SIZE, PORT, RANK, WORLD_SIZE

CHECK_EVERY_S = 0.2
# How processes end that saved because a signal asked for it.
SAVED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, HANG_UP) if number is not None}
# How long the others may take to end by themselves when one has failed, and then after being asked to.
GRACE_S, TERM_S = 3.0, 10.0


def number_of_processes(devices: str, device: Device) -> int:
    """Read how many processes are asked for on this machine.

    Args:
        devices: A number from 1 on, or ``auto`` for one per GPU; the command line has checked that it is one.
        device: What the run computes on.

    Raises:
        ValueError: If there are fewer GPUs.
    """
    import torch

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    if devices == "auto":
        return max(1, gpus)
    if gpus and int(devices) > gpus:
        raise ValueError(
            f"--devices {devices}: this machine has {gpus} GPUs, and each process needs its own; "
            "take fewer, or --engine.device cpu"
        )
    return int(devices)


def launch_run(
    config: RunConfig, arguments: Sequence[str], processes: int, *, out: Path | None, resume: Path | None
) -> int:
    """Run ``sagan train ARGUMENTS`` in several processes; all must know the folder, so it is named here.

    Raises:
        ValueError: If the batch cannot be shared equally.
    """
    config.train.check_division(processes)
    folder = resume or out or folder_for(config)
    named = [] if resume or out else ["--out", str(folder)]
    return launch(["train", *arguments, *named], processes, folder)


def launch(arguments: Sequence[str], processes: int, resume: Path) -> int:
    """Run ``sagan ARGUMENTS`` in several processes that train one run together, and wait for them.

    Process 0 has the terminal. What the others print is kept back and shown only if one of them is the first to fail.
    Ctrl-C and SIGTERM are passed on to all, which finish the step and save; so they do if this process is killed.

    Args:
        arguments: The command line, without the program's name.
        processes: How many.
        resume: The run's folder, to say how to go on.

    Returns:
        The exit code: 0, 128 + the signal that was passed on, or that of the process that failed first.
    """
    threads = max(1, cores() // processes)
    shared = {
        WORLD_SIZE: str(processes),
        LOCAL_WORLD_SIZE: str(processes),
        ADDRESS: "127.0.0.1",
        PORT: str(free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        PARENT: str(os.getpid()),
    }
    print(f"starting {processes} processes, {shared['OMP_NUM_THREADS']} threads each", file=sys.stderr, flush=True)
    with words_may_be_lost(), ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(processes - 1)]
        children = [_start(arguments, shared, rank, output) for rank, output in enumerate([None, *outputs])]
        stack.callback(_kill, children)
        passed_on: list[int] = []

        def pass_on(number: int, _: object) -> None:
            passed_on.append(number)
            _send(children, number)

        for number in stopping():
            stack.callback(signal.signal, number, signal.signal(number, pass_on))
        failed = _first_failure(children, passed_on)
        if failed is None:
            return children[0].returncode % 256 if not passed_on else 128 + passed_on[-1]
        _end_others(children)
        return _explain(children, failed, outputs, resume)


def _start(
    arguments: Sequence[str], shared: dict[str, str], rank: int, output: IO[str] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sagan", *arguments],
        env=os.environ | shared | {RANK: str(rank), LOCAL_RANK: str(rank)},
        stdout=output,
        stderr=output,
        # A group of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once.
        start_new_session=True,
    )


def _first_failure(children: list[subprocess.Popen[bytes]], passed_on: list[int]) -> int | None:
    """Wait until all have ended well, or one has failed: its number."""
    while True:
        codes = [child.poll() for child in children]
        well = {None, 0, *SAVED, *(-number for number in passed_on)}
        failed = [rank for rank, code in enumerate(codes) if code not in well]
        if failed:
            # One that was killed is the cause; else process 0, if it failed, is the one that has told the user why.
            return next((rank for rank in failed if (codes[rank] or 0) < 0), failed[0])
        if None not in codes:
            return None
        time.sleep(CHECK_EVERY_S)


def _end_others(children: list[subprocess.Popen[bytes]]) -> None:
    """Let the others notice and say what they have to say, then ask them to end, then end them."""
    for seconds, number in ((GRACE_S, signal.SIGTERM), (TERM_S, signal.SIGKILL)):
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(child.poll() is None for child in children):
            time.sleep(CHECK_EVERY_S)
        _send(children, number)
    for child in children:
        child.wait()


def _explain(children: list[subprocess.Popen[bytes]], failed: int, outputs: Sequence[IO[str]], resume: Path) -> int:
    code = children[failed].returncode
    if failed == 0 and code > 0:
        return code  # it has said why itself
    if code == 2 == children[0].returncode:
        return code  # what is asked for was refused, by process 0 as well
    if failed > 0:
        outputs[failed - 1].seek(0)
        sys.stderr.write(outputs[failed - 1].read())
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    print(f"sagan: process {failed} of {len(children)} {how}; the others were ended", file=sys.stderr)
    if (resume / "checkpoints").is_dir():
        print(
            f"The last checkpoint is kept. To go on, also with another --devices:\n"
            f"  sagan train --resume {shlex.quote(str(resume))} --devices {len(children)}",
            file=sys.stderr,
        )
    return 2 if code == 2 else 1


def _send(children: list[subprocess.Popen[bytes]], number: int) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _kill(children: list[subprocess.Popen[bytes]]) -> None:
    _send(children, signal.SIGKILL)
    for child in children:
        child.wait()


def free_port() -> int:
    """Find a port of this machine that nothing listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
