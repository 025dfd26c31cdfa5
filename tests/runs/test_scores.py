"""The values of a run: logged and stored with their protocols, and the best checkpoint by the first of them."""

from types import SimpleNamespace

import pytest

from sagan.generators.pretrained import read_snapshot
from sagan.metrics.report import compare, report_from_json
from sagan.runs import checkpoints as checkpoints_of_runs
from sagan.runs import scores as scores_of_runs
from sagan.runs.checkpoints import Checkpoints
from sagan.runs.scores import Scores
from sagan.runs.train import train
from sagan.training.checkpoint import load_checkpoint
from sagan.training.hooks import Hooks, Record

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.long("trains and measures samples")
def test_every_value_of_the_set_is_logged_and_stored_with_its_protocol(tmp_path, console, scores_of, tiny_measured):
    out = tmp_path / "run"
    train(tiny_measured(4, {"metrics": ("kd", "fd", "prdc")}), out=out, console=console)
    names = ["FD(pixels 8x8)", "KD(pixels 8x8)", *(f"{n}(pixels 8x8)" for n in ("precision", "recall", "coverage"))]
    for name in names:
        assert sorted(scores_of(out, name)) == [2, 4], name
    report = report_from_json((out / "evaluations" / "step-00000004.json").read_text())
    assert report.subject["step"] == 4
    for value in report.values:
        assert value.protocol["network"] == "pixels 8x8"
        assert value.protocol["generated"] == 40
        assert value.protocol["reference_count"] == 200
        split = "train, holdout 0.05 at most 1000, seed 0; 200 of them, drawn with seed 2020"
        assert value.protocol["reference_split"] == split
        assert value.protocol["batch_norm"] == "standing statistics, 8 batches of 64, seed 0"
        assert value.protocol["ema"] is True
    assert scores_of(out, "FD(pixels 8x8)")[4] == report.values[0].value
    # Two steps of a run, and two runs, compare.
    compare(report, report_from_json((out / "evaluations" / "step-00000002.json").read_text()))


@pytest.mark.long("trains and measures samples")
@pytest.mark.parametrize("metrics", [("fd",), ("is", "fd"), ("prdc", "kd"), ("kd", "fd")])
def test_the_best_checkpoint_is_the_best_by_the_first_metric(
    tmp_path, console, monkeypatch, metrics, classy, scores_of, tiny_measured
):
    monkeypatch.setattr("sagan.runs.monitor.load_network", lambda *_, **__: classy())
    out = tmp_path / "run"
    config = tiny_measured(6, {"features": "inception", "metrics": metrics}, evaluate_every=1, lr_g=3e-3, lr_d=3e-3)
    train(config, out=out, console=console)
    name = {"fd": "FD", "is": "IS", "kd": "KD", "prdc": "coverage"}[metrics[0]]
    found = scores_of(out, f"{name}(classy)")
    best = min(found, key=found.get) if name in ("FD", "KD") else max(found, key=found.get)
    assert int(read_snapshot(out / "checkpoints" / "best.pt").contents["step"]) == best


def test_a_best_value_of_another_metric_says_nothing(tmp_path, console, scores_of, tiny_measured):
    out = tmp_path / "run"
    train(tiny_measured(2), out=out, console=console)
    best = out / "checkpoints" / "best.pt"
    held = load_checkpoint(best)["hooks"]["scores"]
    assert held["best"]["step"] == 2
    # The kernel distance is far smaller, so any value of it would look like the best if the two were mixed.
    train(tiny_measured(4, {"metrics": ("kd",)}), resume=out, console=console)
    held = load_checkpoint(best)["hooks"]["scores"]
    assert held["best"] == {"score": scores_of(out, "KD(pixels 8x8)")[4], "step": 4}
    assert held["monitor"]["metrics"] == ["kd"]


@pytest.mark.long("trains and measures samples")
def test_resuming_keeps_the_best(tmp_path, console, tiny_measured):
    once, twice = tmp_path / "once", tmp_path / "twice"
    train(tiny_measured(6), out=once, console=console)
    train(tiny_measured(3), out=twice, console=console)
    train(tiny_measured(6), resume=twice, console=console)
    name = "step-00000006.pt"
    ends = [load_checkpoint(folder / "checkpoints" / name)["hooks"]["scores"]["best"] for folder in (once, twice)]
    assert ends[0]["step"] == ends[1]["step"]
    assert ends[0] == ends[1]


def test_a_best_that_could_not_be_written_is_written_by_the_next_one_better_than_the_last(
    tmp_path, tiny_measured, engine, monkeypatch
):
    config = tiny_measured(20, evaluate_every=1, save_every=100)
    values, full, said = iter([9.0, 7.0, 8.0, 8.5, 7.5, 7.0]), [False], []
    state = SimpleNamespace(step=0, rollbacks=0, d_features=None, state_dict=lambda: {"step": state.step})

    def save(path, contents):
        if full[0]:
            raise OSError(28, "No space left on device", str(path))
        return save_checkpoint(path, contents)

    save_checkpoint = checkpoints_of_runs.save_checkpoint
    monkeypatch.setattr(checkpoints_of_runs, "save_checkpoint", save)
    report = SimpleNamespace(values=(), to_json=lambda: "{}")
    monkeypatch.setattr(Scores, "_measure", lambda *_: report)
    best = lambda *_: SimpleNamespace(value=next(values), higher_is_better=False)  # noqa: E731
    monkeypatch.setattr(scores_of_runs, "best_by", best)
    scores, saving = Scores(config, tmp_path / "evaluations", None, ()), Checkpoints(tmp_path, {})
    scores.name, saving.name = "scores", "checkpoints"
    record = Record(config.train, state, engine)
    hooks = Hooks([scores, saving], record, said.append)

    def step(*, is_full=False):
        state.step, record.sampler, full[0] = state.step + 1, object(), is_full
        hooks.step({})
        return load_checkpoint(tmp_path / "best.pt")["step"]

    assert step() == 1
    assert step(is_full=True) == 1 and len(said) == 1
    full[0] = False
    hooks.save()
    assert scores.state_dict()["best"] == {"score": 9.0, "step": 1}
    assert step() == 3  # worse than what could not be written, and better than what is there
    assert step() == 3
    assert step(is_full=True) == 3 and len(said) == 2  # it could write in between, so it is said again
    assert step() == 6
    assert scores.best == {"score": 7.0, "step": 6}
