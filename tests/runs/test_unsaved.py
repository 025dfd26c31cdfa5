"""A full disk in the middle of a run: it goes on, says so, tries again, and loses nothing that it still can keep."""

import errno
import io
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from sagan.runs import checkpoints as of_runs
from sagan.runs import curves, log, previews
from sagan.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint


def full(path="disk"):
    return OSError(
        errno.ENOSPC, f"{path} could not be written: the disk is full; make room, then give the command again"
    )


@pytest.fixture
def cannot_save(monkeypatch):
    """Let checkpoints of given steps fail, each so many times."""

    def plan(times):
        left = dict(times)

        def save(path, contents):
            step = contents["step"]
            if path.name.startswith("step-") and left.get(step, 0) > 0:
                left[step] -= 1
                raise full(path)
            save_checkpoint(path, contents)

        monkeypatch.setattr(of_runs, "save_checkpoint", save)

    return plan


def steps(folder):
    return [int(path.stem.removeprefix("step-")) for path in checkpoints(folder / "checkpoints")]


def same_weights(one, other):
    for network in ("G", "D", "ema"):
        for key, value in one[network].items():
            assert torch.equal(value, other[network][key]), (network, key)


@pytest.mark.long("trains a few steps")
def test_a_checkpoint_that_fails_is_tried_again_soon(tmp_path, tiny_full, told, last, cannot_save):
    told(tiny_full(9, save_every=4), tmp_path / "plain")
    cannot_save({4: 1, 5: 1})
    said = told(tiny_full(9, save_every=4), tmp_path / "run")
    assert re.search(
        r"step 4 is not saved: .*the disk is full; make room\. Training goes on .* is that of step 0", said
    )
    assert re.search(r"step 5 is not saved", said) and "step 6 is not saved" not in said
    assert "give the command again" not in said
    assert steps(tmp_path / "run") == [8, 9] and load_checkpoint(tmp_path / "run/checkpoints/step-00000008.pt")
    same_weights(last(tmp_path / "run"), last(tmp_path / "plain"))


@pytest.mark.long("trains a few steps")
def test_the_one_of_the_sixth_step_is_there_after_the_fifth_failed(tmp_path, tiny_full, run, cannot_save):
    cannot_save({4: 1, 5: 1})
    run(tiny_full(7, save_every=4, keep_last=5), tmp_path / "run")
    assert steps(tmp_path / "run") == [0, 6, 7]


@pytest.mark.slow("trains twice")
def test_a_run_that_can_never_save_again_ends_with_the_reason_and_goes_on_later(
    tmp_path, tiny_full, told, last, cannot_save
):
    told(tiny_full(8), tmp_path / "plain")
    cannot_save(dict.fromkeys(range(4, 20), 99))
    with pytest.raises(OSError, match=r"the disk is full; make room\. The last checkpoint is that of step 3, "):
        told(tiny_full(8), tmp_path / "run")
    assert steps(tmp_path / "run") == [0, 3]
    cannot_save({})
    told(tiny_full(8), None, resume=tmp_path / "run")
    same_weights(last(tmp_path / "run"), last(tmp_path / "plain"))


def test_the_first_checkpoint_must_be_written(tmp_path, tiny_full, told, cannot_save):
    cannot_save({0: 1})
    with pytest.raises(OSError, match="the disk is full"):
        told(tiny_full(8), tmp_path / "run")


@pytest.mark.long("trains a few steps")
def test_a_run_does_not_go_back_to_a_checkpoint_that_was_not_written(tmp_path, tiny, told, nan_at, cannot_save):
    cannot_save({6: 1, 7: 1})
    nan_at((7, 0))
    said = told(tiny(9, on_collapse="rollback", save_every=3, log_every=1), tmp_path / "run")
    assert re.search(r"rolled back from step [78] to (0|3) ", said)


class NoRoom(io.FileIO):
    """Takes half a line, and for some writes nothing more."""

    failures = 0

    def write(self, data):
        if len(data) > 80 and type(self).failures < 3:
            type(self).failures += 1
            if type(self).failures == 1:
                return super().write(data[: len(data) // 2])
            raise full("log")
        return super().write(data)


@pytest.mark.long("trains a few steps")
def test_lines_of_the_log_wait_for_room(tmp_path, tiny_full, told, log_of, monkeypatch):
    told(tiny_full(12), tmp_path / "plain")
    monkeypatch.setattr(log.io, "FileIO", NoRoom)
    said = told(tiny_full(12), tmp_path / "run")
    assert NoRoom.failures == 3 and said.count("the disk is full") == 1

    def numbers(folder):
        timed = ("images_per_s", "elapsed_s", "eta_s")
        return [{k: v for k, v in line.items() if not any(k.startswith(t) for t in timed)} for line in log_of(folder)]

    one, other = numbers(tmp_path / "plain"), numbers(tmp_path / "run")
    assert [line.keys() for line in one] == [line.keys() for line in other]
    assert [line.get("loss_d") for line in one] == [line.get("loss_d") for line in other]


def test_half_a_line_that_waits_does_not_outlive_a_rollback(tmp_path):
    record = SimpleNamespace(step=1, history=[], state=SimpleNamespace(rollbacks=1))
    hook = log.Log(tmp_path)
    hook.on_start(record)
    hook.file.write(b'{"step": 1, "lo')
    hook.pending = b'ss_d": 1.0}\n'
    hook.file.close()
    hook.file = io.FileIO(tmp_path / "log.jsonl")  # cannot be written to
    hook.on_start(record)
    hook.on_line(record, {"step": 1, "loss_d": 2.0})
    hook.on_end(record)
    read = log.read_log(tmp_path / "log.jsonl")
    assert read.damaged == [] and [line["loss_d"] for line in read.records] == [2.0]


@pytest.mark.long("trains a few steps")
def test_pictures_that_cannot_be_written_do_not_end_a_run(tmp_path, tiny_full, told, log_of, monkeypatch):
    def fail(*arguments, **named):
        raise full("picture")

    monkeypatch.setattr(previews, "save_image", fail)
    monkeypatch.setattr(curves, "save_image", fail, raising=False)
    said = told(tiny_full(8), tmp_path / "run")
    assert "picture could not be written: the disk is full; make room. Training goes on" in said
    assert steps(tmp_path / "run")[-1] == 8
    assert any("variety/within" in line for line in log_of(tmp_path / "run"))  # looked at all the same


PROGRAM = """
import resource, signal, sys
import sagan
from pathlib import Path
from sagan.recipes.config import from_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

class Full(sagan.Hook):
    def on_step(self, record):
        limit = 50 if 4 <= record.step < 9 else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

sagan.train(from_json(Path(sys.argv[1]).read_text()), out=sys.argv[2], hooks=[Full()] if sys.argv[3] == "full" else [])
"""


@pytest.mark.slow("two runs in processes of their own")
@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_real_limit_in_the_middle_of_a_run_loses_nothing(tmp_path, tiny_full, last, log_of):
    from sagan.recipes.config import to_json

    (tmp_path / "config.json").write_text(to_json(tiny_full(14)))
    for name in ("plain", "full"):
        words = [sys.executable, "-c", PROGRAM, str(tmp_path / "config.json"), str(tmp_path / name), name]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert "step 6 is not saved" in ended.stderr and "larger than is allowed" in ended.stderr
    same_weights(last(tmp_path / "full"), last(tmp_path / "plain"))
    losses = [[line.get("loss_d") for line in log_of(tmp_path / name)] for name in ("plain", "full")]
    assert losses[0] == losses[1]
