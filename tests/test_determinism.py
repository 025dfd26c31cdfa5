"""The same command gives the same bits in another process and folder; benchmarks/determinism.py sees where not."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
SAME = ("again", "workers", "keep", "resumed", "deterministic")


@pytest.fixture
def bits(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("determinism")
    sys.modules.pop("determinism")


@pytest.fixture
def made(tmp_path):
    """Write what a line makes."""

    def write(name, weight=1.0, pixel=100, value=2.0):
        folder = tmp_path / name
        folder.mkdir()
        torch.save({"G.w": torch.tensor([weight, -4.0]), "G.n": torch.tensor(3)}, folder / "weights.pt")
        images = np.full((1, 3, 2, 2), pixel / 100, np.float32)
        np.savez(folder / "samples.npz", pixels=np.array([[pixel, 7, 7, 7]], np.uint8), images=images)
        made = {"packed file": name[:1], "values": {"fd": value}, "log": [{"loss": value}]}
        made["row of the paper"] = {"accuracy": value}
        (folder / "made.json").write_text(json.dumps(made))
        return folder

    return write


def test_equal_lines_are_the_same_bits(bits, made):
    found = bits.compared(made("a1"), made("a2"), bits.ALL)
    assert found.keys() == set(bits.ALL)
    assert all(part["same"] and part["largest"] == 0.0 for part in found.values())


def test_a_last_bit_is_seen_in_each_part(bits, made):
    last = float(np.nextafter(np.float32(1.0), np.float32(2.0)))
    found = bits.compared(made("a1"), made("b1", weight=last, pixel=101, value=float(np.nextafter(2.0, 3.0))), bits.ALL)
    assert not any(part["same"] for part in found.values())
    assert found["weights"]["largest"] == pytest.approx(2**-23 / 4)
    assert (found["samples"]["levels"], found["samples"]["changed"]) == (1, 0.25)
    assert found["values"]["largest"] == pytest.approx(2**-52)


def test_times_and_machines_are_no_numbers_of_a_run(bits):
    assert bits.numbers(
        {"fd": 1.5, "seconds": 2.5, "machine": {"x": 3.5}, "rows": [{"is": 4.5}], "n": 3, "s": "x"}
    ) == {
        ".fd": 1.5,
        ".rows.0.is": 4.5,
    }
    assert bits.told('{"step": 2, "d_loss": 0.5, "images_per_s": 9.0}') == {"step": 2, "d_loss": 0.5}


def test_what_differs_is_in_the_table_and_what_should_not_ends_with_a_code(bits):
    parts = {"weights": {"largest": 3e-7, "same": False}, "log": {"largest": 0.0, "same": True}}
    text = bits.table({"steps": 4, "machine": {"PyTorch": "2"}, "lines": [{"what": "two threads", "parts": parts}]})
    assert "| two threads |  | 3e-07 | same bits |  |  |  |" in text


@pytest.mark.slow("packs, trains, samples, evaluates and runs a row of the paper in processes of their own")
def test_the_same_bits_come_again(tmp_path):
    words = ["--only", *SAME, "--steps", "4", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/determinism.py"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line["name"]: line["parts"] for line in json.loads((tmp_path / "determinism.json").read_text())["lines"]}
    assert lines.keys() == set(SAME)
    assert all(part["same"] for parts in lines.values() for part in parts.values())
    assert set(lines["again"]) == {"packed file", "weights", "log", "samples", "values", "row of the paper"}
