"""The page in a real browser: clicks and keys, and what appears of them in pixels and in text."""

import io
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from browser import pixels, settled, tiles
from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.sampling import attention_maps, generate

pytestmark = pytest.mark.long("a real browser draws the page")


def test_the_first_screen_shows_samples_and_where_it_looks_in_one(studio_page, weights):
    file = weights()
    page = studio_page(file, bypass_csp=False)
    expected = generate(*load(file).inputs(SampleConfig(num=6)))
    assert np.array_equal(tiles(page), expected)
    assert page.locator(".tile .caption").all_text_contents()[:7] == ["red"] * 6 + ["green"]
    assert "feat8" in page.text_content("#subjects")
    assert "γ +0.700" in page.text_content("#subjects")
    assert pixels(page, "#subjects canvas", 1).std() > 5
    assert page.said == []
    assert all(url.startswith("http://127.0.0.1:") for url in page.asked)


def test_classes_are_found_by_name_seed_and_truncation_change_what_is_drawn(studio_page, weights):
    file = weights()
    page = studio_page(file)
    settled(page, lambda: (page.fill("#class-search", "gre"), page.press("#class-search", "Enter")), "looks")
    assert page.locator("#classes li:visible").all_text_contents() == ["green"]
    assert page.text_content("#class-hint") == "1 of 3 chosen"
    assert set(page.locator(".tile .caption").all_text_contents()) == {"green"}
    settled(page, lambda: page.fill("#seed", "12"), "looks")
    settled(page, lambda: page.fill("#truncation", "0.5"), "looks")
    expected = generate(*load(file).inputs(SampleConfig(classes=("green",), num=6, seed=12, truncation=0.5)))
    assert np.array_equal(tiles(page), expected)
    assert "--class green --num 6 --seed 12 --truncation 0.5" in page.text_content("#command")
    before = tiles(page)
    settled(page, lambda: page.click("#reroll"), "samples")
    assert (tiles(page) != before).any()


def test_pointing_shows_the_row_of_the_map_for_that_place(studio_page, weights):
    file = weights()
    page = studio_page(file)
    settled(page, lambda: page.click(".tile >> nth=4"), "looks")
    assert page.get_attribute(".tile >> nth=4", "aria-selected") == "true"
    network, z, y = load(file).inputs(SampleConfig(num=6))
    maps = attention_maps(network, z[4:5], y[4:5])[8][0]
    seen = []
    for row, column in ((1, 6), (6, 2)):
        box = page.locator("#subjects .point").first.bounding_box()
        x, below = box["x"] + (column + 0.5) / 8 * box["width"], box["y"] + (row + 0.5) / 8 * box["height"]
        settled(page, lambda x=x, y=below: page.mouse.move(x, y), "place")
        top = int(maps[row * 8 + column].argmax())
        text = page.text_content("#readout")
        assert f"From row {2 * row + 1}, column {2 * column + 1} feat8" in text
        assert f"row {2 * (top // 8) + 1}, column {2 * (top % 8) + 1}." in text
        largest = f"{100 * float(maps[row * 8 + column].max()):.2g} %"
        uniform = float(maps[row * 8 + column].max()) < 2 / 64
        assert uniform or largest in page.text_content(".range")
        seen.append(pixels(page, "#subjects canvas", 1))
    assert (seen[0] != seen[1]).mean() > 0.1


def test_all_of_it_by_keyboard(studio_page, weights):
    page = studio_page(weights())
    page.focus(".tile >> nth=0")
    settled(page, lambda: page.keyboard.press("ArrowRight"), "looks")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "red, sample 1"
    page.focus("#subjects .point >> nth=0")
    before = page.text_content("#readout")
    settled(page, lambda: page.keyboard.press("ArrowDown"), "place")
    settled(page, lambda: page.keyboard.press("ArrowRight"), "place")
    assert before.startswith("From row 8, column 8")
    assert page.text_content("#readout").startswith("From row 10, column 10")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.focus("#tab-samples")
    settled(page, lambda: page.keyboard.press("ArrowRight"), "walk")
    assert page.get_attribute("#tab-walk", "aria-selected") == "true"
    page.wait_for_function("document.querySelector('#said').textContent.startsWith('From row')")


def test_a_walk_is_scrubbed_and_keeps_its_ends(studio_page, weights):
    page = studio_page(weights())
    grid = tiles(page)
    settled(page, lambda: page.click("#tab-walk"), "walk")
    assert np.abs(pixels(page, "#frame").astype(int) - grid[0]).max() <= 1
    page.fill("#step", "24")
    page.wait_for_function("document.querySelector('#looks-of').textContent === 'picture 25 of the walk'")
    to = int(page.input_value("#to"))
    assert np.abs(pixels(page, "#frame").astype(int) - grid[to]).max() <= 1
    settled(page, lambda: page.check("[name=mode][value=classes]"), "walk")
    assert (pixels(page, "#frame") != grid[to]).any()
    settled(page, lambda: page.check("[name=mode][value=direction]"), "walk")
    end = pixels(page, "#frame")
    settled(page, lambda: page.fill("#direction", "3"), "walk")
    assert "--direction 3" in page.text_content("#walk-command")
    assert (pixels(page, "#frame") != end).any()


def test_the_ends_of_a_walk_stay_for_another_seed_and_equal_ones_are_said(studio_page, weights):
    page = studio_page(weights())
    settled(page, lambda: page.click("#tab-walk"), "walk")
    assert page.text_content("#walk-hint") == ""
    settled(page, lambda: page.select_option("#from", "2"), "walk")
    settled(page, lambda: page.select_option("#to", "4"), "walk")
    settled(page, lambda: page.fill("#seed", "12"), "walk")
    assert (page.input_value("#from"), page.input_value("#to")) == ("2", "4")
    assert "--index 2 --end-seed 12 --end-index 4" in page.text_content("#walk-command")
    settled(page, lambda: page.select_option("#to", "2"), "walk")
    assert "nothing moves" in page.text_content("#walk-hint")
    settled(page, lambda: page.check("[name=mode][value=direction]"), "walk")
    assert page.text_content("#walk-hint") == ""


def test_the_seed_that_is_drawn_with_is_the_one_that_stands_there(studio_page, weights):
    page = studio_page(weights())
    for typed, used in (("-5", "0"), ("99999999999999999999", "9007199254740991"), ("2.5", "2")):
        settled(page, lambda typed=typed: page.fill("#seed", typed), "samples")
        page.press("#seed", "Tab")
        assert page.input_value("#seed") == used
        assert f"--seed {used} " in page.text_content("#command")
        assert page.is_hidden("#error"), page.text_content("#error")


HELD_BACK = """() => {
  const read = Response.prototype.arrayBuffer;
  Response.prototype.arrayBuffer = async function () {
    Response.prototype.arrayBuffer = read;
    await new Promise((done) => { window.letRead = done; });
    try { return await read.call(this); } finally { setTimeout(() => { window.wasRead = true; }); }
  };
}"""


def test_an_answer_that_another_overtakes_while_it_is_read_is_no_error(studio_page, weights):
    page = studio_page(weights())
    page.evaluate(HELD_BACK)
    page.fill("#seed", "5")
    page.wait_for_function("typeof window.letRead === 'function'")
    settled(page, lambda: page.fill("#seed", "6"), "samples")
    page.evaluate("window.letRead()")
    page.wait_for_function("window.wasRead")
    assert page.is_hidden("#error"), page.text_content("#error")
    assert "--seed 6 " in page.text_content("#command")


def wait_until(page, holds):
    """Wait for something that the page does not show itself."""
    for _ in range(1000):
        if holds():
            return
        page.wait_for_timeout(10)
    raise AssertionError("what was waited for did not come")


def held_back(page, path):
    """Hold the page's requests of this path back; give the list that they are put into."""
    held = []
    page.route(path, lambda route: held.append(route))
    return held


def let_go(page, held):
    """Let the oldest request that is held back be answered, and its answer be read."""
    wait_until(page, lambda: held)
    with page.expect_event("requestfinished"):
        held.pop(0).continue_()
    page.wait_for_timeout(100)


def test_a_map_that_comes_late_does_not_replace_the_one_that_is_looked_at(studio_page, weights):
    page = studio_page(weights())
    held = held_back(page, "**/api/looks")
    page.click(".tile >> nth=4")
    settled(page, lambda: page.click(".tile >> nth=0"), "looks")
    let_go(page, held)
    assert page.text_content("#looks-of") == "red, sample 0"
    page.unroute("**/api/looks")
    settled(page, lambda: page.click("#tab-walk"), "looks")
    held = held_back(page, "**/api/looks")
    page.fill("#step", "24")
    settled(page, lambda: page.fill("#step", "0"), "looks")
    let_go(page, held)
    assert page.text_content("#looks-of") == "picture 1 of the walk"
    page.fill("#step", "12")
    settled(page, lambda: page.click("#tab-samples"), "looks")
    let_go(page, held)
    assert page.text_content("#looks-of") == "red, sample 0"


def test_pictures_of_weights_that_are_left_meanwhile_are_dropped(studio_page, weights):
    page = studio_page(weights(), weights("other.safetensors", seed=1))
    held = held_back(page, "**/api/pictures")
    page.fill("#seed", "5")
    page.select_option("#source", "1")
    let_go(page, held)
    assert page.is_hidden("#error"), page.text_content("#error")
    settled(page, lambda: let_go(page, held), "samples")
    assert page.is_hidden("#error"), page.text_content("#error")
    assert "other.safetensors" in page.text_content("#command")


def test_the_command_is_that_of_the_pictures_though_those_beside_them_fail(studio_page, weights):
    page = studio_page(weights(), weights("other.safetensors", seed=1))
    settled(page, lambda: page.check("#beside"), "looks")

    def answer(route):
        if '"source":"1"' in route.request.post_data:
            route.fulfill(status=500, json={"error": "this one fell over"})
        else:
            route.continue_()

    page.route("**/api/pictures", answer)
    before = tiles(page)[0]
    page.fill("#seed", "7")
    page.wait_for_selector("text=this one fell over")
    page.wait_for_function("document.querySelector('#command').textContent.includes('--seed 7 ')")
    assert (tiles(page)[0] != before).any()


def test_what_is_shown_is_saved_with_its_command(studio_page, weights):
    page = studio_page(weights())
    shown = tiles(page)
    with page.expect_download() as waiting:
        page.click("#view-samples [data-save=npz]")
    with np.load(waiting.value.path()) as saved:
        assert np.array_equal(saved["images"], shown)
        assert page.text_content("#command").rsplit(" ", 1)[0] in str(saved["metadata"])
    with page.expect_download() as waiting:
        page.click("[data-look=png]")
    with Image.open(waiting.value.path()) as figure:
        words = shlex.split(figure.info["command"])
    assert words[:2] == ["sagan", "attention"]
    assert words[words.index("--query") + 1] == "8,8"
    settled(page, lambda: page.click("#tab-walk"), "walk")
    with page.expect_download() as waiting:
        page.click("#view-walk [data-save=gif]")
    with Image.open(waiting.value.path()) as moving:
        assert moving.n_frames == 48


def test_several_stand_beside_each_other(studio_page, weights):
    page = studio_page(weights(), weights("other.safetensors", seed=1, classes=["blue", "green"]))
    settled(page, lambda: page.check("#beside"), "looks")
    assert page.locator(".grid-title").all_text_contents() == ["tiny.safetensors", "other.safetensors"]
    assert page.locator("#subjects .subject").count() == 2
    assert page.text_content("#save-name") == "Save those of tiny.safetensors"
    settled(page, lambda: page.check("#classes input >> nth=0"), "looks")
    assert "other.safetensors has none of the classes" in page.text_content("#grids")
    assert page.locator("#subjects .subject").count() == 1


def test_no_more_is_asked_for_than_is_drawn_at_a_time(studio_page, weights):
    page = studio_page(weights(), weights("many.safetensors", classes=[f"c{i}" for i in range(40)]))
    settled(page, lambda: page.fill("#num", "16"), "samples")
    settled(page, lambda: page.check("#beside"), "samples")
    page.wait_for_selector("text=6 of each: at most 100 samples are drawn at a time.")
    assert page.locator("#grids .tile").count() == 3 * 16 + 16 * 6
    assert page.locator("#error").is_hidden()


def test_a_run_has_the_width_of_the_window(studio_page, run_folder):
    for width in (1100, 1280, 1600):
        page = studio_page(run_folder, viewport={"width": width, "height": 800})
        settled(page, lambda page=page: page.click("#tab-run"), "run")
        assert page.locator("#run").bounding_box()["width"] > 0.8 * width


def test_targets_of_a_finger_are_large_enough(studio_page, run_folder):
    page = studio_page(run_folder, phone=True)
    small = """() => [...document.querySelectorAll('button, select, input, a.button, .classes label, summary')]
      .filter((one) => one.offsetParent && !one.matches('.visually-hidden, label input, .modes input'))
      .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
      .filter(([, box]) => box.height < 24 || box.width < 24).map(([name]) => name)"""
    for tab in ("samples", "walk", "run", "own"):
        page.click(f"#tab-{tab}")
        assert page.evaluate(small) == [], tab


def test_weights_without_classes_or_without_attention(studio_page, weights):
    page = studio_page(weights("one.safetensors", classes=[]), weights("two.safetensors", attention=()))
    assert page.locator("#class-field").is_hidden()
    assert page.text_content("#num-label") == "Samples"
    assert page.locator(".tile").count() == 16
    assert page.text_content("#looks-of") == "sample 0"
    settled(page, lambda: page.fill("#num", "3"), "samples")
    assert page.locator(".tile").count() == 3
    settled(page, lambda: page.click("#tab-walk"), "walk")
    assert page.locator("[name=mode][value=classes]").is_disabled()
    page.click("#tab-samples")
    page.select_option("#source", "1")
    page.wait_for_selector("text=This network has no attention")
    assert page.locator(".tile").count() == 18
    assert page.locator("#legend").is_hidden()
    assert page.locator("#looks-actions").is_hidden()


def test_curves_of_several_runs_stand_in_one_panel(studio_page, run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "again")
    page = studio_page(run_folder, tmp_path / "again")
    page.click("#tab-run")
    page.wait_for_selector("text=All runs together")
    page.wait_for_function("document.querySelector('#run').textContent.includes('again: D')")
    assert page.locator("#run h2").all_text_contents() == ["All runs together", "run", "again"]


def test_a_first_look_says_that_it_is_one(open_page, served, run_folder, monkeypatch):
    from sagan.studio.sources import Source

    told = Source.told
    monkeypatch.setattr(Source, "told", lambda self: told(self) | {"rough": True})
    page = open_page(served(run_folder))
    page.wait_for_selector("#subjects canvas")
    assert "a first look: better statistics follow" in page.text_content("#facts")


def test_a_run_goes_on_before_your_eyes(studio_page, run_folder):
    page = studio_page(run_folder)
    page.click("#tab-run")
    page.wait_for_selector(".chart svg")
    assert "step 4 of 10" in page.text_content("#run")
    assert "training, last line" in page.text_content("#run")
    assert "classes alike at step 4" in page.text_content(".health")
    assert "train longer" in page.text_content(".health")
    assert (pixels(page, "#run .tile canvas") == 40).all()
    settled(page, lambda: None, "run")
    with page.expect_download() as waiting:
        page.click("#run button:has-text('Curves PNG')")
    with Image.open(waiting.value.path()) as curves:
        assert np.asarray(curves.convert("L")).std() > 5
    page.fill("#run input[type=range]", "0")
    page.wait_for_function("document.querySelector('#run output').textContent === 'step 2'")
    page.wait_for_function(
        "document.querySelector('#run .tile canvas').getContext('2d').getImageData(0, 0, 1, 1).data[0] === 20"
    )
    with (run_folder / "log.jsonl").open("a") as log:
        log.write('ss_d": 1.0}\n{"step": 6, "loss_d": 1.0, "loss_g": 1.0}\n')
    page.wait_for_function("document.querySelector('#run').textContent.includes('step 6 of 10')")
    assert "last saved at step 4" in page.text_content("#run")


def test_samples_over_time_are_those_of_the_step_that_is_told(studio_page, run_folder):
    page = studio_page(run_folder)
    settled(page, lambda: page.click("#tab-run"), "run")
    held = held_back(page, "**/samples/2")
    page.fill("#run input[type=range]", "0")
    page.fill("#run input[type=range]", "1")
    let_go(page, held)
    assert page.text_content("#run output") == "step 4"
    assert (pixels(page, "#run .tile canvas") == 40).all()
    page.unroute("**/samples/2")
    page.fill("#run input[type=range]", "0")
    first = "document.querySelector('#run .tile canvas').getContext('2d').getImageData(0, 0, 1, 1).data[0]"
    page.wait_for_function(f"{first} === 20")
    np.save(run_folder / "samples" / "step-00000002.npy", np.full((3, 16, 16, 3), 90, np.uint8))
    with (run_folder / "log.jsonl").open("a") as log:
        log.write('ss_d": 1.0}\n{"step": 4, "health": "rolled back", "from_step": 5, "because": "it was tried"}\n')
    page.wait_for_function(f"{first} === 90")


def test_a_run_that_is_opened_twice_is_followed_once(studio_page, run_folder):
    page = studio_page(run_folder)
    held = held_back(page, "**/api/runs/0")
    page.click("#tab-run")
    wait_until(page, lambda: len(held) == 1)
    page.click("#tab-run")
    wait_until(page, lambda: len(held) >= 2)
    settled(page, lambda: held.pop().continue_(), "run")
    held.clear()
    page.wait_for_timeout(4500)
    assert len(held) == 1


def test_a_picture_of_ones_own(studio_page, run_folder, picture_file):
    data, _ = picture_file
    page = studio_page(run_folder)
    page.click("#tab-own")
    sample = pixels(page, "#subjects canvas") if page.locator("#subjects canvas").count() else None
    assert sample is None
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": data}
    settled(page, lambda: page.set_input_files("#file", files=[file]), "own")
    assert "mine.png: cut to 16 px as in training" in page.text_content("#own-hint")
    assert pixels(page, "#subjects canvas", 1).std() > 2
    with page.expect_download() as waiting:
        page.click("[data-look=png]")
    with Image.open(waiting.value.path()) as figure:
        assert "--data FOLDER_WITH_THE_PICTURE" in figure.info["command"]
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }")
    page.click("#copy-looks")
    page.wait_for_function("window.copied !== undefined")
    assert page.evaluate("window.copied").endswith("--query 8,8 --layer 8 --out own.png")
    bad = {"name": "no.png", "mimeType": "image/png", "buffer": b"nothing"}
    page.set_input_files("#file", files=[bad])
    page.wait_for_selector("#error:not([hidden])")
    assert "this picture cannot be used" in page.text_content("#error")


def test_a_picture_of_ones_own_stays_until_there_is_another_or_other_weights(
    studio_page, run_folder, picture_file, tmp_path
):
    shutil.copytree(run_folder, tmp_path / "again")
    page = studio_page(run_folder, tmp_path / "again")

    def named(name, data=picture_file[0]):
        return [{"name": name, "mimeType": "image/png", "buffer": data}]

    def saved():
        with page.expect_download() as waiting:
            page.click("[data-look=npz]")
        with np.load(waiting.value.path()) as held:
            return held["images"].shape

    page.click("#tab-own")
    settled(page, lambda: page.set_input_files("#file", files=named("first.png")), "own")
    assert page.input_value("#file") == ""  # or choosing the same file again would be no change
    settled(page, lambda: page.click("#tab-samples"), "looks")
    settled(page, lambda: page.click("#tab-own"), "own")
    assert page.text_content("#looks-of").startswith("your picture")
    assert "first.png" in page.text_content("#own-hint")
    page.set_input_files("#file", files=named("no.png", b"nothing"))
    page.wait_for_selector("text=this picture cannot be used")
    assert saved() == (1, 16, 16, 3)
    held = held_back(page, "**/api/own/0?*")
    page.set_input_files("#file", files=named("second.png"))
    wait_until(page, lambda: len(held) == 1)
    page.set_input_files("#file", files=named("third.png"))
    wait_until(page, lambda: len(held) == 2)
    settled(page, lambda: held[1].continue_(), "own")
    assert "third.png" in page.text_content("#own-hint")
    assert saved() == (1, 16, 16, 3)
    page.select_option("#source", "1")
    page.wait_for_selector("text=Open a picture first.")
    assert page.text_content("#own-hint") == ""
    assert page.is_hidden("#looks-actions")


def test_weights_alone_say_what_is_missing(studio_page, weights):
    page = studio_page(weights())
    page.click("#tab-own")
    assert "holds the generator only" in page.text_content("#own-hint")
    page.click("#tab-run")
    assert "file of weights" in page.text_content("#run")


def test_nearest_pictures_appear(studio_page, weights, tmp_path, monkeypatch):
    from sagan.data import DataConfig

    monkeypatch.setenv("SAGAN_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 255, (20, 16, 16, 3)).astype(np.uint8)
    file = weights()
    images[7] = load(file).sample(1, "red", seed=0)[0]
    np.savez(tmp_path / "p.npz", images=images, labels=np.zeros(20, np.int64))
    page = studio_page(file, data=DataConfig(path=str(tmp_path / "p.npz")))
    settled(page, lambda: page.click("#near"), "near")
    assert np.array_equal(pixels(page, "#near-pictures canvas"), images[7])
    assert "nearest of 20 pictures" in page.text_content("#near-hint")
    assert "not the pictures that it was trained on" in page.text_content("#near-hint")
    with page.expect_download() as waiting:
        page.click("#near-save")
    with Image.open(waiting.value.path()) as figure:
        shown = {tuple(pixel) for pixel in np.asarray(figure).reshape(-1, 3)}
        assert {tuple(pixel) for pixel in images[7].reshape(-1, 3)} <= shown
        assert "nearest of 20 pictures" in figure.info["nearest"]
        assert shlex.split(figure.info["command"])[:2] == ["sagan", "sample"]
    settled(page, lambda: page.click("#reroll"), "samples")
    assert page.is_hidden("#near-save")  # of pictures that are not shown any more
    held = held_back(page, "**/api/nearest")
    page.click("#near")
    settled(page, lambda: page.click(".tile >> nth=4"), "looks")
    let_go(page, held)
    assert page.locator("#near-pictures canvas").count() == 0
    assert page.text_content("#near-hint") == ""
    assert page.is_enabled("#near")


def test_a_failure_is_a_sentence_and_the_page_goes_on(studio_page, weights, monkeypatch):
    page = studio_page(weights())
    with monkeypatch.context() as broken:

        def crash(*_):
            raise RuntimeError("CUDA out of memory")

        broken.setattr("sagan.studio.app.draw", crash)
        page.fill("#seed", "3")
        page.wait_for_selector("#error:not([hidden])")
        assert page.text_content("#error") == "out of memory; ask for fewer samples at a time"
    settled(page, lambda: page.fill("#seed", "4"), "looks")
    assert page.locator("#error").is_hidden()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(dark, phone, studio_page, run_folder, accessibility_faults):
    page = studio_page(run_folder, dark=dark, phone=phone)
    assert accessibility_faults(page) == []
    for tab in ("walk", "run"):
        settled(page, lambda tab=tab: page.click(f"#tab-{tab}"), tab)
        assert accessibility_faults(page) == [], tab
    page.click("#tab-own")
    assert accessibility_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_colours_follow_the_system_and_the_button(studio_page, weights):
    page = studio_page(weights(), dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    light = page.evaluate(ground)
    shade = [sum(int(part) for part in colour[4:-1].split(",")) for colour in (dark, light)]
    assert shade[0] < 150 < 650 < shade[1]
    assert np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))[-5, 5] > 200


def test_touch_points_too(studio_page, weights):
    page = studio_page(weights(), phone=True, has_touch=True)
    before = page.text_content("#readout")
    box = page.locator("#subjects .point").first.bounding_box()
    settled(page, lambda: page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"]), "place")
    assert page.text_content("#readout").startswith("From row 1, column 14")
    assert page.text_content("#readout") != before
    assert page.locator("#reroll-thumb").is_visible()
