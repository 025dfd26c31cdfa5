"""The curves of a run."""

from contextlib import nullcontext, suppress
from itertools import count
from types import SimpleNamespace

import pytest
from PIL import Image

from sagan.runs.curves import Curves
from sagan.runs.train import train

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_curve_joins_only_values_that_were_made_alike(tmp_path, console, monkeypatch, tiny_measured):
    drawn = []
    monkeypatch.setattr(
        "sagan.runs.curves.training_curves", lambda records, **_: drawn.append(records) or Image.new("L", (9, 9))
    )
    out = tmp_path / "run"
    train(tiny_measured(4), out=out, console=console)
    assert [r["step"] for r in drawn[-1] if "score/FD(pixels 8x8)" in r] == [2, 4]
    train(tiny_measured(6, {"num": 60}), resume=out, console=console)
    assert [r["step"] for r in drawn[-1] if "score/FD(pixels 8x8)" in r] == [6]
    assert [r["step"] for r in drawn[-1] if "loss_d" in r] == [2, 4, 6]


def test_drawing_takes_a_small_part_of_a_run_and_the_last_picture_has_all_of_it(tmp_path, monkeypatch):
    clock, drawn = [1000.0], []

    def draw(records, **_):
        drawn.append([record["step"] for record in records])
        clock[0] += 3.0
        return Image.new("L", (9, 9))

    monkeypatch.setattr("sagan.runs.curves.training_curves", draw)
    monkeypatch.setattr("sagan.runs.curves.time", SimpleNamespace(monotonic=lambda: clock[0]))
    record = SimpleNamespace(history=[], aside=nullcontext)
    hook = Curves(tmp_path, "a run")
    hook.on_start(record)
    hook.on_save(record)
    record.history.append({"step": 0, "health": "a gradient"})  # words alone
    hook.on_save(record)
    hook.on_end(record)
    assert not drawn
    record.history.clear()
    for step in range(1, 12):
        clock[0] += 17.0
        record.history.append({"step": step, "loss_d": 1.0})
        hook.on_save(record)
    assert drawn == [[1], [*range(1, 8)]]
    hook.on_end(record)
    hook.on_end(record)
    assert drawn == [[1], [*range(1, 8)], [*range(1, 12)]]
    record.history[-1] = {"step": 5, "loss_d": 2.0}
    hook.on_start(record)  # a rollback
    hook.on_end(record)
    assert drawn[3:] == [[*range(1, 11), 5]]


def test_a_drawing_that_fails_does_not_end_a_run_and_is_told_once(tmp_path, monkeypatch, tiny, run):
    def fail(*_, **__):
        raise ValueError("arange: cannot compute length")

    times = count(0, 1000)
    monkeypatch.setattr("sagan.runs.curves.training_curves", fail)
    monkeypatch.setattr("sagan.runs.curves.time", SimpleNamespace(monotonic=lambda: next(times)))
    result, said = run(tiny(4, save_every=2, log_every=1), out=tmp_path / "run")
    assert result.step == 4
    assert said.count("run/curves.png could not be drawn (arange: cannot compute length). Training goes on") == 1
    assert not (tmp_path / "run" / "curves.png").exists()


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), RecursionError("deep")])
def test_whatever_fails_in_a_drawing_is_an_error_that_a_run_goes_on_with(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("sagan.runs.curves.training_curves", fail)
    hook = Curves(tmp_path, "a run")
    with pytest.raises(OSError, match=r"curves.png could not be drawn \("):
        hook.on_save(SimpleNamespace(history=[{"step": 1, "loss_d": 1.0}], aside=nullcontext))


def test_a_drawing_that_fails_is_not_tried_at_every_step(tmp_path, monkeypatch):
    clock, tried = [1000.0], []

    def fail(records, **_):
        tried.append(len(records))
        clock[0] += 3.0
        raise ValueError("no")

    monkeypatch.setattr("sagan.runs.curves.training_curves", fail)
    monkeypatch.setattr("sagan.runs.curves.time", SimpleNamespace(monotonic=lambda: clock[0]))
    record = SimpleNamespace(history=[], aside=nullcontext)
    hook = Curves(tmp_path, "a run")
    hook.on_start(record)
    for step in range(1, 12):
        clock[0] += 17.0
        record.history.append({"step": step, "loss_d": 1.0})
        with suppress(OSError):
            hook.on_save(record)
    assert tried == [1, 7]
