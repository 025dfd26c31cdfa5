"""``sagan demo``: flags reach the run, and what came out is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sagan.experiments import digits

Run = Callable[..., tuple[int, str, str]]


def test_steps_and_seed_reach_the_run_and_its_pictures_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SAMPLES", 20)
    code, out, err = run("demo", "--steps", "2", "--seed", "7", "--out", "mine")
    assert code == 0, err
    config = json.loads(Path("mine", "config.json").read_text())
    assert (config["seed"], config["train"]["total_steps"], config["data"]["path"]) == (7, 2, "digits")
    places = dict(line.split(": ", 1) for line in out.splitlines()[1:])
    assert list(places) == ["samples", "attention", "curves"]
    assert all(Path(place.strip()).is_file() for place in places.values())


def test_a_run_without_a_name_gets_the_next_number(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Path, int]] = []

    class Stopped:
        finished, signal = False, 15

    def train(config: object, out: Path) -> Stopped:
        seen.append((out, config.train.total_steps))  # type: ignore[attr-defined]
        out.mkdir(parents=True)
        return Stopped()

    monkeypatch.setattr(digits, "train", train)
    assert [run("demo")[0], run("demo", "--steps", "9")[0]] == [128 + 15, 128 + 15]
    assert [path.name for path, _ in seen] == ["demo-001", "demo-002"]
    assert seen[1][1] == 9 != seen[0][1]
