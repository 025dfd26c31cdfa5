"""The notebook of the first ten minutes runs from top to bottom, with fewer steps, and shows what it promises."""

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "first_ten_minutes.ipynb"
FEW = {"STEPS": 20, "OWN_STEPS": 4}


def cells_of_code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells_of_code(notebook))


@pytest.mark.slow("trains twice, samples, draws, measures")
def test_it_runs_from_top_to_bottom(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    first = cells_of_code(notebook)[0]
    names = [line.split(" = ")[0] for line in first.source.splitlines()]
    assert names == list(FEW)
    first.source = "\n".join(f"{name} = {steps}" for name, steps in FEW.items())
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()

    said, drawn = "", 0
    for output in (output for cell in cells_of_code(notebook) for output in cell.outputs):
        said += output.get("text", "") + output.get("data", {}).get("text/plain", "")
        drawn += "image/png" in output.get("data", {})
    assert drawn == 6
    assert "Traceback" not in said
    for promised in (
        "20 steps, finished: True",
        "((4, 16, 16, 3)",
        "{8: (2, 5, 8, 8)}",
        "FD(pixels 8x8)",
        "made with: ",
    ):
        assert promised in said
    for name in ("runs/digits/generator.safetensors", "runs/own/samples", "samples.png", "attention.png", "own.png"):
        assert (tmp_path / name).exists()
