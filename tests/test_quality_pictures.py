"""benchmarks/quality_pictures.py: which pictures it takes, in which order; pages name the sums that it knows."""

import importlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture
def sets(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("quality_pictures")
    sys.modules.pop("quality_pictures")


def photo(file, level, size=(300, 200)):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size[::-1], 3), level, np.uint8)
    pixels[:, :40] = 255  # an edge that the square leaves out
    Image.fromarray(pixels).save(file, quality=95)


def made(sets, monkeypatch, clone, out):
    monkeypatch.setattr(sys, "argv", ["quality_pictures.py", str(clone), "--out", str(out)])
    code = sets.main()
    with zipfile.ZipFile(out) as file:
        return code, {name: file.read(name) for name in file.namelist()}


def test_of_clothes_all_parts_are_taken_in_order_as_small_squares(sets, monkeypatch, tmp_path, capsys):
    for level, name in ((10, "train/hat/b.jpg"), (50, "test/hat/a.jpg"), (90, "validation/hat/c.jpg")):
        photo(tmp_path / "clone" / name, level)
    photo(tmp_path / "clone" / "train" / "dress" / "z.jpg", 130)
    code, files = made(sets, monkeypatch, tmp_path / "clone", tmp_path / "x.zip")
    assert list(files) == ["dress/00000.jpg", "hat/00000.jpg", "hat/00001.jpg", "hat/00002.jpg"]
    shown = [Image.open(io.BytesIO(content)) for content in files.values()]
    assert {picture.size for picture in shown} == {(128, 128)}
    assert [round(np.asarray(picture).mean() / 10) for picture in shown] == [13, 1, 9, 5]
    assert code == 1 and "NOT the file that was measured with" in capsys.readouterr().out


def test_of_cifar_the_first_of_each_class_are_copied(sets, monkeypatch, tmp_path, capsys):
    for name in ("cat", "airplane"):
        for i in range(3):
            photo(tmp_path / "clone" / "train" / name / f"{i:04d}.jpg", 40 * i, (32, 32))
    photo(tmp_path / "clone" / "test" / "cat" / "0000.jpg", 7, (32, 32))
    monkeypatch.setattr(sets, "EACH", 2)
    _, files = made(sets, monkeypatch, tmp_path / "clone", tmp_path / "x.zip")
    assert list(files) == [f"{name}/{i:04d}.jpg" for name in ("airplane", "cat") for i in (0, 1)]
    assert all(content == (tmp_path / "clone" / "train" / name).read_bytes() for name, content in files.items())
    first = (tmp_path / "x.zip").read_bytes()
    found = sets.write_zip(sets.cifar(tmp_path / "clone"), tmp_path / "y.zip")
    assert (tmp_path / "y.zip").read_bytes() == first
    monkeypatch.setitem(sets.MEASURED_WITH, "cifar10-15k.zip", found)
    code, _ = made(sets, monkeypatch, tmp_path / "clone", tmp_path / "x.zip")
    assert code == 0 and ", the file that was measured with" in capsys.readouterr().out


def test_the_page_has_the_sums(sets):
    page = (ROOT / "results" / "quality" / "README.md").read_text(encoding="utf-8")
    for name, found in sets.MEASURED_WITH.items():
        assert name in page and found in page
