"""The hooks of a run: their order, processes, what a checkpoint keeps, and the user's own among them."""

import io

import pytest
from rich.console import Console

from sagan import Hook
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
