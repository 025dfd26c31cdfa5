"""Progress of long work: a bar at a terminal, lines elsewhere, nothing where none is wanted."""

from rich.console import Console

from sagan.data import parallel
from sagan.data.parallel import counted, progress_bar
from sagan.data.progress_lines import EVERY_S, ProgressLines


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_nothing_is_said_where_none_is_wanted(capsys, clock):
    with progress_bar(False, clock=clock) as bar:
        task = bar.add_task("decoding", total=2)
        clock.now += 10 * EVERY_S
        bar.advance(task, 1)
    assert lines(capsys) == []


def test_a_terminal_keeps_its_bar(monkeypatch):
    monkeypatch.setattr(parallel, "Console", lambda **given: Console(**given, force_terminal=True))
    assert not isinstance(progress_bar(True), ProgressLines)
    monkeypatch.setattr(parallel, "Console", lambda **given: Console(**given, force_terminal=False))
    assert isinstance(progress_bar(True), ProgressLines)


def test_counting_goes_on_from_what_is_done(capsys):
    with counted("decoding", 10, True, done=4) as advance:
        advance(6)
    assert lines(capsys) == []
