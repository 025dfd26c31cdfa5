"""Pictures that are not square, in each view of the page and in the report: 32 px high, 48 wide."""

import io
import shlex

import numpy as np
import pytest
from PIL import Image

from browser import pixels, settled, tiles
from sagan.cli.main import main
from sagan.data import DataConfig
from sagan.generators.attention import picture_maps
from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load, load_discriminator
from sagan.sampling import attention_maps, generate
from sagan.studio.drawing import query_grid
from sagan.studio.own import opened as fitted_picture
from sagan.studio.report import write_report

WIDE = {"size_px": 32, "start_grid": (4, 6)}
browser_draws = pytest.mark.long("a real browser draws the page")


def shape_on_screen(page, selector, nth=0):
    box = page.locator(selector).nth(nth).bounding_box()
    return box["width"] / box["height"]


def move_to(page, row, column):
    """Point into a place of the map of 16x24, a little behind its middle so that the pixel is certain."""
    box = page.locator("#subjects .point").first.bounding_box()
    page.mouse.move(box["x"] + (column + 0.6) / 24 * box["width"], box["y"] + (row + 0.6) / 16 * box["height"])


def most(row):
    """Say where a row of the map, (16, 24), is largest, in the steps that the page gets."""
    top = int(np.rint(np.asarray(row) / float(row.max()) * 255).argmax())
    return f"most at row {2 * (top // 24) + 1}, column {2 * (top % 24) + 1}."


@browser_draws
def test_samples_and_pointing(studio_page, weights):
    file = weights(**WIDE)
    page = studio_page(file, bypass_csp=False)
    network, z, y = load(file).inputs(SampleConfig(num=6))
    assert np.array_equal(tiles(page), generate(network, z, y))
    assert shape_on_screen(page, ".tile canvas") == pytest.approx(1.5, abs=0.02)
    assert "32x48 px" in page.text_content("#facts")
    maps = attention_maps(network, z[:1], y[:1])[16][0]
    assert maps.shape == (16 * 24, 16, 24)
    for row, column in ((2, 20), (13, 5)):
        settled(page, lambda r=row, c=column: move_to(page, r, c), "place")
        text = page.text_content("#readout")
        assert f"From row {2 * row + 1}, column {2 * column + 1} feat16" in text
        assert most(maps[row * 24 + column]) in text
    heat = pixels(page, "#subjects canvas", 1)
    assert heat.shape == (256, 384, 3) and heat.std() > 5
    page.focus("#subjects .point >> nth=0")
    settled(page, lambda: page.keyboard.press("ArrowRight"), "place")
    assert page.text_content("#readout").startswith("From row 27, column 13")
    with page.expect_download() as waiting:
        page.click("[data-look=png]")
    with Image.open(waiting.value.path()) as figure:
        assert "--query 27,13" in figure.info["command"]
    assert page.said == []


@browser_draws
def test_walks_along_noise_classes_and_directions(studio_page, weights, tmp_path):
    page = studio_page(weights(**WIDE))
    grid = tiles(page)
    settled(page, lambda: page.click("#tab-walk"), "walk")
    assert np.abs(pixels(page, "#frame").astype(int) - grid[0]).max() <= 1
    assert shape_on_screen(page, "#frame") == pytest.approx(1.5, abs=0.02)
    assert pixels(page, "#film canvas").shape == (32, 48, 3)
    assert pixels(page, "#from-picture").shape == (32, 48, 3)
    for mode in ("classes", "direction"):
        settled(page, lambda mode=mode: page.check(f"[name=mode][value={mode}]"), "walk")
        page.fill("#step", "24")
        assert (pixels(page, "#frame") != grid[0]).any()
    with page.expect_download() as waiting:
        page.click("#view-walk [data-save=npz]")
    words = shlex.split(page.text_content("#walk-command"))
    assert main([*words[1:-1], str(tmp_path / "again.npz")]) == 0
    with np.load(waiting.value.path()) as saved, np.load(tmp_path / "again.npz") as again:
        assert saved["images"].shape == (25, 32, 48, 3)
        assert np.array_equal(saved["images"], again["images"])
        assert np.array_equal(saved["images"][24], pixels(page, "#frame"))


@browser_draws
def test_a_run_a_picture_of_ones_own_and_the_nearest(studio_page, wide_run, picture_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 255, (20, 32, 48, 3)).astype(np.uint8)
    np.savez(tmp_path / "p.npz", images=images, labels=np.zeros(20, np.int64))
    page = studio_page(wide_run, data=DataConfig(path=str(tmp_path / "p.npz")))
    settled(page, lambda: page.click("#near"), "near")
    assert pixels(page, "#near-pictures canvas").shape == (32, 48, 3)
    assert any(np.array_equal(pixels(page, "#near-pictures canvas"), image) for image in images)
    settled(page, lambda: page.click("#tab-run"), "run")
    page.wait_for_selector("#run .tile canvas")
    assert (pixels(page, "#run .tile canvas") == 40).all()
    assert shape_on_screen(page, "#run .tile canvas") == pytest.approx(1.5, abs=0.02)
    page.click("#tab-own")
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": picture_file[0]}
    settled(page, lambda: page.set_input_files("#file", files=[file]), "own")
    assert "cut to 32x48 px" in page.text_content("#own-hint")
    settled(page, lambda: move_to(page, 2, 20), "place")
    D, _ = load_discriminator(wide_run)
    image = fitted_picture(picture_file[0], (32, 48), None)
    assert most(picture_maps(D, image[None])[16][0][2 * 24 + 20]) in page.text_content("#readout")
    with page.expect_download() as waiting:
        page.click("[data-look=npz]")
    with np.load(waiting.value.path()) as held:
        assert np.array_equal(held["images"][0], image)
        assert held["queries"].tolist() == [[5, 41]]


@browser_draws
def test_a_report(wide_run, tmp_path, open_page):
    write_report(wide_run, tmp_path / "r.html")
    page = open_page(tmp_path / "r.html", bypass_csp=False)
    network, z, y = load(wide_run, preview=True).inputs(SampleConfig(num=6))
    shown = np.stack([pixels(page, "#samples-box .tile canvas", i) for i in range(len(z))])
    assert np.abs(shown.astype(int) - generate(network, z, y)).max() <= 1
    move_to(page, 2, 20)
    there = most(attention_maps(network, z[:1], y[:1])[16][0, 2 * 24 + 20])
    page.wait_for_selector(f"text=From row 5, column 41 feat16 looks {there}")
    assert "32x48 px" in page.text_content("#facts")
    assert (pixels(page, "#time-grid canvas") == 40).all()
    assert page.said == []


def test_saved_files_and_a_coarser_grid_of_places(client, weights, monkeypatch):
    file = weights(**WIDE)
    studio = client(file)
    body = {"pictures": {"source": "0", "classes": [0]}, "kind": "png"}
    with Image.open(io.BytesIO(studio.post("save", body).content)) as figure:
        assert figure.width > figure.height
    monkeypatch.setattr("sagan.studio.drawing.MAX_NUMBERS", 16 * 24 * 100)
    header, arrays = studio.arrays("looks", {"pictures": {"source": "0", "classes": [1]}, "item": 0})
    assert header["blocks"][0]["queries"] == [8, 12]
    network, z, y = load(file).inputs(SampleConfig(classes=("green",), num=1))
    every = attention_maps(network, z, y)[16][0].reshape(16, 24, 16 * 24)
    expected = every[1::2, 1::2].reshape(8 * 12, 16 * 24).numpy()
    assert np.abs(arrays["map16"] / 255 * arrays["largest16"][:, None] - expected).max() < 1e-3


@pytest.mark.parametrize(
    ("count", "start", "grid"), [(64, (4, 4), (8, 8)), (96, (4, 6), (8, 12)), (1024, (16, 4), (64, 16))]
)
def test_the_grid_of_places_has_the_shape_of_the_picture(count, start, grid):
    assert query_grid(count, start) == grid
