"""A run folder that is removed or moved while the run trains: a sentence, no traceback, and nothing made anew."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sagan import Hook
from sagan.runs.board import Board
from sagan.runs.folder import RunError
from sagan.runs.resume import config_to_resume
from sagan.runs.train import train
from sagan.training.checkpoint import checkpoints, load_checkpoint
from sagan.training.hooks import Record


class After(Hook):
    """Does something after the third step."""

    def __init__(self, what):
        self.what = what

    def on_step(self, record):
        if record.step == 3:
            self.what()


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("removed", marks=pytest.mark.slow("trains a few steps")),
        pytest.param("moved", marks=pytest.mark.slow("trains a few steps")),
        pytest.param("another in its place", marks=pytest.mark.long("trains a few steps")),
    ],
)
def test_it_ends_with_a_sentence(tmp_path, console, tiny, how, monkeypatch):
    out = tmp_path / "run"
    tracebacks = []
    monkeypatch.setattr(threading, "excepthook", tracebacks.append)

    def away():
        if how == "removed":
            shutil.rmtree(out)
        else:
            out.rename(tmp_path / "elsewhere")
        if how == "another in its place":
            out.mkdir()

    with pytest.raises(RunError, match=r"run was removed or moved while the run trained, so it ended after step [34]"):
        train(tiny(20, log_every=1, save_every=5), out=out, console=console, hooks=[After(away)])
    assert tracebacks == []
    assert not out.exists() or list(out.iterdir()) == []
    if how != "removed":
        assert train(tiny(20, log_every=1), resume=tmp_path / "elsewhere", console=console).finished


@pytest.mark.long("trains a few steps, twice")
def test_a_run_whose_configuration_vanishes_stays_and_goes_on(tmp_path, console, tiny):
    out = tmp_path / "run"
    assert train(tiny(4), out=out, console=console, hooks=[After((out / "config.json").unlink)]).finished
    assert [path.name for path in checkpoints(out / "checkpoints")] == ["step-00000003.pt", "step-00000004.pt"]
    longer = config_to_resume(out)
    longer = replace(longer, train=replace(longer.train, total_steps=5))
    assert train(longer, resume=out, console=console).finished
    assert (out / "config.json").is_file()


class Removes(Hook):
    """Takes the checkpoints away behind the back of the run, and stops it."""

    def __init__(self, folder):
        self.folder, self.first = folder, True

    def on_save(self, record):
        if record.step == 3 and self.first:
            self.first = False
            shutil.rmtree(self.folder)
            record.stop("enough")


@pytest.mark.long("trains a few steps")
def test_the_last_checkpoint_is_written_again_if_it_is_gone(tmp_path, console, tiny):
    folder = tmp_path / "run" / "checkpoints"
    result = train(tiny(6), out=tmp_path / "run", console=console, hooks=[Removes(folder)])
    assert (result.step, result.finished) == (3, False)
    assert [path.name for path in checkpoints(folder)] == ["step-00000003.pt"]
    assert load_checkpoint(folder / "step-00000003.pt")["step"] == 3


def test_a_board_that_cannot_be_written_is_said_once_and_ends_nothing(
    tmp_path: Path, console, tiny_state, engine, monkeypatch
) -> None:
    tracebacks = []
    monkeypatch.setattr(threading, "excepthook", tracebacks.append)
    state, config = tiny_state()
    record, board = Record(config, state, engine), Board(tmp_path / "run", console)
    board.on_start(record)
    shutil.rmtree(tmp_path / "run")
    for step in range(1, 4):
        board.on_line(record, {"step": step, "loss_d": 0.5})
        if board.writer is not None:
            with board._writing():
                board.writer.flush()
    board.on_end(record)
    assert console.file.getvalue().count("nothing more goes to") == 1
    assert tracebacks == [] and threading.excepthook == tracebacks.append


def test_other_threads_keep_their_tracebacks(tmp_path: Path, tiny_state, engine, monkeypatch) -> None:
    tracebacks = []
    monkeypatch.setattr(threading, "excepthook", tracebacks.append)
    state, config = tiny_state()
    board = Board(tmp_path / "run")
    board.on_start(Record(config, state, engine))

    def fails():
        raise OSError("x")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    board.on_end(Record(config, state, engine))
    assert len(tracebacks) == 1
