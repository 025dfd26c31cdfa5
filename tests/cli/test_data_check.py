"""``sagan data check``: what it says of a folder, and its sheet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Run = Callable[..., tuple[int, str, str]]


def test_data_check(run: Run, pictures: Path, tmp_path: Path) -> None:
    code, out, _ = run("data", "check", pictures, "--size", "32", "--sheet", "sheet.png")
    assert code == 0
    assert "40 pictures" in out
    assert "dark" in out
    with Image.open("sheet.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 5
    (pictures / "dark" / "broken.png").write_bytes(b"not a picture")
    code, out, _ = run("data", "check", pictures)
    assert code == 2
    assert "broken.png" in out
