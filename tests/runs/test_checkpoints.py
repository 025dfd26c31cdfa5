"""The checkpoints of a run: there from the first moment on, and the best one of the branch that is trained."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from sagan.generators.pretrained import read_snapshot
from sagan.runs.train import DivergedError, train
from sagan.training.checkpoint import load_checkpoint
from sagan.training.config import TrainConfig


def test_a_run_can_be_resumed_from_its_first_moment(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    with pytest.raises(DivergedError):
        train(tiny_full(40, lr_g=1e30, lr_d=1e30, save_every=40), out=out, console=console)
    assert int(read_snapshot(out).contents["step"]) == 0  # type: ignore[call-overload]


def test_the_best_checkpoint_of_an_abandoned_branch_makes_way_for_the_one_before(tmp_path):
    from sagan.runs.checkpoints import Checkpoints
    from sagan.training.hooks import Hooks, Record

    class Fake:
        step, rollbacks = 2, 0

        def state_dict(self):
            return {"step": self.step}

    class Engine:
        device, writes = torch.device("cpu"), True
        process = type("Process", (), {"world_size": 1})

    state, best = Fake(), tmp_path / "best.pt"
    record = Record(TrainConfig(on_collapse="rollback"), state, Engine())
    hook = Checkpoints(tmp_path, {})
    Hooks([hook], record)

    def at(step, *, is_best=False, save=False):
        state.step, record.best = step, is_best
        hook.on_step(record)
        if save:
            record.healthy_step = step
            hook.on_save(record)

    at(2, is_best=True)
    at(3, save=True)
    at(4, is_best=True)
    at(6, is_best=True)
    assert load_checkpoint(best)["step"] == 6
    state.step = 3  # resumed from the healthy checkpoint: step 6 will come again, and its state is kept until then
    hook.on_start(record)
    assert load_checkpoint(best)["step"] == 6
    record.went_back = True  # gone back to it: step 6 will never come again
    hook.on_start(record)
    assert load_checkpoint(best)["step"] == 2
    at(5, is_best=True)
    at(7, save=True)
    assert load_checkpoint(best)["step"] == 5 and not (tmp_path / ".best-before.pt").exists()
    # Where there was none before, there is none now.
    state.step = 4
    hook.on_start(record)
    assert not best.exists()
