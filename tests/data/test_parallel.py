"""Progress where there is no terminal: a line every few seconds, by a clock of the test's own."""

import pytest

from sagan.data.names import did_you_mean
from sagan.data.parallel import LINE_EVERY_S, LineProgress, counted, progress_bar


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_line_every_few_seconds(capsys):
    clock = Clock()
    with LineProgress(clock=clock) as bar:
        task = bar.add_task("decoding", total=1000)
        for _ in range(10):
            clock.now += LINE_EVERY_S / 2
            bar.advance(task, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"decoding: {count} of 1" for count in (200, 400, 600, 800)] + [
        "decoding: 1"
    ]
    assert lines[1].endswith("left")
    assert lines[0].startswith("decoding: 200 of 1,000, 0:00:")


def test_updates_count_too_and_bytes_are_megabytes(capsys):
    clock = Clock()
    with LineProgress(clock=clock, in_bytes=True) as bar:
        task = bar.add_task("downloading", total=None)
        bar.update(task, completed=1e6)
        clock.now += LINE_EVERY_S
        bar.update(task, completed=3e6, description="downloading more")
    assert capsys.readouterr().err == "downloading more: 3 MB\n"


def test_what_is_quickly_done_says_nothing_and_progress_can_be_off(capsys):
    with counted("quick", 3, True) as count:
        count(3)
    with progress_bar(False) as bar:
        assert not isinstance(bar, LineProgress)
        bar.advance(bar.add_task("off", total=1))
    assert capsys.readouterr().err == ""
    assert isinstance(progress_bar(True), LineProgress)  # the tests' standard error is no terminal


@pytest.mark.parametrize(
    ("typed", "known", "hint"),
    [
        ("trian", ["train", "plan"], "did you mean train?"),
        ("pant", ["pants", "shirts"], "did you mean pants?"),
        ("cat", ["pants", "hats and caps"], ""),
        ("xyz", ["train", "plan"], ""),
        ("", ["train"], ""),
    ],
)
def test_a_suggestion_is_near(typed, known, hint):
    assert did_you_mean(typed, known) == hint
