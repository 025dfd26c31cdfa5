"""What tests of runs share: a tiny run on digits, what it says and leaves, and the failures that are forced on it."""

import io
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from sagan import Hook
from sagan.data import DataConfig
from sagan.metrics.config import MonitorConfig
from sagan.metrics.features import Features, check_images
from sagan.metrics.pixels import PixelNetwork
from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.build import build
from sagan.recipes.config import RunConfig, config_of_file
from sagan.runs.train import train
from sagan.training import health, replay
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.step import train_step

THE_USUAL_RATES = {"lr_g": TrainConfig().lr_g, "lr_d": TrainConfig().lr_d}


@pytest.fixture
def tiny():
    """Make the configuration of a tiny run of so many steps, which draws and measures nothing unless it is asked to."""

    def make(steps, *, monitor=None, flip=False, **train_fields):
        fields = {
            "total_steps": steps,
            "batch_size": 8,
            "lr_g": 1e-3,
            "lr_d": 4e-3,
            "log_every": 2,
            "sample_every": 0,
            "evaluate_every": 0,
            "save_every": 3,
        }
        return RunConfig(
            data=DataConfig(path="digits", flip=flip),
            generator=GeneratorConfig(size_px=16, base_width=2, z_dim=8),
            discriminator=DiscriminatorConfig(size_px=16, base_width=4),
            train=TrainConfig(**fields | train_fields),
            monitor=MonitorConfig(**monitor or {}),
        )

    return make


@pytest.fixture
def tiny_full(tiny):
    """Make the configuration of a tiny run that does all that runs do: moving average, flips, samples, values."""
    fields = {"ema_decay": 0.9, "sample_every": 4, "evaluate_every": 4}
    return lambda steps, **more: tiny(steps, flip=True, **THE_USUAL_RATES | fields | more)


@pytest.fixture
def tiny_measured(tiny):
    """Make the configuration of a tiny run that measures few samples every two steps."""
    fields = {"ema_decay": 0.9, "evaluate_every": 2, "save_every": 2}

    def make(steps, monitor=None, **more):
        return tiny(steps, monitor={"num": 40, "real": 200} | (monitor or {}), **THE_USUAL_RATES | fields | more)

    return make


@pytest.fixture
def console():
    return Console(file=io.StringIO(), soft_wrap=True)


@pytest.fixture
def run():
    """Train, and give the result and all that was said."""

    def call(config, out=None, **kwargs):
        said = io.StringIO()
        result = train(config, out=out, console=Console(file=said, soft_wrap=True), **kwargs)
        return result, said.getvalue()

    return call


@pytest.fixture
def told(run):
    """Train, and give what was said."""
    return lambda config, out, **kwargs: run(config, out, **kwargs)[1]


@pytest.fixture(scope="session")
def on_two_processes():
    """Run a program of this folder as the two processes of a run, and wait until both have ended well."""

    def call(program, *arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", str(Path(__file__).with_name(program)), *map(str, arguments)],
                env=shared | {"RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(2)
        ]
        said = [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said

    return call


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def last():
    """Give the contents of the latest checkpoint of a run folder."""
    return lambda folder: load_checkpoint(checkpoints(folder / "checkpoints")[-1])


@pytest.fixture
def log_of():
    """Give the lines of the log of a run folder."""
    return lambda folder: [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def scores_of(log_of):
    """Give the values of a name by their steps, from the log of a run folder."""

    def found(folder, key):
        return {record["step"]: record[f"score/{key}"] for record in log_of(folder) if f"score/{key}" in record}

    return found


class Counter(Hook):
    """Adds up what it sees."""

    def __init__(self):
        self.sum, self.lines, self.starts = torch.zeros(()), 0, []

    def on_start(self, record):
        self.starts.append((record.step, self.lines))

    def on_step(self, record):
        self.sum = self.sum + record.metrics["loss_d"]

    def on_line(self, record, line):
        self.lines += 1

    def state_dict(self):
        return {"sum": self.sum, "lines": self.lines}

    def load_state_dict(self, state):
        self.sum, self.lines = state["sum"], state["lines"]


@pytest.fixture
def counter():
    """Make a hook that adds up what it sees."""
    return Counter


class Classy(PixelNetwork):
    """The pixel features with three logits, and a private random state that it moves, as careless networks do."""

    name = "classy"
    num_classes = 3

    def __call__(self, images, /):
        check_images(images)
        features = super().__call__(images).features
        torch.backends.mkldnn.conv.fp32_precision = "ieee"
        return Features(features, features[:, :3] * 9)


@pytest.fixture
def classy():
    """Make a network of features that also has logits."""
    return Classy


@pytest.fixture
def no_grace(monkeypatch):
    """Judge from the first step on, as if samples had been varied before and lines were far apart."""
    monkeypatch.setattr(health, "SYMPTOMS", [replace(symptom, grace_steps=0) for symptom in health.SYMPTOMS])
    monkeypatch.setattr(health, "MIN_STEPS", 0)


@pytest.fixture
def nan_at(monkeypatch):
    """Put a NaN into a weight of D after given steps, given as (step, rollbacks)."""

    def plan(*places):
        def spoilt(state, *arguments):
            metrics = train_step(state, *arguments)
            if (state.step, state.rollbacks) in places:
                next(state.D.parameters()).data.flatten()[0] = torch.nan
            return metrics

        monkeypatch.setattr(replay, "train_step", spoilt)

    return plan


@pytest.fixture
def state_of():
    """Make the state that the run of a folder trains, at step 0."""

    def make(folder):
        config = config_of_file(folder / "config.json")
        return build(config).state

    return make
