import os
import shlex
import sys

import pytest

from sagan.runs.launch import launch


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Let the launcher start a script of the test in place of Python."""

    def use(text):
        path, program = tmp_path / "python", tmp_path / "program.py"
        program.write_text(f"import os, signal, sys, time\nrank = int(os.environ['RANK'])\n{text}\n")
        # Through a shell, since the path of Python may hold spaces.
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S {shlex.quote(str(program))} "$@"\n')
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr("sagan.runs.launch.GRACE_S", 0.5)
        monkeypatch.setattr("sagan.runs.launch.TERM_S", 0.5)

    return use


def test_each_process_is_told_which_it_is(script, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("sagan.runs.launch.cores", lambda: 7)
    script(
        f"names = 'RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR OMP_NUM_THREADS SAGAN_PARENT'.split()\n"
        f"text = ' '.join([*sys.argv[1:], *(os.environ[name] for name in names)])\n"
        f"open(f'{tmp_path}/{{rank}}', 'w').write(text)"
    )
    assert launch(["train", "--a b"], 3, tmp_path) == 0
    for rank in range(3):
        assert (tmp_path / str(rank)).read_text() == f"-m sagan train --a b {rank} {rank} 3 3 127.0.0.1 2 {os.getpid()}"


def test_what_process_0_says_is_not_repeated(script, capfd, tmp_path):
    script("print(f'no such data', file=sys.stderr); sys.exit(2)")
    assert launch(["train"], 2, tmp_path) == 2
    assert capfd.readouterr().err.count("no such data") == 1


def test_what_both_refuse_is_said_once_though_the_other_was_first(script, capfd, tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    script("print('no such data', file=sys.stderr); time.sleep(1.5 * (rank == 0)); sys.exit(2)")
    monkeypatch.setattr("sagan.runs.launch.GRACE_S", 60.0)
    assert launch(["train"], 2, tmp_path) == 2
    said = capfd.readouterr().err
    assert said.count("no such data") == 1
    assert "--resume" not in said


def test_what_another_process_says_is_shown_if_it_fails_first(script, capfd, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    script("signal.pause() if rank == 0 else print('my GPU broke') or sys.exit(7)")
    assert launch(["train"], 2, tmp_path) == 1
    said = capfd.readouterr().err
    assert "my GPU broke" in said
    assert "sagan: process 1 of 2 ended with exit code 7; the others were ended" in said
    assert f"sagan train --resume {tmp_path} --devices 2" in said


def test_a_killed_process_ends_those_that_would_not_end(script, capfd, tmp_path):
    script(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.kill(os.getpid(), signal.SIGKILL) if rank == 0 else [signal.pause() for _ in range(9)]"
    )
    assert launch(["train"], 2, tmp_path) == 1
    said = capfd.readouterr().err
    assert "process 0 of 2 was killed by SIGKILL" in said
    assert "--resume" not in said  # there is no checkpoint to go on from


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_passed_on_to_all(script, capfd, tmp_path, name, monkeypatch):
    """Process 0 signals the launcher, which passes it on: all end by it, and that is no failure."""
    monkeypatch.setattr("sagan.runs.launch.stopping", lambda: [1, 2, 15])  # also under nohup
    script(
        f"signal.signal(signal.{name}, lambda *_: os._exit(128 + signal.{name}))\n"
        f"open('{tmp_path}/ready', 'w').close() if rank == 1 else None\n"
        f"while rank == 0 and not os.path.exists('{tmp_path}/ready'): pass\n"
        f"os.kill(os.getppid(), signal.{name}) if rank == 0 else None\n"
        "while True: signal.pause()"
    )
    number = {"SIGINT": 2, "SIGTERM": 15, "SIGHUP": 1}[name]
    assert launch(["train"], 2, tmp_path) == 128 + number
    assert "the others were ended" not in capfd.readouterr().err


def test_the_one_that_was_killed_is_named_though_the_others_ended_of_it_meanwhile(script, capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("sagan.runs.launch.CHECK_EVERY_S", 1.5)  # both have ended when they are looked at
    script("sys.exit(1) if rank == 0 else os.kill(os.getpid(), signal.SIGKILL)")
    assert launch(["train"], 2, tmp_path) == 1
    assert "sagan: process 1 of 2 was killed by SIGKILL; the others were ended" in capfd.readouterr().err
