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
    assert found["weights"]["largest"] == pytest.approx(2**-23 / 17**0.5, rel=1e-6)
    assert (found["samples"]["levels"], found["samples"]["changed"]) == (1, 0.25)
    assert found["values"]["largest"] == pytest.approx(2**-52)


def test_times_and_machines_are_no_numbers_of_a_run(bits):
    assert bits.numbers(
        {"fd": 1.5, "seconds": 2.5, "training_s": 9.5, "machine": {"x": 3.5}, "rows": [{"is": 4.5}], "n": 3, "s": "x"}
    ) == {
        ".fd": 1.5,
        ".rows.0.is": 4.5,
    }
    assert bits.told('{"step": 2, "d_loss": 0.5, "images_per_s": 9.0}') == {"step": 2, "d_loss": 0.5}


def test_what_differs_is_in_the_table_and_what_should_not_ends_with_a_code(bits):
    parts = {"weights": {"largest": 3e-7, "same": False}, "log": {"largest": 0.0, "same": True}}
    text = bits.table({"steps": 4, "machine": {"PyTorch": "2"}, "lines": [{"what": "two threads", "parts": parts}]})
    assert "| two threads |  | 3e-07 | same bits |  |  |  |" in text


def test_lines_that_are_not_made_again_stay(bits, tmp_path):
    made = {"steps": 4, "machine": {"PyTorch": "2"}}
    old = made | {"lines": [{"name": "again", "n": 1}, {"name": "plain", "n": 1}]}
    (tmp_path / "determinism.json").write_text(json.dumps(old))
    new = bits.with_others(made | {"lines": [{"name": "keep", "n": 2}, {"name": "again", "n": 2}]}, tmp_path)
    assert [(line["name"], line["n"]) for line in new["lines"]] == [("again", 2), ("keep", 2), ("plain", 1)]
    assert bits.with_others({"steps": 5, "machine": {}, "lines": []}, tmp_path)["lines"] == []


def test_the_page_is_drawn_again(bits):
    report = json.loads((bits.OUT / "determinism.json").read_text())
    assert (bits.OUT / "determinism.md").read_text() == bits.table(report)
    assert {line["name"] for line in report["lines"]} == set(bits.CASES) - {bits.FIRST}
    wrong = [
        line["name"]
        for line in report["lines"]
        if line["should"] and not all(p["same"] for p in line["parts"].values())
    ]
    assert wrong == []


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
