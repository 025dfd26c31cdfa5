"""``sagan plan``: its command trains, and what cannot fit is one sentence."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.mark.slow("steps are measured in processes of their own")
def test_a_plan_is_made_and_its_command_trains(run: Run, tmp_path: Path) -> None:
    flags = ["--base-width", "8", "--train.log-every", "5", "--steps", "10", "--batch-size", "8"]
    code, out, err = run("plan", "--preset", "demo", *flags, "--train.accumulate", "2")
    assert code == 0, err
    assert "steps of 2 images" in err
    for words in ("at the peak", "s a step", "10 steps take", "a checkpoint", "1,797 in 10 classes"):
        assert words in out
    assert not list(tmp_path.iterdir())
    command = shlex.split(out.splitlines()[-1].removeprefix("start:"))
    assert command[:2] == ["sagan", "train"]
    code, _, err = run(*command[1:], "--out", "planned")
    assert code == 0, err
    train = json.loads(Path("planned", "config.json").read_text())["train"]
    assert (train["batch_size"], train["accumulate"], train["total_steps"]) == (8, 2, 10)


@pytest.mark.slow("steps are measured in a process of their own")
def test_the_command_of_a_plan_leaves_out_what_cannot_be_read(run: Run, pictures: Path) -> None:
    (pictures / "dark" / "3.png").write_bytes(b"broken")
    flags = ["--preset", "sagan-32-cpu", "--size", "16", "--base-width", "8", "--batch-size", "4", "--steps", "1"]
    code, out, err = run("plan", "--data", pictures, *flags)
    assert code == 0, err
    assert "39 in 2 classes" in out
    assert "not readable, so that they need --data.skip-unreadable, as below: 1 file(s) (dark/3.png" in out
    command = shlex.split(out.splitlines()[-1].removeprefix("start:"))
    assert "--data.skip-unreadable" in command
    code, _, err = run(*command[1:], "--out", "planned")
    assert code == 0, err


@pytest.mark.long("steps are measured in processes of their own")
def test_a_plan_that_cannot_fit_is_one_sentence(run: Run, error: Mistake) -> None:
    said = error(run("plan", "--preset", "demo", "--batch-size", "2", "--memory-limit", "0.01"))
    assert "micro-batches of 2, the smallest" in said
    assert "10 MB are to use" in said
    assert "take a smaller --size or --base-width" in said
    assert "above 0" in error(run("plan", "--preset", "demo", "--memory-limit", "-1"))
    assert "there is no nowhere" in error(run("plan", "--preset", "demo", "--data", "nowhere"))
    assert "did you mean sagan-32" in error(run("plan", "--preset", "sagan-33"))
