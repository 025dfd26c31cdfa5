"""Train with the hooks of docs/hooks.md, in a process that a test starts: ``python hooks_page.py FOLDER KILL_AT``.

The folder holds ``page.py``, the code of the page. Without a checkpoint the run starts, otherwise it is resumed. At
step ``KILL_AT`` the process kills itself; 0 lets it live.
"""

import io
import os
import runpy
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from sagan import Hook
from sagan.recipes.presets import PRESETS
from sagan.runs.train import train


class Kill(Hook):
    """Ends the process as a crash does."""

    def __init__(self, step):
        self.step = step

    def on_step(self, record):
        if record.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def config():
    demo = PRESETS["demo"]()
    cadences = {"log_every": 1, "sample_every": 2, "evaluate_every": 0, "save_every": 3}
    return replace(
        demo,
        generator=replace(demo.generator, base_width=2, z_dim=8),
        discriminator=replace(demo.discriminator, base_width=4),
        train=replace(demo.train, total_steps=12, batch_size=8, ema_start=0, lr_g=1e-3, **cadences),
        engine=replace(demo.engine, device="cpu"),
    )


def main(folder, kill_at):
    torch.set_num_threads(1)
    page = runpy.run_path(str(folder / "page.py"))
    mine = folder / "mine"
    mine.mkdir(exist_ok=True)
    # A value that only grows: the first is the best, and the run ends after the step whose value is the ninth.
    hooks = [
        page["Elsewhere"](mine / "log.jsonl"),
        page["StopEarly"]("elapsed_s", 8),
        page["OneClass"](mine, 3),
        Kill(kill_at),
    ]
    out = folder / "run"
    again = (out / "checkpoints").exists()
    console = Console(file=io.StringIO())
    result = train(None if again else config(), **{"resume" if again else "out": out}, hooks=hooks, console=console)
    print(f"{result.step} {result.finished} {result.reason}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
