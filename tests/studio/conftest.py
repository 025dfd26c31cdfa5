"""What tests of the studio share: tiny weights, a run folder, and the server as the page talks to it."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import uvicorn
from starlette.testclient import TestClient

from sagan.generators.weights import save_weights
from sagan.models.generator import Generator
from sagan.recipes.config import to_json
from sagan.sampling import sampling_copy
from sagan.studio import sources
from sagan.studio.app import Studio, make_app
from sagan.studio.binary import unpacked
from sagan.studio.config import StudioConfig
from sagan.studio.serve import address, listening, settings_of
from sagan.training.checkpoint import checkpoint_path, save_checkpoint

CLASSES = ["red", "green", "2"]


@pytest.fixture
def weights(tmp_path, tiny_config, open_gates):
    """Write a weights file of a tiny generator whose attention takes part and whose classes differ."""

    def write(name="tiny.safetensors", seed=0, classes=CLASSES, **generator):
        torch.manual_seed(seed)
        shape = {name: generator[name] for name in ("size_px", "start_grid") if name in generator}
        G = open_gates(Generator(tiny_config({"num_classes": len(classes)} | generator, shape).generator))
        for layer in G.modules():
            if hasattr(layer, "gain"):
                torch.nn.init.normal_(layer.gain)
                torch.nn.init.normal_(layer.bias)
        data = {"source": "colours", "fingerprint": "0"}
        facts = {"step": 7, "weights": "as trained", "batch_norm": "standing", "data": data}
        save_weights(sampling_copy(G, batches=2, batch_size=16, seed=0), tmp_path / name, tuple(classes), facts)
        return tmp_path / name

    return write


@pytest.fixture
def run_folder(tmp_path, tiny_config, tiny_state, open_gates):
    """Make the folder of a run of ten steps that is at step 4: configuration, log, samples, a checkpoint."""
    state, _ = tiny_state()
    return write_run(tmp_path / "run", tiny_config(), state, open_gates)


@pytest.fixture
def wide_run(tmp_path, tiny_config, tiny_state, open_gates):
    """Make the folder of such a run whose pictures are 32 px high and 48 wide."""
    networks = [{"size_px": 32, "start_grid": (4, 6)}] * 2
    state, _ = tiny_state(*networks)
    return write_run(tmp_path / "wide", tiny_config(*networks), state, open_gates)


def write_run(folder, config, state, open_gates):
    (folder / "samples").mkdir(parents=True)
    (folder / "config.json").write_text(to_json(config))
    speed = {"images_per_s": 20.0}
    lines = [{"step": k, "loss_d": 1.0 / k, "loss_g": 0.5, "elapsed_s": 2.0 * k} | speed for k in (1, 2, 3)]
    found = {"health": "classes alike", "over": False, "quantity": "variety", "value": 0.1, "limit": 0.25, "times": 3}
    lines.append({"step": 4, "helps": "train longer"} | found)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5, "lo')
    for k in (2, 4):
        shape = (3, *config.generator.image_size, 3)
        np.save(folder / "samples" / f"step-{k:08d}.npy", np.full(shape, 10 * k, np.uint8))
    open_gates(state.G)
    open_gates(state.D)
    save(folder, config, state, 4)
    return folder


def save(folder, config, state, step):
    for optimizer in (state.optimizer_g, state.optimizer_d):  # as after steps, which left the weights as they are
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    told = {"config": to_json(config), "class_names": CLASSES, "data": {"source": "colours"}, "versions": {}}
    contents = {**state.state_dict(), **told, "step": step}
    save_checkpoint(checkpoint_path(folder / "checkpoints", step), contents)


@pytest.fixture
def save_step(run_folder, tiny_config, tiny_state, open_gates):
    """Let the run save once more."""

    def do(step):
        state, _ = tiny_state(seed=step)
        open_gates(state.G)
        save(run_folder, tiny_config(), state, step)

    return do


@pytest.fixture
def studio_page(open_page, served):
    """Open the page of a studio and wait for its first screen."""

    def open_(*paths, data=None, **options):
        page = open_page(served(*paths, data=data), **options)
        page.set_default_timeout(30000)
        page.wait_for_selector("#subjects canvas")
        page.wait_for_function("document.querySelector('#readout').textContent.startsWith('From')")
        return page

    return open_


@pytest.fixture
def opened(monkeypatch):
    """Open a studio and wait until its generators are there."""
    monkeypatch.setattr(sources, "QUICK", (1, 4))
    monkeypatch.setattr("sagan.generators.pretrained.PREVIEW_BATCHES", 2)
    monkeypatch.setattr("sagan.generators.pretrained.PREVIEW_BATCH_SIZE", 8)

    def open_(*paths, **fields):
        studio = Studio(StudioConfig(paths=tuple(Path(path) for path in paths), device="cpu", **fields))
        wait_for(
            lambda: all(s.status != "waiting" and not (s.loaded and s.loaded.rough) for s in studio.sources.values())
        )
        return studio

    return open_


def wait_for(until, at_most_s=60.0):
    """Wait for another thread; what never comes fails the test."""
    ready, end = threading.Event(), time.monotonic() + at_most_s
    while not until():
        assert time.monotonic() < end, "what was waited for did not come"
        ready.wait(0.01)


@pytest.fixture
def wait():
    """Wait for another thread."""
    return wait_for


class Client:
    """Talks to the server as the page does."""

    def __init__(self, studio):
        self.studio = studio
        self.http = TestClient(make_app(studio), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)

    def state(self):
        return self.http.get("/api/state").json()["sources"]

    def post(self, path, body, **options):
        return self.http.post(f"/api/{path}", json=body, **options)

    def arrays(self, path, body):
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        return unpacked(answer.content)

    def error(self, path, body):
        answer = self.post(path, body)
        assert answer.status_code != 200
        return answer.status_code, answer.json()["error"]


@pytest.fixture
def client(opened):
    """Open a studio and give what talks to it."""
    return lambda *paths, **fields: Client(opened(*paths, **fields))


@pytest.fixture
def picture_file(tmp_path):
    """Give the bytes of a picture, wider than high."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    return (tmp_path / "own.png").read_bytes(), pixels


@pytest.fixture
def silence():
    """Make a file look as if it had not been written to for so long."""

    def do(path, seconds):
        then = time.time() - seconds
        os.utime(path, (then, then))

    return do


@pytest.fixture
def served(opened):
    """Serve a studio on a port of this machine while the test runs, and give its address."""
    servers = []

    def serve(*paths, **fields):
        door = listening(0)
        server = uvicorn.Server(settings_of(make_app(opened(*paths, **fields))))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        servers.append((server, thread, door))
        wait_for(lambda: server.started)
        return address(door.getsockname()[1])

    yield serve
    for server, thread, door in servers:
        server.should_exit = True
        thread.join(30)
        door.close()
