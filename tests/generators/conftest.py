"""What tests of generators share: a run folder, and a generator that is ready to sample."""

import pytest
import torch

from sagan.generators import pretrained
from sagan.generators.trained import TrainedGenerator
from sagan.models.generator import Generator
from sagan.recipes.config import to_json
from sagan.sampling import sampling_copy
from sagan.training.checkpoint import checkpoint_path, save_checkpoint
from sagan.training.step import train_step

NAMES = ["red", "green", "2"]


@pytest.fixture(autouse=True)
def few_batches(monkeypatch):
    """Standing statistics of 2 batches of 8, which take no time."""
    monkeypatch.setattr(pretrained, "STANDING_BATCHES", 2)
    monkeypatch.setattr(pretrained, "STANDING_BATCH_SIZE", 8)


@pytest.fixture
def run_folder(tmp_path, tiny_config, tiny_state, pictures, engine, open_gates):
    """A run folder as far as this room knows it: checkpoints of steps 1 and 3."""

    def make(num_classes=3, generator=None, **train):
        classes = {"num_classes": num_classes}
        config = tiny_config(classes | (generator or {}), classes, **train)
        state, recipe = tiny_state(classes | (generator or {}), classes, **train)
        open_gates(state.G)
        for _ in range(3):
            train_step(state, recipe, pictures, engine, seed=0)
            if state.step != 2:
                contents = {
                    **state.state_dict(),
                    "config": to_json(config),
                    "class_names": NAMES[:num_classes],
                    "data": {"source": "colours"},
                    "versions": {"sagan": "0"},
                }
                save_checkpoint(checkpoint_path(tmp_path / "run" / "checkpoints", state.step), contents)
        return tmp_path / "run", state

    return make


@pytest.fixture
def trained(open_gates, tiny_config):
    torch.manual_seed(0)
    G = open_gates(Generator(tiny_config().generator))
    for layer in G.modules():
        if hasattr(layer, "gain"):
            torch.nn.init.normal_(layer.gain)
            torch.nn.init.normal_(layer.bias)
    return TrainedGenerator(sampling_copy(G, batches=2, batch_size=16, seed=0), tuple(NAMES), {})
