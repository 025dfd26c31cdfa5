"""``sagan studio``: what cannot be opened is refused before PyTorch is imported; a missing library is named."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Mistake = Callable[[tuple[int, str, str]], str]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Keep what would be served."""
    kept: list[object] = []
    monkeypatch.setattr("sagan.studio.serve.open_studio", lambda config, say: kept.append(config))
    return kept


def test_what_is_opened(run: Run, served: list[object], tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").touch()
    (tmp_path / "two.safetensors").touch()
    words = ("studio", "one", "two.safetensors", "--data", "digits", "--port", "0", "--no-browser")
    assert run(*words)[0] == 0
    (config,) = served
    assert config.paths == (Path("one"), Path("two.safetensors"))  # type: ignore[attr-defined]
    assert (config.port, config.browser, config.data.path) == (0, False, "digits")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gone",), "gone: no such run folder, checkpoint or weights file"),
        (("empty",), "empty is no run folder: it has none of config.json, checkpoints, generator.safetensors, .lock"),
        (("a.txt",), "a.txt is neither a run folder nor a checkpoint (.pt) nor a weights file (.safetensors)"),
        (("a.pt", "--port", "70000"), "--port must be from 0 to 65535, found 70000"),
        ((), "nothing to show; name a run folder"),
    ],
)
def test_what_cannot_be_opened(words: tuple[str, ...], message: str, run: Run, error: Mistake, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    (tmp_path / "a.pt").touch()
    assert message in error(run("studio", *words))


def test_a_missing_library_is_named_with_its_extra(
    run: Run, error: Mistake, served: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.pt").touch()
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    said = error(run("studio", "a.pt"))
    assert "the studio needs uvicorn" in said
    assert 'pip install "sagan-torch[studio]"' in said
    assert served == []


def test_a_mistake_does_not_wait_for_pytorch() -> None:
    code = "import sys; from sagan.cli import main; main(['studio', 'gone']); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
