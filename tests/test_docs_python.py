"""The examples of docs/python.md, run as they stand there, one after the other, on a few pictures."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sagan

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture
def _pictures(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for level, name in ((40, "dark"), (210, "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            pixels = np.clip(rng.normal(level, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow("trains, plans and measures as the page does")
@pytest.mark.usefixtures("_pictures")
def test_the_page_runs():
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    assert names["images"].shape == (4, 16, 16, 3)
    assert names["looks"].maps[8].shape == (2, 5, 8, 8)
    assert (names["result"].step, names["result"].finished) == (6, True)
    assert names["packed"].class_names == ("dark", "light")
    for file in ("samples.png", "walk.gif", "attention.png", "contact-sheet.png", "weights.safetensors"):
        assert Path(file).stat().st_size > 100


def test_every_public_name_is_there_and_the_functions_are_on_the_page():
    for name in sagan.__all__:
        assert getattr(sagan, name) is not None
        assert name in dir(sagan)
    for name in ("train", "load", "evaluate", "check", "pack", "plan", "benchmark", "export", "preset"):
        assert f"sagan.{name}(" in PAGE
        assert callable(getattr(sagan, name))
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", sagan.__version__)
