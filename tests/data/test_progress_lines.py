"""Progress for people who read a file: a line every few seconds."""

import pytest

from sagan.data.parallel import progress_bar
from sagan.data.progress_lines import EVERY_S


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_is_said_every_few_seconds(capsys, clock):
    with progress_bar(True, clock=clock) as bar:
        task = bar.add_task("decoding", total=12_000)
        for _ in range(12):
            clock.now += EVERY_S / 2
            bar.advance(task, 1000)
        said = lines(capsys)
    assert len(said) == 6
    # The first step began with the first count: 1,000 in 2.5 s from then on.
    assert said[0].startswith("decoding: 2,000 of 12,000, 0:00:")
    assert said[0].endswith(" left")
    assert said[-1] == "decoding: 12,000 of 12,000"
    assert lines(capsys) == []  # all is said


def test_the_time_left_is_that_of_the_speed_so_far(capsys, clock):
    with progress_bar(True, clock=clock) as bar:
        task = bar.add_task("judging", total=100)
        bar.advance(task, 10)
        for _ in range(2):
            clock.now += EVERY_S
            bar.advance(task, 10)
    assert lines(capsys)[:2] == [
        "judging: 20 of 100, 0:00:40 left",  # 2 a second, 80 to go
        "judging: 30 of 100, 0:00:35 left",
    ]


def test_what_is_done_soon_says_nothing(capsys, clock):
    with progress_bar(True, clock=clock) as bar:
        task = bar.add_task("decoding", total=2)
        bar.advance(task, 1)
        clock.now += EVERY_S - 0.1
        bar.advance(task, 1)
    assert lines(capsys) == []


def test_what_ends_early_says_how_far_it_came(capsys, clock):
    with pytest.raises(ValueError, match="broken"), progress_bar(True, clock=clock) as bar:
        task = bar.add_task("decoding", total=4)
        clock.now += EVERY_S
        bar.advance(task, 1)
        bar.advance(task, 1)
        raise ValueError("broken")
    assert lines(capsys) == ["decoding: 1 of 4", "decoding: 2 of 4"]


def test_bytes_unknown_totals_and_new_descriptions(capsys, clock):
    with progress_bar(True, in_bytes=True, clock=clock) as bar:
        task = bar.add_task("downloading", total=None)
        clock.now += EVERY_S
        bar.advance(task, 1_500_000)
        clock.now += EVERY_S
        bar.update(task, completed=2_000_000, total=95_000_000, description="downloading [it]")
    said = lines(capsys)
    assert said[0] == "downloading: 1.5 MB"
    assert said[1].startswith("downloading [it]: 2.0 MB of 95.0 MB")
