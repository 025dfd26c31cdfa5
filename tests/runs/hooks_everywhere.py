"""Train with hooks that note how they are called: ``python hooks_everywhere.py FOLDER`` is one process of a run.

The folder holds ``config.json``. Without a checkpoint the run starts, otherwise it is resumed. What the hooks of a
process noted is written to ``calls-RANK.json``.
"""

import io
import json
import os
import sys
from pathlib import Path

import torch
from rich.console import Console

from sagan import Hook
from sagan.recipes.config import from_json
from sagan.runs.train import train

RANK = int(os.environ["RANK"])


class Noting(Hook):
    """Notes each call; its state says which process made it, and the steps that were seen."""

    def __init__(self):
        self.calls, self.losses, self.made_by, self.steps = [], [], RANK, []

    def on_start(self, record):
        self.calls.append(["on_start", record.step])

    def on_step(self, record):
        self.calls.append(["on_step", record.step])
        self.losses.append(float(record.metrics["loss_d"]))
        self.steps.append(record.step)

    def on_line(self, record, line):
        self.calls.append(["on_line", line["step"]])

    def on_save(self, record):
        self.calls.append(["on_save", record.step])

    def on_end(self, record):
        self.calls.append(["on_end", record.step])

    def state_dict(self):
        return {"made_by": self.made_by, "steps": list(self.steps)}

    def load_state_dict(self, state):
        self.calls.append(["load_state_dict", dict(state)])
        self.made_by, self.steps = state["made_by"], list(state["steps"])


class Everywhere(Noting):
    """Runs on all processes."""

    everywhere = True


class OnTheFirst(Noting):
    """Runs on process 0, as hooks do that say nothing of it."""


def main(folder):
    torch.set_num_threads(1)
    hooks = [Everywhere(), OnTheFirst()]
    out = folder / "run"
    where = {"resume" if (out / "checkpoints").exists() else "out": out}
    train(from_json((folder / "config.json").read_text()), **where, hooks=hooks, console=Console(file=io.StringIO()))
    noted = {type(hook).__name__: {"calls": hook.calls, "losses": hook.losses} for hook in hooks}
    (folder / f"calls-{RANK}.json").write_text(json.dumps(noted))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
