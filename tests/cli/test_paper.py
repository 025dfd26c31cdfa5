"""``sagan paper``: the list, one experiment in words, and what is refused before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


def test_experiments_are_listed_and_one_is_shown(run: Run) -> None:
    code, out, _ = run("paper", "list")
    assert code == 0
    assert "table1" in out
    code, out, _ = run("paper", "show", "table1", "--scale", "smoke")
    assert code == 0
    assert "the others differ from it in:" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("tabel1", "--data", "digits"), "did you mean table1?"),
        (("figures", "--data", "digits"), "known: table1"),
        (("table1",), "which pictures?"),
        (("table1", "--data", "digits", "--rows", "absent", "--scale", "smoke"), "has no row 'absent'"),
        (("table1", "--data", "digits", "--seeds", "0"), "--seeds must be at least 1, found 0"),
        (("table1", "--data", "digits", "--steps", "0"), "--steps must be at least 1, found 0"),
        (("table1", "--data", "digits", "--num", "-1"), "--num must be at least 1, found -1"),
        (("table1", "--data", "digits", "--jobs", "0"), "--jobs must be at least 1, found 0"),
        (("table1", "--data", "digits", "--out", "file"), "--out file is a file; choose a folder"),
    ],
)
def test_what_cannot_be_right_is_refused_first(
    run: Run, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], message: str, error: Mistake
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("work was begun before everything was checked")

    monkeypatch.setattr("sagan.experiments.paper.check_network", fail)
    monkeypatch.setattr("sagan.experiments.paper.run", fail)
    Path("file").write_text("mine")
    assert message in error(run("paper", "run", *flags))
    assert Path("file").read_text() == "mine"
    assert not Path("results").exists()


def test_an_unknown_experiment_or_scale_is_not_shown(run: Run, error: Mistake) -> None:
    assert "did you mean table1?" in error(run("paper", "show", "tabel1"))
    assert "--scale" in error(run("paper", "show", "table1", "--scale", "tiny"))
