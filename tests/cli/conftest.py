"""What tests of the verbs share: calling one, the sentence of a mistake, a tiny run, and pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sagan.cli.main import main

Said = tuple[int, str, str]

TINY = ["--base-width", "8", "--train.batch-size", "8", "--train.log-every", "5", "--steps", "10"]


@pytest.fixture
def tiny() -> list[str]:
    """Flags of a run of ten steps of narrow networks."""
    return list(TINY)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call a verb: exit code, standard output, standard error."""

    def call(*arguments: object) -> Said:
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def error() -> Callable[[Said], str]:
    """The one sentence of a mistake: exit code 2, no traceback, nothing else from us."""

    def sentence(said: Said) -> str:
        code, _, err = said
        assert code == 2, said
        assert "Traceback" not in err
        return " ".join(err.split())

    return sentence


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "digits [run]"
    assert main(["train", "--preset", "demo", "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with the classes dark and light, 20 pictures each, of two sizes."""
    rng = np.random.default_rng(0)
    for level, name in ((40, "dark"), (210, "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            size = (40, 32, 3) if i % 2 else (24, 24, 3)
            pixels = np.clip(rng.normal(level, 20, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


@pytest.fixture
def checkpoint(digits_run: Path) -> Path:
    """The checkpoint of a run: sampling from it needs standing statistics, which take the longest."""
    return digits_run / "checkpoints" / "step-00000010.pt"


@pytest.fixture
def _nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail as soon as a network runs, or pictures are opened for one."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("work was begun before everything was checked")

    for place in (
        "pretrained.sampling_copy",
        "trained.generate",
        "trained.attention_maps",
        "attention.attention_maps",
        "attention.open_alike",
    ):
        monkeypatch.setattr(f"sagan.generators.{place}", fail)
