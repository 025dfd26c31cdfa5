"""The curves of a run."""

import pytest
from PIL import Image

from sagan.runs.train import train

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_curve_joins_only_values_that_were_made_alike(tmp_path, console, monkeypatch, tiny_measured):
    drawn = []
    monkeypatch.setattr(
        "sagan.runs.curves.training_curves", lambda records, **_: drawn.append(records) or Image.new("L", (9, 9))
    )
    out = tmp_path / "run"
    train(tiny_measured(4), out=out, console=console)
    assert [r["step"] for r in drawn[-1] if "score/FD(pixels 8x8)" in r] == [2, 4]
    train(tiny_measured(6, {"num": 60}), resume=out, console=console)
    assert [r["step"] for r in drawn[-1] if "score/FD(pixels 8x8)" in r] == [6]
    assert [r["step"] for r in drawn[-1] if "loss_d" in r] == [2, 4, 6]
