"""What tests of the exchange share: runs of other implementations, written as files like those that they write."""

import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "sources"
sys.path[:0] = [str(SOURCES), str(Path(__file__).parent)]


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small():
    """Make a generator of 16 px that is ready to sample; options are those of its configuration."""
    import torch

    from sagan.generators.trained import TrainedGenerator
    from sagan.models.config import GeneratorConfig
    from sagan.models.generator import Generator
    from sagan.sampling import sampling_copy

    def make(**options):
        fields = {"size_px": 16, "num_classes": 3, "z_dim": 8, "base_width": 4, "attention": (8,), **options}
        torch.manual_seed(0)
        G = Generator(GeneratorConfig(**fields))
        for name, parameter in G.named_parameters():
            if name.endswith(("gain", "bias", "gamma", "map.weight")):
                torch.nn.init.normal_(parameter)
        ready = sampling_copy(G, batches=2, batch_size=8, seed=0)
        names = ("cat", "dog & co", "3")[: fields["num_classes"]]
        facts = {
            "step": 12,
            "data": {"source": "pets", "images": 900},
            "weights": "as trained",
            "batch_norm": "standing",
        }
        return TrainedGenerator(ready, names, facts)

    return make
