"""What tests of experiments share: a sweep at scale smoke, and one whose results are given."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagan.experiments.catalogue import EXPERIMENTS
from sagan.experiments.scales import smoke
from sagan.experiments.settings import Settings, with_defaults
from sagan.experiments.sweep import Sweep, prepare

FD = "FD(pixels 8x8)"


@pytest.fixture
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the test's own folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def smoke_sweep(own_place: None) -> Callable[..., Sweep]:
    """Make the sweep of an experiment at scale smoke, in the test's own folder."""

    def make(name: str = "table1", **changes) -> Sweep:
        settings = with_defaults(Settings(experiment=name, scale="smoke", data="", seeds=1))
        return prepare(replace(settings, **changes), Path("out"), progress=False)

    return make


class Given(Sweep):
    """A sweep whose results are given."""

    given: Mapping[str, Mapping[int, dict[str, Any]]]

    def results(self, row):
        return dict(self.given.get(row.name, {}))


@pytest.fixture
def sweep_of() -> Callable[..., Given]:
    """Make a sweep of an experiment whose results are given by row and seed."""

    def make(tmp_path, name: str, given, seeds: int = 3) -> Given:
        made = Given(
            settings=Settings(experiment=name, scale="smoke", data="digits", seeds=seeds),
            experiment=EXPERIMENTS[name],
            scale=smoke(),
            data={"source": "digits", "fingerprint": "f", "images": 1797},
            folder=tmp_path,
            out=tmp_path,
        )
        object.__setattr__(made, "given", given)
        return made

    return make


@pytest.fixture
def result() -> Callable[..., dict[str, Any]]:
    """Make the result of a row and seed."""

    def make(final: float | None, best: float | None = None, log=(), **changes) -> dict[str, Any]:
        reports = {}
        for which, value in (("final", final), ("best", best)):
            if value is not None:
                reports[which] = {"step": 4, "values": [{"metric": FD, "value": value, "protocol": {}}]}
        counts = {"generator": 1000, "discriminator": 500, "attention": 0, "residual": 0}
        record = {"status": "finished", "step": 4, "reports": reports, "pairs": {}, "health": [], "parameters": counts}
        return record | {"log": list(log), "monitor": None, "device": "cpu", "threads": 1} | changes

    return make
