"""``sagan plan``: its command trains, and what cannot fit is one sentence."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sagan.recipes.config import RunConfig
from sagan.recipes.presets import demo

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


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Let plans be made of nothing; gives the configurations that were to be planned."""
    asked: list[RunConfig] = []

    class Planned:
        must_skip = False

        def __init__(self, config: RunConfig) -> None:
            self.config = config

        def text(self, command: str) -> str:
            return f"start:    {command}"

    def make_plan(config: RunConfig, **_: object) -> Planned:
        asked.append(config)
        return Planned(config)

    monkeypatch.setattr("sagan.speed.plan.make_plan", make_plan)
    return asked


def test_the_command_of_a_training_can_be_planned_as_it_is(
    run: Run, planned: list[RunConfig], digits_run: Path
) -> None:
    words = ["--preset", "demo", "--out", "r/new", "--init-from", str(digits_run), "--devices", "2"]
    code, out, err = run("plan", *words)
    assert code == 0, err
    assert out.splitlines()[-1] == f"start:    {shlex.join(['sagan', 'train', *words])}"
    assert "devices:  2 processes share this machine's cores and memory" in out
    assert planned[0].train.batch_size == demo().train.batch_size
    assert not Path("r").exists()


def test_on_gpus_the_plan_is_that_of_each_process(
    run: Run, planned: list[RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagan.runs.launch.number_of_processes", lambda *_: 4)
    monkeypatch.setattr("sagan.machine.usable_device", lambda _: "cuda")
    code, out, err = run("plan", "--preset", "demo", "--batch-size", "32", "--devices", "4")
    assert code == 0, err
    assert planned[0].train.batch_size == 8
    assert "devices:  4; below is what each of them does, with 8 of the 32 pictures of a batch" in out
    assert "--batch-size 32 --devices 4" in out


def test_what_a_plan_cannot_take_is_a_sentence_with_what_can_be_done(
    run: Run, error: Mistake, digits_run: Path
) -> None:
    said = error(run("plan", "--resume", digits_run))
    assert "--resume: a run that goes on keeps the batches that it has" in said
    assert f"--config {digits_run / 'config.json'}" in said
    assert "plan the last one without --grow" in error(run("plan", "--preset", "demo", "--grow", "8"))
    assert "no such run folder" in error(run("plan", "--preset", "demo", "--init-from", "nowhere"))
    assert "cannot be shared equally by 3" in error(
        run("plan", "--preset", "demo", "--batch-size", "8", "--devices", "3")
    )


def test_help_of_a_plan_says_which_flags_are_not_taken(run: Run) -> None:
    code, out, _ = run("plan", "--help")
    assert code == 0
    assert "all flags of `sagan train` but --resume and --grow" in " ".join(out.split())
    assert "--grow-share" not in out
    assert "Not taken" in run("plan", "--help-all")[1]
