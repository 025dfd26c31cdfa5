"""Progress where output is no terminal: something is said before the first line of the log, and never too often."""

import io

from rich.console import Console

from sagan.runs.display import SILENCE_S, Display, duration
from sagan.training.hooks import Record

LINE = {"step": 4, "images_per_s": 12.3, "loss_d": 1.5, "loss_g": -0.25, "real_logits": 0.5, "fake_logits": -0.5}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def shown(tiny_state, engine, seconds_a_step, steps, lines=(), terminal=False):
    """Give what is said while steps are done at an even pace."""
    state, config = tiny_state(total_steps=100)
    clock, said = Clock(), io.StringIO()
    display = Display(Console(file=said, force_terminal=terminal, soft_wrap=True), 100, clock)
    record = Record(config, state, engine)
    display.on_start(record)
    for step in range(1, steps + 1):
        clock.now += seconds_a_step
        state.step = step
        display.on_step(record)
        if step in lines:
            display.on_line(record, LINE | {"step": step})
    display.on_end(record)
    return said.getvalue().splitlines()


def test_a_pipe_hears_something_after_seconds_not_after_fifty_steps(tiny_state, engine):
    lines = shown(tiny_state, engine, seconds_a_step=4.0, steps=7)
    assert lines == ["step 3/100 | 6 min left", "step 6/100 | 6 min left"]


def test_quick_steps_are_told_with_the_lines_of_the_log_alone(tiny_state, engine):
    lines = shown(tiny_state, engine, seconds_a_step=SILENCE_S / 20, steps=16, lines=(4, 8, 12, 16))
    assert [line.split(" |")[0] for line in lines] == ["step 4/100", "step 8/100", "step 12/100", "step 16/100"]
    assert lines[0] == "step 4/100 | 48 s left | 12 images/s | loss D 1.500 G -0.250 | logits real +0.50 fake -0.50"


def test_a_dumb_terminal_hears_what_a_pipe_does(tiny_state, engine, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    lines = shown(tiny_state, engine, seconds_a_step=4.0, steps=7, terminal=True)
    assert lines == ["step 3/100 | 6 min left", "step 6/100 | 6 min left"]
    monkeypatch.setenv("TERM", "xterm")
    assert shown(tiny_state, engine, seconds_a_step=4.0, steps=7, terminal=True) != lines


def test_other_lines_are_not_for_the_terminal(tiny_state, engine):
    state, config = tiny_state(total_steps=9)
    said = io.StringIO()
    display, record = Display(Console(file=said), 9, Clock()), Record(config, state, engine)
    display.on_start(record)
    display.on_line(record, {"step": 3, "variety/within": 0.5})
    assert said.getvalue() == ""


def test_times_are_written_for_people():
    assert [duration(s) for s in (7.4, 125.0, 5400.0)] == ["7 s", "2 min", "1.5 h"]
