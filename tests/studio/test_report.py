"""The report of a run: one file, opened from the disk."""

import base64
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from browser import pixels
from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.metrics.report import Report, Value
from sagan.sampling import attention_maps, generate
from sagan.studio import report
from sagan.studio.binary import unpacked
from sagan.studio.report import write_report


@pytest.fixture
def written(run_folder, tmp_path):
    """Write the report of a run that was measured."""
    protocol = {"network": "pixels", "generated_count": 40}
    value = Value(metric="FD(pixels 8x8)", value=1.25, higher_is_better=False, protocol=protocol, warnings=("few",))
    (run_folder / "evaluations").mkdir()
    text = Report(subject={"step": 4}, values=(value,), versions={}).to_json()
    (run_folder / "evaluations" / "step-00000004.json").write_text(text)
    said = write_report(run_folder, tmp_path / "report.html")
    return run_folder, tmp_path / "report.html", said


def maps_in(path):
    return len(re.findall(r'id="looks-\d+"', path.read_text()))


@pytest.mark.long("a real browser draws the report")
def test_a_report_shows_the_run_without_a_server(written, open_page):
    folder, path, said = written
    assert said.startswith(f"{path}: the report of {folder}, 0.")
    page = open_page(path, bypass_csp=False)
    assert page.said == []
    assert page.asked == []
    generator = load(folder, preview=True)
    network, z, y = generator.inputs(SampleConfig(num=6))
    tiles = np.stack([pixels(page, "#samples-box .tile canvas", i) for i in range(len(z))])
    assert np.array_equal(tiles, generate(network, z, y))
    assert "step 4 of 10" in page.text_content("#state")
    assert "samples and attention of step 4" in page.text_content("#facts")
    assert "classes alike at step 4" in page.text_content("#health")
    assert "train longer" in page.text_content("#health")
    assert page.locator(".chart svg").count() >= 2
    assert "1.25" in page.text_content("#values")
    assert "generated_count" in page.text_content("#values")
    assert "few" in page.text_content("#values")
    assert "base_width" in page.text_content("#config")
    box = page.locator("#subjects .point").first.bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    page.wait_for_selector("text=From row 1, column 14")
    found = re.search(r"looks most at row (\d+), column (\d+)\.", page.text_content("#readout"))
    row, column = (int(number) // 2 for number in found.groups())
    looks = attention_maps(network, z[:1], y[:1])[8][0, 7]
    assert looks.reshape(8, 8)[row, column] >= looks.max() * (1 - 1 / 255)  # the page has the map in 255ths
    assert (pixels(page, "#time-grid canvas") == 40).all()
    page.fill("#time", "0")
    assert page.text_content("#when") == "step 2"
    assert (pixels(page, "#time-grid canvas") == 20).all()


@pytest.mark.long("a real browser draws the report")
def test_a_log_without_values_is_not_taken_for_health(run_folder, tmp_path, open_page):
    (run_folder / "log.jsonl").write_text("")
    write_report(run_folder, tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    assert page.text_content("#health") == "Not known: its log has no values yet."
    assert page.text_content("#charts") == "Its log has no values yet."
    assert page.text_content("#state").endswith("nothing logged yet")


@pytest.mark.long("a real browser draws the report")
def test_curves_of_huge_values_that_hardly_differ_have_an_axis(run_folder, tmp_path, open_page):
    lines = [{"step": k, "loss_d": 1e16 + 2 * k, "loss_g": 1e16} for k in (1, 2, 3)]
    (run_folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_report(run_folder, tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    for chart in page.locator(".chart svg").all():
        assert 2 <= chart.locator("line.axis").count() <= 6
    assert page.said == []


@pytest.mark.long("a real browser draws the report")
def test_a_report_of_a_run_that_goes_on_says_what_was_saved(run_folder, tmp_path, open_page):
    with (run_folder / "log.jsonl").open("a") as log:
        log.write('\n{"step": 9, "loss_d": 1.0, "loss_g": 1.0}\n')
    write_report(run_folder, tmp_path / "r.html")
    page = open_page(tmp_path / "r.html")
    assert "step 9 of 10" in page.text_content("#state")
    assert "last saved at step 4" in page.text_content("#state")
    assert "samples and attention of step 4" in page.text_content("#facts")


@pytest.mark.long("a real browser draws the report")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_in_a_report(dark, phone, written, open_page, accessibility_faults):
    page = open_page(written[1], dark=dark, phone=phone)
    page.wait_for_selector(".chart svg")
    assert accessibility_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("#values details").first.bounding_box()["width"] > 150  # what is in it can be read


def test_a_report_asks_for_nothing_and_holds_no_markup_of_the_run(written, tmp_path):
    folder, _, _ = written
    line = {"step": 5, "health": "</script><b>x", "over": False, "quantity": "q", "value": 1.0, "limit": None}
    (folder / "log.jsonl").write_text(json.dumps(line) + "\n")
    write_report(folder, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "<b>x" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert text.count("</script>") == text.count("<script")


def test_much_is_left_out_where_there_is_no_room(written, tmp_path, monkeypatch):
    folder, path, _ = written
    assert maps_in(path) == 9
    monkeypatch.setattr(report, "MOST_LOOKS", 10_000)
    monkeypatch.setattr(report, "MOST_STEPS", 1)
    write_report(folder, tmp_path / "small.html")
    assert maps_in(tmp_path / "small.html") == 2


def test_no_part_takes_more_than_its_room(run_folder, tmp_path, monkeypatch):
    room = {"MOST_OVER_TIME": 3000, "MOST_SAMPLES": 1700, "MOST_LOOKS": 2000}
    for name, most in room.items():
        monkeypatch.setattr(report, name, most)
    write_report(run_folder, tmp_path / "small.html")
    text = (tmp_path / "small.html").read_text()
    parts = {name: base64.b64decode(held) for name, held in re.findall(r'id="([\w-]+)">([\w+/=]+)</script>', text)}
    assert {*parts} == {"over-time", "samples", "looks-0", "told"}
    for name, most in zip(("over-time", "samples", "looks-0"), room.values(), strict=True):
        assert len(parts[name]) <= most, name
    assert unpacked(parts["over-time"])[1]["images"].shape == (2, 1, 16, 16, 3)
    assert unpacked(parts["samples"])[1]["images"].shape == (2, 16, 16, 3)
    header, arrays = unpacked(parts["looks-0"])
    assert header["blocks"][0]["queries"] == [4, 4]
    assert arrays["map8"].shape == (16, 64)


def test_a_run_that_has_saved_nothing_has_curves_all_the_same(run_folder, tmp_path):
    for file in (run_folder / "checkpoints").iterdir():
        file.unlink()
    said = write_report(run_folder, tmp_path / "r.html")
    assert "the report of" in said
    assert 'id="samples"' not in (tmp_path / "r.html").read_text()


def test_a_run_whose_weights_cannot_be_read_says_so(run_folder, tmp_path, capsys):
    (run_folder / "checkpoints" / "step-00000004.pt").write_bytes(b"damaged")
    write_report(run_folder, tmp_path / "r.html", progress=True)
    said = capsys.readouterr().err
    assert said.startswith("note: the report has neither samples by class nor attention: ")
    assert "step-00000004.pt" in said
    held = re.search(r'id="told">([^<]+)', (tmp_path / "r.html").read_text())[1]
    assert "step-00000004.pt" in json.loads(base64.b64decode(held))["no_generator"]


@pytest.mark.long("a process of its own imports PyTorch")
def test_a_report_needs_no_library_of_the_studio(run_folder, tmp_path):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('fastapi', 'starlette', 'pydantic', 'uvicorn')));"
        "from sagan.studio.report import write_report; write_report(sys.argv[1], sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, run_folder, tmp_path / "r.html"], check=True)
    assert maps_in(tmp_path / "r.html") == 9


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no run folder: it has no log\.jsonl"):
        write_report(tmp_path, tmp_path / "r.html")


@pytest.mark.parametrize("name", ["classes.txt", "evaluations/step-00000004.json", "values.json"])
def test_a_file_that_is_too_long_is_named(run_folder, tmp_path, monkeypatch, name):
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    (run_folder / "evaluations").mkdir()
    (run_folder / name).touch()
    os.truncate(run_folder / name, 2**40)
    with pytest.raises(ValueError, match=rf"{name} cannot be read: it has more than 1 MiB"):
        write_report(run_folder, tmp_path / "report.html")
