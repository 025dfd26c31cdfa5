"""The hooks of a run: their order, processes, what a checkpoint keeps, and the user's own among them."""

import io
import json

import pytest
from rich.console import Console

from sagan import Hook
from sagan.recipes.config import to_json
from sagan.runs.hooks import ORDER, YOURS, hooks_of
from sagan.runs.prepare import Order, prepare


@pytest.fixture
def prepared(tmp_path, tiny):
    (tmp_path / "run").mkdir()
    config = tiny(4, evaluate_every=4)
    return prepare(Order(config, tmp_path / "run", False, None, Console(file=io.StringIO()), ()))


def test_order_processes_and_what_is_kept_are_those_that_are_written_down(prepared):
    class Mine(Hook):
        pass

    made = hooks_of(prepared.scene, prepared.monitor, [Mine()])
    places = [place for place in ORDER if place.name != YOURS]
    assert [hook.name for hook in made if hook.name] == [place.name for place in places]
    assert made.index(next(hook for hook in made if isinstance(hook, Mine))) == [p.name for p in ORDER].index(YOURS)
    for place in places:
        hook = next(hook for hook in made if hook.name == place.name)
        assert (tuple(hook.state_dict()), hook.everywhere) == (place.keeps, place.everywhere), place.name
    names = [place.name for place in ORDER]
    assert names[:8] == ["log", "means", "display", "watch", "sampler", "previews", "scores", "board"]
    assert names[8:] == [YOURS, "rollback", "checkpoints", "curves", "timeline"]
    assert [place.name for place in ORDER if place.everywhere] == ["sampler", "rollback"]


def test_the_other_processes_have_only_the_hooks_that_run_everywhere(prepared, monkeypatch):
    class Here(Hook):
        pass

    class There(Hook):
        everywhere = True

    monkeypatch.setattr(type(prepared.scene.engine), "writes", False)
    made = hooks_of(prepared.scene, None, [Here(), There()])
    assert [hook.name or type(hook).__name__ for hook in made] == ["sampler", "There", "rollback"]


@pytest.mark.slow("starts two processes twice")
def test_on_two_processes_a_hook_of_your_own_runs_where_it_says(tmp_path, tiny, on_two_processes, last):
    def train_to(steps):
        (tmp_path / "config.json").write_text(to_json(tiny(steps)))
        on_two_processes("hooks_everywhere.py", tmp_path)
        return [json.loads((tmp_path / f"calls-{rank}.json").read_text()) for rank in range(2)]

    def without_lines(calls):
        return [call for call in calls if call[0] != "on_line"]

    first, other = train_to(4)
    # Your hooks run after all others have seen the step: the line of its means is there before.
    calls = [["on_start", 0], ["on_save", 0], ["on_step", 1], ["on_line", 2], ["on_step", 2], ["on_step", 3]]
    calls += [["on_save", 3], ["on_line", 4], ["on_step", 4], ["on_save", 4], ["on_end", 4]]
    assert first["Everywhere"]["calls"] == first["OnTheFirst"]["calls"] == calls
    assert other["Everywhere"]["calls"] == without_lines(calls)
    assert other["OnTheFirst"]["calls"] == []
    assert first["Everywhere"]["losses"] == other["Everywhere"]["losses"] == first["OnTheFirst"]["losses"]

    # A checkpoint keeps the state of process 0, and each process gets that on resuming.
    kept = {"made_by": 0, "steps": [1, 2, 3, 4]}
    hooks = last(tmp_path / "run")["hooks"]
    assert hooks["Everywhere"] == hooks["OnTheFirst"] == kept
    first, other = train_to(5)
    calls = [["load_state_dict", kept], ["on_start", 4], ["on_step", 5], ["on_save", 5], ["on_end", 5]]
    assert without_lines(first["Everywhere"]["calls"]) == without_lines(first["OnTheFirst"]["calls"]) == calls
    assert other["Everywhere"]["calls"] == calls
    assert other["OnTheFirst"]["calls"] == []
    assert last(tmp_path / "run")["hooks"]["Everywhere"] == kept | {"steps": [1, 2, 3, 4, 5]}


def test_every_hook_of_a_run_is_a_small_class_with_one_job(prepared):
    import inspect

    for hook in hooks_of(prepared.scene, prepared.monitor):
        assert len(inspect.getsource(type(hook)).splitlines()) <= 80, type(hook)


def test_names_that_are_taken_are_refused_before_anything_starts(tmp_path, counter, run, tiny):
    mine = counter()
    mine.name = "log"
    with pytest.raises(ValueError, match="a hook is called 'log', which is a hook of every run"):
        run(tiny(2), tmp_path / "run", hooks=[mine])
    with pytest.raises(ValueError, match="two hooks are called 'Counter'"):
        run(tiny(2), tmp_path / "run", hooks=[counter(), counter()])
    assert not (tmp_path / "run").exists()


def test_a_hook_whose_state_is_not_there_yet_is_told_by_name(tmp_path, run, tiny):
    class Late(Hook):
        def on_start(self, record):
            self.count = 0

        def state_dict(self):
            return {"count": self.count}

    with pytest.raises(TypeError, match=r"state_dict of hook 'Late' is called before on_start.*make that in __init__"):
        run(tiny(2), tmp_path / "run", hooks=[Late()])
    assert not (tmp_path / "run").exists()


def test_a_run_that_a_hook_stops_says_how_to_use_what_is_there(tmp_path, run, tiny):
    class Enough(Hook):
        def on_step(self, record):
            record.stop("good enough")

    _, said = run(tiny(5), tmp_path / "run", hooks=[Enough()])
    assert "stopped at step 1, saved (good enough)" in said
    assert "sagan.train(resume=..., hooks=[...]) has them" in said
    assert f"sagan export {tmp_path / 'run'} --out {tmp_path / 'run'}/generator.safetensors" in said
