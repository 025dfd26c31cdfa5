"""The part `reliability` of `benchmarks/gpu_day.py`: what the project promises of faults and of equal bits, on a GPU.

Trainings, kills and samples are processes of their own, as they are for people, forked from one that has imported all;
they run side by side. What has not ended in time is said to have not ended.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_checks import small_config
from gpu_setting import ROOT, Setting, facts

from sagan.recipes.config import RunConfig, to_json
from sagan.recipes.presets import PRESETS
from sagan.training.checkpoint import checkpoint_path, checkpoints, load_checkpoint

Row = dict[str, Any]
SAVED, HALF, END = 4, 6, 12
"""Steps: checkpoints are due every so many; a run is stopped there; runs end there."""
DEVICES_LIMIT = 0.02
"""Relative difference of weights after six more steps on a processor and on a GPU that rounding may make."""
LEVELS = {"exact": 1, "usual": 8}
"""Of 255, by which a sample may differ between a processor and a GPU: in fp32, and as it comes, with TF32 there."""
LIMIT_BYTES = 2_800_000_000
WRITING_S = 3.0
REFUSED_PRODUCT = "multiplied matrices on a GPU before"
TOO_LONG = "did not end in time"
ASK_AGAIN_S = 0.05


class Lab:
    """A folder, pictures, and processes that are ended when the time is over.

    Args:
        setting: Where and at which size.
        folder: Where everything lies.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.end = time.monotonic() + setting.seconds - WRITING_S
        environment = os.environ | {
            "OMP_NUM_THREADS": "1" if setting.toy else "2",
            "SAGAN_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))),
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # to see whether there is a GPU without touching it
        }
        environment.pop("CUBLAS_WORKSPACE_CONFIG", None)
        self.starter = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "gpu_processes.py")],
            stdin=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.lock, self.count = threading.Lock(), 0

    def close(self) -> None:
        """End all processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.starter.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.starter.communicate()

    def do(self, task: str, name: str = "", **given: Any) -> Row:
        """Do a task of gpu_processes in a process; give what it found, or what became of it."""
        if name:
            given["folder"] = str(self.folder / name)
        with self.lock:
            self.count += 1
            end = self.folder / f"task-{self.count}.json"
            assert self.starter.stdin is not None
            self.starter.stdin.write(json.dumps({"task": task, "given": given, "end": str(end)}) + "\n")
            self.starter.stdin.flush()
        while not end.exists():
            if time.monotonic() > self.end:
                return {"code": None, "error": TOO_LONG}
            time.sleep(ASK_AGAIN_S)
        found: Row = json.loads(end.read_text())
        if "error" in found:
            found["error"] = found["error"].replace(str(self.folder), "").replace(f"{ROOT}/", "")[:400]
        return found

    def config(self, precision: str, device: str | None = None) -> RunConfig:
        """Give the configuration of a small run with pictures drawn in between, same bits asked for.

        With a device it is one that a processor has done soon, without the pictures.
        """
        config = small_config(self.setting, precision)
        engine = replace(config.engine, device=device or self.setting.device, deterministic=True)
        train = replace(config.train, total_steps=1000, save_every=SAVED, log_every=SAVED, sample_every=HALF)
        config = replace(config, engine=engine, train=replace(train, evaluate_every=0, keep_last=10))
        if device is not None and not self.setting.toy:
            width = config.generator.base_width // 2
            G, D = (replace(network, base_width=width) for network in (config.generator, config.discriminator))
            quick = replace(config.train, batch_size=config.train.batch_size // 2, sample_every=0)
            config = replace(config, generator=G, discriminator=D, train=quick)
        return replace(config, data=self.data(config))

    def data(self, config: RunConfig) -> Any:
        """Point a configuration at pictures of its size, which are noise."""
        height, width = config.generator.image_size
        file = self.folder / f"noise-{height}.npz"
        if not file.exists():
            count = 40 if self.setting.toy else 640
            random = np.random.default_rng(0)
            images = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
            np.savez(file, images=images, labels=np.arange(count) % 10)
        return replace(config.data, path=str(file), cache_dir=str(self.folder / "cache"))

    def train(self, name: str, config: RunConfig, until: int = END, **given: Any) -> Row:
        """Train in a process."""
        return self.do("training", name, config=to_json(config), until=until, **given)

    def apart(self, one: str, other: str) -> float | str:
        """Compare the states of two runs at the end: 0 only if weights, average and moments are equal bit for bit."""
        files = [checkpoint_path(self.folder / name / "checkpoints", END) for name in (one, other)]
        for name, file in zip((one, other), files, strict=True):
            if not file.exists():
                return f"{name} has no checkpoint of step {END}"
        kept = ("G", "D", "ema", "optimizer_g", "optimizer_d")
        states = [[tensor for key in kept for tensor in tensors(load_checkpoint(file)[key])] for file in files]
        if all(torch.equal(a, b) for a, b in zip(*states, strict=True)):
            return 0.0
        a, b = (torch.cat([tensor.double().flatten() for tensor in state]) for state in states)
        return max(float((a - b).norm() / a.norm()), 1e-300)


def tensors(value: Any) -> list[torch.Tensor]:
    """List the tensors in containers, in their order."""
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in items for tensor in tensors(item)]


def reliability(setting: Setting) -> dict[str, object]:
    """Do all of it at the same time, and say of each promise whether it held."""
    with tempfile.TemporaryDirectory() as place:
        lab = Lab(setting, Path(place))
        work: dict[str, Callable[[], list[Row]]] = {"memory": lambda: memory_rows(lab)}
        for precision in setting.precisions:
            work[f"bits, {precision}"] = lambda precision=precision: bits_rows(lab, precision)
            work[f"updates, {precision}"] = lambda precision=precision: update_rows(lab, precision)
        work |= {"refusals": lambda: refusal_rows(lab), "devices": lambda: device_rows(lab)}
        try:
            prepare(lab)
            with ThreadPoolExecutor(len(work)) as pool:
                futures = {name: pool.submit(guarded, name, job) for name, job in work.items()}
                groups = {name: future.result() for name, future in futures.items()}
        finally:
            lab.close()
    rows = [row for group in groups.values() for row in group]
    return facts(setting) | {"rows": rows, "passed": sum(row["passes"] for row in rows)}


def guarded(name: str, job: Callable[[], list[Row]]) -> list[Row]:
    """Do a group; what goes wrong there is a row, and the others stay."""
    try:
        return job()
    except Exception as error:
        return [row(name, False, f"{type(error).__name__}: {error}"[:400])]


def prepare(lab: Lab) -> None:
    """Write the pictures and pack them, so that processes do not wait for each other."""
    from sagan.data import open_dataset

    for config in (lab.config("fp32"), memory_config(lab)):
        open_dataset(config.data, config.generator.image_size, progress=False)


def row(what: str, passes: bool, found: str) -> Row:
    """Say of one promise whether it held, and what was found."""
    return {"what": what, "passes": passes, "found": found}


def both(*jobs: Callable[[], Row]) -> list[Row]:
    """Do several at the same time."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


# The same bits


def bits_rows(lab: Lab, precision: str) -> list[Row]:
    """Train twice; stop by SIGTERM, by kills in a step and in a save, and go on; sample in other processes."""
    config = lab.config(precision)
    first, again = f"{precision}-first", f"{precision}-again"
    # How the first process of a run ends: its arguments, its exit code, and the step that it goes on from.
    ends: dict[str, tuple[Row, int, int]] = {
        "SIGTERM": ({"until": HALF}, 0, HALF),
        "kill in a step": ({"kill": ("step", HALF + 1)}, -9, SAVED),
        "kill in a save": ({"kill": ("save", 2 * SAVED)}, -9, SAVED),
    }

    def stopped(how: str, whole: Future[Row]) -> Row:
        given, code, at = ends[how]
        name = f"{precision}-{how}".replace(" ", "-")
        one = lab.train(name, config, **given)
        had = [int(file.stem.split("-")[1]) for file in checkpoints(lab.folder / name / "checkpoints")]
        two = lab.train(name, config, resume=True)
        error = two.get("error") or (one.get("error") if code == 0 else None) or whole.result().get("error")
        fine = one["code"] == code and two.get("step") == END and max(had, default=-1) == at
        difference = lab.apart(first, name) if error is None else error
        found = f"ended with {one['code']}, went on from step {max(had, default='none')}: {told(difference)}"
        return row(f"{how}, resumed, {precision}", fine and difference == 0.0, found)

    jobs = [lambda: lab.train(first, config), lambda: lab.train(again, config)]
    with ThreadPoolExecutor(5) as pool:
        whole = [pool.submit(job) for job in jobs]
        later = [pool.submit(stopped, how, whole[0]) for how in ends]
        runs = [future.result() for future in whole]
        error = next((run["error"] for run in runs if "error" in run), None)
        difference = lab.apart(first, again) if error is None else error
        rows = [row(f"trained twice, {precision}", difference == 0.0, told(difference))]
        rows += sample_rows(lab, first) if precision == "fp32" else []
        return rows + [future.result() for future in later]


def told(difference: float | str) -> str:
    """Write a difference of all weights, or what went wrong."""
    if isinstance(difference, str):
        return difference
    return "the same bits" if difference == 0.0 else f"weights and moments differ by {difference:.1e}"


def sample_rows(lab: Lab, run: str) -> list[Row]:
    """Sample from one file in three processes, one of them on a processor."""
    file, device = str(lab.folder / "g.safetensors"), lab.setting.device
    asked = [("one", device, {"run": str(lab.folder / run)}), ("two", device, {}), ("cpu", "cpu", {})]

    def draw(name: str, device: str, more: Row) -> Row:
        return lab.do("samples", out=str(lab.folder / name), file=file, device=device, **more)

    found = [draw(*asked[0]), *both(lambda: draw(*asked[1]), lambda: draw(*asked[2]))]
    for one in found:
        if "error" in one:
            return [row("samples in another process", False, one["error"])]
    rows = []
    for kind, (name, where) in product(LEVELS, (("two", "in another process"), ("cpu", "on a processor"))):
        a, b = (np.load(lab.folder / f"{which}-{kind}.npy").astype(int) for which in ("one", name))
        most, share = int(abs(a - b).max()), float((a != b).mean())
        limit = 0 if name == "two" else LEVELS[kind]
        how = "fp32" if kind == "exact" else "TF32 as it comes"
        said = f"pixels differ by at most {most} of 255 (limit {limit}), {share:.2%} of them"
        rows.append(row(f"{len(a)} samples {where}, {how}", most <= limit, said if most else "the same bits"))
    return rows


# What is left out, what is refused


def update_rows(lab: Lab, precision: str) -> list[Row]:
    """Let gradients not be finite."""
    config = lab.config(precision)
    config = replace(config, engine=replace(config.engine, deterministic=False))
    found = lab.do("updates", config=to_json(config))
    if "error" in found:
        return [row(f"refused updates, {precision}", False, found["error"])]
    rows = []
    for one in found["rows"]:
        said = [
            "weights, moments and counts untouched" if one["untouched"] else "CHANGED",
            "the other network updated" if one["other_updated"] else "THE OTHER NOT UPDATED",
            "named" if one["named"] else "NOT NAMED",
            f"WAITS at {one['waits']}" if one["waits"] else "nothing waits",
        ]
        fine = one["untouched"] and one["other_updated"] and one["named"] and not one["waits"]
        rows.append(row(f"gradient of {one['what']}, {precision}", fine, ", ".join(said)))
    goes_on = "finite, and both networks move" if found["goes_on"] else "NOT FINITE, or nothing moves"
    return [*rows, row(f"the step after refused ones, {precision}", found["goes_on"], goes_on)]


def refusal_rows(lab: Lab) -> list[Row]:
    """Ask for the same bits where they cannot be had, or might not be."""
    return both(lambda: operation_row(lab), lambda: product_row(lab))


def operation_row(lab: Lab) -> Row:
    """Call an operation that has no deterministic form."""
    found = lab.do("refusal", "refusal", config=to_json(lab.config("fp32")))
    said = found.get("error") or found["said"] or "nothing was refused"
    return row("an operation without a deterministic form", "put_ has no form here" in found.get("said", ""), said)


def product_row(lab: Lab) -> Row:
    """Multiply matrices before the switch: that is refused, or the run has the bits of one without the product."""
    what, config = "a product of matrices before the switch", lab.config("fp32")
    after, without = "after-a-product", "without-a-product"
    runs = both(lambda: lab.train(after, config, after_product=True), lambda: lab.train(without, config))
    said = runs[0].get("error", "")
    if REFUSED_PRODUCT in said:
        return row(what, True, said)
    difference = said or runs[1].get("error") or lab.apart(without, after)
    found = told(difference) if isinstance(difference, str) else f"not refused; beside none: {told(difference)}"
    return row(what, difference == 0.0, found)


# Devices and memory


def device_rows(lab: Lab) -> list[Row]:
    """Go on with a GPU's run on a processor and the other way round."""
    here, names = lab.setting.device, {"cuda": "a GPU", "cpu": "a processor"}

    def moved(start: str, then: str) -> Row:
        name, other = f"{start}-then-{then}-stays", f"{start}-then-{then}-goes"
        config = lab.config("fp32", device=start)
        one = lab.train(name, config, until=HALF)
        if "error" in one:
            return row(f"run of {names[start]} resumed on {names[then]}", False, one["error"])
        shutil.copytree(lab.folder / name, lab.folder / other)
        runs = both(
            lambda: lab.train(name, config, resume=True),
            lambda: lab.train(other, lab.config("fp32", device=then), resume=True),
        )
        error = next((run["error"] for run in runs if "error" in run), None)
        difference = lab.apart(name, other) if error is None else error
        noted = start == then or "not the machine or versions that saved this" in runs[1].get("said", "")
        fine = not isinstance(difference, str) and difference <= DEVICES_LIMIT and noted
        said = f"{told(difference)} (limit {DEVICES_LIMIT:g}), {'said' if noted else 'NOT SAID'}"
        return row(f"run of {names[start]} resumed on {names[then]}", fine, said)

    if here == "cpu":
        return [moved(here, here)]
    return both(lambda: moved(here, "cpu"), lambda: moved("cpu", here))


def memory_config(lab: Lab) -> RunConfig:
    """Give a run whose batch is far too large for the memory that it is allowed, and a third of it, a prime, is not."""
    config = lab.config("fp32")
    if lab.setting.toy:
        return config
    base = PRESETS["sagan-128"]()
    G, D = (replace(network, base_width=16, num_classes=10) for network in (base.generator, base.discriminator))
    train = replace(base.train, batch_size=393, total_steps=1000, sample_every=0, evaluate_every=0)
    engine = replace(config.engine, precision="bf16", deterministic=False)
    config = replace(base, generator=G, discriminator=D, train=train, engine=engine)
    return replace(config, data=lab.data(config))


def memory_rows(lab: Lab) -> list[Row]:
    """Run out of memory, and do what the message says."""
    config = memory_config(lab)
    most = config.train.batch_size // 2  # in a trial on a processor
    found = lab.do("memory", "memory", config=to_json(config), limit_bytes=LIMIT_BYTES, most=most)
    what = f"batch of {config.train.batch_size} in {LIMIT_BYTES / 1e9:.1f} GB"
    if "error" in found or "advised" not in found:
        return [row(what, False, found.get("error") or found["said"] or "nothing ran out of memory")]
    said = f"{found['advised']} at a time advised, {found['steps']} steps done so"
    if found["peak_bytes"] is not None:
        said += f" with {found['peak_bytes'] / 1e9:.2f} GB at the peak; {found['held_bytes'] / 1e6:.0f} MB left held"
    return [row(what, found["steps"] == 3, said)]


PARTS: dict[str, Callable[[Setting], dict[str, object]]] = {"reliability": reliability}
