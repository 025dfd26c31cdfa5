"""A data set of three colours and a generator of its classes; `cells` is found by the files beside it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sagan.data import DataConfig, open_dataset
from sagan.generators.pretrained import TrainedGenerator
from sagan.models.config import GeneratorConfig
from sagan.models.generator import Generator
from sagan.sampling import sampling_copy

sys.path.insert(0, str(Path(__file__).parent))

NAMES = ("red", "green", "blue")


@pytest.fixture
def dataset(tmp_path, pictures, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    batch = pictures(0, 120)
    file = tmp_path / "real.npz"
    np.savez(file, images=batch.images.numpy(), labels=batch.labels.numpy(), class_names=np.array(NAMES))
    return open_dataset(DataConfig(path=str(file)), 16, progress=False)


@pytest.fixture
def generator(open_gates):
    torch.manual_seed(0)
    G = open_gates(Generator(GeneratorConfig(size_px=16, num_classes=3, z_dim=8, base_width=2)))
    ready = sampling_copy(G, batches=2, batch_size=8, seed=0)
    return TrainedGenerator(ready, NAMES, {"weights": "as trained", "batch_norm": "standing", "step": 1})
