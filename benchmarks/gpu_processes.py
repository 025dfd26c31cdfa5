"""What `benchmarks/gpu_reliability.py` has done in processes of their own.

`python gpu_processes.py` imports everything once, which takes long where the disk is slow, and never touches a GPU
itself. Each line of its input is an order, for which it forks a process; that finds its GPU as a fresh one does. A line
of JSON: `task`, `given` (its arguments), and `end`, a file that tells how the process ended and what it found.
"""

import contextlib
import io
import json
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_checks import exact_fp32
from rich.console import Console

import sagan
from sagan.generators.pretrained import load
from sagan.generators.weights import save_weights
from sagan.recipes.build import Parts, build
from sagan.recipes.config import RunConfig, from_json
from sagan.runs.train import train
from sagan.speed.fits import OutOfMemoryError, saying_what_fits
from sagan.speed.step import random_batch
from sagan.training import checkpoint, step
from sagan.training.hooks import Hook, Record
from sagan.training.kernels import NotDeterministicError

Found = dict[str, Any]
STANDING = (8, 64)
SAMPLES = 64


class Ends(Hook):
    """Sends this process SIGTERM after a step, as a machine does that is taken back."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_step(self, record: Record) -> None:
        if record.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


class CallsRefused(Hook):
    """Calls an operation that has no deterministic form anywhere."""

    def on_step(self, record: Record) -> None:
        device = record.engine.device
        torch.zeros(3, device=device).put_(torch.tensor([0], device=device), torch.ones(1, device=device))


class RunsOut(Hook):
    """Says, in a trial on a processor, what a GPU without memory says, while batches are larger than so many images."""

    def __init__(self, most: int) -> None:
        self.most = most

    def on_step(self, record: Record) -> None:
        if record.config.batch_size // record.config.accumulate > self.most:
            raise RuntimeError("CUDA out of memory")


def training(given: Found) -> Found:
    """Train until SIGTERM comes after step ``until``, or go on with a run; ``kill`` ends it before, without a word.

    ``after_product``: the process has multiplied matrices before, which asked for nothing.
    """
    said, folder = io.StringIO(), Path(given["folder"])
    console = Console(file=said, soft_wrap=True, markup=False, highlight=False)
    config = from_json(given["config"])
    if given.get("after_product"):
        square = torch.ones(64, 64, device=config.engine.device)
        (square @ square).sum().item()
    with killed(*given["kill"]) if given.get("kill") else contextlib.nullcontext():
        place = {"resume": folder} if given.get("resume") else {"out": folder}
        result = train(config, **place, console=console, hooks=[Ends(given["until"])])  # type: ignore[arg-type]
    return {"step": result.step, "signal": result.signal, "said": said.getvalue().replace(str(folder), "RUN")}


@contextlib.contextmanager
def killed(where: str, at: int) -> Iterator[None]:
    """Inside the context SIGKILL comes in step ``at``, with work of G's update on its way, or in the save of it."""
    settle, update_weights, updates = checkpoint.settle, step.update_weights, [0]

    def deadly_settle(temporary: Path, path: Path) -> None:
        if path.name == f"step-{at:08d}.pt":
            os.kill(os.getpid(), signal.SIGKILL)
        settle(temporary, path)

    def deadly_update(optimizer: Any, network: Any, name: str, refused: Any) -> None:
        updates[0] += name == "G"
        update_weights(optimizer, network, name, refused)
        if updates[0] == at and name == "G":
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(*((checkpoint, "settle", deadly_settle) if where == "save" else (step, "update_weights", deadly_update)))
    try:
        yield
    finally:
        checkpoint.settle, step.update_weights = settle, update_weights


def refusal(given: Found) -> Found:
    """Train with an operation that has no deterministic form."""
    config, folder = from_json(given["config"]), Path(given["folder"])
    try:
        train(config, out=folder, console=Console(quiet=True), hooks=[CallsRefused()])
    except NotDeterministicError as error:
        return {"said": str(error)}
    return {"said": ""}


def samples(given: Found) -> Found:
    """Sample from a weights file, in fp32 without TF32 and as it comes; write the file first if a run is given."""
    if given.get("run"):
        run = load(given["run"], device=given["device"], standing=STANDING)
        save_weights(run.network, Path(given["file"]), run.class_names, run.provenance)
    generator = sagan.load(given["file"], device=given["device"])
    with exact_fp32():
        np.save(f"{given['out']}-exact.npy", generator.sample(SAMPLES))
    np.save(f"{given['out']}-usual.npy", generator.sample(SAMPLES))
    return {"device": str(next(generator.network.parameters()).device)}


def updates(given: Found) -> Found:
    """Let gradients of D, then of G, not be finite: what changes, what is named, whether anything waits for the GPU."""
    config = from_json(given["config"])
    parts = build(config)
    for _ in range(2):
        one_step(parts, config)
    rows = []
    for name, value in (("D", float("nan")), ("G", float("inf")), ("D", float("-inf")), ("G", float("nan"))):
        network = {"D": parts.state.D, "G": parts.state.G}[name]
        which, parameter = list(network.named_parameters())[3]
        handle = parameter.register_hook(lambda gradient, value=value: gradient + value)  # type: ignore[misc]
        before, other = snapshot(parts, name), snapshot(parts, "DG".replace(name, ""))
        waits = without_waiting(config.engine.device, lambda: one_step(parts, config))
        handle.remove()
        named, parts.state.refused = parts.state.refused_by(), type(parts.state.refused)()
        rows.append(
            {
                "what": f"{value} in {name}",
                "untouched": same(before, snapshot(parts, name)),
                "other_updated": not same(other, snapshot(parts, "DG".replace(name, ""))),
                "named": named == f"{name}/{which}",
                "waits": waits,
            }
        )
    before = snapshot(parts, "D"), snapshot(parts, "G")
    one_step(parts, config)
    goes_on = not any(same(*pair) for pair in zip(before, (snapshot(parts, "D"), snapshot(parts, "G")), strict=True))
    return {"rows": rows, "goes_on": goes_on and parts.state.not_finite() is None}


def one_step(parts: Parts, config: RunConfig) -> None:
    """Do a step on pictures of noise."""
    batch = random_batch(config)
    step.train_step(parts.state, config.train, lambda _: batch, parts.engine, config.seed)


def snapshot(parts: Parts, name: str) -> list[torch.Tensor]:
    """Copy the weights of a network, its moments and the counts of its updates."""
    state = parts.state
    network, optimizer = (state.D, state.optimizer_d) if name == "D" else (state.G, state.optimizer_g)
    moments = [value for held in optimizer.state.values() for value in held.values()]
    return [tensor.detach().clone() for tensor in (*network.parameters(), *moments)]


def same(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    """Tell whether tensors are the same bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def without_waiting(device: str, work: Callable[[], None]) -> str:
    """Do something; give what waited for the GPU meanwhile, "" if nothing did."""
    if device != "cuda":
        work()
        return ""
    torch.cuda.set_sync_debug_mode("warn")
    with contextlib.ExitStack() as stack:
        stack.callback(torch.cuda.set_sync_debug_mode, "default")
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        work()
    waits = [one for one in caught if "called a synchronizing" in str(one.message)]
    return "; ".join(sorted({f"{Path(one.filename).name}:{one.lineno}" for one in waits}))


def memory(given: Found) -> Found:
    """Train a batch that is too large for the memory that this process may take, then as the message says."""
    config, folder = from_json(given["config"]), Path(given["folder"])
    cuda = config.engine.device == "cuda"
    hooks: list[Hook] = [Ends(3)] if cuda else [RunsOut(given["most"]), Ends(3)]
    if cuda:
        share = given["limit_bytes"] / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(share)
    found: Found = {"images": config.train.batch_size, "limit_bytes": given["limit_bytes"], "said": ""}
    try:
        with saying_what_fits(config):
            train(config, out=folder / "large", console=Console(quiet=True), hooks=hooks)
    except OutOfMemoryError as error:
        found["said"] = str(error)
    advised = re.search(r"([\d,]+) do\. .*--train\.accumulate (\d+)", found["said"])
    if advised is None:
        return found
    if cuda:
        found["held_bytes"] = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    smaller = replace(config, train=replace(config.train, accumulate=int(advised[2])))
    result = train(smaller, out=folder / "smaller", console=Console(quiet=True), hooks=hooks)
    found |= {"advised": int(advised[1].replace(",", "")), "steps": result.step}
    return found | {"peak_bytes": torch.cuda.max_memory_reserved() if cuda else None}


TASKS: dict[str, Callable[[Found], Found]] = {
    "training": training,
    "refusal": refusal,
    "samples": samples,
    "updates": updates,
    "memory": memory,
}


def serve() -> None:
    """Fork a process for each order, until there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for tasks
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            look_after(json.loads(line))
            os._exit(0)


def look_after(order: Found) -> None:
    """Do a task in a process, wait for its end, and write down how it ended."""
    end, start = Path(order["end"]), time.monotonic()
    said, answer = end.with_suffix(".said"), end.with_suffix(".answer")
    process = os.fork()
    if process == 0:
        stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(stream, number)
        code = 1
        try:
            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
            answer.write_text(json.dumps(TASKS[order["task"]](order["given"])))
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)
    status = os.waitpid(process, 0)[1]
    found: Found = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - start}
    if found["code"] == 0:
        found |= json.loads(answer.read_text())
    else:
        found["error"] = (said.read_text(errors="replace").strip().splitlines() or [""])[-1]
    end.with_suffix(".part").write_text(json.dumps(found))
    end.with_suffix(".part").replace(end)


if __name__ == "__main__":
    serve()
