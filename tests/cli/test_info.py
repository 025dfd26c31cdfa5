"""``sagan info``: what this installation is and has."""

from collections.abc import Callable

import pytest

from sagan.cli import info

Run = Callable[..., tuple[int, str, str]]


def test_what_is_here_and_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("info")
    assert code == 0
    for word in ("torch", "threads", "cuda", "cache", "inception"):
        assert f"\n{word}" in f"\n{out}"
    monkeypatch.setattr(info, "NEEDED", {"sagan_of_tomorrow": "the day after"})
    assert "sagan_of_tomorrow (for the day after)" in run("info")[1]
