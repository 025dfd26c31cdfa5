"""The hooks of a run: order, processes, what a checkpoint keeps; the user's own beside them; what a rollback undoes."""

import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from sagan import Hook
from sagan.data import DataConfig
from sagan.models.discriminator import DiscriminatorConfig
from sagan.models.generator import GeneratorConfig
from sagan.recipes.config import RunConfig
from sagan.runs import hooks as hooks_of_runs
from sagan.runs.hooks import ORDER, YOURS, hooks_of
from sagan.runs.prepare import Order, prepare
from sagan.runs.states import states_of
from sagan.runs.train import train
from sagan.training import loop
from sagan.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from sagan.training.config import TrainConfig
from sagan.training.step import train_step


def tiny(steps, **train_fields):
    fields = {
        "total_steps": steps,
        "batch_size": 8,
        "lr_g": 1e-3,
        "lr_d": 4e-3,
        "log_every": 2,
        "sample_every": 0,
        "evaluate_every": 0,
        "save_every": 3,
    }
    return RunConfig(
        data=DataConfig(path="digits"),
        generator=GeneratorConfig(size_px=16, base_width=2, z_dim=8),
        discriminator=DiscriminatorConfig(size_px=16, base_width=4),
        train=TrainConfig(**fields | train_fields),
    )


def run(config, out=None, **kwargs):
    said = io.StringIO()
    result = train(config, out=out, console=Console(file=said, soft_wrap=True), **kwargs)
    return result, said.getvalue()


def last(folder):
    return load_checkpoint(checkpoints(folder / "checkpoints")[-1])


class Counter(Hook):
    """Adds up what it sees."""

    def __init__(self):
        self.sum, self.lines, self.starts = torch.zeros(()), 0, []

    def on_start(self, record):
        self.starts.append((record.step, self.lines))

    def on_step(self, record):
        self.sum = self.sum + record.metrics["loss_d"]

    def on_line(self, record, line):
        self.lines += 1

    def state_dict(self):
        return {"sum": self.sum, "lines": self.lines}

    def load_state_dict(self, state):
        self.sum, self.lines = state["sum"], state["lines"]


@pytest.fixture
def prepared(tmp_path):
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


def test_a_resumed_run_goes_on_with_the_users_hooks_and_equals_an_uninterrupted_one(tmp_path):
    whole, first, second = Counter(), Counter(), Counter()
    run(tiny(7), tmp_path / "whole", hooks=[whole])
    run(tiny(4), tmp_path / "parts", hooks=[first])
    run(tiny(7), resume=tmp_path / "parts", hooks=[second])
    assert second.starts == [(4, 2)]
    assert torch.equal(whole.sum, second.sum) and whole.lines == second.lines == 4
    kept = [last(tmp_path / name)["hooks"]["Counter"] for name in ("whole", "parts")]
    assert kept[0]["lines"] == kept[1]["lines"] == 4 and torch.equal(kept[0]["sum"], kept[1]["sum"])
    # Left out, its state is named and dropped.
    _, said = run(tiny(8), resume=tmp_path / "parts")
    assert "keeps the state of a hook 'Counter', which is not among the hooks now" in said
    assert "Counter" not in last(tmp_path / "parts")["hooks"]


def test_names_that_are_taken_are_refused_before_anything_starts(tmp_path):
    mine = Counter()
    mine.name = "log"
    with pytest.raises(ValueError, match="a hook is called 'log', which is a hook of every run"):
        run(tiny(2), tmp_path / "run", hooks=[mine])
    with pytest.raises(ValueError, match="two hooks are called 'Counter'"):
        run(tiny(2), tmp_path / "run", hooks=[Counter(), Counter()])
    assert not (tmp_path / "run").exists()


def test_a_hook_stops_the_run_which_says_why_and_can_go_on(tmp_path):
    class Stop(Hook):
        def on_line(self, record, line):
            if record.step == 4:
                record.stop("good enough")

    result, said = run(tiny(9), tmp_path / "run", hooks=[Stop()])
    assert (result.step, result.finished, result.signal, result.reason) == (4, False, None, "good enough")
    assert "stopped at step 4, saved (good enough). To go on:\n  sagan train --resume" in said
    assert last(tmp_path / "run")["step"] == 4
    result, _ = run(None, resume=tmp_path / "run")
    assert (result.step, result.finished, result.reason) == (9, True, None)


@pytest.fixture
def nan_at(monkeypatch):
    def plan(*places):
        def spoilt(state, *arguments):
            metrics = train_step(state, *arguments)
            if (state.step, state.rollbacks) in places:
                next(state.D.parameters()).data.flatten()[0] = torch.nan
            return metrics

        monkeypatch.setattr(loop, "train_step", spoilt)

    return plan


def test_a_rollback_undoes_all_that_was_written_after_that_step(tmp_path, nan_at, monkeypatch):
    # The values get better and better, so that the best one is always the latest.
    values = iter(range(99, 0, -1))
    measure = hooks_of_runs.Monitor.measure

    def measured(self, generator):
        report = measure(self, generator)
        better = replace(report.values[0], value=float(next(values)))
        return replace(report, values=(better, *report.values[1:]))

    monkeypatch.setattr(hooks_of_runs.Monitor, "measure", measured)
    out, mine, found = tmp_path / "run", Counter(), {}

    class Look(Hook):
        def on_start(self, record):
            if record.state.rollbacks:
                found.update(
                    samples=sorted(path.name for path in (out / "samples").glob("*.png")),
                    evaluations=sorted(path.name for path in (out / "evaluations").glob("*")),
                    lines=max(int(line["step"]) for line in record.history),
                )
                found["best in the checkpoint"] = last(out)["hooks"]["scores"]["best"]["step"]

        def on_step(self, record):
            if record.state.rollbacks and "best.pt" not in found:
                found["best.pt"] = load_checkpoint(out / "checkpoints" / "best.pt")["step"]

    config = tiny(12, on_collapse="rollback", sample_every=5, evaluate_every=5, save_every=3)
    config = replace(config, monitor=replace(config.monitor, num=20, real=40))
    nan_at((11, 0))
    run(config, out, hooks=[mine, Look()])
    assert found == {
        "samples": ["step-00000005.png"],
        "evaluations": ["step-00000005.json"],
        "lines": mine.starts[1][0] // 2 * 2,
        "best in the checkpoint": 5,
        "best.pt": 5,
    }
    # A line every two steps, and the values of step 5.
    (start, fresh), (back, lines) = mine.starts
    assert (start, fresh) == (0, 0) and back in (6, 9) and lines >= back // 2 + 1
    contents = load_checkpoint(out / "checkpoints" / "best.pt")
    assert (contents["step"], contents["rollbacks"]) == (12, 1)


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


def as_before(contents):
    """Write the states of hooks where checkpoints had them before there were hooks."""
    contents = dict(contents)
    hooks = contents.pop("hooks")
    contents["reporter"] = {
        **hooks["means"],
        **hooks.get("scores", {"best": None, "monitor": {}}),
        **hooks["rollback"],
        "health": hooks["watch"],
    }
    return contents


def test_a_checkpoint_of_before_resumes_exactly(tmp_path):
    fields = {"log_every": 4, "evaluate_every": 4}
    small = {"num": 20, "real": 40}
    first, longer = (replace(c, monitor=replace(c.monitor, **small)) for c in (tiny(6, **fields), tiny(9, **fields)))
    run(longer, tmp_path / "whole")
    run(first, tmp_path / "parts")
    path = checkpoints(tmp_path / "parts" / "checkpoints")[-1]
    contents = load_checkpoint(path)
    for item in ("format", "format_version"):
        contents.pop(item)
    save_checkpoint(path, as_before(contents))
    assert "hooks" not in load_checkpoint(path)
    run(longer, resume=tmp_path / "parts")
    ends = [last(tmp_path / name) for name in ("whole", "parts")]
    for network in ("G", "D"):
        assert all(torch.equal(value, ends[1][network][key]) for key, value in ends[0][network].items())
    assert ends[0]["hooks"]["watch"] == ends[1]["hooks"]["watch"]
    assert ends[0]["hooks"]["rollback"] == ends[1]["hooks"]["rollback"]
    assert ends[0]["hooks"]["scores"]["best"] == ends[1]["hooks"]["scores"]["best"]


def test_all_that_a_checkpoint_of_before_held_finds_its_hook():
    sums = {"loss_d": torch.tensor(3.0)}
    held = {
        "sums": sums,
        "count": 2,
        "best": {"score": 1.5, "step": 4},
        "monitor": {"metrics": ["fd"]},
        "healthy_step": 4,
        "health": {"healthy": False, "active": {"diverged": 5}, "against": {}, "seen_right": []},
    }
    assert states_of({"step": 6, "reporter": held}) == {
        "means": {"sums": sums, "count": 2},
        "watch": held["health"],
        "scores": {"best": held["best"], "monitor": held["monitor"]},
        "rollback": {"healthy_step": 4},
    }
    # From before health was watched, and from before anything was kept.
    assert states_of({"step": 6, "reporter": {"sums": {}, "count": 0}})["rollback"] == {"healthy_step": 6}
    assert states_of({"step": 6})["means"] == {"sums": {}, "count": 0}


def test_the_log_is_written_by_its_hook_line_for_line(tmp_path):
    seen = []

    class Lines(Hook):
        def on_line(self, record, line):
            seen.append(dict(line))

    run(tiny(4, sample_every=2), tmp_path / "run", hooks=[Lines()])
    assert seen == [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert ["loss_d" in line for line in seen] == [True, False, True, False]
    assert "variety/within" in seen[1]
