"""The hook for Weights & Biases, without a network."""

import builtins
import io
from dataclasses import replace

import pytest
from rich.console import Console

from sagan.recipes.presets import PRESETS
from sagan.runs.train import train
from sagan.runs.wandb import WandB
from sagan.training.checkpoint import checkpoints, load_checkpoint


def config(steps):
    demo = PRESETS["demo"]()
    cadences = {"log_every": 2, "sample_every": 2, "evaluate_every": 0, "save_every": 2}
    return replace(
        demo,
        generator=replace(demo.generator, base_width=2, z_dim=8),
        discriminator=replace(demo.discriminator, base_width=4),
        train=replace(demo.train, total_steps=steps, batch_size=8, **cadences),
    )


@pytest.mark.slow("starts the service of Weights & Biases")
@pytest.mark.filterwarnings("default")
def test_a_run_and_a_resumed_one_are_one_run_there(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    sent, log = [], wandb.Run.log
    monkeypatch.setattr(
        wandb.Run, "log", lambda self, data, *a, **k: (sent.append((self.id, data)), log(self, data))[1]
    )
    console = Console(file=io.StringIO())

    def go(**kwargs):
        train(hooks=[WandB("a-project", mode="offline", folder=tmp_path)], console=console, **kwargs)

    go(config=config(2), out=tmp_path / "run")
    identity = load_checkpoint(checkpoints(tmp_path / "run" / "checkpoints")[-1])["hooks"]["wandb"]["id"]
    go(config=config(4), resume=tmp_path / "run")
    assert {name for name, _ in sent} == {identity}
    assert [data["step"] for _, data in sent if "loss_d" in data] == [2, 4]
    assert [data["step"] for _, data in sent if isinstance(data.get("samples"), wandb.Image)] == [2, 4]
    # Both parts lie in files of that run, to be sent later.
    files = sorted((tmp_path / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb"))
    assert files and all(file.stat().st_size > 1000 for file in files)


def test_without_the_library_a_sentence_names_the_extra(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "wandb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'sagan-torch\[wandb\]'"):
        WandB()
