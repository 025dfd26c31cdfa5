"""The checkpoints of a run: there from the first moment on, and the best one of the branch that is trained."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from sagan.generators.pretrained import read_snapshot
from sagan.runs.checkpoints import Checkpoints
from sagan.runs.train import DivergedError, train
from sagan.training.checkpoint import load_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.hooks import Hooks, Record


def test_a_run_can_be_resumed_from_its_first_moment(tmp_path: Path, console: Console, tiny_full) -> None:
    out = tmp_path / "run"
    with pytest.raises(DivergedError):
        train(tiny_full(40, lr_g=1e30, lr_d=1e30, save_every=40), out=out, console=console)
    assert int(read_snapshot(out).contents["step"]) == 0  # type: ignore[call-overload]


def branch(folder, console=None):
    """Give the record, the hook, and a function that does a step, of a run that may go back."""

    class Fake:
        step, rollbacks = 2, 0

        def state_dict(self):
            return {"step": self.step, "rollbacks": self.rollbacks}

    class Engine:
        device, writes = torch.device("cpu"), True
        process = type("Process", (), {"world_size": 1})

    state = Fake()
    record = Record(TrainConfig(on_collapse="rollback"), state, Engine())
    hook = Checkpoints(folder, {}, console)
    Hooks([hook], record)

    def at(step, *, is_best=False, save=False):
        state.step, record.best = step, is_best
        hook.on_step(record)
        if save:
            record.healthy_step = step
            hook.on_save(record)

    return record, hook, at


def test_the_best_checkpoint_of_an_abandoned_branch_makes_way_for_the_one_before(tmp_path, console):
    record, hook, at = branch(tmp_path, console)
    state, best, said = record.state, tmp_path / "best.pt", console
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
    # Where there was none before, there is none now; that of the abandoned branch is kept under another name.
    state.step, state.rollbacks = 4, 2
    hook.on_start(record)
    assert not best.exists() and load_checkpoint(tmp_path / "best-rolled-back-2.pt")["step"] == 5
    assert "best.pt is from after step 4" in said.file.getvalue()


def test_a_kill_while_the_best_is_saved_leaves_the_best_of_before(tmp_path, monkeypatch):
    record, hook, at = branch(tmp_path)
    best, before = tmp_path / "best.pt", tmp_path / ".best-before.pt"
    at(2, is_best=True)

    class Killed(BaseException):
        pass

    def kill(path, contents):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("sagan.runs.checkpoints.save_checkpoint", kill)
        with pytest.raises(Killed):
            at(4, is_best=True)
    assert load_checkpoint(best)["step"] == 2
    at(4, is_best=True)
    assert (load_checkpoint(best)["step"], load_checkpoint(before)["step"]) == (4, 2)
    # A version that moved the file was killed there.
    best.unlink()
    hook.on_start(record)
    assert load_checkpoint(best)["step"] == 2


def test_a_kill_between_a_rollback_and_what_follows_takes_the_best_back_on_resuming(tmp_path):
    record, hook, at = branch(tmp_path)
    best = tmp_path / "best.pt"
    at(2, is_best=True)
    at(3, save=True)
    at(6, is_best=True)
    record.state.step, record.state.rollbacks = 3, 1  # the checkpoint that was gone back to says so already
    hook.on_start(record)
    assert load_checkpoint(best)["step"] == 2
    at(5, is_best=True)
    record.state.step = 3  # resumed in the same branch, whose step 5 will come again
    hook.on_start(record)
    assert load_checkpoint(best)["step"] == 5


def test_a_disk_without_links_has_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    _, _, at = branch(tmp_path)
    at(2, is_best=True)
    at(4, is_best=True)
    assert [load_checkpoint(tmp_path / name)["step"] for name in ("best.pt", ".best-before.pt")] == [4, 2]
