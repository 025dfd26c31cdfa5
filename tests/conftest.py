"""What many tests share: one thread, tiny networks, an engine on the CPU and pictures whose class is their colour.

``SAGAN_TEST_SEED`` moves the seeds of all tests, ``SAGAN_TEST_THREADS`` sets their threads (benchmarks/chance.py).
"""

import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from sagan.models.config import DiscriminatorConfig, GeneratorConfig
from sagan.recipes.build import build_networks
from sagan.recipes.config import RunConfig
from sagan.training.config import EngineConfig, TrainConfig
from sagan.training.state import new_state

sys.path.insert(0, str(Path(__file__).parent))  # so that browser.py is found by its name
from browser import accessibility_faults, browser, open_page  # noqa: F401 - fixtures

THREADS = os.environ.get("SAGAN_TEST_THREADS", "1")
torch.set_num_threads(int(THREADS))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a script starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes that tests start inherit that it is heard
os.environ["OMP_NUM_THREADS"] = THREADS  # for the processes that tests start
SEED_SHIFT = 1000 * int(os.environ.get("SAGAN_TEST_SEED", "0"))
HERE = f"{Path(__file__).parent}{os.sep}"

COLOURS = np.array([[230, 40, 40], [40, 230, 40], [40, 40, 230]])


def shifted(function):
    """Add the shift to the seed that a test file gives; calls from elsewhere stay as they are."""

    def call(seed=None, *args):
        if isinstance(seed, int) and sys._getframe(1).f_code.co_filename.startswith(HERE):
            seed += SEED_SHIFT
        return function(seed, *args)

    return call


class ShiftedGenerator(torch.Generator):
    """A generator of PyTorch whose seed is moved; only test files make one of their own."""

    def manual_seed(self, seed):
        return super().manual_seed(seed + SEED_SHIFT)


if SEED_SHIFT:
    torch.manual_seed = shifted(torch.manual_seed)
    np.random.default_rng = shifted(np.random.default_rng)
    torch.Generator = ShiftedGenerator


class Pictures(NamedTuple):
    images: Tensor
    labels: Tensor
    flip: Tensor


@pytest.fixture(autouse=True)
def _few_standing_batches(monkeypatch):
    """Average standing statistics over fewer batches than users do: the tests check how, not how well."""
    monkeypatch.setattr("sagan.generators.pretrained.STANDING_BATCHES", 3)


@pytest.fixture
def pictures():
    """Make the k-th batch of 16 px pictures of three classes: a class has a colour, a picture a bright square."""

    def make(k, batch_size=8):
        random = np.random.default_rng(k)
        labels = random.integers(0, 3, batch_size)
        images = COLOURS[labels][:, None, None] + random.integers(-20, 21, (batch_size, 16, 16, 3))
        for image, (row, column) in zip(images, random.integers(0, 12, (batch_size, 2)), strict=True):
            image[row : row + 4, column : column + 4] = 250
        return Pictures(
            torch.from_numpy(images.clip(0, 255).astype(np.uint8)),
            torch.from_numpy(labels),
            torch.zeros(batch_size, dtype=torch.bool),
        )

    return make


@pytest.fixture
def tiny_config():
    """Make the configuration of a tiny run: 16 px, 8 channels, 3 classes, attention at 8x8."""

    def make(generator=None, discriminator=None, seed=0, **train):
        recipe = {"total_steps": 10, "batch_size": 8, "lr_g": 1e-3, "lr_d": 4e-3}
        return RunConfig(
            generator=GeneratorConfig(
                **{"size_px": 16, "num_classes": 3, "z_dim": 8, "base_width": 2} | (generator or {})
            ),
            discriminator=DiscriminatorConfig(
                **{"size_px": 16, "num_classes": 3, "base_width": 4} | (discriminator or {})
            ),
            train=TrainConfig(**recipe | train),
            seed=seed + SEED_SHIFT,
        )

    return make


@pytest.fixture
def tiny_state(tiny_config):
    """Make the state at step 0 of a tiny run, and its recipe."""

    def make(*args, **kwargs):
        config = tiny_config(*args, **kwargs)
        return new_state(*build_networks(config), config.train), config.train

    return make


@pytest.fixture(scope="session")
def engine():
    from sagan.training.engine import Engine

    return Engine(EngineConfig(device="cpu", precision="fp32"))


@pytest.fixture
def no_memory(monkeypatch):
    """Make networks on the meta device: they have shapes but no numbers."""
    # Without numbers there is nothing to draw, and PyTorch would import its compiler to draw a normal one.
    monkeypatch.setattr(torch.nn.init, "normal_", lambda tensor, *_: tensor)
    with torch.device("meta"):
        yield


@pytest.fixture
def open_gates():
    """Set every gamma of a network away from 0, so that attention takes part."""

    def do(network, gamma=0.7):
        for block in (*network.attention.values(), *network.residual.values()):
            torch.nn.init.constant_(block.gamma, gamma)
        return network

    return do


@pytest.fixture
def snapshot_of():
    """Copy all that a module, an optimiser or a training state holds, to compare with later."""

    def copy(thing):
        if isinstance(thing, Tensor):
            return thing.detach().clone()
        if isinstance(thing, dict):
            return {key: copy(value) for key, value in thing.items()}
        if isinstance(thing, (list, tuple)):
            return [copy(value) for value in thing]
        return copy(thing.state_dict()) if hasattr(thing, "state_dict") else thing

    return copy


@pytest.fixture
def assert_same():
    """Compare two such copies bit for bit; the message names what differs."""

    def compare(a, b, name="state"):
        if isinstance(a, Tensor):
            assert torch.equal(a, b), f"{name} differs"
        elif isinstance(a, dict):
            assert a.keys() == b.keys(), f"{name} has other keys"
            for key in a:
                compare(a[key], b[key], f"{name}.{key}")
        elif isinstance(a, list):
            assert len(a) == len(b), f"{name} has another length"
            for i, (left, right) in enumerate(zip(a, b, strict=True)):
                compare(left, right, f"{name}[{i}]")
        else:
            assert a == b, f"{name} differs: {a!r}, {b!r}"

    return compare


LONG_S = 5.0


def pytest_terminal_summary(terminalreporter):
    """Name tests that take long and do not say why: `@pytest.mark.long("...")` says it, unless they can be quicker."""
    reports = terminalreporter.getreports("passed")
    found = [r for r in reports if r.when == "call" and r.duration > LONG_S and not {"slow", "long"} & set(r.keywords)]
    for report in sorted(found, key=lambda r: -r.duration)[:20]:
        terminalreporter.write_line(f"{report.duration:5.1f} s, no mark says why: {report.nodeid}")
