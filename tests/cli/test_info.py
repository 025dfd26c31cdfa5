"""``sagan info``: what this installation is and has."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

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


def test_what_every_extra_brings_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    other_names = {"pyyaml": "yaml", "pillow-jxl-plugin": "pillow_jxl"}
    for extra, requirements in project["optional-dependencies"].items():
        for requirement in requirements:
            package = re.split(r"[<>=\[ ]", requirement)[0]
            assert info.NEEDED[other_names.get(package, package.replace("-", "_"))].endswith(f", extra {extra}")
